// SPDX-License-Identifier: Apache-2.0

//! gRPC's health service, which tonic has the code of, and calls of it: answered, refused, large, and cancelled while they run.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::routing::post;
use tonic::Code;
use tonic::codegen::Service;
use tonic_health::ServingStatus;
use tonic_health::server::health_reporter;

#[cfg(not(feature = "tonic8"))]
use tonic_health::pb;
#[cfg(feature = "tonic8")]
use tonic_health::proto as pb;

use pb::HealthCheckRequest;
use pb::health_client::HealthClient;

use crate::Failure;
use crate::client::{Client, ORIGIN};
use crate::load::Count;

pub const SERVICE: &str = "grpc.health.v1.Health";
/// What is called, in turns, and how it ends.
pub const CALLED: [(&str, &str); 4] =
    [("Check", "OK"), ("Watch", "Canceled"), ("Check", "NotFound"), ("Check", "NotFound")];
const KNOWN: &str = "sonde";

/// The routes and the service's.
pub async fn with_health(routes: Router) -> Router {
    let (reporter, health) = health_reporter();
    reporter.clone().set_service_status(KNOWN, ServingStatus::Serving).await;
    let call = move |request: Request<Body>| {
        let mut health = health.clone();
        async move { health.call(request).await }
    };
    routes.route(&format!("/{SERVICE}/Check"), post(call.clone())).route(&format!("/{SERVICE}/Watch"), post(call))
}

pub struct Caller {
    health: HealthClient<Client>,
}

impl Caller {
    pub fn new(client: Client) -> Caller {
        Caller { health: HealthClient::with_origin(client, ORIGIN.parse().expect("an origin")) }
    }

    pub async fn call(&mut self, kind: usize) -> Result<Count, Failure> {
        let name = match kind {
            0 | 1 => KNOWN.to_string(),
            2 => "nobody".to_string(),
            _ => "nobody".repeat(7000),
        };
        let request = HealthCheckRequest { service: name };
        if CALLED[kind].0 == "Watch" {
            let mut watch = self.health.watch(request).await?.into_inner();
            watch.message().await?.ok_or("Watch: no message")?;
            return Ok(Count { number: 1, received: 1, sent: 1 });
        }
        match self.health.check(request).await {
            Ok(_) if kind == 0 => Ok(Count { number: 1, received: 1, sent: 1 }),
            Err(status) if kind != 0 && status.code() == Code::NotFound => {
                Ok(Count { number: 1, received: 1, sent: 0 })
            }
            other => Err(format!("Check: {other:?}").into()),
        }
    }
}
