//! The conformance kit finds what is broken, and finds nothing where nothing is.

use omnigent_plugin::Password;
use omnigent_server::backend::{
    Cost, Hashing, Services, Wanted,
    conformance::{self, Known, Outcome, Report},
};
use omnigent_server::{
    clock::Clock,
    store::{Options, Store},
};
use serde_json::json;
use tokio::runtime::Handle;

use crate::server::{fixture, runtime};

fn checked(wanted: &Wanted, known: Option<(&str, &str)>) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let known = known.map(|(username, password)| Known {
        username: username.into(),
        password: Password::new(password),
    });
    runtime().block_on(async {
        let cost = Cost {
            memory_kib: 64,
            passes: 1,
            lanes: 1,
        };
        let services = Services {
            store: Store::open(dir.path(), &Options::default()).unwrap(),
            hashing: Hashing::start(cost, 1, 64).unwrap(),
            clock: Clock::system(),
            runtime: Handle::current(),
        };
        conformance::check(wanted, known.as_ref(), &services).await
    })
}

fn failures(report: &Report) -> Vec<&'static str> {
    let failed = |case: &&conformance::Case| matches!(case.outcome, Outcome::Failed(_));
    report
        .cases()
        .iter()
        .filter(failed)
        .map(|case| case.name)
        .collect()
}

#[test]
fn a_good_plugin_is_clean_and_its_people_get_in() {
    let wanted = fixture("keeper", json!({"people": {"alice": "Secret-77"}}));
    let report = checked(&wanted, Some(("alice", "Secret-77")));
    assert_eq!(
        failures(&report),
        <[&str; 0]>::default(),
        "{:?}",
        report.cases()
    );
    for case in [
        "the right password gets in",
        "no password but the right one gets in",
    ] {
        assert_eq!(report.outcome(case), Some(&Outcome::Passed), "{case}");
    }
}

#[test]
fn a_wrong_known_password_is_told() {
    let wanted = fixture("keeper", json!({"people": {"alice": "Secret-77"}}));
    let report = checked(&wanted, Some(("alice", "other-88")));
    assert_eq!(failures(&report), ["the right password gets in"]);
}

#[test]
fn a_plugin_that_panics_is_found() {
    for (entry, case) in [
        ("begin", "a sign-in begins"),
        ("resume", "no hostile answer gets in or breaks it"),
        ("health", "it can say how it is"),
        ("describe", "it describes as many as it was asked about"),
    ] {
        let wanted = fixture("misbehaving", json!({"entry": entry, "how": "panic"}));
        let found = failures(&checked(&wanted, None));
        assert!(found.contains(&case), "{entry}: {found:?}");
    }
}

#[test]
fn a_file_that_is_no_plugin_is_one_failure() {
    let wanted = Wanted {
        file: "/bin/true".into(),
        ..fixture("keeper", json!({}))
    };
    let report = checked(&wanted, None);
    assert_eq!(failures(&report), ["the file is a plugin of this server"]);
    assert_eq!(report.cases().len(), 1);
}
