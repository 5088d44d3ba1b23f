// SPDX-License-Identifier: Apache-2.0

//! What a Rust server of the testbed did, counted where it did it, and the counting of its HTTP requests.

mod exchange;
mod serve;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use serde_json::{Value, json};

pub use serve::serve;

/// `sent` and `received` of WebSockets, `published` and `received` of NATS.
pub type Direction = &'static str;

#[derive(Default)]
struct Sizes {
    count: u64,
    bytes: u64,
}

#[derive(Default)]
struct Requests {
    count: u64,
    request_bytes: u64,
    response_bytes: u64,
}

#[derive(Default)]
struct Counts {
    requests: BTreeMap<(String, String, u16), Requests>,
    aborted: BTreeMap<(String, String), u64>,
    sql: BTreeMap<(&'static str, &'static str, String), u64>,
    redis: BTreeMap<String, u64>,
    nats: BTreeMap<(Direction, String), Sizes>,
    websocket: BTreeMap<(String, Direction, &'static str), Sizes>,
}

/// For all threads.
#[derive(Default)]
pub struct Truth {
    counts: Mutex<Counts>,
}

impl Truth {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("no holder panics")
    }

    pub fn statement(&self, verb: &'static str, table: &'static str, sqlstate: &str) {
        *self.counts().sql.entry((verb, table, sqlstate.to_owned())).or_default() += 1;
    }

    pub fn command(&self, name: &str) {
        *self.counts().redis.entry(name.to_uppercase()).or_default() += 1;
    }

    /// A message of NATS, `bytes` its headers and payload. Inboxes are one subject.
    pub fn message(&self, direction: Direction, subject: &str, bytes: usize) {
        let subject = if subject.starts_with("_INBOX.") { "_INBOX.>" } else { subject };
        let mut counts = self.counts();
        let sizes = counts.nats.entry((direction, subject.to_owned())).or_default();
        sizes.count += 1;
        sizes.bytes += bytes as u64;
    }

    /// A whole WebSocket message or control frame, `bytes` its payload.
    pub fn frame(&self, path: &str, direction: Direction, opcode: &'static str, bytes: usize) {
        let mut counts = self.counts();
        let sizes = counts.websocket.entry((path.to_owned(), direction, opcode)).or_default();
        sizes.count += 1;
        sizes.bytes += bytes as u64;
    }

    /// The form every ledger and truth of the testbed has; see tests/targets/README.md.
    pub fn document(&self) -> Value {
        let counts = self.counts();
        let requests = counts.requests.iter().map(|((method, route, status), n)| {
            json!({"method": method, "route": route, "status": status, "count": n.count,
                   "request_bytes": n.request_bytes, "response_bytes": n.response_bytes})
        });
        let aborted = counts
            .aborted
            .iter()
            .map(|((method, route), count)| json!({"method": method, "route": route, "count": count}));
        let sql = counts.sql.iter().map(|((verb, table, sqlstate), count)| {
            json!({"verb": verb, "table": table, "sqlstate": sqlstate, "count": count})
        });
        let redis = counts.redis.iter().map(|(name, count)| json!({"operation": name, "count": count}));
        let nats = counts.nats.iter().map(|((direction, subject), n)| {
            json!({"direction": direction, "subject": subject, "count": n.count, "bytes": n.bytes})
        });
        let websocket = counts.websocket.iter().map(|((path, direction, opcode), n)| {
            json!({"route": path, "direction": direction, "opcode": opcode, "count": n.count, "bytes": n.bytes})
        });
        json!({
            "service": std::env::var("OTEL_SERVICE_NAME").unwrap_or_default(),
            "requests": requests.collect::<Vec<_>>(),
            "aborted": aborted.collect::<Vec<_>>(),
            "sql": sql.collect::<Vec<_>>(),
            "redis": redis.collect::<Vec<_>>(),
            "nats": nats.collect::<Vec<_>>(),
            "websocket": websocket.collect::<Vec<_>>(),
        })
    }
}
