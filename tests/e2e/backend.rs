//! The backend of docs/writing-a-backend.md, built from the page and signed in through.

use std::fs;

use omnigent_tests::{ServerBuilder, repository, workshop};
use serde_json::{Value, json};

/// The block of the page that is marked as this file.
fn block(file: &str) -> String {
    let page = fs::read_to_string(repository().join("docs/writing-a-backend.md")).expect("a page");
    let (_, rest) = page
        .split_once(&format!("<!-- file: {file} -->\n```"))
        .expect("the marked block");
    let (_, rest) = rest.split_once('\n').expect("a language");
    rest.split_once("```").expect("its end").0.to_owned()
}

#[test]
fn the_backend_of_the_guide_signs_in_in_two_steps() {
    let library = workshop::of_files("guide", &block("Cargo.toml"), &block("src/lib.rs"));
    let config = block("omnigent.toml").replace(
        "target/release/libomnigent_auth_two_steps.so",
        &library.display().to_string(),
    );
    let server = ServerBuilder::no_auth().config(&config).start();
    let client = server.client();
    let answer = |id: &Value, answers: Value| {
        let path = format!("/auth/conversations/{}", id.as_str().unwrap_or_default());
        client.post(&path, json!({"answers": answers}))
    };
    let first = || {
        client
            .post("/auth/conversations", json!({"backend": "door"}))
            .expect(201)
            .json()
    };
    let password = json!({"username": "alice", "password": "tidal-Orchid-77-lantern"});

    let asked = first();
    assert_eq!(asked["step"]["ask"]["fields"][1]["name"], "password");
    let second = answer(&asked["id"], password.clone()).expect(200).json();
    assert_eq!(second["step"]["ask"]["fields"][0]["kind"], "otp");
    assert!(second.get("token").is_none());
    answer(&asked["id"], password.clone()).expect(410);
    let login = answer(&second["id"], json!({"code": "2718"}))
        .expect(200)
        .json();
    let alice = client.bearer(login["token"].as_str().unwrap_or_default());
    assert_eq!(alice.get("/v1/me").expect(200).json()["user_id"], "alice");
    answer(&second["id"], json!({"code": "2718"})).expect(410);

    answer(
        &first()["id"],
        json!({"username": "alice", "password": "wrong"}),
    )
    .expect(401);
    answer(
        &first()["id"],
        json!({"username": "nobody", "password": "wrong"}),
    )
    .expect(401);
    let second = answer(&first()["id"], password).expect(200).json();
    answer(&second["id"], json!({"code": "0000"})).expect(401);
    answer(
        &json!("0123456789abcdef0123456789abcdef"),
        json!({"code": "2718"}),
    )
    .expect(410);
    client
        .post("/auth/conversations", json!({"backend": "window"}))
        .expect(404);
}
