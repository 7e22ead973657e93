//! Transcripts in the documentation: run line by line, and what they show is what is said.

use std::{fs, process::Command};

use omnigent_tests::{ServerBuilder, binary, repository};

/// Text in which every number is the same: dates, counts and versions come and go.
fn plain(line: &str) -> String {
    let mut plain = String::new();
    for c in line.trim_end().chars() {
        match c {
            '0'..='9' if plain.ends_with('N') => {}
            '0'..='9' => plain.push('N'),
            c => plain.push(c),
        }
    }
    plain
}

#[test]
fn the_backup_in_the_operations_guide_works_as_shown() {
    let guide = fs::read_to_string(repository().join("docs/operations.md")).expect("a guide");
    let (_, rest) = guide
        .split_once("<!-- run: backup -->\n```console\n$ ")
        .expect("the marked block");
    let (transcript, _) = rest.split_once("```").expect("its end");
    let server = ServerBuilder::accounts().start();
    server.claim();
    fs::write(
        server.dir.path().join("passphrase"),
        "correct horse battery staple\n",
    )
    .expect("a file");
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = binary().parent().expect("a folder").display().to_string();
    for step in transcript.split("\n$ ") {
        let (command, shown) = step.split_once('\n').expect("a command and what it says");
        let output = Command::new("sh")
            .arg("-euc")
            .arg(format!("{{ {command}; }} 2>&1"))
            .current_dir(server.dir.path())
            .env_clear()
            .env("HOME", server.dir.path())
            .env("PATH", format!("{folder}:{path}"))
            .output()
            .expect("a shell");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let here = server.dir.path().display().to_string();
        let said = said.replace(&here, "/srv");
        assert!(output.status.success(), "{command}: {said}");
        let lines = |text: &str| text.trim_end().lines().map(plain).collect::<Vec<_>>();
        assert_eq!(lines(&said), lines(shown), "{command}");
    }
}
