//! Signing in with an LDAP directory: a real OpenLDAP.

use omnigent_tests::{
    Server, ServerBuilder,
    slapd::{BASE, Slapd},
};
use serde_json::{Value, json};

fn person(uid: &str, more: &str) -> String {
    format!(
        "dn: uid={uid},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: {uid}\ncn: {uid} Example\nsn: Example\n\
         mail: {uid}@example.org\nuserPassword: {uid}-pass-77\n{more}\n"
    )
}

fn group(name: &str, members: &[&str]) -> String {
    let members: String = members
        .iter()
        .map(|uid| format!("member: uid={uid},ou=people,{BASE}\n"))
        .collect();
    format!("dn: cn={name},ou=groups,{BASE}\nobjectClass: groupOfNames\ncn: {name}\n{members}\n")
}

fn people() -> String {
    let search = format!(
        "dn: cn=search,{BASE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n\
         cn: search\nuserPassword: search-pass-77\n\n"
    );
    let twin = person("twin", "").replace("uid=twin,ou=people", "cn=other twin,ou=people");
    let mut ldif = search + &person("ada", "") + &person("bob", "") + &person("twin", "") + &twin;
    ldif += &group("ops", &["ada"]);
    ldif += &group("staff", &["ada", "bob"]);
    for i in 0..1200 {
        ldif += &group(&format!("team{i}"), &["bob"]);
    }
    ldif + &group("last", &["bob"])
}

fn config(slapd: &Slapd, more: &str) -> String {
    let local =
        "[backend.local]\nplugin = \"accounts\"\n[passwords]\nmemory = \"7MiB\"\niterations = 1\n";
    format!(
        "[auth]\nbackends = [\"dir\", \"local\"]\n{local}[backend.dir]\nplugin = \"ldap\"\nurl = {:?}\n\
         base_dn = \"ou=people,{BASE}\"\nbind_dn = \"cn=search,{BASE}\"\nbind_password = \"search-pass-77\"\n\
         group_base = \"ou=groups,{BASE}\"\nadmin_groups = [\"ops\"]\ntimeout_seconds = 2\n{more}\n",
        slapd.url()
    )
}

fn started(slapd: &Slapd, more: &str) -> Server {
    ServerBuilder::no_auth()
        .config(&config(slapd, more))
        .start()
}

fn sign_in(server: &Server, name: &str, password: &str) -> u16 {
    let body = json!({"username": name, "password": password});
    server.client().post("/auth/login", body).status
}

fn kept(server: &Server, name: &str) -> Value {
    let body = json!({"username": name, "password": format!("{name}-pass-77"), "client_id": "omnigent-cli"});
    server.client().post("/auth/login", body).expect(200).json()
}

fn refresh(server: &Server, login: &Value) -> u16 {
    let token = login["refresh_token"].as_str().expect("a refresh token");
    server
        .client()
        .form(
            "/oauth/token",
            &[("grant_type", "refresh_token"), ("refresh_token", token)],
        )
        .status
}

#[test]
fn people_of_the_directory_sign_in_with_their_groups() {
    let slapd = Slapd::start(&people());
    let server = started(&slapd, "");
    let me = server
        .login("ada", "ada-pass-77")
        .get("/v1/me")
        .expect(200)
        .json();
    assert_eq!(me, json!({"user_id": "ada", "is_admin": true}));
    let me = server
        .login("bob", "bob-pass-77")
        .get("/v1/me")
        .expect(200)
        .json();
    assert_eq!(me, json!({"user_id": "bob", "is_admin": false}));
    // One of more than a thousand groups, on the last page of the answer.
    server.reconfigure(&config(&slapd, "allowed_groups = [\"last\"]"));
    assert_eq!(server.operator(&["config", "reload"]).0, 0);
    assert_eq!(sign_in(&server, "bob", "bob-pass-77"), 200);
    assert_eq!(sign_in(&server, "ada", "ada-pass-77"), 403);
}

