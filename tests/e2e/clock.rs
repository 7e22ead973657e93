//! A clock that was never set: the engine of the store and the `Date` of HTTP cannot tell a time before
//! 1970 (THREATS S6).

use std::{fs, process::Command};

use omnigent_tests::{PASSWORD, ServerBuilder, binary, workshop};

/// The wall clock stands in 1960; every other clock goes on.
const STOPPED: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *at) {
    int (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(id, at);
    if (id == CLOCK_REALTIME) at->tv_sec = -315619200;
    return done;
}
"#;

#[test]
fn a_clock_before_1970_is_named_and_nothing_is_thought_damaged() {
    let clock = workshop::compiled("clock", STOPPED, &["-ldl"]);
    let clock = clock.display().to_string();
    let server = ServerBuilder::accounts().start();
    server.claim();
    let dir = server.dir.clone();
    let (_, builder) = server.stop();
    let store = dir.path().join("data/store");
    let files = || {
        let entries = fs::read_dir(&store).expect("a store").flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
        names.sort_unstable();
        names
    };
    let before = files();

    let at_1960 = ServerBuilder::accounts().on(&dir).env("LD_PRELOAD", &clock);
    let log = at_1960.try_start().err().expect("it does not start");
    assert!(log.contains("clock") && log.contains("1970"), "{log}");
    assert!(
        !log.contains("damaged") && !log.contains("panicked"),
        "{log}"
    );
    let status = Command::new(binary())
        .args(["data", "status", "--data-dir"])
        .arg(dir.path().join("data"))
        .env("LD_PRELOAD", &clock)
        .output()
        .expect("the command runs");
    let said = String::from_utf8_lossy(&status.stderr);
    assert!(
        status.status.code() == Some(1) && said.contains("1970"),
        "{said}"
    );
    assert_eq!(files(), before);

    let server = builder.start();
    server.login("admin", PASSWORD).get("/v1/me").expect(200);
}
