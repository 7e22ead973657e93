//! A disk that fails a sync: nothing more is written, what was acknowledged is served, and those who ask
//! whether the server is ready hear that it is not, until it is started again.

use std::fs;

use omnigent_tests::{PASSWORD, ServerBuilder, repository, workshop};
use serde_json::json;

#[test]
fn after_a_failed_sync_people_read_and_nobody_is_sent_here_until_a_restart() {
    let source = repository().join("core/server/tests/fixtures/powercut.c");
    let source = fs::read_to_string(source).expect("the platter");
    let platter = workshop::compiled("platter", &source, &["-ldl"]);
    let builder = ServerBuilder::accounts();
    let server = builder
        .env("LD_PRELOAD", &platter.display().to_string())
        .start();
    let admin = server.claim();
    let ready = || server.client().get("/healthz/ready");
    ready().expect(200);

    let fail = server.dir.path().join("data/store/db.fail");
    fs::write(&fail, "").expect("a writable folder");
    admin.post("/auth/invite", json!({})).expect(503);
    fs::remove_file(&fail).expect("it is there");
    // Whether that write is on the disk nobody knows, so the disk being well again changes nothing.
    for _ in 0..2 {
        admin.post("/auth/invite", json!({})).expect(503);
        let said = ready().expect(503).json();
        assert_eq!(
            (&said["status"], &said["store"]),
            (&json!("unready"), &json!("read-only"))
        );
        admin.get("/v1/me").expect(200);
    }
    let server = server.kill_and_restart();
    server.client().get("/healthz/ready").expect(200);
    server.login("admin", PASSWORD).get("/v1/me").expect(200);
}