#[test]
fn groups_are_of_the_entry_and_not_of_the_name_typed() {
    // Somebody who may write an address into their own entry writes another's user name.
    let mallory = person("mallory", "mail: grace\n");
    let ops = format!(
        "dn: cn=ops,ou=groups,{BASE}\nobjectClass: posixGroup\ncn: ops\ngidNumber: 7\nmemberUid: grace\nmemberUid: carl\n\n"
    );
    let ldif = people().replace(&group("ops", &["ada"]), &ops);
    let slapd = Slapd::start(&(ldif + &mallory + &person("carl", "")));
    let filter = "user_filter = \"(|(uid={username})(mail={username}))\"";
    let server = started(&slapd, filter);
    let is_admin = |name: &str, password: &str| {
        let me = server.login(name, password).get("/v1/me").expect(200);
        me.json()["is_admin"].clone()
    };
    assert_eq!(is_admin("grace", "mallory-pass-77"), false);
    // A name of one's own, however it is typed.
    assert_eq!(is_admin("CARL", "carl-pass-77"), true);
}

#[test]
fn a_group_may_be_named_by_the_whole_of_its_dn() {
    let real = format!("cn=ops,ou=groups,{BASE}");
    let class = "objectClass: inetOrgPerson\n";
    let with = |uid: &str, group: &str| {
        let classes = format!("{class}objectClass: guided\nmemberOf: {group}\n");
        person(uid, "").replace(class, &classes)
    };
    let namesake = format!("cn=ops,ou=people,{BASE}");
    let slapd = Slapd::start(&format!(
        "dn: cn=search,{BASE}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n\
         cn: search\nuserPassword: search-pass-77\n\n{}{}",
        with("ada", &real),
        with("bob", &namesake)
    ));
    let with = |group: &str| {
        let text = config(&slapd, &format!("allowed_groups = [{group:?}]"));
        let base = format!("group_base = \"ou=groups,{BASE}\"\nadmin_groups = [\"ops\"]\n");
        ServerBuilder::no_auth()
            .config(&text.replace(&base, ""))
            .start()
    };
    let both = |server: &Server| {
        ["ada", "bob"].map(|name| sign_in(server, name, &format!("{name}-pass-77")))
    };
    assert_eq!(both(&with("ops")), [200, 200], "the short name is of both");
    assert_eq!(both(&with(&real)), [200, 403]);
}

#[test]
fn nobody_else_does() {
    let slapd = Slapd::start(&people());
    let server = started(&slapd, "");
    let long = "a".repeat(120);
    for (name, password) in [
        ("ada", "wrong"),
        ("ada", "ada-pass-7"),
        ("ada", "\u{0}"),
        ("nobody", "ada-pass-77"),
        ("*", "ada-pass-77"),
        ("a*", "ada-pass-77"),
        (")(uid=*", "ada-pass-77"),
        ("ada)(|(uid=*", "ada-pass-77"),
        ("*)(uid=ada", "ada-pass-77"),
        ("\\61da", "ada-pass-77"),
        ("ada\u{0}", "ada-pass-77"),
        ("uid=ada", "ada-pass-77"),
        ("twin", "twin-pass-77"),
        ("search", "search-pass-77"),
        (&long, "ada-pass-77"),
    ] {
        assert_eq!(
            sign_in(&server, name, password),
            401,
            "{name:?} {password:?}"
        );
    }
    // An empty password is nobody's, and a directory would say yes to it.
    assert!([401, 422].contains(&sign_in(&server, "ada", "")));
    assert!(server.says("2 entries have that name"));
    for secret in ["ada-pass-77", "search-pass-77"] {
        assert!(!server.log().contains(secret));
    }
}

#[test]
fn who_leaves_or_is_locked_refreshes_nothing() {
    let slapd = Slapd::start(&people());
    let server = started(&slapd, "");
    let (ada, bob) = (kept(&server, "ada"), kept(&server, "bob"));
    let elsewhere = server.login("bob", "bob-pass-77");
    elsewhere.get("/v1/me").expect(200);
    assert_eq!((refresh(&server, &ada), refresh(&server, &bob)), (200, 200));
    slapd.modify(&format!(
        "dn: uid=bob,ou=people,{BASE}\nchangetype: delete\n"
    ));
    assert_eq!((refresh(&server, &ada), refresh(&server, &bob)), (200, 400));
    elsewhere.get("/v1/me").expect(401);
    assert_eq!(sign_in(&server, "bob", "bob-pass-77"), 401);
}

