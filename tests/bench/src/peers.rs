//! What the server is compared with: a bare hyper server that answers a constant, and the server
//! one would write by hand with axum and jsonwebtoken.

use std::{convert::Infallible, sync::Arc};

use axum::{Json, Router, extract::State, http::HeaderMap, http::StatusCode, routing::get};
use http_body_util::Full;
use hyper::{Response, body::Bytes, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

/// The secret of the axum peer's tokens.
pub const SECRET: &[u8] = b"bench-secret-bench-secret-bench-";

/// Serves a constant of the size and headers of `GET /v1/me`.
pub async fn bare(listener: TcpListener) {
    const BODY: &[u8] = br#"{"user_id":"admin","is_admin":true}"#;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(|_| async {
                let answer = Response::builder()
                    .header("content-type", "application/json")
                    .header("x-request-id", "00112233445566778899aabbccddeeff")
                    .body(Full::new(Bytes::from_static(BODY)));
                Ok::<_, Infallible>(answer.unwrap_or_default())
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The claims of the axum peer.
#[derive(Serialize, Deserialize)]
pub struct Claims {
    /// Who.
    pub sub: String,
    /// Until when.
    pub exp: u64,
    /// Who says so.
    pub iss: String,
}

#[derive(Serialize)]
struct Me {
    user_id: String,
    is_admin: bool,
}

/// Serves `GET /v1/me` the usual way.
pub async fn axum_peer(listener: TcpListener) {
    async fn me(
        State(key): State<Arc<DecodingKey>>,
        headers: HeaderMap,
    ) -> Result<Json<Me>, StatusCode> {
        let header = headers
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        let token = header
            .and_then(|value| value.strip_prefix("Bearer "))
            .ok_or(StatusCode::UNAUTHORIZED)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&["bench"]);
        let data = jsonwebtoken::decode::<Claims>(token, &key, &validation)
            .map_err(|_| StatusCode::UNAUTHORIZED)?;
        Ok(Json(Me {
            user_id: data.claims.sub,
            is_admin: true,
        }))
    }
    let key = Arc::new(DecodingKey::from_secret(SECRET));
    let app = Router::new().route("/v1/me", get(me)).with_state(key);
    let _ = axum::serve(listener, app).await;
}
