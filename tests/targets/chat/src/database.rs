// SPDX-License-Identifier: Apache-2.0

//! Every statement that chat sends to PostgreSQL, counted as the metric contract counts it. One connection is shared by
//! all requests, whose statements tokio-postgres pipelines; transactions have theirs for themselves.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{SinkExt, future};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Error, NoTls, Statement, Transaction};
use truth::Truth;

const EXCLUSIVE: usize = 4;

pub struct Database {
    truth: Arc<Truth>,
    shared: Client,
    exclusive: Vec<Mutex<Client>>,
    turn: AtomicUsize,
    select_messages: OnceCell<Statement>,
    insert_message: OnceCell<Statement>,
}

async fn connected(address: &str) -> Result<Client, Error> {
    let (client, connection) = tokio_postgres::connect(address, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

impl Database {
    pub async fn connect(address: &str, truth: Arc<Truth>) -> Result<Self, Error> {
        let shared = connected(address).await?;
        let mut exclusive = Vec::new();
        for _ in 0..EXCLUSIVE {
            exclusive.push(Mutex::new(connected(address).await?));
        }
        Ok(Self {
            truth,
            shared,
            exclusive,
            turn: AtomicUsize::new(0),
            select_messages: OnceCell::new(),
            insert_message: OnceCell::new(),
        })
    }

    fn ended<T>(&self, verb: &'static str, table: &'static str, result: Result<T, Error>) -> Result<T, Error> {
        match &result {
            Ok(_) => self.truth.statement(verb, table, ""),
            Err(error) => match error.code() {
                Some(code) => self.truth.statement(verb, table, code.code()),
                None => eprintln!("{verb} {table}: {error}"),
            },
        }
        result
    }

    async fn own(&self) -> MutexGuard<'_, Client> {
        self.exclusive[self.turn.fetch_add(1, Ordering::Relaxed) % EXCLUSIVE].lock().await
    }

    /// The library writes START TRANSACTION.
    async fn begin<'a>(&self, client: &'a mut Client) -> Result<Transaction<'a>, Error> {
        self.ended("start", "", client.transaction().await)
    }

    async fn commit(&self, transaction: Transaction<'_>) -> Result<(), Error> {
        self.ended("commit", "", transaction.commit().await)
    }

    /// Prepared at its first use: an agent that starts between the server and its load knows the text.
    async fn kept<'a>(&self, cell: &'a OnceCell<Statement>, text: &str) -> Result<&'a Statement, Error> {
        cell.get_or_try_init(|| self.shared.prepare(text)).await
    }

    /// Prepared for this once: Parse and Describe, then Bind and Execute, then Close.
    pub async fn rooms(&self) -> Result<Vec<String>, Error> {
        let rows = self.shared.query("SELECT name FROM rooms ORDER BY id LIMIT 20", &[]).await;
        Ok(self.ended("select", "rooms", rows)?.iter().map(|row| row.get(0)).collect())
    }

    pub async fn messages(&self, room: i32) -> Result<Vec<(i64, String, String)>, Error> {
        let text = "select id, author, body from messages where room = $1 order by id desc limit 20";
        let statement = self.kept(&self.select_messages, text).await?;
        let rows = self.ended("select", "messages", self.shared.query(statement, &[&room]).await)?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    /// None where there is no such room, which PostgreSQL knows by a foreign key.
    pub async fn post(&self, room: i32, author: &str, body: &str) -> Result<Option<i64>, Error> {
        let text = "insert into messages (room, author, body) values ($1, $2, $3) returning id";
        let statement = self.kept(&self.insert_message, text).await?;
        let row = self.shared.query_one(statement, &[&room, &author, &body]).await;
        match self.ended("insert", "messages", row) {
            Ok(row) => Ok(Some(row.get(0))),
            Err(error) if error.code() == Some(&SqlState::FOREIGN_KEY_VIOLATION) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub async fn remove(&self, room: i32, message: i64) -> Result<u64, Error> {
        let text = "delete from messages where room = $1 and id = $2";
        self.ended("delete", "messages", self.shared.execute(text, &[&room, &message]).await)
    }

    /// Without a name: Parse, Bind, Describe, Execute and Sync in one.
    pub async fn search(&self, word: &str) -> Result<i64, Error> {
        let text = "with found as (select id from messages where body like $1) select count(*) from found";
        let rows = self.shared.query_typed(text, &[(&format!("{word}%"), Type::TEXT)]).await;
        Ok(self.ended("with", "messages", rows)?[0].get(0))
    }

    /// Two statements in one message, the second of the simple protocol fails at every 10th room.
    pub async fn topic(&self, room: i32) -> Result<usize, Error> {
        if room % 10 == 9 {
            let result = self.shared.batch_execute("select 1; select topic from missing; select 2").await;
            self.truth.statement("select", "", "");
            self.ended("select", "missing", result)?;
        }
        let text = format!("select 1; select topic from rooms where id = {room}");
        let messages = self.shared.simple_query(&text).await;
        self.truth.statement("select", "", "");
        Ok(self.ended("select", "rooms", messages)?.len())
    }

    /// A transaction; without a topic it is taken back.
    pub async fn set_topic(&self, room: i32, topic: &str) -> Result<(), Error> {
        let mut client = self.own().await;
        let transaction = self.begin(&mut client).await?;
        let locked = transaction.query_opt("select id from rooms where id = $1 for update", &[&room]).await;
        self.ended("select", "rooms", locked)?;
        let changed = transaction.execute("update rooms set topic = $2 where id = $1", &[&room, &topic]).await;
        self.ended("update", "rooms", changed)?;
        if topic.is_empty() {
            return self.ended("rollback", "", transaction.rollback().await);
        }
        self.commit(transaction).await
    }

    /// Through a portal, ten rows at a time: one statement, however often it is suspended.
    pub async fn export(&self) -> Result<usize, Error> {
        let mut client = self.own().await;
        let transaction = self.begin(&mut client).await?;
        let portal = transaction.bind("select generate_series(1, 35), name from rooms where id = 1", &[]).await?;
        let mut rows = 0;
        loop {
            let some = transaction.query_portal(&portal, 10).await?.len();
            rows += some;
            if some < 10 {
                break;
            }
        }
        self.truth.statement("select", "rooms", "");
        self.commit(transaction).await?;
        Ok(rows)
    }

    /// COPY, in several CopyData.
    pub async fn import(&self) -> Result<u64, Error> {
        let client = self.own().await;
        let copied = async {
            let mut sink = pin!(client.copy_in("copy messages (room, author, body) from stdin").await?);
            for line in ["1\tann\thello\n", "2\tbob\tworld\n", "3\tcid\tagain\n"] {
                sink.send(Bytes::from_static(line.as_bytes())).await?;
            }
            sink.finish().await
        };
        self.ended("copy", "messages", copied.await)
    }

    /// A transaction that fails and what follows in it; and three statements at once, of which one fails.
    pub async fn failures(&self) -> Result<(), Error> {
        let mut client = self.own().await;
        let transaction = self.begin(&mut client).await?;
        let twice = transaction.execute("insert into rooms (id, name) values (1, 'one')", &[]).await;
        let _ = self.ended("insert", "rooms", twice);
        let _ = self.ended("select", "rooms", transaction.query("select count(*) from rooms", &[]).await);
        self.ended("rollback", "", transaction.rollback().await)?;
        let (one, two, three) = future::join3(
            self.shared.query("select 1 / (id - id) from rooms", &[]),
            self.shared.query("select nothing from rooms", &[]),
            self.shared.query("select id from rooms limit 1", &[]),
        )
        .await;
        let _ = self.ended("select", "rooms", one);
        let _ = self.ended("select", "rooms", two);
        self.ended("select", "rooms", three).map(drop)
    }
}