#[test]
fn who_is_not_found_by_the_filter_any_more_refreshes_nothing() {
    let slapd = Slapd::start(&people());
    let put = |uid: &str, unit: &str| {
        slapd.modify(&format!(
            "dn: uid={uid},ou=people,{BASE}\nchangetype: modify\nreplace: ou\nou: {unit}\n"
        ));
    };
    for name in [
        "(uid={username})",
        "(|(uid={username})(mail={username}))",
        "(mail={username}@example.org)",
    ] {
        put("ada", "in");
        put("bob", "in");
        let filter = format!("user_filter = \"(&(objectClass=person)(ou=in){name})\"");
        let server = started(&slapd, &filter);
        let (ada, bob) = (kept(&server, "ada"), kept(&server, "bob"));
        assert_eq!((refresh(&server, &ada), refresh(&server, &bob)), (200, 200));
        put("bob", "out");
        assert_eq!((refresh(&server, &ada), refresh(&server, &bob)), (200, 400));
        assert_eq!(sign_in(&server, "bob", "bob-pass-77"), 401);
    }
    // By a name that is no user name, in a filter without parentheses.
    let server = started(&slapd, "user_filter = \"mail={username}\"");
    let body = json!({"username": "ada@example.org", "password": "ada-pass-77", "client_id": "omnigent-cli"});
    let ada = server.client().post("/auth/login", body).expect(200).json();
    assert_eq!(refresh(&server, &ada), 200);
}

#[test]
fn people_whose_subject_is_of_bytes_refresh_until_they_leave() {
    // No text, a text with control characters, bytes that have a meaning in filters, and a plain text.
    let mut ldif = people();
    for (uid, base64) in [
        ("ada", "/w8qKACrzQEjRWeJq83v/g=="),
        ("bob", "AQIDBAUGBwgJCgsMDQ4PEA=="),
        ("eve", "KikoXAD/KikoXCopKFwqKQ=="),
        ("dan", "YSpiKQ=="),
    ] {
        let class = "objectClass: inetOrgPerson\n";
        let guided = format!("{class}objectClass: guided\nobjectGUID:: {base64}\n");
        ldif = ldif.replace(&person(uid, ""), "") + &person(uid, "").replace(class, &guided);
    }
    let slapd = Slapd::start(&ldif);
    let server = started(&slapd, "subject_attribute = \"objectGUID\"");
    let logins = ["ada", "bob", "eve", "dan"].map(|uid| (uid, kept(&server, uid)));
    for (uid, login) in &logins {
        assert_eq!(refresh(&server, login), 200, "{uid}");
    }
    for (uid, login) in &logins {
        let gone = format!("dn: uid={uid},ou=people,{BASE}\nchangetype: delete\n");
        slapd.modify(&gone);
        assert_eq!(refresh(&server, login), 400, "{uid}");
    }
}

#[test]
fn a_directory_that_is_down_costs_only_its_own() {
    let mut slapd = Slapd::start(&people());
    let server = started(&slapd, "");
    let admin = server.claim();
    let ada = kept(&server, "ada");
    slapd.go_down();
    assert_eq!(sign_in(&server, "ada", "ada-pass-77"), 503);
    assert_eq!(refresh(&server, &ada), 503, "cannot tell is no no");
    admin.get("/v1/me").expect(200);
    let body =
        json!({"username": "admin", "password": omnigent_tests::PASSWORD, "backend": "local"});
    server.client().post("/auth/login", body).expect(200);
    let ready = || server.client().get("/healthz/ready").json()["status"].clone();
    let is_soon = |status: &str| {
        (0..200).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            ready() == status
        })
    };
    assert!(is_soon("degraded"));
    slapd.come_up();
    assert!(is_soon("ok"), "it heals by itself");
    assert!((0..150).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        refresh(&server, &ada) == 200
    }));
}

