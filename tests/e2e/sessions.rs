//! CONTRACT section 9: sessions, agents, sharing.

use omnigent_tests::{Client, Server, ServerBuilder};
use serde_json::{Value, json};

struct House {
    server: Server,
    admin: Client,
    bob: Client,
    carol: Client,
    agent: String,
}

fn house() -> House {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let bob = server.join(&admin, "bob");
    let carol = server.join(&admin, "carol");
    let agent = text(&bob.get("/v1/agents").expect(200).json()["data"][0]["id"]).to_owned();
    House {
        server,
        admin,
        bob,
        carol,
        agent,
    }
}

impl House {
    fn session(&self, owner: &Client, more: Value) -> String {
        let mut body = json!({"agent_id": self.agent});
        for (key, value) in more.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        text(&owner.post("/v1/sessions", body).expect(201).json()["id"]).to_owned()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn ids(page: &Value) -> Vec<String> {
    page["data"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| text(&row["id"]).to_owned())
        .collect()
}

#[test]
fn a_session_is_made_read_changed_and_deleted() {
    let house = house();
    let made = house.bob.post("/v1/sessions", json!({"agent_id": format!("ag_{}", house.agent.to_uppercase()), "title": "First", "labels": {"a": "1"}}));
    let made = made.expect(201).json();
    for (member, value) in [
        ("agent_id", json!(house.agent)),
        ("agent_name", json!("reviewer")),
        ("status", json!("idle")),
        ("title", json!("First")),
        ("labels", json!({"a": "1"})),
        ("items", json!([])),
        ("permission_level", json!(4)),
        ("kind", json!("default")),
        ("archived", json!(false)),
        ("parent_session_id", json!(null)),
        ("runner_id", json!(null)),
    ] {
        assert_eq!(made[member], value, "{member}");
    }
    let id = text(&made["id"]);
    assert!(
        id.len() == 32
            && id
                .bytes()
                .all(|b| b.is_ascii_hexdigit() && !b.is_ascii_uppercase())
    );
    let path = format!("/v1/sessions/{id}");
    let read = house.bob.get(&path).expect(200);
    assert_eq!(read.header("cache-control"), Some("no-store"));
    house
        .bob
        .get(&format!("/v1/sessions/conv_{}", id.to_uppercase()))
        .expect(200);
    let changed = house.bob.patch(
        &path,
        json!({"title": "Second", "labels": {"b": "2"}, "reasoning_effort": "high"}),
    );
    let changed = changed.expect(200).json();
    assert_eq!(
        (&changed["title"], &changed["labels"]),
        (&json!("Second"), &json!({"a": "1", "b": "2"}))
    );
    let cleared = house
        .bob
        .patch(&path, json!({"reasoning_effort": "default", "title": null}))
        .expect(200)
        .json();
    assert_eq!(
        (&cleared["title"], &cleared["reasoning_effort"]),
        (&json!("Second"), &json!(null))
    );
    let gone = house.bob.delete(&path).expect(200).json();
    assert_eq!(
        gone,
        json!({"id": id, "object": "conversation.deleted", "deleted": true})
    );
    house.bob.delete(&path).expect(404);
    house.bob.get(&path).expect(404);
}

#[test]
fn what_is_somebody_elses_does_not_exist() {
    let house = house();
    let id = house.session(&house.bob, json!({}));
    let path = format!("/v1/sessions/{id}");
    for answer in [
        house.carol.get(&path),
        house.carol.patch(&path, json!({"title": "mine"})),
        house.carol.delete(&path),
        house.carol.get(&format!("{path}/items")),
        house.carol.get(&format!("{path}/labels")),
        house.carol.get(&format!("{path}/agent")),
        house.carol.get(&format!("{path}/owner")),
        house.carol.get(&format!("{path}/permissions")),
        house.carol.put(
            &format!("{path}/permissions"),
            json!({"user_id": "carol", "level": 3}),
        ),
        house.carol.get(&format!("/v1/sessions/{}", "0".repeat(32))),
        house.carol.get("/v1/sessions/not-an-id"),
    ] {
        assert_eq!(answer.expect(404).json()["error"]["code"], "not_found");
    }
    assert_eq!(
        ids(&house.carol.get("/v1/sessions").expect(200).json()),
        Vec::<String>::new()
    );
    house.admin.get(&path).expect(200);
    // A token of an admin's for sessions is one for the admin's own.
    for scope in ["sessions", "sessions:read"] {
        let made = json!({"name": "ci", "scope": scope});
        let made = house.admin.post("/auth/tokens", made).expect(201).json();
        let ci = house.server.client().bearer(text(&made["token"]));
        ci.get(&path).expect(404);
    }
    house.server.client().get(&path).expect(401);
}

#[test]
fn pages_follow_each_other() {
    let house = house();
    let mut made: Vec<String> = (0..5)
        .map(|i| house.session(&house.bob, json!({"title": format!("s{i}")})))
        .collect();
    made.reverse();
    let get = |query: &str| {
        house
            .bob
            .get(&format!("/v1/sessions?{query}"))
            .expect(200)
            .json()
    };
    assert_eq!(ids(&get("")), made);
    let first = get("limit=2");
    assert_eq!(
        (&first["has_more"], &first["first_id"], &first["last_id"]),
        (&json!(true), &json!(made[0]), &json!(made[1]))
    );
    assert_eq!(ids(&get(&format!("limit=2&after={}", made[1]))), made[2..4]);
    assert_eq!(ids(&get(&format!("limit=2&before={}", made[4]))).len(), 2);
    assert_eq!(ids(&get("order=asc&limit=1")), made[4..]);
    assert_eq!(ids(&get("search_query=s3")), made[1..2]);
    assert_eq!(
        ids(&get(&format!("after={}", "f".repeat(32)))),
        Vec::<String>::new()
    );
    house.bob.get("/v1/sessions?after=nonsense").expect(404);
    for query in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "order=up",
        "sort_by=title",
    ] {
        let said = house
            .bob
            .get(&format!("/v1/sessions?{query}"))
            .expect(422)
            .json();
        assert_eq!(said["detail"][0]["loc"][0], "query");
    }
    house
        .bob
        .patch(
            &format!("/v1/sessions/{}", made[0]),
            json!({"archived": true}),
        )
        .expect(200);
    assert_eq!(ids(&get("")), made[1..]);
    assert_eq!(ids(&get("include_archived=true")), made);
}

#[test]
fn a_request_is_checked_in_the_order_of_the_contract() {
    let house = house();
    let anonymous = house.server.client();
    anonymous
        .send("POST", "/v1/sessions", Some("text/plain"), "{}")
        .expect(415);
    anonymous
        .with("origin", "https://evil.example")
        .post("/v1/sessions", json!({}))
        .expect(403);
    anonymous.post("/v1/sessions", json!({})).expect(401);
    let shape = house.bob.post("/v1/sessions", json!({})).expect(422).json();
    assert_eq!(shape["detail"][0]["loc"], json!(["agent_id"]));
    house
        .bob
        .post("/v1/sessions", json!({"agent_id": "0".repeat(32)}))
        .expect(404);
    house
        .bob
        .post(
            "/v1/sessions",
            json!({"agent_id": house.agent, "reasoning_effort": "extreme"}),
        )
        .expect(400);
    house
        .bob
        .post(
            "/v1/sessions",
            json!({"agent_id": house.agent, "unknown": 1}),
        )
        .expect(201);
    let id = house.session(&house.bob, json!({}));
    let extra = house
        .bob
        .patch(&format!("/v1/sessions/{id}"), json!({"owner": "carol"}))
        .expect(422)
        .json();
    assert_eq!(extra["detail"][0]["type"], "extra_forbidden");
}

#[test]
fn sharing_gives_what_its_level_says_and_no_more() {
    let house = house();
    let id = house.session(&house.bob, json!({}));
    let path = format!("/v1/sessions/{id}");
    let permissions = format!("{path}/permissions");
    let share = |level: u8| {
        house
            .bob
            .put(&permissions, json!({"user_id": "carol", "level": level}))
    };
    assert_eq!(
        share(1).expect(200).json(),
        json!({"user_id": "carol", "conversation_id": id, "level": 1})
    );
    assert_eq!(
        house.carol.get(&path).expect(200).json()["permission_level"],
        1
    );
    assert_eq!(
        ids(&house.carol.get("/v1/sessions").json()),
        std::slice::from_ref(&id)
    );
    assert_eq!(
        house
            .carol
            .patch(&path, json!({"title": "x"}))
            .expect(403)
            .json()["error"]["code"],
        "forbidden"
    );
    house
        .carol
        .put(&permissions, json!({"user_id": "admin", "level": 1}))
        .expect(403);
    share(2).expect(200);
    house.carol.patch(&path, json!({"title": "x"})).expect(200);
    house
        .carol
        .patch(&path, json!({"archived": true}))
        .expect(403);
    house
        .carol
        .put(&permissions, json!({"user_id": "admin", "level": 1}))
        .expect(403);
    share(3).expect(200);
    house
        .carol
        .put(&permissions, json!({"user_id": "admin", "level": 1}))
        .expect(200);
    house.carol.delete(&path).expect(403);
    house
        .bob
        .put(&permissions, json!({"user_id": "bob", "level": 1}))
        .expect(403);
    share(4).expect(422);
    share(0).expect(422);
    let unknown = house
        .bob
        .put(&permissions, json!({"user_id": "nobody", "level": 1}));
    assert!((400..=404).contains(&unknown.status), "{unknown:?}");
    house.bob.delete(&format!("{permissions}/bob")).expect(403);
    house
        .carol
        .delete(&format!("{permissions}/carol"))
        .expect(204);
    house.carol.get(&path).expect(404);
    house
        .bob
        .delete(&format!("{permissions}/carol"))
        .expect(204);
}

#[test]
fn who_cannot_manage_learns_no_names() {
    let house = house();
    let id = house.session(&house.bob, json!({}));
    let permissions = format!("/v1/sessions/{id}/permissions");
    for level in [1, 2] {
        let share = json!({"user_id": "carol", "level": level});
        house.bob.put(&permissions, share).expect(200);
        let refused = |name: &str| {
            let delete = house.carol.delete(&format!("{permissions}/{name}"));
            let put = json!({"user_id": name, "level": 1});
            let put = house.carol.put(&permissions, put);
            (delete.expect(403).json(), put.expect(403).json())
        };
        assert_eq!(refused("admin"), refused("nobody"), "level {level}");
    }
    let gone = |who: &Client, status| {
        let answer = who.delete(&format!("{permissions}/nobody"));
        answer.expect(status);
    };
    house
        .carol
        .delete(&format!("{permissions}/carol"))
        .expect(204);
    gone(&house.carol, 404);
    gone(&house.bob, 204);
}

#[test]
fn public_means_reading_and_nothing_else() {
    let house = house();
    let id = house.session(&house.bob, json!({}));
    let path = format!("/v1/sessions/{id}");
    let permissions = format!("{path}/permissions");
    house
        .bob
        .put(&permissions, json!({"user_id": "__public__", "level": 2}))
        .expect(400);
    house
        .bob
        .put(&permissions, json!({"user_id": "__public__", "level": 1}))
        .expect(200);
    assert_eq!(
        house.carol.get(&path).expect(200).json()["permission_level"],
        1
    );
    house.carol.patch(&path, json!({"title": "x"})).expect(403);
}

#[test]
fn what_belongs_to_the_upstream_says_so() {
    let house = house();
    let id = house.session(&house.bob, json!({}));
    let path = format!("/v1/sessions/{id}");
    let empty =
        json!({"object": "list", "data": [], "first_id": null, "last_id": null, "has_more": false});
    assert_eq!(
        house.bob.get(&format!("{path}/items")).expect(200).json(),
        empty
    );
    assert_eq!(
        house
            .bob
            .get(&format!("{path}/child_sessions"))
            .expect(200)
            .json(),
        empty
    );
    let events = house
        .bob
        .post(&format!("{path}/events"), json!({"type": "message"}))
        .expect(503)
        .json();
    assert_eq!(events["error"]["code"], "runner_unavailable");
    assert_eq!(
        house.bob.get("/v1/runners").expect(200).json(),
        json!({"data": []})
    );
    assert_eq!(
        house.bob.get("/v1/hosts").expect(200).json(),
        json!({"hosts": []})
    );
    house
        .bob
        .get(&format!("/v1/agents/{}", house.agent))
        .expect(404);
    let health = house
        .bob
        .get(&format!("/health?session_id={id}"))
        .expect(200)
        .json();
    assert_eq!(health["session"]["runner_online"], false);
}
