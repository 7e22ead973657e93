//! What was acknowledged is there after `kill -9`; what was not is not half there.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use omnigent_tests::{Client, PASSWORD, ServerBuilder, kills};
use serde_json::{Value, json};

#[test]
fn accounts_sessions_and_logins_survive_kill_9() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let agent = admin.get("/v1/agents").expect(200).json()["data"][0]["id"].clone();
    let session = admin
        .post("/v1/sessions", json!({"agent_id": agent, "title": "kept"}))
        .expect(201)
        .json();
    let login = json!({"username": "admin", "password": PASSWORD});
    let token = server
        .client()
        .post("/auth/login", login)
        .expect(200)
        .json()["token"]
        .clone();
    let server = server.kill_and_restart();
    let me = server.client().bearer(text(&token));
    let path = format!("/v1/sessions/{}", text(&session["id"]));
    assert_eq!(me.get(&path).expect(200).json()["title"], "kept");
    assert_eq!(server.client().get("/v1/info").json()["needs_setup"], false);
}

#[test]
fn sigterm_drains_and_ends_well() {
    let server = ServerBuilder::accounts().start();
    let (status, _) = server.stop();
    assert_eq!(status.code(), Some(0));
}

/// What the server acknowledged, and what must therefore be true of it ever after.
#[derive(Default)]
struct Acknowledged {
    sessions: Vec<String>,
    /// With their ids; fewer than an account may have.
    live_tokens: VecDeque<(String, String)>,
    dead_tokens: Vec<String>,
    used_invites: Vec<String>,
    accounts: Vec<String>,
    deleted: Vec<String>,
}

#[test]
fn nothing_acknowledged_is_lost_in_kills_under_load() {
    let server = ServerBuilder::accounts().start();
    let admin_token = {
        let body = json!({"username": "admin", "password": PASSWORD});
        text(&server.client().post("/auth/setup", body).expect(200).json()["token"]).to_owned()
    };
    let agent = server
        .client()
        .bearer(&admin_token)
        .get("/v1/agents")
        .json()["data"][0]["id"]
        .clone();
    let acknowledged = Mutex::new(Acknowledged::default());
    let next = AtomicU64::new(0);
    let mut running = Some(server);
    let cycles = kills(50);
    for cycle in 0..cycles {
        let server = running.take().expect("it was started again");
        let admin = server.client().bearer(&admin_token);
        let builder = std::thread::scope(|scope| {
            for writer in 0..4 {
                let (admin, agent, acknowledged, next) = (&admin, &agent, &acknowledged, &next);
                scope.spawn(move || {
                    let act = |i| act(admin, agent, writer, i, acknowledged);
                    while act(next.fetch_add(1, Ordering::Relaxed)).is_some() {}
                });
            }
            // Any moment will do; a different one each time.
            std::thread::sleep(Duration::from_millis(20 + cycle * 37 % 130));
            server.kill()
        });
        let server = running.insert(builder.start());
        let admin = server.client().bearer(&admin_token);
        let check_all = cycle + 1 == cycles;
        let acknowledged = acknowledged.lock().expect("no panic");
        acknowledged.hold(&server.client(), &admin, check_all);
    }
}

/// Does one thing and notes it when it was acknowledged; `None` once the server is gone.
fn act(
    admin: &Client,
    agent: &Value,
    writer: usize,
    i: u64,
    acknowledged: &Mutex<Acknowledged>,
) -> Option<()> {
    let note =
        |note: &mut dyn FnMut(&mut Acknowledged)| note(&mut acknowledged.lock().expect("no panic"));
    match writer {
        0 => {
            let made = admin
                .try_post("/v1/sessions", &json!({"agent_id": agent}))?
                .expect(201)
                .json();
            note(&mut |all| all.sessions.push(text(&made["id"]).to_owned()));
        }
        1 | 2 => {
            let made = admin
                .try_post("/auth/tokens", &json!({"name": format!("t{i}")}))?
                .expect(201)
                .json();
            let (id, token) = (
                text(&made["id"]).to_owned(),
                text(&made["token"]).to_owned(),
            );
            let mut ending = Some((id, token)).filter(|_| writer == 2);
            if writer == 1 {
                let made = (
                    text(&made["id"]).to_owned(),
                    text(&made["token"]).to_owned(),
                );
                note(&mut |all| {
                    all.live_tokens.push_back(made.clone());
                    // A long run would come to the limit: the oldest end, which is a test too.
                    let oldest = (all.live_tokens.len() > 500).then(|| all.live_tokens.pop_front());
                    ending = oldest.flatten();
                });
            }
            if let Some((id, token)) = ending {
                admin.try_delete(&format!("/auth/tokens/{id}"))?.expect(204);
                note(&mut |all| all.dead_tokens.push(token.clone()));
            }
        }
        _ => {
            let name = format!("user{i}");
            let invite = admin
                .try_post("/auth/invite", &json!({}))?
                .expect(200)
                .json();
            let invite = text(&invite["token"]).to_owned();
            let body = json!({"invite": invite, "username": name, "password": PASSWORD});
            admin
                .anonymous()
                .try_post("/auth/register", &body)?
                .expect(200);
            note(&mut |all| all.used_invites.push(invite.clone()));
            if i.is_multiple_of(2) {
                note(&mut |all| all.accounts.push(name.clone()));
            } else {
                admin
                    .try_delete(&format!("/auth/users/{name}"))?
                    .expect(204);
                note(&mut |all| all.deleted.push(name.clone()));
            }
        }
    }
    Some(())
}

