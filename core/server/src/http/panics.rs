//! Panics of handlers: each is a fault of ours, costs one request a 500, and is counted (THREATS T7).

use std::sync::atomic::{AtomicU64, Ordering};

use super::ApiError;

static CAUGHT: AtomicU64 = AtomicU64::new(0);

/// Panics caught since the process started.
pub fn caught_panics() -> u64 {
    CAUGHT.load(Ordering::Relaxed)
}

/// What is answered instead. What the panic said is on standard error, never in the answer.
pub(super) fn caught() -> ApiError {
    CAUGHT.fetch_add(1, Ordering::Relaxed);
    ApiError::internal("a handler panicked")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::{path::Path, sync::Arc};

    use bytes::Bytes;
    use http::{Method, Request, StatusCode};
    use http_body_util::{BodyExt, Empty};
    use hyper::service::Service;

    use super::*;
    use crate::{
        app::{App, Running},
        clock::Clock,
        config::{Config, Env, Overrides},
        http::{
            Access, Peer, Route,
            door::{Door, service},
            route::Table,
        },
    };

    #[tokio::test]
    async fn a_handler_that_panics_is_a_500_that_is_counted_and_tells_nothing() {
        let dir = tempfile::TempDir::new().unwrap();
        let place = dir.path().join("data").display().to_string();
        let config = Config::parse(
            &format!("[server]\ndata_dir = {place:?}\n"),
            Path::new("/"),
            &Env::default(),
            &Overrides::default(),
        );
        let config = config.unwrap();
        let listening = "127.0.0.1:6767".parse().unwrap();
        let app = App::open(&config, listening, Clock::system())
            .await
            .unwrap();
        let routes = vec![
            Route::now(Method::GET, "/now", Access::Public, |_, _| {
                panic!("a secret")
            }),
            Route::new(Method::GET, "/later", Access::Public, |_, _| async {
                panic!("a secret")
            }),
            Route::new(Method::GET, "/before", Access::Public, |_, _| {
                if true {
                    panic!("a secret");
                }
                async { Err(ApiError::unauthorized()) }
            }),
        ];
        let door = Door {
            running: Running::new(app, Box::new(|| Err(Vec::new()))),
            table: Arc::new(Table::new(routes).unwrap()),
            peer: Peer::Tcp("192.0.2.1".parse().unwrap()),
        };
        let service = service::<Empty<Bytes>>(door, None);
        let before = caught_panics();
        let paths = ["/now", "/later", "/before", "/now"];
        for path in paths {
            let request = Request::get(path).header("host", "127.0.0.1");
            let answer = service.call(request.body(Empty::new()).unwrap()).await;
            let (head, body) = answer.unwrap().into_parts();
            assert_eq!(head.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
            assert_eq!(head.headers["x-request-id"].len(), 32);
            let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec());
            let text = text.unwrap();
            assert!(
                !text.contains("secret") && !text.contains("panic"),
                "{text}"
            );
        }
        assert_eq!(caught_panics() - before, paths.len() as u64);
    }
}
