//! Changing how people sign in while the server runs, without losing anybody.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use omnigent_tests::{Client, PASSWORD, Server, ServerBuilder, workshop};
use serde_json::{Value, json};

const LOCAL: &str = "[backend.local]\nplugin = \"accounts\"\n";

/// A configuration with these backends, in this order.
fn config(backends: &str, tables: &str) -> String {
    format!(
        "[auth]\nbackends = {backends}\n{LOCAL}{}{tables}\n\
         [passwords]\nmemory = \"7MiB\"\niterations = 1\n\
         [[agent]]\nname = \"reviewer\"\ndescription = \"Reads pull requests\"\n",
        theirs("")
    )
}

/// A backend built elsewhere, with its people.
fn theirs(more: &str) -> String {
    let file = workshop::built().join("libomnigent_auth_outside.so");
    format!(
        "[backend.theirs]\nplugin = \"outside\"\npath = {file:?}\n{more}\n\
         people = {{ admin = \"from-outside-77\", bob = \"from-outside-88\" }}\n"
    )
}

fn local() -> Server {
    ServerBuilder::no_auth()
        .config(&config("[\"local\"]", ""))
        .start()
}

fn session(client: &Client) -> Value {
    let agents = client.get("/v1/agents").expect(200).json();
    let agent = agents["data"][0]["id"].clone();
    let body = json!({"agent_id": agent, "title": "kept"});
    client.post("/v1/sessions", body).expect(201).json()["id"].clone()
}

fn sessions(client: &Client) -> Value {
    client.get("/v1/sessions").expect(200).json()["data"].clone()
}

#[test]
fn a_swap_keeps_accounts_sessions_and_tokens() {
    let server = local();
    let admin = server.claim();
    let kept = session(&admin);
    let made = admin.post("/auth/tokens", json!({"name": "ci", "scope": "sessions"}));
    let made = made.expect(201).json();
    let ci = server
        .client()
        .bearer(made["token"].as_str().expect("a token"));

    let new = config("[\"theirs\"]", "");
    std::fs::write(server.dir.path().join("new.toml"), &new).expect("written");
    let (code, plan, _) = server.operator(&["config", "plan", "new.toml"]);
    assert_eq!(code, 1, "{plan}");
    assert!(
        plan.contains("loses    1 accounts") && plan.contains("admin"),
        "{plan}"
    );
    assert!(plan.contains("changes  auth.backends"), "{plan}");

    let migrate = [
        "account", "migrate", "--from", "local", "--to", "theirs", "--match", "username",
    ];
    let (code, shown, _) = server.operator(&[&migrate[..], &["--dry-run"]].concat());
    assert!(code == 0 && shown.contains("would be expected"), "{shown}");
    let (_, plan, _) = server.operator(&["config", "plan", "new.toml"]);
    assert!(
        plan.contains("loses    1 accounts"),
        "a dry run changes nothing: {plan}"
    );
    let (code, shown, complaint) = server.operator(&migrate);
    assert!(
        code == 0 && shown.contains("1 of 1 accounts carried over"),
        "{shown}{complaint}"
    );
    let (code, plan, _) = server.operator(&["config", "plan", "new.toml", "--json"]);
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    assert_eq!(code, 0, "{plan}");
    assert_eq!(plan["keeps"][0]["then"], json!([["theirs", "expected"]]));

    server.reconfigure(&new);
    let (code, shown, complaint) = server.operator(&["config", "reload"]);
    assert_eq!(code, 0, "{shown}{complaint}");
    let info = server.client().get("/v1/info").json();
    assert_eq!(info["auth_mode"], "outside");
    let again = server.login("admin", "from-outside-77");
    assert_eq!(
        again.get("/v1/me").json(),
        json!({"user_id": "admin", "is_admin": true})
    );
    assert_eq!(sessions(&again)[0]["id"], kept, "the sessions are there");
    assert_eq!(sessions(&ci)[0]["id"], kept, "the API token goes on");
    assert_eq!(sessions(&admin)[0]["id"], kept, "so do logins");
    let (_, shown, _) = server.operator(&["account", "identities", "admin"]);
    assert!(
        shown.contains("theirs") && shown.contains("local"),
        "{shown}"
    );
    // The old way in is gone, and comes back with the old configuration.
    let old = json!({"username": "admin", "password": PASSWORD});
    server.client().post("/auth/login", old.clone()).expect(401);
    server.reconfigure(&config("[\"local\"]", ""));
    assert_eq!(server.operator(&["config", "reload"]).0, 0);
    server.client().post("/auth/login", old).expect(200);
}

