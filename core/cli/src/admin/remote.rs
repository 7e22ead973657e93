//! Through the running server's operator socket, `<data_dir>/admin.sock`: the HTTP admin API
//! (CONTRACT section 4), spoken over a Unix socket whose owner is the proof of authority.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;
use omnigent_server::{
    archive::{Head, Kind},
    secret::Secret,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::UnixStream, runtime::Runtime, time::timeout};

use super::{Change, Row, local::Local};
use crate::{failure::Failure, output::escape};

/// A server that answers on its socket.
pub(crate) struct Remote {
    runtime: Runtime,
    socket: PathBuf,
    /// Ends when this does.
    _server: Option<Local>,
}

/// Accounts asked for at once.
const PAGE: usize = 1000;
/// Longest a call may take: a password is hashed, behind a queue.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest answer taken.
const MAX_ANSWER: usize = 16 << 20;

impl Remote {
    /// The server on this data directory; `None` when there is none.
    pub(crate) fn connect(data_dir: &Path) -> Result<Option<Self>, Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Failed(error.to_string()))?;
        let socket = data_dir.join("admin.sock");
        match runtime.block_on(UnixStream::connect(&socket)) {
            Ok(_) => Ok(Some(Self {
                runtime,
                socket,
                _server: None,
            })),
            // Refused: left behind by a server that was killed.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(Failure::Failed(format!(
                "cannot reach the server at {}: {error}",
                socket.display()
            ))),
        }
    }

    /// Keeps a server of our own going for as long as it is spoken to.
    pub(super) fn with(mut self, server: Local) -> Self {
        self._server = Some(server);
        self
    }

    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Bytes, Failure> {
        // A timeout is made inside the runtime, or tokio panics.
        let call = async { timeout(PATIENCE, self.exchange(method, path, body)).await };
        let answer = self.runtime.block_on(call);
        answer.unwrap_or_else(|_| Err(Failure::Failed("the server does not answer".into())))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Bytes, Failure> {
        let lost = |error: &dyn std::error::Error| {
            Failure::Failed(format!("lost the server while asking it: {error}"))
        };
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|e| lost(&e))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| lost(&e))?;
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Full::new(
                body.map_or_else(Bytes::new, |body| body.to_string().into()),
            ))
            .map_err(|e| lost(&e))?;
        let response = sender.send_request(request).await.map_err(|e| lost(&e))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER)
            .collect()
            .await;
        let body = body.map_err(|e| lost(&*e))?.to_bytes();
        if status.is_success() {
            Ok(body)
        } else {
            Err(Failure::Failed(refusal(status, &body)))
        }
    }
}

/// What an operator does with accounts.
impl Remote {
    /// All accounts, by id.
    pub(crate) fn list(&self) -> Result<Vec<Row>, Failure> {
        #[derive(Deserialize)]
        struct Page {
            users: Vec<Row>,
        }
        let mut rows: Vec<Row> = Vec::new();
        loop {
            let after = rows
                .last()
                .map_or_else(String::new, |row| format!("&after={}", escape(&row.id)));
            let path = format!("/auth/users?limit={PAGE}{after}");
            let page: Page = parse(&self.call(Method::GET, &path, None)?)?;
            let full = page.users.len() >= PAGE;
            let moved_on = page.users.first().map(|row| &row.id) != rows.first().map(|row| &row.id);
            if rows.is_empty() || moved_on {
                rows.extend(page.users);
            }
            if !full || !moved_on {
                return Ok(rows);
            }
        }
    }

    /// Makes an account; without a password it can only sign in through another backend.
    pub(crate) fn add(
        &self,
        id: &str,
        password: Option<&Secret<String>>,
        admin: bool,
    ) -> Result<(), Failure> {
        let mut body = json!({"id": id, "is_admin": admin});
        if let Some(password) = password {
            body["password"] = Value::from(password.expose().as_str());
        }
        self.call(Method::POST, "/auth/users", Some(&body))
            .map(drop)
    }

    /// Changes an account.
    pub(crate) fn change(&self, id: &str, change: Change) -> Result<(), Failure> {
        let path = format!("/auth/users/{}", escape(id));
        let body = json!(change);
        self.call(Method::PATCH, &path, Some(&body)).map(drop)
    }

    /// Deletes an account and everything of theirs.
    pub(crate) fn delete(&self, id: &str) -> Result<(), Failure> {
        let path = format!("/auth/users/{}", escape(id));
        self.call(Method::DELETE, &path, None).map(drop)
    }

