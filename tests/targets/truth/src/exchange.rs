// SPDX-License-Identifier: Apache-2.0

//! One request and its response, from the head of the one to the last byte of the other.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::Error;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

use crate::Truth;

/// Counts itself when it is dropped: as aborted unless all of the response was given away.
struct Exchange {
    truth: Arc<Truth>,
    method: Method,
    route: String,
    received: Arc<AtomicU64>,
    sent: u64,
    status: StatusCode,
    finished: bool,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let (method, route) = (self.method.to_string(), std::mem::take(&mut self.route));
        let mut counts = self.truth.counts();
        if self.finished {
            let requests = counts.requests.entry((method, route, self.status.as_u16())).or_default();
            requests.count += 1;
            requests.request_bytes += self.received.load(Ordering::Relaxed);
            requests.response_bytes += self.sent;
        } else {
            *counts.aborted.entry((method, route)).or_default() += 1;
        }
    }
}

/// A response's body that tells its exchange how far it came.
struct CountedBody {
    inner: Body,
    exchange: Exchange,
    /// What Content-Length says: hyper asks for no more than that, not even for the end.
    promised: Option<u64>,
}

impl http_body::Body for CountedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                self.exchange.sent += frame.data_ref().map_or(0, |data| data.len() as u64);
                self.exchange.finished = self.inner.is_end_stream() || self.promised == Some(self.exchange.sent);
            }
            Poll::Ready(None) => self.exchange.finished = true,
            _ => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The middleware.
pub(crate) async fn counted(State(truth): State<Arc<Truth>>, request: Request, next: Next) -> Response {
    let received = Arc::new(AtomicU64::new(0));
    let mut exchange = Exchange {
        truth,
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().map_or("/", MatchedPath::as_str).to_owned(),
        received: received.clone(),
        sent: 0,
        status: StatusCode::OK,
        finished: false,
    };
    let request = request.map(|body| {
        Body::new(body.map_frame(move |frame| {
            received.fetch_add(frame.data_ref().map_or(0, Bytes::len) as u64, Ordering::Relaxed);
            frame
        }))
    });
    let response = next.run(request).await;
    exchange.status = response.status();
    let promised = content_length(response.headers());
    exchange.finished = exchange.method == Method::HEAD || promised == Some(0) || response.body().is_end_stream();
    response.map(|inner| Body::new(CountedBody { inner, exchange, promised }))
}
