// SPDX-License-Identifier: Apache-2.0

//! hyper 1.

use axum::Router;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tonic::codegen::{Body, Bytes, StdError};

use crate::Failure;

pub type Sent = UnsyncBoxBody<Bytes, StdError>;
pub type Received = hyper::body::Incoming;

pub async fn serve(stream: tokio_rustls::server::TlsStream<TcpStream>, routes: Router) {
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let (stream, service) = (TokioIo::new(stream), TowerToHyperService::new(routes));
    // A client that is done just ends its connection.
    let _ = if http2 {
        http2::Builder::new(TokioExecutor::new()).serve_connection(stream, service).await
    } else {
        http1::Builder::new().serve_connection(stream, service).await
    };
}

pub fn io<S>(stream: S) -> TokioIo<S> {
    TokioIo::new(stream)
}

pub fn executor() -> TokioExecutor {
    TokioExecutor::new()
}

pub fn boxed<B>(body: B) -> Sent
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    body.map_err(Into::into).boxed_unsync()
}

pub fn body(text: String) -> Sent {
    boxed(Full::from(text))
}

pub async fn size(body: Received) -> Result<usize, Failure> {
    Ok(body.collect().await?.to_bytes().len())
}
