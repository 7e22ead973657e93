//! What backups, exports, restores and imports leave in the audit trail, with the server up and down.

use std::{path::Path, sync::Arc};

use omnigent_tests::{PASSWORD, ServerBuilder, operate};
use serde_json::Value;
use tempfile::TempDir;

/// Runs the operator's command on this folder, which must go well. Says what it printed.
#[track_caller]
fn run(dir: &TempDir, args: &[&str]) -> String {
    let (code, out, complaint) = operate(dir, args);
    assert_eq!(code, 0, "{args:?}: {complaint}");
    out
}

/// The trail of the server on this folder, which `verify` finds sound.
#[track_caller]
fn trail(dir: &TempDir) -> Vec<Value> {
    assert!(run(dir, &["audit", "verify"]).starts_with("sound: "));
    let exported = run(dir, &["audit", "export"]);
    let read = |line: &str| serde_json::from_str(line).expect("a line of JSON");
    exported.lines().map(read).collect()
}

/// A folder with the configuration of the server, and no data.
fn empty() -> Arc<TempDir> {
    let dir = Arc::new(TempDir::new().expect("a temporary folder"));
    // Writes the configuration.
    drop(ServerBuilder::accounts().on(&dir).command());
    dir
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn claimed_and_stopped() -> Arc<TempDir> {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let dir = Arc::clone(&server.dir);
    let (status, _) = server.stop();
    assert!(status.success());
    dir
}

#[test]
fn reading_all_data_is_noted_also_when_no_server_runs() {
    let dir = claimed_and_stopped();
    let before = trail(&dir).len();
    run(&dir, &["backup", "backup"]);
    run(&dir, &["data", "export", "all.jsonl"]);
    let trail = trail(&dir);
    let noted: Vec<_> = trail[before..]
        .iter()
        .map(|entry| (&entry["event"], &entry["actor"], &entry["reason"]))
        .map(|(event, actor, reason)| format!("{event} {actor} {reason}"))
        .collect();
    let expected = |reason| format!("\"data.read\" \"operator\" \"{reason}\"");
    assert_eq!(noted, [expected("backup"), expected("export")]);
}

#[test]
fn a_restore_is_the_first_that_follows_the_trail_of_its_backup() {
    let dir = claimed_and_stopped();
    run(&dir, &["backup", "backup"]);
    let before = trail(&dir);
    let known = before
        .iter()
        .rposition(|entry| entry["event"] == "data.read");
    let known = known.expect("the backup's own entry, which is not in it");
    let elsewhere = empty();
    let backup = dir.path().join("backup");
    run(&elsewhere, &["restore", text(&backup), "--end-all-logins"]);
    let after = trail(&elsewhere);
    assert_eq!(after[..known], before[..known]);
    let restored = &after[known];
    // And the new keys, which the first server on it makes.
    let more = &after[known + 1..];
    assert!(more.iter().all(|e| e["event"] == "key.rotated"), "{more:?}");
    assert_eq!(
        (&restored["event"], &restored["actor"], &restored["reason"]),
        (
            &Value::from("data.restored"),
            &Value::from("operator"),
            &Value::from("backup")
        )
    );
    let detail = restored["detail"].as_str().expect("a detail");
    assert!(
        detail.contains(" records, made 20")
            && detail.contains("; ended 1 logins and 0 API tokens"),
        "{detail}"
    );
    let server = ServerBuilder::accounts().on(&elsewhere).start();
    server.login("admin", PASSWORD).get("/v1/me").expect(200);
    drop(server);
    trail(&elsewhere);
}

#[test]
fn an_import_begins_a_trail_that_names_where_the_other_one_stood() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let stopped = claimed_and_stopped();
    for dir in [&server.dir, &stopped] {
        run(dir, &["data", "export", "all.jsonl"]);
        let old = trail(dir);
        let read = old.iter().rfind(|entry| entry["event"] == "data.read");
        let read = read.expect("the entry of the export");
        let hash = read["hash"].as_str().expect("a hash");
        let elsewhere = empty();
        let export = dir.path().join("all.jsonl");
        run(&elsewhere, &["data", "import", text(&export)]);
        let new = trail(&elsewhere);
        let [began, restored] = &new[..] else {
            panic!("{new:?}");
        };
        assert_eq!(began["event"], "audit.began");
        assert_eq!(began["detail"], "on data that is older than it");
        assert_eq!(restored["event"], "data.restored");
        assert_eq!(restored["reason"], "export");
        let detail = restored["detail"].as_str().expect("a detail");
        let stood = format!("; the trail there stood at {}:{hash}", read["seq"]);
        assert!(detail.ends_with(&stood), "{detail}");
    }
}
