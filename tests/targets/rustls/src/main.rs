// SPDX-License-Identifier: Apache-2.0

//! Server and client over rustls of one age, in one program: r20 … r23 build it with theirs.
//!
//! usage: rustls-web serve FOLDER                prints the port it listens on
//!        rustls-web load FOLDER PORT [FLAG...]  prints its ledger: the requests that were answered
//!          --requests N  --connections N  --each N (requests of a connection, 0: all)  --tls12
//!          --pause FOLDER (after half of them: makes the file `paused` and waits for `resume`; the ledger has the rest)
//!
//! FOLDER holds ca.der, leaf.der and key.der (PKCS #8).

#[cfg_attr(feature = "hyper0", path = "hyper0.rs")]
#[cfg_attr(feature = "hyper1", path = "hyper1.rs")]
mod http;
mod tls;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use tokio::net::TcpSocket;
use tokio::sync::Barrier;

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
    let socket = TcpSocket::new_v4()?;
    // The sockets it accepts inherit it: they are full again and again.
    socket.set_send_buffer_size(65536)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let listener = socket.listen(1024)?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            if let Ok(stream) = acceptor.accept(socket).await {
                http::serve(stream, routes()).await;
            }
        });
    }
}

#[derive(Clone)]
struct Plan {
    folder: String,
    port: u16,
    requests: usize,
    connections: usize,
    each: usize,
    tls12: bool,
    pause: Option<PathBuf>,
}

/// What is asked for, in turns.
const ASKED: [(&str, &str); 4] = [("POST", "/echo"), ("GET", "/large"), ("GET", "/small"), ("GET", "/huge")];

#[derive(Clone, Copy, Default)]
struct Count {
    requests: usize,
    request_bytes: usize,
    response_bytes: usize,
}

type Ledger = [Count; ASKED.len()];

/// One connection after another, `requests` in all.
async fn worker(plan: Arc<Plan>, requests: usize, half: Arc<Barrier>, go_on: Arc<Barrier>) -> Result<Ledger, Failure> {
    let connector = tls::connector(&plan.folder, plan.tls12)?;
    let mut ledger = Ledger::default();
    let mut done = 0;
    while done < requests {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(8192)?;
        let socket = socket.connect(([127, 0, 0, 1], plan.port).into()).await?;
        socket.set_nodelay(true)?;
        let stream = connector.connect(tls::name(), socket).await?;
        let mut client = http::Client::new(stream).await?;
        let until = if plan.each == 0 { requests } else { requests.min(done + plan.each) };
        while done < until {
            let (method, path) = ASKED[done % ASKED.len()];
            let body = if method == "POST" { "x".repeat(1 + done * 97 % 40_000) } else { String::new() };
            let count = &mut ledger[done % ASKED.len()];
            count.response_bytes += client.send(method, path, &body).await?;
            count.request_bytes += body.len();
            count.requests += 1;
            done += 1;
            if plan.pause.is_some() && done == requests / 2 {
                half.wait().await;
                go_on.wait().await;
                ledger = Ledger::default();
            }
        }
    }
    Ok(ledger)
}

async fn paused(folder: &Path) -> Result<(), Failure> {
    std::fs::write(folder.join("paused"), "")?;
    while !folder.join("resume").exists() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn load(plan: Plan) -> Result<(), Failure> {
    let plan = Arc::new(plan);
    let half = Arc::new(Barrier::new(plan.connections + 1));
    let go_on = Arc::new(Barrier::new(plan.connections + 1));
    let workers: Vec<_> = (0..plan.connections)
        .map(|_| tokio::spawn(worker(plan.clone(), plan.requests / plan.connections, half.clone(), go_on.clone())))
        .collect();
    if let Some(folder) = &plan.pause {
        half.wait().await;
        paused(folder).await?;
        go_on.wait().await;
    }
    let mut total = Ledger::default();
    for worker in workers {
        for (sum, count) in total.iter_mut().zip(worker.await??) {
            sum.requests += count.requests;
            sum.request_bytes += count.request_bytes;
            sum.response_bytes += count.response_bytes;
        }
    }
    let rows: Vec<_> = ASKED
        .iter()
        .zip(total)
        .map(|((method, path), count)| {
            format!(
                r#"{{"method": "{method}", "route": "{path}", "status": "200", "count": {}, "request_bytes": {}, "response_bytes": {}}}"#,
                count.requests, count.request_bytes, count.response_bytes
            )
        })
        .collect();
    println!(r#"{{"requests": [{}]}}"#, rows.join(",\n"));
    Ok(())
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
        tls12: false,
        pause: None,
    };
    let mut rest = arguments[2..].iter();
    while let Some(flag) = rest.next() {
        match flag.as_str() {
            "--requests" => plan.requests = number(rest.next())?,
            "--connections" => plan.connections = number(rest.next())?,
            "--each" => plan.each = number(rest.next())?,
            "--tls12" => plan.tls12 = true,
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
        Some("load") if arguments.len() >= 3 => load(plan(&arguments[1..])?).await,
        _ => Err("usage: rustls-web serve FOLDER | load FOLDER PORT [FLAG...]".into()),
    }
}
