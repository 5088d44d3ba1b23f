// SPDX-License-Identifier: Apache-2.0

//! HTTP Live Streaming: a playlist that names its segments.

use std::fmt::Write;

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::filler;

const SEGMENTS: usize = 12;

pub async fn file(Path((_, name)): Path<(u32, String)>) -> Response {
    if name == "playlist.m3u8" { playlist() } else { segment(&name) }
}

fn playlist() -> Response {
    let mut text = String::from("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:0\n");
    for segment in 0..SEGMENTS {
        let _ = write!(text, "#EXTINF:6.0,\n{segment}.ts\n");
    }
    text.push_str("#EXT-X-ENDLIST\n");
    ([(header::CONTENT_TYPE, "application/vnd.apple.mpegurl"), (header::CACHE_CONTROL, "no-cache")], text)
        .into_response()
}

/// `N.ts`; each N has a size of its own.
fn segment(name: &str) -> Response {
    match name.strip_suffix(".ts").and_then(|number| number.parse::<usize>().ok()) {
        Some(number) if number < SEGMENTS => {
            ([(header::CONTENT_TYPE, "video/mp2t")], filler(188 * (100 + 40 * number))).into_response()
        }
        _ => (StatusCode::NOT_FOUND, "no such segment\n").into_response(),
    }
}