    /// Gives an account a new password, which is returned, and ends its logins.
    pub(crate) fn reset_password(&self, id: &str) -> Result<Secret<String>, Failure> {
        #[derive(Deserialize)]
        struct Reset {
            new_password: Secret<String>,
        }
        let path = format!("/auth/users/{}/reset", escape(id));
        let reset: Reset = parse(&self.call(Method::POST, &path, None)?)?;
        Ok(reset.new_password)
    }
}

/// What only an operator does.
impl Remote {
    /// Takes a picture of all data: by which id it is read, its head, and how many records it has.
    pub(crate) fn begin_archive(&self, kind: Kind) -> Result<(String, Head, u64), Failure> {
        #[derive(Deserialize)]
        struct Begun {
            id: String,
            head: Head,
            records: u64,
        }
        let what = json!({"kind": kind});
        let begun = self.call(Method::POST, "/auth/operator/archive", Some(&what))?;
        let begun: Begun = parse(&begun)?;
        Ok((begun.id, begun.head, begun.records))
    }

    /// The next lines of it, nothing at the end.
    pub(crate) fn archive_lines(&self, id: &str) -> Result<Option<Bytes>, Failure> {
        let path = format!("/auth/operator/archive/{}", escape(id));
        let lines = self.call(Method::POST, &path, None)?;
        Ok(Some(lines).filter(|lines| !lines.is_empty()))
    }

    /// How large the store is and how it is doing.
    pub(crate) fn store_status(&self) -> Result<Value, Failure> {
        parse(&self.call(Method::GET, "/auth/operator/store", None)?)
    }

    /// What is at a path.
    pub(crate) fn get<T: for<'de> Deserialize<'de>>(&self, path: &str) -> Result<T, Failure> {
        parse(&self.call(Method::GET, path, None)?)
    }

    /// Puts the changed configuration in force.
    pub(crate) fn reload(&self) -> Result<Value, Failure> {
        parse(&self.call(Method::POST, "/auth/operator/reload", None)?)
    }

    /// A page of a plan.
    pub(crate) fn plan<T: for<'de> Deserialize<'de>>(&self, what: &Value) -> Result<T, Failure> {
        parse(&self.call(Method::POST, "/auth/operator/plan", Some(what))?)
    }

    /// Carries a page of accounts over.
    pub(crate) fn migrate<T: for<'de> Deserialize<'de>>(&self, what: &Value) -> Result<T, Failure> {
        parse(&self.call(Method::POST, "/auth/operator/migrate", Some(what))?)
    }

    /// All signing keys.
    pub(crate) fn keys(&self) -> Result<Vec<crate::key::Row>, Failure> {
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<crate::key::Row>,
        }
        let keys: Keys = parse(&self.call(Method::GET, "/auth/operator/keys", None)?)?;
        Ok(keys.keys)
    }

    /// Makes a new key sign, which is returned.
    pub(crate) fn rotate_keys(&self, what: &Value) -> Result<crate::key::Row, Failure> {
        parse(&self.call(Method::POST, "/auth/operator/keys/rotate", Some(what))?)
    }

    /// Ends a key; with `now`, also one that is still needed.
    pub(crate) fn retire_key(&self, kid: &str, now: bool) -> Result<Value, Failure> {
        let path = format!("/auth/operator/keys/{}/retire", escape(kid));
        let body = json!({"now": now});
        parse(&self.call(Method::POST, &path, Some(&body))?)
    }

    /// The identities of an account.
    pub(crate) fn identities(&self, id: &str) -> Result<Value, Failure> {
        let path = format!("/auth/users/{}/identities", escape(id));
        parse(&self.call(Method::GET, &path, None)?)
    }

    /// Expects an identity for an account.
    pub(crate) fn link(&self, id: &str, what: &Value) -> Result<(), Failure> {
        let path = format!("/auth/users/{}/identities", escape(id));
        self.call(Method::POST, &path, Some(what)).map(drop)
    }

    /// Takes a backend's identities from an account.
    pub(crate) fn unlink(&self, id: &str, backend: &str) -> Result<(), Failure> {
        let path = format!("/auth/users/{}/identities/{}", escape(id), escape(backend));
        self.call(Method::DELETE, &path, None).map(drop)
    }

    /// Who has to wait after failed sign-ins.
    pub(crate) fn throttled(&self) -> Result<Value, Failure> {
        parse(&self.call(Method::GET, "/auth/operator/throttle", None)?)
    }

    /// Lets go of who has to wait.
    pub(crate) fn clear_throttled(&self, what: &Value) -> Result<Value, Failure> {
        parse(&self.call(Method::POST, "/auth/operator/throttle/clear", Some(what))?)
    }

    /// A link that signs an account in once.
    pub(crate) fn reset_link(&self, id: &str) -> Result<Value, Failure> {
        let path = format!("/auth/users/{}/reset-link", escape(id));
        parse(&self.call(Method::POST, &path, None)?)
    }
}

fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body)
        .map_err(|error| Failure::Failed(format!("the server's answer makes no sense: {error}")))
}

/// The reason in whichever of the three error shapes of CONTRACT section 1.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let reason = crate::client::refusal::reason(body);
    reason.unwrap_or_else(|| format!("the server answered {status}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Read, Write};

    use super::*;

    /// A server that gives one answer a connection and hands back what it was asked.
    fn serve(
        answers: Vec<(u16, &'static str)>,
    ) -> (tempfile::TempDir, std::thread::JoinHandle<Vec<String>>) {
        let dir = tempfile::tempdir().unwrap();
        let listener = std::os::unix::net::UnixListener::bind(dir.path().join("admin.sock"));
        let listener = listener.unwrap();
        let thread = std::thread::spawn(move || {
            drop(listener.accept().unwrap()); // the probe
            let answer = |(status, body): (u16, &str)| {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = Vec::new();
                let mut chunk = [0; 4096];
                while !String::from_utf8_lossy(&asked).contains("\r\n\r\n") {
                    let count = stream.read(&mut chunk).unwrap();
                    asked.extend_from_slice(&chunk[..count]);
                }
                let length = body.len();
                let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\n\r\n");
                stream.write_all((head + body).as_bytes()).unwrap();
                let asked = String::from_utf8_lossy(&asked).into_owned();
                asked.lines().next().unwrap_or_default().to_owned()
            };
            answers.into_iter().map(answer).collect()
        });
        (dir, thread)
    }

    #[test]
    fn nobody_listening_means_no_server() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Remote::connect(dir.path()).unwrap().is_none());
        drop(std::os::unix::net::UnixListener::bind(dir.path().join("admin.sock")).unwrap());
        assert!(Remote::connect(dir.path()).unwrap().is_none());
    }

    #[test]
    fn each_call_is_its_endpoint() {
        let (dir, server) = serve(vec![
            (
                200,
                r#"{"users":[{"id":"a","is_admin":true,"created_at":1,"last_login_at":null,"has_password":true}]}"#,
            ),
            (201, r#"{"id":"b"}"#),
            (200, r#"{"id":"b"}"#),
            (200, r#"{"id":"b","new_password":"secret pass"}"#),
            (204, ""),
        ]);
        let remote = Remote::connect(dir.path()).unwrap().unwrap();
        assert!(remote.list().unwrap()[0].is_admin);
        remote.add("b", None, false).unwrap();
        remote
            .change(
                "b/../c",
                Change {
                    disabled: Some(true),
                    ..Change::default()
                },
            )
            .unwrap();
        assert_eq!(remote.reset_password("b").unwrap().expose(), "secret pass");
        remote.delete("b@x.org").unwrap();
        let asked = server.join().unwrap();
        assert_eq!(
            asked,
            [
                "GET /auth/users?limit=1000 HTTP/1.1",
                "POST /auth/users HTTP/1.1",
                "PATCH /auth/users/b%2F..%2Fc HTTP/1.1",
                "POST /auth/users/b/reset HTTP/1.1",
                "DELETE /auth/users/b@x.org HTTP/1.1",
            ]
        );
    }

    #[test]
    fn every_error_shape_gives_its_reason() {
        for (body, reason) in [
            (r#"{"error":"not found"}"#, "not found"),
            (
                r#"{"error":{"code":"x","message":"no\u001b[2J"}}"#,
                "no\u{fffd}[2J",
            ),
            (r#"{"detail":"Not Found"}"#, "Not Found"),
            (r#"{"detail":[{"msg":"too short"}]}"#, "too short"),
            ("<html>", "the server answered 404 Not Found"),
        ] {
            assert_eq!(refusal(StatusCode::NOT_FOUND, body.as_bytes()), reason);
        }
    }

    #[test]
    fn a_refusal_is_a_failure() {
        let (dir, server) = serve(vec![(404, r#"{"error":"not found"}"#), (200, "nonsense")]);
        let remote = Remote::connect(dir.path()).unwrap().unwrap();
        assert_eq!(remote.delete("x").unwrap_err().to_string(), "not found");
        assert_eq!(remote.list().unwrap_err().code(), 1);
        server.join().unwrap();
    }
}
