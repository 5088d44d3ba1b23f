// SPDX-License-Identifier: Apache-2.0

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::{Truth, exchange};

/// Serves the routes, counted, and `/truth`, which is not.
pub async fn serve(listen: &str, routes: Router, truth: Arc<Truth>) -> std::io::Result<()> {
    let told = truth.clone();
    let routes = routes
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found\n") })
        .layer(middleware::from_fn_with_state(truth, exchange::counted))
        .route(
            "/truth",
            get(move || async move { ([(header::CONTENT_TYPE, "application/json")], told.document().to_string()) }),
        );
    axum::serve(TcpListener::bind(listen).await?, routes).await
}
