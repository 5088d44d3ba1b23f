// SPDX-License-Identifier: Apache-2.0

//! hyper 0.14.

use axum::Router;
use hyper::client::conn::{Builder, SendRequest};
use hyper::{Body, Request};
use tokio::net::TcpStream;

use crate::Failure;

pub async fn serve(stream: tokio_rustls::server::TlsStream<TcpStream>, routes: Router) {
    // A client that is done just ends its connection.
    let _ = hyper::server::conn::Http::new().serve_connection(stream, routes).await;
}

pub struct Client {
    sender: SendRequest<Body>,
}

impl Client {
    pub async fn new(stream: tokio_rustls::client::TlsStream<TcpStream>) -> Result<Client, Failure> {
        let (sender, connection) = Builder::new().handshake(stream).await?;
        tokio::spawn(connection);
        Ok(Client { sender })
    }

    /// The size of the answer.
    pub async fn send(&mut self, method: &str, path: &str, body: &str) -> Result<usize, Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "text/plain")
            .body(Body::from(body.to_string()))?;
        std::future::poll_fn(|context| self.sender.poll_ready(context)).await?;
        let answer = self.sender.send_request(request).await?;
        if answer.status() != 200 {
            return Err(format!("{path}: {}", answer.status()).into());
        }
        Ok(hyper::body::to_bytes(answer.into_body()).await?.len())
    }
}
