// SPDX-License-Identifier: Apache-2.0

//! Redis: one connection that all requests share and redis-rs pipelines, another that is subscribed. Commands are counted
//! in what the library writes to its sockets, so that what it sends by itself is in.

use std::io::Result as IoResult;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use redis::aio::{MultiplexedConnection, PubSub};
use redis::{AsyncCommands, RedisConnectionInfo, RedisResult, Script};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use truth::Truth;

const CHANNEL: &str = "presence";
static INFORMATION: LazyLock<RedisConnectionInfo> = LazyLock::new(RedisConnectionInfo::default);

/// Commands are arrays of bulk strings; a write may end anywhere.
struct CommandCounter {
    socket: TcpStream,
    truth: Arc<Truth>,
    pending: Vec<u8>,
}

/// `<kind><number>\r\n`: the number, and how long it is written; None while it is incomplete.
fn header(bytes: &[u8], kind: u8) -> Option<(usize, usize)> {
    let end = bytes.windows(2).position(|two| two == b"\r\n")?;
    assert_eq!(bytes[0], kind, "not a command");
    let number = std::str::from_utf8(&bytes[1..end]).expect("digits").parse().expect("a number");
    Some((number, end + 2))
}

fn first_command(bytes: &[u8]) -> Option<(String, usize)> {
    let (words, mut length) = header(bytes, b'*')?;
    let mut name = String::new();
    for word in 0..words {
        let (size, head) = header(&bytes[length..], b'$')?;
        let text = bytes.get(length + head..length + head + size)?;
        if word == 0 {
            name = String::from_utf8_lossy(text).into_owned();
        }
        length += head + size + 2;
    }
    (length <= bytes.len()).then_some((name, length))
}

impl AsyncWrite for CommandCounter {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<IoResult<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.pending.extend_from_slice(&bytes[..count]);
            while let Some((name, length)) = first_command(&self.pending) {
                self.truth.command(&name);
                self.pending.drain(..length);
            }
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }
}

impl AsyncRead for CommandCounter {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<IoResult<()>> {
        Pin::new(&mut self.socket).poll_read(context, buffer)
    }
}

pub struct Cache {
    connection: MultiplexedConnection,
    visit: Script,
}

impl Cache {
    pub async fn connect(address: &str, truth: Arc<Truth>) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let counted = async || -> IoResult<CommandCounter> {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            Ok(CommandCounter { socket, truth: truth.clone(), pending: Vec::new() })
        };
        let (connection, driver) = MultiplexedConnection::new(&INFORMATION, counted().await?).await?;
        tokio::spawn(driver);
        let mut subscribed = PubSub::new(&INFORMATION, counted().await?).await?;
        subscribed.subscribe(CHANNEL).await?;
        tokio::spawn(async move {
            let mut messages = subscribed.on_message();
            while messages.next().await.is_some() {}
        });
        Ok(Self { connection, visit: Script::new("return redis.call('strlen', KEYS[1])") })
    }

    pub async fn messages(&self, room: i32) -> RedisResult<Option<String>> {
        self.connection.clone().get(format!("room:{room}")).await
    }

    /// For a second.
    pub async fn keep_messages(&self, room: i32, text: &str) -> RedisResult<()> {
        self.connection.clone().set_ex(format!("room:{room}"), text, 1).await
    }

    pub async fn forget_messages(&self, room: i32) -> RedisResult<u64> {
        self.connection.clone().del(format!("room:{room}")).await
    }

    /// A transaction in one pipeline.
    pub async fn arrive(&self, user: i32) -> RedisResult<u64> {
        let key = format!("user:{user}");
        let mut pipeline = redis::pipe();
        pipeline.atomic().hset(&key, "state", "online").ignore().expire(&key, 3600).ignore().hincr(&key, "visits", 1);
        let (visits,): (u64,) = pipeline.query_async(&mut self.connection.clone()).await?;
        let _: u64 = self.connection.clone().publish(CHANNEL, key).await?;
        Ok(visits)
    }

    /// A pipeline and a script, which redis-rs sends by its hash first.
    pub async fn presence(&self, user: i32) -> RedisResult<(Vec<String>, u64)> {
        let key = format!("user:{user}");
        let mut connection = self.connection.clone();
        let (fields, ..): (Vec<String>, bool, String) =
            redis::pipe().hgetall(&key).exists(&key).cmd("PING").query_async(&mut connection).await?;
        let length = self.visit.key("greeting").invoke_async(&mut connection).await?;
        Ok((fields, length))
    }

    /// A list's command sent to a hash.
    pub async fn failures(&self) -> RedisResult<()> {
        let mut connection = self.connection.clone();
        let _: () = connection.hset("a hash", "field", "value").await?;
        let wrong: RedisResult<u64> = connection.lpush("a hash", "x").await;
        assert!(wrong.is_err());
        Ok(())
    }
}
