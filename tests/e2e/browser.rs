//! The pages in a real browser, looked at by axe: signing in, a token from the page to the shell and
//! back, a lost laptop, a colleague, a command line. What is done there is in
//! `tests/peers/chromium/walk.mjs`.

use std::process::Command;

use omnigent_tests::{ServerBuilder, repository};

#[test]
fn people_walk_through_the_pages() {
    let server = ServerBuilder::accounts().start();
    let folder = repository().join("tests/peers/chromium");
    let mut walk = Command::new("node");
    walk.arg(folder.join("walk.mjs")).arg(&server.url);
    if let Some(shots) = std::env::var_os("SCREENSHOTS") {
        walk.arg(shots);
    }
    let output = walk.output().expect("node: run scripts/test");
    let said = String::from_utf8_lossy(&output.stdout);
    let faults = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{faults}\n{said}");
    assert!(said.contains("pages looked at"), "{said}");
}
