// SPDX-License-Identifier: Apache-2.0

//! The WebSocket: what comes is told back; `burst N` is answered N times.

use std::collections::HashMap;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::Shared;

const ROUTE: &str = "/ws";

/// Who has no room is refused, upgrade or not.
pub async fn upgrade(
    State(chat): State<Shared>,
    Query(given): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    if !given.contains_key("room") {
        return (StatusCode::FORBIDDEN, "no room\n").into_response();
    }
    upgrade.on_upgrade(|socket| converse(chat, socket))
}

/// The opcode and the payload's length.
fn described(message: &Message) -> (&'static str, usize) {
    match message {
        Message::Text(text) => ("text", text.len()),
        Message::Binary(bytes) => ("binary", bytes.len()),
        Message::Ping(bytes) => ("ping", bytes.len()),
        Message::Pong(bytes) => ("pong", bytes.len()),
        Message::Close(frame) => ("close", frame.as_ref().map_or(0, |frame| 2 + frame.reason.len())),
    }
}

fn answers(message: Message) -> Vec<Message> {
    match &message {
        Message::Text(text) => match text.strip_prefix("burst ").and_then(|number| number.parse().ok()) {
            Some(count) => vec![message; count],
            None => vec![message],
        },
        Message::Binary(_) => vec![message],
        _ => Vec::new(),
    }
}

/// Ends after the client's Close: the library answers that, and pings, by itself with the next receive.
async fn converse(chat: Shared, mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        let (opcode, size) = described(&message);
        chat.truth.frame(ROUTE, "received", opcode, size);
        match opcode {
            "ping" => chat.truth.frame(ROUTE, "sent", "pong", size),
            "close" => chat.truth.frame(ROUTE, "sent", "close", size),
            _ => {}
        }
        for answer in answers(message) {
            chat.truth.frame(ROUTE, "sent", opcode, size);
            if socket.send(answer).await.is_err() {
                return;
            }
        }
    }
}
