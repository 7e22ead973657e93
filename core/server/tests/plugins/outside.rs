//! A plugin built outside this repository does everything a plugin can do.

use omnigent_plugin::{DirectoryError, IdentityRef, Password, Standing, Verdict};
use omnigent_server::backend::{
    self, ApplyError, CallError, Header, OpenError, Presented, inspect,
};
use serde_json::json;

use crate::{
    server::{fixture, refusal, sign_in, with_backends},
    workshop,
};

#[test]
fn people_sign_in_through_it_and_others_do_not() {
    with_backends(vec![], async |bench| {
        let good = bench.backends.get("good").unwrap();
        assert_eq!(
            sign_in(good, "alice", "secret").await.unwrap().subject,
            "alice"
        );
        for (name, password) in [
            ("alice", "Secret"),
            ("bob", "secret"),
            ("", ""),
            ("alice", ""),
        ] {
            assert_eq!(
                sign_in(good, name, password).await,
                None,
                "{name} {password}"
            );
        }
    });
}

#[test]
fn it_identifies_requests_by_what_they_carry() {
    with_backends(vec![], async |bench| {
        let good = bench.backends.get("good").unwrap();
        let ask = |headers: &[Header<'_>], client_certificate| {
            let (method, path, peer) = ("GET", "/", "127.0.0.1");
            good.identify(&Presented {
                method,
                path,
                peer,
                headers,
                client_certificate,
                is_from_trusted_proxy: false,
            })
            .unwrap()
        };
        let alice = Header::new("x-outside-user", b"alice");
        let certificate = Some(b"der".as_slice());
        assert!(
            matches!(ask(&[alice], certificate), Verdict::Accepted(id) if id.subject == "alice")
        );
        assert_eq!(ask(&[], certificate), Verdict::NotMine);
        assert!(matches!(ask(&[alice], None), Verdict::Denied(_)));
        assert!(matches!(
            ask(&[alice, alice], certificate),
            Verdict::Denied(_)
        ));
        let bytes = Header::new("x-outside-user", b"\xff\xfe");
        assert!(matches!(ask(&[bytes], certificate), Verdict::Denied(_)));
    });
}

#[test]
fn its_people_are_written_with_the_servers_own_records() {
    with_backends(vec![], async |bench| {
        let good = bench.backends.get("good").unwrap();
        let password = Password::new("hunter2");
        let change = good.directory_create("bob", &password).await.unwrap();
        assert_eq!(
            sign_in(good, "bob", "hunter2").await,
            None,
            "prepared is not yet done"
        );
        let twice = change.clone();
        bench
            .store
            .write(move |tx| backend::apply_change(tx, "good", &change))
            .await
            .unwrap();
        assert!(sign_in(good, "bob", "hunter2").await.is_some());
        let second = bench
            .store
            .write(move |tx| backend::apply_change(tx, "good", &twice))
            .await;
        assert!(matches!(second, Err(ApplyError::Conflict)));
        let taken = good.directory_create("bob", &password).await;
        assert!(matches!(
            taken,
            Err(CallError::Directory(DirectoryError::Taken))
        ));
        let entries = good
            .directory_describe(&["bob".into(), "eve".into()])
            .await
            .unwrap();
        assert_eq!(
            entries
                .iter()
                .map(|entry| entry.has_password)
                .collect::<Vec<_>>(),
            [true, false]
        );
        let refused = good.directory_set_password("bob", &password).await;
        assert!(matches!(
            refused,
            Err(CallError::Directory(DirectoryError::Refused { .. }))
        ));
    });
}

#[test]
fn it_revalidates_says_where_to_sign_out_and_how_it_is() {
    with_backends(vec![], async |bench| {
        let good = bench.backends.get("good").unwrap();
        let of = |subject: &str| IdentityRef {
            subject: subject.into(),
            issuer: None,
        };
        assert_eq!(
            good.revalidate(&of("alice")).await.unwrap(),
            Standing::holds()
        );
        assert!(matches!(
            good.revalidate(&of("bob")).await.unwrap(),
            Standing::Gone { .. }
        ));
        let identity = omnigent_plugin::Identity::new("alice");
        let target = good.logout(&identity).await.unwrap();
        assert_eq!(target.url.as_deref(), Some("https://auth.example.com/bye"));
        good.health().await.unwrap();
        bench.backends.shutdown();
    });
}

#[test]
fn it_says_what_it_is_and_what_it_can_be_configured_with() {
    let manifest = inspect(&workshop::built().join("libomnigent_auth_keeper.so")).unwrap();
    assert_eq!(
        (manifest.name.as_str(), manifest.title.as_str()),
        ("keeper", "Built elsewhere")
    );
    assert!(manifest.rustc.starts_with("rustc "), "{}", manifest.rustc);
    assert!(manifest.config_schema["properties"]["people"].is_object());
    assert_eq!(manifest.capabilities.len(), 6);
}

#[test]
fn a_configuration_it_does_not_know_is_refused_by_key() {
    let error = refusal(fixture("outside", json!({"people": {}, "peeple": 1})));
    assert!(matches!(error, OpenError::Refused(_)));
    assert!(
        error.to_string().contains("unknown field `peeple`"),
        "{error}"
    );
}