impl Acknowledged {
    /// Asserts everything that was acknowledged, or the latest of each kind.
    fn hold(&self, anonymous: &Client, admin: &Client, all: bool) {
        let latest = |list: &[String]| {
            list.iter()
                .rev()
                .take(if all { usize::MAX } else { 5 })
                .cloned()
                .collect::<Vec<_>>()
        };
        for id in latest(&self.sessions) {
            admin.get(&format!("/v1/sessions/{id}")).expect(200);
        }
        let live = self.live_tokens.iter().map(|(_, token)| token.clone());
        for token in latest(&live.collect::<Vec<_>>()) {
            anonymous.bearer(&token).get("/v1/me").expect(200);
        }
        for token in latest(&self.dead_tokens) {
            anonymous.bearer(&token).get("/v1/me").expect(401);
        }
        // Made or ended when the kill came: of those no answer was heard. They would pile up.
        let listed = admin.get("/auth/tokens").expect(200).json();
        let listed = listed["tokens"].as_array().cloned().unwrap_or_default();
        let is_live = |id: &str| self.live_tokens.iter().any(|(live, _)| live == id);
        let (live, strays): (Vec<_>, Vec<_>) = listed
            .iter()
            .map(|token| text(&token["id"]))
            .partition(|id| is_live(id));
        assert_eq!(live.len(), self.live_tokens.len(), "all of them are listed");
        for id in strays {
            admin.delete(&format!("/auth/tokens/{id}")).expect(204);
        }
        let people = names(admin);
        for name in latest(&self.accounts) {
            assert!(people.contains(&name), "{name} is lost");
        }
        for name in latest(&self.deleted) {
            assert!(!people.contains(&name), "{name} is back");
        }
        for invite in latest(&self.used_invites).into_iter().take(10) {
            let body = json!({"invite": invite, "username": "another", "password": PASSWORD});
            anonymous.post("/auth/register", body).expect(400);
        }
        for name in &people {
            assert!(name == "admin" || name.starts_with("user"), "{name}");
        }
    }
}

fn names(admin: &Client) -> std::collections::HashSet<String> {
    let mut names = std::collections::HashSet::new();
    let mut path = "/auth/users?limit=1000".to_owned();
    loop {
        let page = admin.get(&path).expect(200).json();
        let rows = page["users"].as_array().cloned().unwrap_or_default();
        let Some(last) = rows.last() else {
            return names;
        };
        path = format!("/auth/users?limit=1000&after={}", text(&last["id"]));
        for row in &rows {
            assert_eq!(row["has_password"], true, "half an account: {row}");
            names.insert(text(&row["id"]).to_owned());
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn a_second_start_leaves_the_socket_of_the_one_that_runs() {
    use std::os::unix::net::UnixStream;

    let start = |path: &std::path::Path| {
        let toml = format!("[server]\nunix_socket = {path:?}\nunix_socket_uids = [0]\n");
        ServerBuilder::no_auth().config(&toml)
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("proxy.sock");
    let first = start(&path).start();
    let refused = start(&path).try_start().err().expect("it is refused");
    assert!(refused.contains("another process listens"), "{refused}");
    assert!(UnixStream::connect(&path).is_ok(), "the first is there");
    // What one leaves behind that was killed is in nobody's way.
    first.kill();
    assert!(UnixStream::connect(&path).is_err());
    let second = start(&path).start();
    assert!(UnixStream::connect(&path).is_ok());
    drop(second);
    // What is no socket stays.
    std::fs::remove_file(&path).expect("it is there");
    std::fs::write(&path, "precious").expect("writable");
    assert!(start(&path).try_start().is_err());
    assert_eq!(std::fs::read(&path).expect("a file"), b"precious");
}
