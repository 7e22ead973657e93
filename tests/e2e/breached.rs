//! Passwords from breaches that nobody may choose, by a list the operator keeps (ASVS 6.2.12).

use std::{fs, path::Path};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use omnigent_tests::{PASSWORD, ServerBuilder};
use serde_json::json;

/// Writes the list of these passwords, as Have I Been Pwned has it.
fn write(path: &Path, passwords: &[&str]) {
    let line = |password: &&str| {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes());
        let digits = hash.as_ref().iter().map(|byte| format!("{byte:02X}"));
        digits.collect::<String>() + ":3\r\n"
    };
    let mut lines: Vec<_> = passwords.iter().map(line).collect();
    lines.sort_unstable();
    let next = path.with_extension("next");
    fs::write(&next, lines.concat()).expect("a writable folder");
    fs::rename(next, path).expect("a writable folder");
}

fn relying_on_list() -> ServerBuilder {
    let plugin = "plugin = \"accounts\"";
    let with_list = format!("{plugin}\nbreached_file = \"breached\"");
    ServerBuilder::accounts().replacing(plugin, &with_list)
}

#[test]
fn a_password_in_the_operators_list_is_not_chosen_by_anybody() {
    let builder = relying_on_list();
    let list = builder.dir().join("breached");
    let known = "Glacier-piano-42";
    write(&list, &[known, "another-one-99", "yet-another-77"]);
    let server = builder.start();
    let setup = |password| {
        let body = json!({"username": "admin", "password": password});
        server.client().post("/auth/setup", body)
    };
    let told = setup(known).expect(400);
    assert!(told.text.contains("passwords from breaches"), "{told:?}");
    let admin = server.claim();
    let add = |name, password| {
        let body = json!({"id": name, "password": password});
        admin.post("/auth/users", body).status
    };
    let change = |new| {
        let body = json!({"old_password": PASSWORD, "new_password": new});
        admin.post("/auth/users/me/password", body).status
    };
    assert_eq!(add("bob", known), 400);
    assert_eq!(change(known), 400);
    assert_eq!(add("bob", "Glacier-piano-43"), 201);
    // A newer list counts at once; one that is gone lets nobody choose unseen, and all sign in.
    write(&list, &["Glacier-piano-44"]);
    assert_eq!(add("carol", "Glacier-piano-44"), 400);
    assert_eq!(add("carol", known), 201);
    fs::remove_file(&list).expect("it is there");
    assert_eq!(add("dave", "Glacier-piano-45"), 503);
    assert_eq!(change("Glacier-piano-45"), 503);
    server.login("carol", known).get("/v1/me").expect(200);
    write(&list, &["Glacier-piano-44"]);
    assert_eq!(change("Glacier-piano-45"), 204);
}

#[test]
fn a_list_that_is_none_stops_the_start() {
    for text in ["", "password\n"] {
        let builder = relying_on_list();
        fs::write(builder.dir().join("breached"), text).expect("a writable folder");
        let log = builder.try_start().err().expect("it does not start");
        assert!(log.contains("breached_file: "), "{log}");
    }
    let log = relying_on_list().try_start().err();
    assert!(log.is_some_and(|log| log.contains("No such file")));
}
