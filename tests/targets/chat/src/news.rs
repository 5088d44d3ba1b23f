// SPDX-License-Identifier: Apache-2.0

//! NATS: chat tells of its messages, hears what the API tells, and answers who is present.

use std::sync::Arc;

use async_nats::{Client, ConnectOptions, HeaderMap, Message, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use truth::Truth;

type Failure = Box<dyn std::error::Error + Send + Sync>;

pub struct News {
    truth: Arc<Truth>,
    client: Client,
}

/// Headers as they are on the wire: the version line, `name: value` lines, an empty one.
fn headers_size(headers: Option<&HeaderMap>) -> usize {
    let Some(headers) = headers.filter(|headers| !headers.is_empty()) else { return 0 };
    let lines = headers.iter().flat_map(|(name, values)| {
        let name: &str = name.as_ref();
        values.iter().map(move |value| name.len() + ": ".len() + value.as_str().len() + 2)
    });
    "NATS/1.0\r\n".len() + lines.sum::<usize>() + 2
}

fn received(truth: &Truth, message: &Message) {
    let size = headers_size(message.headers.as_ref()) + message.payload.len();
    truth.message("received", &message.subject, size);
}

impl News {
    pub async fn connect(address: &str, truth: Arc<Truth>) -> Result<Self, Failure> {
        let client = ConnectOptions::new().name("chat").connect(address).await?;
        let mut events = client.subscribe("events.>").await?;
        let heard = truth.clone();
        tokio::spawn(async move {
            while let Some(message) = events.next().await {
                received(&heard, &message);
            }
        });
        let mut questions = client.queue_subscribe("chat.presence", "chat".to_owned()).await?;
        let (asked, answering) = (truth.clone(), client.clone());
        tokio::spawn(async move {
            while let Some(question) = questions.next().await {
                received(&asked, &question);
                if let Some(inbox) = question.reply {
                    asked.message("published", &inbox, question.payload.len());
                    let _ = answering.publish(inbox, question.payload).await;
                }
            }
        });
        client.flush().await?;
        Ok(Self { truth, client })
    }

    pub async fn tell(&self, room: i32, body: String) -> Result<(), Failure> {
        let subject = Subject::from(format!("chat.rooms.{room}"));
        if body.len().is_multiple_of(2) {
            self.truth.message("published", &subject, body.len());
            return Ok(self.client.publish(subject, Bytes::from(body)).await?);
        }
        let mut headers = HeaderMap::new();
        headers.insert("Room", room.to_string());
        self.truth.message("published", &subject, headers_size(Some(&headers)) + body.len());
        Ok(self.client.publish_with_headers(subject, headers, Bytes::from(body)).await?)
    }
}