#[test]
fn who_is_deleted_during_a_swap_leaves_no_password_behind() {
    for by_restart in [false, true] {
        let server = local();
        let admin = server.claim();
        let change = |server: Server, backends: &str| {
            if by_restart {
                return server.kill().config(&config(backends, "")).start();
            }
            server.reconfigure(&config(backends, ""));
            assert_eq!(server.operator(&["config", "reload"]).0, 0);
            server
        };
        let people = |name: &str| json!({"id": name, "password": PASSWORD});
        for name in ["bob", "eve"] {
            admin.post("/auth/users", people(name)).expect(201);
        }
        let carry = |server: &Server, from: &str, to: &str| {
            let ends = ["account", "migrate", "--from", from, "--to", to];
            let all = [&ends[..], &["--match", "username"]].concat();
            assert_eq!(server.operator(&all).0, 0);
        };
        carry(&server, "local", "theirs");
        let server = change(server, "[\"theirs\"]");
        let admin = server.login("admin", "from-outside-77");
        for name in ["bob", "eve"] {
            let path = format!("/auth/users/{name}");
            admin.send("DELETE", &path, None, "").expect(204);
        }
        // Another bob, who is to have the same name where the first one had a password.
        server.login("bob", "from-outside-88");
        carry(&server, "theirs", "local");
        let server = change(server, "[\"local\"]");
        for name in ["bob", "eve"] {
            let body = json!({"username": name, "password": PASSWORD});
            server.client().post("/auth/login", body).expect(401);
        }
        // The name is free again.
        let admin = server.login("admin", PASSWORD);
        admin.post("/auth/users", people("bob")).expect(409);
        admin.post("/auth/users", people("eve")).expect(201);
        server.login("eve", PASSWORD);
    }
}

#[test]
fn a_name_that_has_people_goes_to_no_other_plugin() {
    let server = local();
    server.claim();
    let other = config("[\"local\"]", "").replace(
        "plugin = \"accounts\"",
        "plugin = \"htpasswd\"\nfile = \"people\"",
    );
    std::fs::write(server.dir.path().join("new.toml"), &other).expect("written");
    std::fs::write(server.dir.path().join("people"), "").expect("written");
    let remedy = "account migrate --from local";
    let (code, _, complaint) = server.operator(&["config", "plan", "new.toml"]);
    assert!(code == 2 && complaint.contains(remedy), "{complaint}");
    server.reconfigure(&other);
    let (code, _, complaint) = server.operator(&["config", "reload"]);
    assert!(code == 1 && complaint.contains(remedy), "{complaint}");
    server.login("admin", PASSWORD);
    let refused = server.kill().config(&other).try_start().err();
    let refused = refused.expect("a refusal");
    assert!(refused.contains(remedy), "{refused}");
}

#[test]
fn an_identity_nobody_expects_never_takes_an_account_over() {
    let server = local();
    server.claim();
    server.reconfigure(&config("[\"theirs\"]", ""));
    assert_eq!(server.operator(&["config", "reload"]).0, 0);
    let body = json!({"username": "admin", "password": "from-outside-77"});
    let refused = server.client().post("/auth/login", body).expect(409).json();
    assert_eq!(refused["error"], "username already taken");
}

#[test]
fn a_server_that_has_people_is_not_for_whoever_claims_it_first() {
    for (more, is_claimed_by) in [
        (
            "[server]\npublic_url = \"https://auth.example.com\"\n",
            "bob",
        ),
        ("[accounts]\nadmins = [\"admin\"]\n", "admin"),
    ] {
        let with = |backends: &str| config(backends, "") + more;
        let server = ServerBuilder::no_auth()
            .config(&with("[\"theirs\"]"))
            .start();
        let password = if is_claimed_by == "bob" {
            "from-outside-88"
        } else {
            "from-outside-77"
        };
        let body = json!({"username": is_claimed_by, "password": password});
        server.client().post("/auth/login", body).expect(200);
        server.reconfigure(&with("[\"theirs\", \"local\"]"));
        let (code, _, complaint) = server.operator(&["config", "reload"]);
        assert_eq!(code, 0, "{complaint}");
        assert!(server.says("the setup code is in"), "{}", server.log());
        let info = server.client().get("/v1/info").json();
        assert_eq!(info["needs_setup"], true, "there is no password yet");
        let claim = |code: Option<&str>| {
            let mut body = json!({"username": "mallory", "password": PASSWORD});
            if let Some(code) = code {
                body["setup_code"] = code.into();
            }
            server.client().post("/auth/setup", body)
        };
        claim(None).expect(403);
        claim(Some("wrong-code")).expect(403);
        assert!(server.client().get("/setup").text.contains("setup_code"));
        let file = server.dir.path().join("data/setup-code");
        let code = std::fs::read_to_string(&file).expect("the code is kept in a file");
        claim(Some(&code)).expect(200);
        assert!(!file.exists(), "it is worth nothing any more");
    }
}

