// SPDX-License-Identifier: Apache-2.0

//! A chat server: rooms and messages in PostgreSQL, presence in Redis, news by NATS, conversation by WebSocket. It counts
//! what it did and tells at `/truth`, which it does not count.
//!
//! usage: chat ADDRESS:PORT POSTGRES REDIS NATS     a connection string, and addresses

mod cache;
mod database;
mod news;
mod rooms;
mod socket;

use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get};
use truth::Truth;

pub struct Chat {
    truth: Arc<Truth>,
    database: database::Database,
    cache: cache::Cache,
    news: news::News,
}

type Shared = Arc<Chat>;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [listen, postgres, redis, nats] = arguments.as_slice() else {
        return Err("usage: chat ADDRESS:PORT POSTGRES REDIS NATS".into());
    };
    let truth = Arc::new(Truth::default());
    let chat = Arc::new(Chat {
        database: database::Database::connect(postgres, truth.clone()).await?,
        cache: cache::Cache::connect(redis, truth.clone()).await?,
        news: news::News::connect(nats, truth.clone()).await?,
        truth: truth.clone(),
    });
    let routes = Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/rooms", get(rooms::list))
        .route("/rooms/{room}/messages", get(rooms::messages).post(rooms::post))
        .route("/rooms/{room}/messages/{message}", delete(rooms::remove))
        .route("/rooms/{room}/topic", get(rooms::topic).put(rooms::set_topic))
        .route("/rooms/{room}/export", get(rooms::export))
        .route("/users/{user}/presence", get(rooms::presence).put(rooms::arrive))
        .route("/search", get(rooms::search))
        .route("/import", get(rooms::import))
        .route("/failures", get(rooms::failures))
        .route("/ws", get(socket::upgrade))
        .with_state(chat);
    Ok(truth::serve(listen, routes, truth).await?)
}
