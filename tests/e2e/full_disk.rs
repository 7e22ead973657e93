//! A full disk, a small real one: writes are refused, people read and sign out, and everything goes
//! on by itself once there is room.

use std::{fs, path::Path, process::Command, sync::Arc};

use omnigent_tests::{PASSWORD, ServerBuilder, operate};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A mounted file system of its own, gone when dropped.
struct Disk(Arc<TempDir>);

impl Disk {
    fn mount(size: &str) -> Option<Self> {
        let dir = TempDir::new().expect("a folder");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(dir.path())
            .output();
        done.is_ok_and(|done| done.status.success())
            .then(|| Self(Arc::new(dir)))
    }

    /// Takes everything but about `left` bytes.
    fn fill(&self, left: u64) {
        let free = rest(self.0.path());
        let file = fs::File::create(self.0.path().join("filler")).expect("a file");
        let size = free.saturating_sub(left);
        let mut bytes = std::io::Read::take(std::io::repeat(7), size);
        let mut file = std::io::BufWriter::new(file);
        // The last bytes may not fit.
        let _ = std::io::copy(&mut bytes, &mut file);
    }

    fn empty(&self) {
        fs::remove_file(self.0.path().join("filler")).expect("it is there");
    }
}

fn rest(path: &Path) -> u64 {
    let said = Command::new("df")
        .args(["--output=avail", "-B1"])
        .arg(path)
        .output();
    let said = String::from_utf8(said.expect("df runs").stdout).expect("text");
    said.lines()
        .nth(1)
        .and_then(|line| line.trim().parse().ok())
        .expect("a number")
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_full_disk_people_read_and_sign_out_and_all_goes_on_by_itself() {
    // Without the right to mount, the store's own tests have to do.
    let Some(disk) = Disk::mount("160m") else {
        return;
    };
    let server = ServerBuilder::accounts().on(&disk.0).start();
    let admin = server.claim();
    let token = |name: &str| {
        let made = admin
            .post("/auth/tokens", json!({"name": name}))
            .expect(201)
            .json();
        (
            made["id"].as_str().unwrap_or_default().to_owned(),
            made["token"].as_str().unwrap_or_default().to_owned(),
        )
    };
    let (first, second) = (token("first"), token("second"));
    let leaving = server.login("admin", PASSWORD);
    let login = json!({"username": "admin", "password": PASSWORD});
    for left in [16 << 20, 0] {
        disk.fill(left);
        // Refused in words, not lost; twice, because the first may be what notices.
        for _ in 0..2 {
            server
                .client()
                .post("/auth/login", login.clone())
                .expect(503);
            admin.post("/auth/invite", json!({})).expect(503);
        }
        let ready = server.client().get("/healthz/ready").expect(503).json();
        assert_eq!(
            (&ready["status"], &ready["store"]),
            (&json!("unready"), &json!("full"))
        );
        admin.get("/v1/me").expect(200);
        admin.get("/auth/tokens").expect(200);
        let (id, dead) = if left == 0 { &second } else { &first };
        admin.delete(&format!("/auth/tokens/{id}")).expect(204);
        server.client().bearer(dead).get("/v1/me").expect(401);
        if left == 0 {
            leaving.post("/auth/logout", json!({})).expect(204);
            leaving.get("/v1/me").expect(401);
        }
        disk.empty();
        server
            .client()
            .post("/auth/login", login.clone())
            .expect(200);
        admin.post("/auth/invite", json!({})).expect(200);
        server.client().get("/healthz/ready").expect(200);
    }
    // The same process all along; and what it acknowledged on the full disk is on it.
    let server = server.kill_and_restart();
    for (_, dead) in [&first, &second] {
        server.client().bearer(dead).get("/v1/me").expect(401);
    }
    server.login("admin", PASSWORD).get("/v1/me").expect(200);
}

#[test]
fn a_disk_that_is_full_at_the_start_still_serves_reads_and_sign_offs() {
    let Some(disk) = Disk::mount("160m") else {
        return;
    };
    let server = ServerBuilder::accounts().on(&disk.0).start();
    let admin = server.claim();
    let made = admin
        .post("/auth/tokens", json!({"name": "ci"}))
        .expect(201)
        .json();
    let (_, builder) = server.stop();
    disk.fill(4 << 20);
    let server = builder.start();
    let admin = server
        .client()
        .bearer(made["token"].as_str().unwrap_or_default());
    admin.get("/v1/me").expect(200);
    let login = json!({"username": "admin", "password": PASSWORD});
    server
        .client()
        .post("/auth/login", login.clone())
        .expect(503);
    disk.empty();
    server.client().post("/auth/login", login).expect(200);
}

#[test]
fn a_key_that_is_changed_on_a_full_disk_is_changed_and_in_the_trail_later() {
    let Some(disk) = Disk::mount("160m") else {
        return;
    };
    let server = ServerBuilder::accounts().on(&disk.0).start();
    let admin = server.claim();
    let key = |args: &[&str]| {
        let (code, said, complaint) = operate(&disk.0, &[&["key"], args, &["--json"]].concat());
        assert_eq!(code, 0, "{complaint}");
        let said: Value = serde_json::from_str(&said).expect("JSON");
        (said, complaint)
    };
    let (old, _) = key(&["list"]);
    let old = old[0]["kid"].as_str().unwrap_or_default();
    disk.fill(16 << 20);
    let invite = || admin.post("/auth/invite", json!({})).status;
    assert!((0..2).any(|_| invite() == 503), "the disk is nearly full");

    let (made, complaint) = key(&["rotate"]);
    assert_eq!(made["noted"], false);
    assert!(complaint.contains("not in the audit trail"), "{complaint}");
    admin.get("/v1/me").expect(200);
    // What takes something away is written from what is set aside.
    let (retired, complaint) = key(&["retire", old, "--now", "--yes"]);
    assert_eq!(retired["noted"], true, "{complaint}");
    admin.get("/v1/me").expect(401);

    disk.empty();
    let server = server.kill_and_restart();
    let of_key = |kid: &Value| {
        let (code, out, complaint) = server.operator(&["audit", "export"]);
        assert_eq!(code, 0, "{complaint}");
        let read = |line: &str| serde_json::from_str(line).expect("a line of JSON");
        let all = out.lines().map(read);
        all.filter(|entry: &Value| entry["target"] == *kid)
            .map(|entry| [&entry["event"], &entry["actor"], &entry["reason"]].map(Value::clone))
            .collect::<Vec<_>>()
    };
    let retired = ["key.retired", "operator", "at once"].map(Value::from);
    assert_eq!(of_key(&json!(old)), [retired]);
    let rotated = ["key.rotated", "system", "found in the keyring"].map(Value::from);
    // The server notes it a moment after it began.
    let noted = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        of_key(&made["kid"]) == [rotated.clone()]
    });
    assert!(noted, "{:?}", of_key(&made["kid"]));
}

#[test]
fn refusals_that_could_not_be_written_are_counted_in_the_trail() {
    let Some(disk) = Disk::mount("160m") else {
        return;
    };
    let server = ServerBuilder::accounts().on(&disk.0).start();
    let admin = server.claim();
    disk.fill(16 << 20);
    let invite = || admin.post("/auth/invite", json!({})).status;
    assert!((0..2).any(|_| invite() == 503), "the disk is nearly full");
    server.client().bearer("nobodys").get("/v1/me").expect(401);
    assert!(server.says("not in the trail"));
    disk.empty();
    assert_eq!(invite(), 200);
    // With the next that is to be told, or within some seconds.
    let lost = || {
        let (code, out, complaint) = server.operator(&["audit", "export", "--event", "audit.lost"]);
        assert_eq!(code, 0, "{complaint}");
        out
    };
    let told = (0..400).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        !lost().is_empty()
    });
    assert!(told, "{}", server.log());
    let entry: Value = serde_json::from_str(lost().trim()).expect("one entry");
    assert_eq!(
        (&entry["actor"], &entry["count"]),
        (&json!("system"), &json!(1))
    );
    assert_eq!(server.operator(&["audit", "verify"]).0, 0);
}
