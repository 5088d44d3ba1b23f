// SPDX-License-Identifier: Apache-2.0

//! A connection of HTTP as ALPN chose it, for requests of our own and for tonic's calls: HTTP/2 has any number of streams.

use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tonic::codegen::{Body, BoxFuture, Bytes, Context, Poll, Service, StdError};

use crate::Failure;
use crate::http::{self, Received, Sent};

pub const ORIGIN: &str = "https://localhost";

pub enum Client {
    Http1(http1::SendRequest<Sent>),
    Http2(http2::SendRequest<Sent>),
}

impl Client {
    /// Whoever drops the client (and what it gave) and waits for the task has seen all of it written.
    pub async fn new(stream: TlsStream<TcpStream>) -> Result<(Client, JoinHandle<()>), Failure> {
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let stream = http::io(stream);
        if http2 {
            let (sender, connection) = http2::handshake(http::executor(), stream).await?;
            let task = tokio::spawn(async move { drop(connection.await) });
            return Ok((Client::Http2(sender), task));
        }
        let (sender, connection) = http1::handshake(stream).await?;
        Ok((Client::Http1(sender), tokio::spawn(async move { drop(connection.await) })))
    }

    /// For a stream more, where there can be one.
    pub fn another(&self) -> Option<Client> {
        match self {
            Client::Http1(_) => None,
            Client::Http2(sender) => Some(Client::Http2(sender.clone())),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        match self {
            Client::Http1(sender) => sender.poll_ready(context),
            Client::Http2(sender) => sender.poll_ready(context),
        }
    }

    fn send(&mut self, request: Request<Sent>) -> BoxFuture<Response<Received>, hyper::Error> {
        match self {
            Client::Http1(sender) => Box::pin(sender.send_request(request)),
            Client::Http2(sender) => Box::pin(sender.send_request(request)),
        }
    }

    /// The size of the answer.
    pub async fn ask(&mut self, method: &str, path: &str, body: String) -> Result<usize, Failure> {
        let request = Request::builder().method(method).header("content-type", "text/plain");
        let request = match self {
            Client::Http1(_) => request.uri(path).header("host", "localhost"),
            Client::Http2(_) => request.uri(format!("{ORIGIN}{path}")),
        };
        std::future::poll_fn(|context| self.poll(context)).await?;
        let answer = self.send(request.body(http::body(body))?).await?;
        if answer.status() != 200 {
            return Err(format!("{path}: {}", answer.status()).into());
        }
        http::size(answer.into_body()).await
    }
}

impl<B> Service<Request<B>> for Client
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<Received>;
    type Error = hyper::Error;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.send(request.map(http::boxed))
    }
}
