// SPDX-License-Identifier: Apache-2.0

//! The client: workers, each with one connection after another and one or several streams of it, and their ledger.

use std::ops::{AddAssign, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::sync::Barrier;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use crate::calls::{self, CALLED};
use crate::client::Client;
use crate::{Failure, tls};

#[derive(Clone)]
pub struct Plan {
    pub folder: String,
    pub port: u16,
    pub requests: usize,
    pub connections: usize,
    pub each: usize,
    pub streams: usize,
    pub tls12: bool,
    pub http2: bool,
    pub grpc: bool,
    pub pause: Option<PathBuf>,
}

/// What is asked for, in turns.
const ASKED: [(&str, &str); 4] = [("POST", "/echo"), ("GET", "/large"), ("GET", "/small"), ("GET", "/huge")];

/// Requests and their bytes, or calls and their messages; received and sent by the server.
#[derive(Clone, Copy, Default)]
pub struct Count {
    pub number: usize,
    pub received: usize,
    pub sent: usize,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.number += other.number;
        self.received += other.received;
        self.sent += other.sent;
    }
}

type Ledger = [Count; 4];

fn add(sum: &mut Ledger, part: &Ledger) {
    sum.iter_mut().zip(part).for_each(|(sum, count)| *sum += *count);
}

/// One stream, used again and again.
enum Asker {
    Http(Client),
    Grpc(calls::Caller),
}

impl Asker {
    fn new(plan: &Plan, client: Client) -> Asker {
        if plan.grpc { Asker::Grpc(calls::Caller::new(client)) } else { Asker::Http(client) }
    }

    async fn ask(&mut self, turn: usize) -> Result<Count, Failure> {
        let kind = turn % ASKED.len();
        match self {
            Asker::Grpc(caller) => caller.call(kind).await,
            Asker::Http(client) => {
                let (method, path) = ASKED[kind];
                let body = if method == "POST" { "x".repeat(1 + turn * 97 % 40_000) } else { String::new() };
                let received = body.len();
                Ok(Count { number: 1, received, sent: client.ask(method, path, body).await? })
            }
        }
    }

    async fn ask_all(mut self, turns: impl Iterator<Item = usize>) -> Result<(Asker, Ledger), Failure> {
        let mut ledger = Ledger::default();
        for turn in turns {
            ledger[turn % ASKED.len()] += self.ask(turn).await?;
        }
        Ok((self, ledger))
    }
}

struct Connection {
    askers: Vec<Asker>,
    task: JoinHandle<()>,
}

impl Connection {
    async fn new(plan: &Plan, connector: &TlsConnector) -> Result<Connection, Failure> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(8192)?;
        let socket = socket.connect(([127, 0, 0, 1], plan.port).into()).await?;
        socket.set_nodelay(true)?;
        let (client, task) = Client::new(connector.connect(tls::name(), socket).await?).await?;
        let more: Vec<_> = (1..plan.streams).map_while(|_| client.another()).collect();
        let askers = std::iter::once(client).chain(more).map(|client| Asker::new(plan, client)).collect();
        Ok(Connection { askers, task })
    }

    async fn ask(&mut self, turns: Range<usize>, ledger: &mut Ledger) -> Result<(), Failure> {
        let streams = self.askers.len();
        let tasks: Vec<_> = std::mem::take(&mut self.askers)
            .into_iter()
            .enumerate()
            .map(|(first, asker)| tokio::spawn(asker.ask_all(turns.clone().skip(first).step_by(streams))))
            .collect();
        for task in tasks {
            let (asker, part) = task.await??;
            self.askers.push(asker);
            add(ledger, &part);
        }
        Ok(())
    }

    async fn close(self) -> Result<(), Failure> {
        drop(self.askers);
        Ok(self.task.await?)
    }
}

/// One connection after another, `requests` in all.
async fn worker(plan: Arc<Plan>, requests: usize, half: Arc<Barrier>, go_on: Arc<Barrier>) -> Result<Ledger, Failure> {
    let connector = tls::connector(&plan.folder, plan.tls12, plan.http2)?;
    let mut ledger = Ledger::default();
    let mut done = 0;
    while done < requests {
        let mut connection = Connection::new(&plan, &connector).await?;
        let until = if plan.each == 0 { requests } else { requests.min(done + plan.each) };
        while done < until {
            let pauses = plan.pause.is_some() && done < requests / 2;
            let stop = if pauses { until.min(requests / 2) } else { until };
            connection.ask(done..stop, &mut ledger).await?;
            done = stop;
            if pauses && done == requests / 2 {
                half.wait().await;
                go_on.wait().await;
                ledger = Ledger::default();
            }
        }
        connection.close().await?;
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

fn print(plan: &Plan, total: &Ledger) {
    let rows = |kinds: &[(&str, &str); 4], row: fn(&str, &str, &Count) -> String| {
        let rows: Vec<_> = kinds.iter().zip(total).map(|((first, second), count)| row(first, second, count)).collect();
        rows.join(",\n")
    };
    if plan.grpc {
        let rows = rows(&CALLED, |method, code, count| {
            format!(
                r#"{{"service": "{}", "method": "{method}", "code": "{code}", "count": {}, "received": {}, "sent": {}}}"#,
                calls::SERVICE,
                count.number,
                count.received,
                count.sent
            )
        });
        println!(r#"{{"grpc": [{rows}]}}"#);
    } else {
        let rows = rows(&ASKED, |method, path, count| {
            format!(
                r#"{{"method": "{method}", "route": "{path}", "status": "200", "count": {}, "request_bytes": {}, "response_bytes": {}}}"#,
                count.number, count.received, count.sent
            )
        });
        println!(r#"{{"requests": [{rows}]}}"#);
    }
}

pub async fn load(plan: Plan) -> Result<(), Failure> {
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
        add(&mut total, &worker.await??);
    }
    print(&plan, &total);
    Ok(())
}
