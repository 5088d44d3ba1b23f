// SPDX-License-Identifier: Apache-2.0

//! Responses whose length nobody knows in advance: chunks, server-sent events, and one that ends too early.

use std::convert::Infallible;
use std::io::{Error, ErrorKind};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Query;
use axum::http::header;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt, stream};

use crate::filler;

type Parameters = Query<std::collections::HashMap<String, u64>>;

fn number(parameters: &Parameters, name: &str) -> u64 {
    parameters.get(name).copied().unwrap_or(0)
}

/// As many chunks as asked for; after each the server lets others run, so that it is written by itself.
pub async fn chunks(parameters: Parameters) -> Response {
    let (count, size) = (number(&parameters, "chunks"), number(&parameters, "size"));
    let chunks = stream::iter(0..count).then(move |_| async move {
        tokio::task::yield_now().await;
        Ok::<_, Infallible>(filler(size as usize))
    });
    ([(header::CONTENT_TYPE, "audio/mpeg")], Body::from_stream(chunks)).into_response()
}

/// As many events as asked for, one each so many milliseconds; without `count` they never end.
pub async fn events(parameters: Parameters) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let count = parameters.get("count").copied().unwrap_or(u64::MAX);
    let pause = Duration::from_millis(number(&parameters, "ms"));
    Sse::new(stream::iter(0..count).then(move |number| async move {
        tokio::time::sleep(pause).await;
        Ok(Event::default().event("playing").id(number.to_string()).data(format!("{{\"track\":{number}}}")))
    }))
}

/// Promises a byte more than it sends.
pub async fn abort(parameters: Parameters) -> Response {
    let after = number(&parameters, "after");
    let sent = stream::iter([Ok(filler(after as usize)), Err(Error::from(ErrorKind::BrokenPipe))]);
    ([(header::CONTENT_LENGTH, (after + 1).to_string())], Body::from_stream(sent)).into_response()
}
