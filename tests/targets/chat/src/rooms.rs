// SPDX-License-Identifier: Apache-2.0

//! The HTTP routes.

use std::collections::HashMap;
use std::fmt::Display;

use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::Shared;

/// What stopped a request: its text with status 500.
pub struct Failure(String);

impl<E: Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(format!("{error}\n"))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        eprintln!("{}", self.0.trim_end());
        (StatusCode::INTERNAL_SERVER_ERROR, self.0).into_response()
    }
}

type Answer = Result<Response, Failure>;

fn json_answer(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

pub async fn list(State(chat): State<Shared>) -> Answer {
    Ok(json_answer(json!(chat.database.rooms().await?).to_string()))
}

/// From the cache, else from the database and then kept.
pub async fn messages(State(chat): State<Shared>, Path(room): Path<i32>) -> Answer {
    if let Some(kept) = chat.cache.messages(room).await? {
        return Ok(json_answer(kept));
    }
    let text = json!(chat.database.messages(room).await?).to_string();
    chat.cache.keep_messages(room, &text).await?;
    Ok(json_answer(text))
}

pub async fn post(State(chat): State<Shared>, Path(room): Path<i32>, body: String) -> Answer {
    if body.is_empty() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, "an empty message\n").into_response());
    }
    let Some(id) = chat.database.post(room, "ann", &body).await? else {
        return Ok((StatusCode::NOT_FOUND, "no such room\n").into_response());
    };
    chat.cache.forget_messages(room).await?;
    chat.news.tell(room, body).await?;
    Ok((StatusCode::CREATED, json_answer(json!({"id": id}).to_string())).into_response())
}

pub async fn remove(State(chat): State<Shared>, Path((room, message)): Path<(i32, i64)>) -> Answer {
    let removed = chat.database.remove(room, message).await?;
    Ok(if removed > 0 { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }.into_response())
}

pub async fn topic(State(chat): State<Shared>, Path(room): Path<i32>) -> Answer {
    Ok(match chat.database.topic(room).await {
        Ok(rows) => format!("{rows}\n").into_response(),
        Err(error) if error.code().is_some() => (StatusCode::BAD_GATEWAY, "the database refuses\n").into_response(),
        Err(error) => return Err(error.into()),
    })
}

pub async fn set_topic(State(chat): State<Shared>, Path(room): Path<i32>, topic: String) -> Answer {
    chat.database.set_topic(room, &topic).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub async fn export(State(chat): State<Shared>, Path(_): Path<i32>) -> Answer {
    Ok(format!("{}\n", chat.database.export().await?).into_response())
}

pub async fn presence(State(chat): State<Shared>, Path(user): Path<i32>) -> Answer {
    Ok(json_answer(json!(chat.cache.presence(user).await?).to_string()))
}

pub async fn arrive(State(chat): State<Shared>, Path(user): Path<i32>) -> Answer {
    Ok(json_answer(json!({"visits": chat.cache.arrive(user).await?}).to_string()))
}

pub async fn search(State(chat): State<Shared>, Query(given): Query<HashMap<String, String>>) -> Answer {
    let Some(word) = given.get("q") else {
        return Ok((StatusCode::BAD_REQUEST, "q is missing\n").into_response());
    };
    Ok(json_answer(json!({"found": chat.database.search(word).await?}).to_string()))
}

pub async fn import(State(chat): State<Shared>) -> Answer {
    Ok(format!("{}\n", chat.database.import().await?).into_response())
}

pub async fn failures(State(chat): State<Shared>) -> Answer {
    chat.database.failures().await?;
    chat.cache.failures().await?;
    Ok("done\n".into_response())
}