#[test]
fn the_connection_is_what_the_operator_says() {
    let slapd = Slapd::start(&people());
    let starttls = format!("starttls = true\nca_file = {:?}", slapd.certificate());
    let server = started(&slapd, &starttls);
    assert_eq!(sign_in(&server, "ada", "ada-pass-77"), 200);
    // A certificate nobody vouches for.
    let server = started(&slapd, "starttls = true");
    assert_eq!(sign_in(&server, "ada", "ada-pass-77"), 503);
    // The wrong password of the one who searches is the operator's to mend, and told to them.
    let wrong = config(&slapd, "").replace("search-pass-77", "wrong-pass-77");
    let server = ServerBuilder::no_auth().config(&wrong).start();
    assert_eq!(sign_in(&server, "ada", "ada-pass-77"), 503);
    assert!(server.says("refuses bind_dn and bind_password"));
    // Bound by a name that follows from the user's.
    let direct = config(
        &slapd,
        &format!("user_dn = \"uid={{username}},ou=people,{BASE}\""),
    )
    .replace(&format!("base_dn = \"ou=people,{BASE}\"\n"), "");
    let server = ServerBuilder::no_auth().config(&direct).start();
    assert_eq!(sign_in(&server, "ada", "ada-pass-77"), 200);
    for name in ["ada,ou=people", "ada+cn=ada Example", "nobody", "ada)"] {
        assert_eq!(sign_in(&server, name, "ada-pass-77"), 401, "{name}");
    }
}

#[test]
fn what_cannot_be_safe_does_not_start() {
    let slapd = Slapd::start("");
    for (old, new, word) in [
        (
            "127.0.0.1:",
            "directory.example.org:",
            "sends passwords in the clear",
        ),
        ("ldap://", "http://", "must begin with"),
        (
            "timeout_seconds = 2",
            "timeout_seconds = 0",
            "timeout_seconds",
        ),
        (
            "timeout_seconds = 2",
            "user_filter = \"(uid=ada)\"",
            "user_filter",
        ),
        (
            "timeout_seconds = 2",
            "user_dn = \"uid={username}\"",
            "exactly one",
        ),
        (
            "bind_password = \"search-pass-77\"",
            "bind_password = \"\"",
            "bind_password",
        ),
        (
            "timeout_seconds = 2",
            "tiemout_seconds = 2",
            "tiemout_seconds",
        ),
        ("timeout_seconds = 2", "ca_file = \"/nowhere\"", "ca_file"),
    ] {
        let text = config(&slapd, "").replace(old, new);
        let Err(log) = ServerBuilder::no_auth().config(&text).try_start() else {
            panic!("{new}: it started");
        };
        assert!(log.contains(word), "{new}: {log}");
    }
}

#[test]
fn a_directory_that_was_imported_anew_is_carried_over_to_itself() {
    let (old, new) = (Slapd::start(&people()), Slapd::start(&people()));
    let server = started(&old, "");
    server.login("ada", "ada-pass-77");
    let kept = kept(&server, "bob");
    server.reconfigure(&config(&new, ""));
    assert_eq!(server.operator(&["config", "reload"]).0, 0);
    // The same names, with an entryUUID of their own each.
    assert_eq!(sign_in(&server, "ada", "ada-pass-77"), 409);
    let migrate = [
        "account", "migrate", "--from", "dir", "--to", "dir", "--match", "username",
    ];
    let (code, shown, complaint) = server.operator(&migrate);
    assert!(
        code == 0 && shown.contains("2 of 2 accounts carried over"),
        "{shown}{complaint}"
    );
    let me = server.login("ada", "ada-pass-77").get("/v1/me").json();
    assert_eq!(me, json!({"user_id": "ada", "is_admin": true}));
    server.login("bob", "bob-pass-77");
    let (_, shown, _) = server.operator(&["account", "identities", "bob"]);
    assert_eq!(shown.matches("linked").count(), 1, "{shown}");
    assert_eq!(refresh(&server, &kept), 400, "a login of the old directory");
}