#[test]
fn whoever_the_list_names_no_more_is_an_admin_no_more() {
    let both = config("[\"local\", \"theirs\"]", "");
    let listing = format!("{both}[accounts]\nadmins = [\"bob\"]\n");
    let server = ServerBuilder::no_auth().config(&listing).start();
    server.claim();
    let bob = server.login("bob", "from-outside-88");
    let is_admin = |bob: &Client| bob.get("/v1/me").expect(200).json()["is_admin"] == true;
    assert!(is_admin(&bob));
    server.reconfigure(&both);
    assert_eq!(server.operator(&["config", "reload"]).0, 0);
    assert!(!is_admin(&bob), "with the reload, and the login he had");
    assert!(server.says("admin.revoked"));
    server.reconfigure(&listing);
    assert_eq!(server.operator(&["config", "reload"]).0, 0);
    assert!(is_admin(&bob), "as soon as it does again");
    // A command on the data directory knows nothing of the list.
    let (_, stopped) = server.stop();
    let data = stopped.dir().join("data").display().to_string();
    let listed = std::process::Command::new(omnigent_tests::binary())
        .args(["account", "list", "--data-dir", &data])
        .env_clear()
        .output()
        .expect("it runs");
    assert!(listed.status.success(), "{listed:?}");
    let server = stopped.start();
    assert!(is_admin(&server.login("bob", "from-outside-88")));
    assert!(!server.log().contains("admin.revoked"), "{}", server.log());
    let server = server.kill().config(&both).start();
    assert!(!is_admin(&server.login("bob", "from-outside-88")));
}

#[test]
fn a_server_that_is_given_a_public_url_takes_no_first_comer_any_more() {
    let server = local();
    let public = "[server]\npublic_url = \"https://auth.example.com\"\n";
    server.reconfigure(&(config("[\"local\"]", "") + public));
    assert_eq!(server.operator(&["config", "reload"]).0, 0);
    let body = json!({"username": "mallory", "password": PASSWORD});
    server.client().post("/auth/setup", body).expect(403);
}

#[test]
fn a_configuration_that_cannot_work_changes_nothing() {
    let server = local();
    let admin = server.claim();
    let missing = config(
        "[\"local\", \"gone\"]",
        "[backend.gone]\nplugin = \"gone\"\n",
    );
    let refusing = config("[\"theirs\"]", "").replace("people", "poeple");
    for (bad, why) in [
        ("[auth]\nbackends = [\"nobody\"]", "nobody"),
        ("[auth]\nbacends = []", "bacends"),
        ("not toml at all", "TOML"),
        (missing.as_str(), "gone"),
        (refusing.as_str(), "poeple"),
    ] {
        server.reconfigure(bad);
        let reload = std::process::Command::new("kill")
            .args(["-HUP", &server.pid().to_string()])
            .status();
        assert!(reload.expect("kill is there").success());
        assert!(server.says(why), "{why}");
        admin.get("/v1/me").expect(200);
        let body = json!({"username": "admin", "password": PASSWORD});
        server.client().post("/auth/login", body).expect(200);
        assert_eq!(
            server.client().get("/v1/info").json()["auth_mode"],
            "accounts"
        );
    }
    assert!(server.says("the configuration in force stays"));
}

#[test]
fn what_only_a_restart_changes_is_told() {
    let server = local();
    server.claim();
    let more = "[server]\nmax_connections = 77\n[tokens]\naccess_ttl = \"1h\"\n";
    server.reconfigure(&(more.to_owned() + &config("[\"local\"]", "")));
    let (code, shown, _) = server.operator(&["config", "reload"]);
    assert_eq!(code, 0);
    assert!(
        shown.contains("server.max_connections: at the next restart"),
        "{shown}"
    );
    assert!(shown.contains("tokens.access_ttl: in force"), "{shown}");
    let body = json!({"username": "admin", "password": PASSWORD});
    let login = server.client().post("/auth/login", body).expect(200).json();
    assert_eq!(login["expires_in"], 3600);
}

