// SPDX-License-Identifier: Apache-2.0

//! Server and client over rustls of one age, in one program: r20 … r23 build it with theirs.
//!
//! usage: rustls-web serve FOLDER                prints the port it listens on
//!        rustls-web load FOLDER PORT [FLAG...]  prints its ledger: the requests that were answered
//!          --requests N  --connections N  --each N (requests of a connection, 0: all)  --tls12
//!          --http2, --grpc (requests or calls by HTTP/2, of a connection --streams N at a time)
//!          --pause FOLDER (after half of them: makes the file `paused` and waits for `resume`; the ledger has the rest)
//!
//! FOLDER holds ca.der, leaf.der and key.der (PKCS #8).

mod calls;
mod client;
#[cfg_attr(feature = "hyper0", path = "hyper0.rs")]
#[cfg_attr(feature = "hyper1", path = "hyper1.rs")]
mod http;
mod load;
mod tls;

use std::error::Error;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpSocket;

use crate::load::Plan;

pub type Failure = Box<dyn Error + Send + Sync>;

/// Bodies that take one record, several, and more than a socket takes at once.
fn routes() -> Router {
    Router::new()
        .route("/small", get(|| async { "ok\n" }))
        .route("/large", get(|| async { "0123456789abcdef".repeat(5000) }))
        .route("/huge", get(|| async { "0123456789abcdef".repeat(1 << 17) }))
        .route("/echo", post(|body: String| async { body }))
}

async fn serve(folder: &str) -> Result<(), Failure> {
    let acceptor = tls::acceptor(folder)?;
    let routes = calls::with_health(routes()).await;
    let socket = TcpSocket::new_v4()?;
    // The sockets it accepts inherit it: they are full again and again.
    socket.set_send_buffer_size(65536)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(1024)?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let (acceptor, routes) = (acceptor.clone(), routes.clone());
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(socket).await {
                http::serve(stream, routes).await;
            }
        });
    }
}

fn number(text: Option<&String>) -> Result<usize, Failure> {
    Ok(text.ok_or("a number is missing")?.parse()?)
}

fn plan(arguments: &[String]) -> Result<Plan, Failure> {
    let mut plan = Plan {
        folder: arguments[0].clone(),
        port: arguments[1].parse()?,
        requests: 3200,
        connections: 32,
        each: 0,
        streams: 7, // each asks for everything in turn
        tls12: false,
        http2: false,
        grpc: false,
        pause: None,
    };
    let mut rest = arguments[2..].iter();
    while let Some(flag) = rest.next() {
        match flag.as_str() {
            "--requests" => plan.requests = number(rest.next())?,
            "--connections" => plan.connections = number(rest.next())?,
            "--each" => plan.each = number(rest.next())?,
            "--streams" => plan.streams = number(rest.next())?,
            "--tls12" => plan.tls12 = true,
            "--http2" => plan.http2 = true,
            "--grpc" => (plan.http2, plan.grpc) = (true, true),
            "--pause" => plan.pause = Some(rest.next().ok_or("a folder is missing")?.into()),
            other => return Err(format!("unknown flag {other}").into()),
        }
    }
    Ok(plan)
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve") if arguments.len() == 2 => serve(&arguments[1]).await,
        Some("load") if arguments.len() >= 3 => load::load(plan(&arguments[1..])?).await,
        _ => Err("usage: rustls-web serve FOLDER | load FOLDER PORT [FLAG...]".into()),
    }
}
