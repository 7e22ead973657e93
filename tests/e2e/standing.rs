//! What is under way when an authority ends (THREATS T8): in the order of the trail, which is the order
//! of the store, nothing is done by whoever may no longer do it.

use std::sync::atomic::{AtomicUsize, Ordering};

use omnigent_tests::{Client, PASSWORD, Server, ServerBuilder};
use serde_json::{Value, json};

/// Requests under way at once.
const HANDS: usize = 8;
/// Requests of each before the authority is taken away.
const BEFORE: usize = 3;

/// `act` by many hands at once; `end` when each has begun. Goes on until each is refused.
fn while_acting(act: impl Fn(usize) -> u16 + Sync, end: impl FnOnce()) {
    let begun = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for hand in 0..HANDS {
            let (act, begun) = (&act, &begun);
            scope.spawn(move || {
                let beginning = Begun(begun);
                for _ in 0..BEFORE {
                    assert!(act(hand) < 400, "refused too early");
                }
                drop(beginning);
                while act(hand) < 400 {}
            });
        }
        while begun.load(Ordering::SeqCst) < HANDS {
            std::thread::yield_now();
        }
        end();
    });
}

/// Counts a hand that has begun, or never will.
struct Begun<'a>(&'a AtomicUsize);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn trail(server: &Server) -> Vec<Value> {
    let (code, out, complaint) = server.operator(&["audit", "export"]);
    assert_eq!(code, 0, "{complaint}");
    let read = |line: &str| serde_json::from_str(line).expect("a line of JSON");
    out.lines().map(read).collect()
}

/// What bob changed, on either side of the entry that ends his authority.
fn of_bob<'t>(trail: &'t [Value], event: &str) -> (Vec<&'t Value>, Vec<&'t Value>) {
    let is_end = |entry: &Value| entry["event"] == event && entry["account"] == "bob";
    let end = trail.iter().rposition(is_end).expect("the end");
    let changes = |entries: &'t [Value]| {
        let is_his = |entry: &&Value| entry["by"] == "bob" && entry["result"] == "done";
        entries.iter().filter(is_his).collect()
    };
    (changes(&trail[..end]), changes(&trail[end..]))
}

fn two_admins() -> (Server, Client, Client) {
    let server = ServerBuilder::accounts().start();
    let root = server.claim();
    let bob = server.join(&root, "bob");
    let admin = json!({"is_admin": true});
    root.patch("/auth/users/bob", admin).expect(200);
    server.join(&root, "carol");
    (server, root, bob)
}

#[test]
fn an_admin_who_is_made_none_changes_nothing_of_others_any_more() {
    let (server, root, bob) = two_admins();
    let carol = server.login("carol", PASSWORD);
    for name in ["dora", "erin"] {
        server.join(&root, name);
    }
    let act = |hand: usize| match hand % 4 {
        0 => bob.post("/auth/invite", json!({})).status,
        1 => {
            let made = carol.post("/auth/tokens", json!({"name": "one of many"}));
            let id = made.expect(201).json()["id"].clone();
            let id = id.as_str().unwrap_or_default();
            bob.delete(&format!("/auth/users/carol/tokens/{id}")).status
        }
        2 => {
            server.login("dora", PASSWORD);
            bob.delete("/auth/users/dora/logins").status
        }
        _ => {
            let change = json!({"is_admin": hand % 8 == 3});
            bob.patch("/auth/users/erin", change).status
        }
    };
    while_acting(act, || {
        let none = json!({"is_admin": false});
        root.patch("/auth/users/bob", none).expect(200);
    });
    let trail = trail(&server);
    let (before, after) = of_bob(&trail, "admin.revoked");
    for event in ["invite.created", "token.revoked", "login.ended"] {
        assert!(
            before.iter().any(|entry| entry["event"] == event),
            "{event}"
        );
    }
    assert!(after.is_empty(), "{after:?}");
}

#[test]
fn a_login_that_is_ended_leaves_no_way_in_behind() {
    let (server, root, bob) = two_admins();
    let act = |hand: usize| match hand % 2 {
        0 => bob.post("/auth/magic", json!({})).status,
        _ => {
            let made = bob.post("/auth/tokens", json!({"name": "to stay"}));
            // There is room for so many only: those that were made are taken back.
            if made.status == 201 {
                let id = made.json()["id"].clone();
                let id = id.as_str().unwrap_or_default();
                return bob.delete(&format!("/auth/tokens/{id}")).status;
            }
            made.status
        }
    };
    while_acting(act, || {
        root.delete("/auth/users/bob/logins").expect(204);
    });
    let trail = trail(&server);
    let (before, after) = of_bob(&trail, "login.ended");
    for event in ["magic_link.created", "token.created"] {
        assert!(
            before.iter().any(|entry| entry["event"] == event),
            "{event}"
        );
    }
    assert!(after.is_empty(), "{after:?}");
}
