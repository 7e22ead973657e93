//! Other users of the machine, and a machine that is not as it should be (THREATS S6, X7, X14).

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Output},
};

use omnigent_tests::{PASSWORD, ServerBuilder};
use serde_json::json;

/// `nobody`, as everywhere.
const NOBODY: u32 = 65_534;

/// Asks the operator's socket as another user.
fn ask_as(uid: u32, socket: &Path, path: &str) -> Output {
    let url = format!("http://operator{path}");
    Command::new("curl")
        .args(["-sS", "--max-time", "20", "-X", "POST", "--unix-socket"])
        .arg(socket)
        .arg(url)
        .current_dir("/")
        .uid(uid)
        .gid(uid)
        .output()
        .expect("curl")
}

#[test]
fn another_user_of_the_machine_is_no_operator() {
    if fs::metadata("/proc/self").expect("a process").uid() != 0 {
        eprintln!("skipped: only root can be somebody else");
        return;
    }
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let data = server.dir.path().join("data");
    let socket = data.join("admin.sock");
    let path = "/auth/users/admin/reset-link";

    // As it is made, nobody else gets as far as to the socket.
    let shut_out = ask_as(NOBODY, &socket, path);
    assert!(
        !shut_out.status.success() && shut_out.stdout.is_empty(),
        "{shut_out:?}"
    );

    // Even if all modes were wrong, the kernel says who is there.
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    };
    open(server.dir.path(), 0o711);
    open(&data, 0o711);
    open(&socket, 0o666);
    let refused = ask_as(NOBODY, &socket, path);
    assert!(
        !refused.status.success() && refused.stdout.is_empty(),
        "{refused:?}"
    );
    assert!(server.says("the operator's socket"));
    let let_in = ask_as(0, &socket, path);
    let answer = String::from_utf8_lossy(&let_in.stdout).into_owned();
    assert!(answer.contains("redeem_url"), "{let_in:?}");

    // Who was turned away changed nothing, and holds nobody up.
    let login = json!({"username": "admin", "password": PASSWORD});
    server.client().post("/auth/login", login).expect(200);
    admin.get("/v1/me").expect(200);
}

#[test]
fn a_server_leaves_no_core_dump() {
    let server = ServerBuilder::no_auth().start();
    let limits = format!("/proc/{}/limits", server.pid());
    let limits = fs::read_to_string(limits).expect("a process");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let values: Vec<_> = core.unwrap_or_default().split_whitespace().collect();
    assert_eq!(values[4..6], ["0", "0"], "{limits}");
}

#[test]
fn a_data_directory_others_write_to_stops_the_start() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let dir = std::sync::Arc::clone(&server.dir);
    let data = dir.path().join("data");
    drop(server);
    for mode in [0o770, 0o702, 0o1777] {
        fs::set_permissions(&data, fs::Permissions::from_mode(mode)).expect("ours");
        let log = ServerBuilder::accounts().on(&dir).try_start().err();
        let log = log.expect("a refusal");
        assert!(
            log.contains("exit status: 2") && log.contains("chmod go-w"),
            "{log}"
        );
        assert!(log.contains(&data.display().to_string()), "{log}");
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o750)).expect("ours");
    let server = ServerBuilder::accounts().on(&dir).start();
    let login = json!({"username": "admin", "password": PASSWORD});
    server.client().post("/auth/login", login).expect(200);
}
