// SPDX-License-Identifier: Apache-2.0

//! A track by whole, by range (206, also of several parts), beyond its end (416) or not at all (304).

use std::convert::Infallible;
use std::ops::Range;

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use crate::{filler, track_size};

const BOUNDARY: &str = "sonde-part";
const PIECE: usize = 64 << 10;

/// `a-b`, `a-` or `-n` of a `Range: bytes=` header; None where it is none or lies outside.
fn one_range(text: &str, size: usize) -> Option<Range<usize>> {
    let (first, last) = text.trim().split_once('-')?;
    if first.is_empty() {
        let length: usize = last.parse().ok()?;
        return (length > 0 && size > 0).then(|| size - length.min(size)..size);
    }
    let first = first.parse().ok()?;
    let end = if last.is_empty() { size } else { last.parse::<usize>().ok()?.saturating_add(1).min(size) };
    (first < end).then_some(first..end)
}

/// A body of known length that goes out piece by piece.
fn pieces(parts: Vec<Bytes>) -> Body {
    let pieces = parts.into_iter().flat_map(|mut part| {
        std::iter::from_fn(move || (!part.is_empty()).then(|| part.split_to(part.len().min(PIECE))))
    });
    Body::from_stream(stream::iter(pieces.map(Ok::<_, Infallible>)))
}

fn several(ranges: &[Range<usize>], size: usize) -> Vec<Bytes> {
    let mut parts = Vec::new();
    for range in ranges {
        let head = format!(
            "--{BOUNDARY}\r\nContent-Type: audio/mpeg\r\nContent-Range: bytes {}-{}/{size}\r\n\r\n",
            range.start,
            range.end - 1
        );
        parts.extend([head.into(), filler(range.len()), "\r\n".into()]);
    }
    parts.push(format!("--{BOUNDARY}--\r\n").into());
    parts
}

pub async fn audio(Path(track): Path<u32>, headers: HeaderMap) -> Response {
    let size = track_size(track);
    let tag = format!("\"{track}-{size}\"");
    let common = [(header::ETAG, tag.clone()), (header::ACCEPT_RANGES, "bytes".to_owned())];
    let given = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if given(header::IF_NONE_MATCH) == Some(&tag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let answer = |status, kind: &str, parts: Vec<Bytes>| {
        let length: usize = parts.iter().map(Bytes::len).sum();
        let described = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_LENGTH, length.to_string())];
        (status, common.clone(), described, pieces(parts)).into_response()
    };
    let Some(wanted) = given(header::RANGE).and_then(|text| text.strip_prefix("bytes=")) else {
        return answer(StatusCode::OK, "audio/mpeg", vec![filler(size)]);
    };
    let ranges: Vec<_> = wanted.split(',').filter_map(|text| one_range(text, size)).collect();
    match ranges.as_slice() {
        [] => {
            let outside = [(header::CONTENT_RANGE, format!("bytes */{size}"))];
            (StatusCode::RANGE_NOT_SATISFIABLE, common, outside).into_response()
        }
        [range] => {
            let place = [(header::CONTENT_RANGE, format!("bytes {}-{}/{size}", range.start, range.end - 1))];
            (place, answer(StatusCode::PARTIAL_CONTENT, "audio/mpeg", vec![filler(range.len())])).into_response()
        }
        several_ranges => {
            let kind = format!("multipart/byteranges; boundary={BOUNDARY}");
            answer(StatusCode::PARTIAL_CONTENT, &kind, several(several_ranges, size))
        }
    }
}