#[test]
fn reloads_under_load_fail_no_request() {
    let server = ServerBuilder::no_auth()
        .config(&config("[\"local\", \"theirs\"]", ""))
        .start();
    let admin = server.claim();
    let (stop, failed, done) = (
        AtomicBool::new(false),
        AtomicUsize::new(0),
        AtomicUsize::new(0),
    );
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (admin, stop, failed, done) = (&admin, &stop, &failed, &done);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let answer = match worker {
                        0 => admin.post(
                            "/auth/login",
                            json!({"username": "admin", "password": PASSWORD}),
                        ),
                        1 => admin.get("/v1/sessions"),
                        _ => admin.get("/v1/me"),
                    };
                    if answer.status != 200 {
                        failed.fetch_add(1, Ordering::Relaxed);
                        eprintln!("{answer:?}");
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..20 {
            let title = format!("title = \"Round {round}\"");
            let text = config("[\"local\", \"theirs\"]", "").replace(
                "[backend.theirs]\n",
                &format!("[backend.theirs]\n{title}\n"),
            );
            server.reconfigure(&text);
            let (code, _, complaint) = server.operator(&["config", "reload"]);
            assert_eq!(code, 0, "{complaint}");
        }
        while done.load(Ordering::Relaxed) < 10_000 && failed.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(failed.into_inner(), 0);
    let info = server.client().get("/v1/info").json();
    assert_eq!(info["backends"][1]["title"], "Round 19");
}

#[test]
fn several_backends_are_offered_in_their_order() {
    let server = ServerBuilder::no_auth()
        .config(&config("[\"theirs\", \"local\"]", ""))
        .start();
    let info = server.client().get("/v1/info").json();
    assert_eq!(info["login_url"], "/auth/login");
    let chooser = server
        .client()
        .get("/auth/login?return_to=/v1/me")
        .expect(200)
        .text;
    let (first, second) = (
        chooser.find("backend=theirs"),
        chooser.find("backend=local"),
    );
    assert!(first.is_some() && first < second, "{chooser}");
    assert!(chooser.contains("return_to=%2Fv1%2Fme"), "{chooser}");
    let form = server
        .client()
        .get("/auth/login?backend=theirs&return_to=/v1/me")
        .expect(200)
        .text;
    assert!(form.contains("name=\"username\""), "{form}");
    server
        .client()
        .get("/auth/login?backend=nobody")
        .expect(404);
    server.login("bob", "from-outside-88");
}

#[test]
fn an_unlinked_identity_loses_its_logins_and_its_way_in() {
    let server = ServerBuilder::no_auth()
        .config(&config("[\"local\", \"theirs\"]", ""))
        .start();
    server.claim();
    let bob = server.login("bob", "from-outside-88");
    let (code, _, complaint) = server.operator(&["account", "unlink", "bob", "theirs"]);
    assert_eq!(code, 0, "{complaint}");
    bob.get("/v1/me").expect(401);
    let body = json!({"username": "bob", "password": "from-outside-88"});
    server
        .client()
        .post("/auth/login", body.clone())
        .expect(409);
    assert_ne!(
        server.operator(&["account", "unlink", "bob", "theirs"]).0,
        0
    );
    let link = ["account", "link", "bob", "theirs", "--username", "bob"];
    assert_eq!(server.operator(&link).0, 0);
    let back = server.client().post("/auth/login", body).expect(200).json();
    assert_eq!(back["user"]["id"], "bob");
}

#[test]
fn the_operator_gets_in_when_the_backend_is_down() {
    let server = local();
    let admin = server.claim();
    let (code, url, _) = server.operator(&["account", "reset-link", "admin"]);
    assert_eq!(code, 0);
    let path = url
        .trim()
        .strip_prefix(&server.url)
        .expect("a link to the server")
        .to_owned();
    let redeemed = server.client().get(&path).expect(302);
    let cookie = redeemed
        .header("set-cookie")
        .expect("a cookie")
        .split(';')
        .next()
        .expect("a pair")
        .to_owned();
    let me = server
        .client()
        .with("cookie", &cookie)
        .get("/v1/me")
        .expect(200)
        .json();
    assert_eq!(me["is_admin"], true);
    let again = server.client().get(&path).expect(302);
    assert_eq!(again.header("location"), Some("/login?magic=expired"));
    admin
        .post("/auth/users/admin/reset-link", json!({}))
        .expect(403);
}

#[test]
fn a_backend_that_did_not_open_heals_by_itself() {
    let file = workshop::built().join("libomnigent_auth_outside.so");
    let dir = tempfile::tempdir().expect("a folder");
    let late = dir.path().join("late.so");
    let table = format!(
        "[backend.late]\nplugin = \"outside\"\npath = {late:?}\nrequired = false\n\
         people = {{ carol = \"from-outside-99\" }}\n"
    );
    let server = ServerBuilder::no_auth()
        .config(&config("[\"local\", \"late\"]", &table))
        .start();
    let state = |server: &Server| server.client().get("/healthz/ready").json()["status"].clone();
    assert_eq!(state(&server), "degraded");
    std::fs::copy(&file, &late).expect("a copy");
    let healed = (0..300).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        state(&server) == "ok"
    });
    assert!(
        healed,
        "the server looks after its backends every ten seconds"
    );
    server.login("carol", "from-outside-99");
    let _ = Arc::new(dir);
}
