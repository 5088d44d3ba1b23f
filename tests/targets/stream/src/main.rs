// SPDX-License-Identifier: Apache-2.0

//! A streaming server like those in front of players: byte ranges, bodies in chunks, server-sent events, HLS. It counts
//! what it did and tells at `/truth`, which it does not count.
//!
//! usage: stream ADDRESS:PORT

mod hls;
mod live;
mod ranges;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http_body_util::BodyExt;
use truth::Truth;

/// Where all media come from.
pub fn filler(size: usize) -> Bytes {
    static FILLER: [u8; 1 << 20] = [b's'; 1 << 20];
    Bytes::from_static(&FILLER[..size.min(FILLER.len())])
}

/// A track's size, the same each time: up to 1 MB.
pub fn track_size(track: u32) -> usize {
    [0, 1, 700, 4096, 20_000, 131_072, 400_001, 1 << 20][track as usize % 8]
}

/// Reads the upload as it comes.
async fn upload(body: Body) -> Response {
    let (mut body, mut received) = (body, 0);
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => received += frame.data_ref().map_or(0, Bytes::len),
            Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        }
    }
    (StatusCode::CREATED, format!("{{\"bytes\":{received}}}\n")).into_response()
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listen = std::env::args().nth(1).expect("usage: stream ADDRESS:PORT");
    let routes = Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/tracks", post(upload))
        .route("/tracks/{track}/audio", get(ranges::audio))
        .route("/tracks/{track}/live", get(live::chunks))
        .route("/events", get(live::events))
        .route("/abort", get(live::abort))
        .route("/hls/{track}/{file}", get(hls::file));
    truth::serve(&listen, routes, Arc::new(Truth::default())).await
}
