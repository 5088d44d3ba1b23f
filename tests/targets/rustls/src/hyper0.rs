// SPDX-License-Identifier: Apache-2.0

//! hyper 0.14.

use axum::Router;
use http_body::combinators::UnsyncBoxBody;
use hyper::rt::Executor;
use hyper::server::conn::Http;
use tokio::net::TcpStream;
use tonic::codegen::{Body, Bytes, StdError};

use crate::Failure;

pub type Sent = UnsyncBoxBody<Bytes, StdError>;
pub type Received = hyper::Body;

pub async fn serve(stream: tokio_rustls::server::TlsStream<TcpStream>, routes: Router) {
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    // A client that is done just ends its connection.
    let _ = Http::new().http2_only(http2).serve_connection(stream, routes).await;
}

pub fn io<S>(stream: S) -> S {
    stream
}

#[derive(Clone)]
pub struct Tasks;

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, task: F) {
        tokio::spawn(task);
    }
}

pub fn executor() -> Tasks {
    Tasks
}

pub fn boxed<B>(body: B) -> Sent
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    body.map_err(Into::into).boxed_unsync()
}

pub fn body(text: String) -> Sent {
    boxed(hyper::Body::from(text))
}

pub async fn size(body: Received) -> Result<usize, Failure> {
    Ok(hyper::body::to_bytes(body).await?.len())
}
