//! Who a trusted proxy says somebody is (CONTRACT section 7, THREATS section 4).

use omnigent_tests::{
    Client, Server, ServerBuilder,
    browser::hidden,
    proxy::{Proxy, USER},
};
use serde_json::json;

const AGENT: &str = "[[agent]]\nname = \"reviewer\"\ndescription = \"x\"\n";

fn config(server: &str, proxy: &str) -> String {
    format!(
        "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n{server}\n[auth]\nbackends = [\"proxy\"]\n\
         [backend.proxy]\nplugin = \"header\"\n{proxy}\n{AGENT}"
    )
}

fn server(proxy: &str) -> Server {
    ServerBuilder::no_auth().config(&config("", proxy)).start()
}

fn says(client: &Client, who: &str) -> Client {
    client.with("x-forwarded-email", who)
}

#[test]
fn people_sign_in_through_real_proxies() {
    let server = server("");
    for proxy in [Proxy::nginx(&server.url), Proxy::caddy(&server.url)] {
        let me = proxy.client().get("/v1/me").expect(200).json();
        assert_eq!(me, json!({"user_id": USER, "is_admin": false}));
        proxy.client().get("/v1/sessions").expect(200);
        proxy.stranger().get("/v1/me").expect(401);
        // What a client says of itself is the proxy's to drop.
        let forged = says(&proxy.client(), "root@example.com").get("/v1/me");
        assert_eq!(forged.expect(200).json()["user_id"], USER);
        let spelt = proxy
            .client()
            .with("x_forwarded_email", "root@example.com")
            .get("/v1/me");
        assert!([200, 400].contains(&spelt.status), "{spelt:?}");
        assert!(!spelt.text.contains("root"), "{spelt:?}");
        let far = proxy.client().with("x-forwarded-for", "203.0.113.9");
        far.with("x_forwarded_email", "x").get("/v1/me");
    }
    // The client's address is the last hop that is not trusted, whatever the client wrote.
    assert!(server.says("the request looks forged"));
}

#[test]
fn info_and_me_say_what_the_stock_command_line_reads() {
    let server = server("");
    let info = server.client().get("/v1/info").expect(200).json();
    assert_eq!(info["auth_mode"], "header");
    assert!(info["login_url"].is_null());
    assert_eq!(info["accounts_enabled"], false);
    assert_eq!(info["backends"][0]["flows"], json!(["request"]));
    let nobody = server.client().get("/v1/me").expect(200).json();
    assert_eq!(nobody, json!({"user_id": null, "is_admin": false}));
    server.client().get("/v1/sessions").expect(401);
}

#[test]
fn names_are_compared_without_case_and_lead_to_one_account() {
    let server = server("");
    let agents = says(&server.client(), "ada@example.com")
        .get("/v1/agents")
        .json();
    let body = json!({"agent_id": agents["data"][0]["id"]});
    let ours = |client: Client| client.with("origin", &server.url);
    ours(says(&server.client(), "ada@example.com"))
        .post("/v1/sessions", body)
        .expect(201);
    let shouted = server.client().with("X-FORWARDED-EMAIL", "ADA@Example.COM");
    let list = shouted.get("/v1/sessions").expect(200).json();
    assert_eq!(list["data"].as_array().map(Vec::len), Some(1));
    let other = says(&server.client(), "bob@example.com")
        .get("/v1/sessions")
        .json();
    assert_eq!(other["data"], json!([]));
}

#[test]
fn what_looks_forged_is_400_and_noted() {
    let server = server("");
    let client = server.client();
    let long = format!("{}@example.com", "a".repeat(300));
    let own = "ada@example.com";
    let forged: Vec<(&str, Vec<(&str, &str)>)> = vec![
        (
            "twice",
            vec![("x-forwarded-email", own), ("x-forwarded-email", own)],
        ),
        (
            "twice, two",
            vec![("x-forwarded-email", own), ("X-Forwarded-Email", "root")],
        ),
        (
            "comma",
            vec![("x-forwarded-email", "ada@example.com,root@example.com")],
        ),
        ("blank", vec![("x-forwarded-email", "ada root")]),
        ("tab", vec![("x-forwarded-email", "ada\troot")]),
        ("long", vec![("x-forwarded-email", &long)]),
        ("latin", vec![("x-forwarded-email", "ad\u{e4}@example.com")]),
        ("fullwidth", vec![("x-forwarded-email", "\u{ff4c}ocal")]),
        (
            "alias",
            vec![("x-forwarded-email", own), ("x_forwarded_email", "root")],
        ),
        ("alias alone", vec![("x_forwarded_email", "root")]),
        ("alias, mixed", vec![("X-Forwarded_Email", "root")]),
        ("alias, CGI", vec![("HTTP_X_FORWARDED_EMAIL", "root")]),
        (
            "alias, CGI with dashes",
            vec![("http-x-forwarded-email", "root")],
        ),
        (
            "connection",
            vec![
                ("x-forwarded-email", own),
                ("connection", "keep-alive, X-Forwarded-Email"),
            ],
        ),
    ];
    for (what, headers) in forged {
        let client = headers
            .iter()
            .fold(client.clone(), |c, (name, value)| c.with(name, value));
        for path in ["/v1/me", "/v1/sessions", "/auth/me", "/auth/tokens"] {
            let answer = client.get(path);
            assert_eq!(answer.status, 400, "{what} {path}: {answer:?}");
            assert!(!answer.text.contains("root"), "{what}: {answer:?}");
        }
        client.get("/v1/info").expect(200);
    }
    assert!(server.says("x-forwarded-email comes twice"));
    assert!(server.log().contains("audit") || server.says("looks forged"));
}

#[test]
fn an_empty_or_reserved_name_is_nobody() {
    let server = server("");
    for nobody in [
        "",
        "local",
        "LOCAL",
        "Local",
        "__public__",
        "__PUBLIC__",
        "me",
    ] {
        let client = says(&server.client(), nobody);
        client.get("/v1/sessions").expect(401);
        let me = client.get("/v1/me").expect(200).json();
        assert!(me["user_id"].is_null(), "{nobody}: {me}");
    }
}

#[test]
fn nobody_else_is_believed() {
    let other = config("", "").replace("127.0.0.1", "127.0.0.2");
    let server = ServerBuilder::no_auth().config(&other).start();
    let client = says(&server.client(), "ada@example.com");
    client.get("/v1/sessions").expect(401);
    for near in ["127.0.0.2", "::ffff:127.0.0.2", "127.0.0.2, 127.0.0.1"] {
        let pretends = client
            .with("x-forwarded-for", near)
            .with("forwarded", &format!("for={near}"))
            .with("x-real-ip", near);
        pretends.get("/v1/sessions").expect(401);
    }
    assert!(server.says("not in server.trusted_proxies"));
}

#[test]
fn the_server_does_not_start_without_naming_its_proxies() {
    for bad in [
        "[]",
        "[\"0.0.0.0/0\"]",
        "[\"::/0\"]",
        "[\"proxy.example.com\"]",
    ] {
        let text = config("", "").replace("[\"127.0.0.1\"]", bad);
        let Err(log) = ServerBuilder::no_auth().config(&text).try_start() else {
            panic!("{bad}: it started");
        };
        assert!(log.contains("trusted_proxies"), "{bad}: {log}");
    }
    for (keys, word) in [
        ("header = \"not a header\"", "header"),
        ("header = \"cookie\"", "means something else"),
        ("email_header = \"x-forwarded-email\"", "two purposes"),
        ("secret_header = \"x-proxy\"", "needs secrets"),
        (
            "secrets = [\"0123456789012345678901234567890123\"]",
            "secret_header",
        ),
        (
            "secret_header = \"x-proxy\"\nsecrets = [\"short\"]",
            "32 characters",
        ),
        ("hedaer = \"x-user\"", "hedaer"),
    ] {
        let Err(log) = ServerBuilder::no_auth()
            .config(&config("", keys))
            .try_start()
        else {
            panic!("{keys}: it started");
        };
        assert!(log.contains(word), "{keys}: {log}");
    }
}

#[test]
fn a_prefix_is_taken_off_once_and_required() {
    let server = server(
        "header = \"x-goog-authenticated-user-email\"\nstrip_prefix = \"accounts.google.com:\"",
    );
    let google = |value: &str| {
        server
            .client()
            .with("x-goog-authenticated-user-email", value)
    };
    let me = google("accounts.google.com:ada@example.com")
        .get("/v1/me")
        .expect(200)
        .json();
    assert_eq!(me["user_id"], "ada@example.com");
    google("ada@example.com").get("/v1/sessions").expect(400);
    google("accounts.google.com:")
        .get("/v1/sessions")
        .expect(401);
    google("accounts.google.com:local")
        .get("/v1/sessions")
        .expect(401);
    google("accounts.google.com:accounts.google.com:local")
        .get("/v1/sessions")
        .expect(400);
}

#[test]
fn a_proxy_that_proves_itself_with_a_secret_may_change_it() {
    let (old, new) = ("0".repeat(32), "1".repeat(32));
    let keys = format!("secret_header = \"x-proxy-secret\"\nsecrets = [{old:?}, {new:?}]");
    let server = server(&keys);
    let ada = says(&server.client(), "ada@example.com");
    for secret in [&old, &new] {
        ada.with("x-proxy-secret", secret)
            .get("/v1/sessions")
            .expect(200);
    }
    ada.get("/v1/sessions").expect(400);
    for wrong in ["", "0", &"2".repeat(32), &format!("{old}0")] {
        ada.with("x-proxy-secret", wrong)
            .get("/v1/sessions")
            .expect(400);
    }
    ada.with("x-proxy-secret", &old)
        .with("x-proxy-secret", &new)
        .get("/v1/sessions")
        .expect(400);
    assert!(!server.log().contains(&old[..8]) && !server.log().contains(&new[..8]));
}

#[test]
fn groups_admit_and_make_admins() {
    let server = server(
        "groups_header = \"x-groups\"\nallowed_groups = [\"staff\"]\nadmin_groups = [\"ops\"]",
    );
    let ada = says(&server.client(), "ada@example.com");
    let me = |groups: &str| ada.with("x-groups", groups).get("/v1/me");
    assert_eq!(me("staff, ops").expect(200).json()["is_admin"], true);
    let bob = says(&server.client(), "bob@example.com");
    let bob_is = |groups: &str| {
        bob.with("x-groups", groups)
            .get("/v1/me")
            .expect(200)
            .json()["is_admin"]
            .clone()
    };
    assert_eq!(bob_is("staff"), false);
    assert_eq!(bob_is("staff,ops"), true);
    assert_eq!(bob_is("staff"), false, "what a group gave it takes back");
    ada.with("x-groups", "guests")
        .get("/v1/sessions")
        .expect(403);
    ada.get("/v1/sessions").expect(403);
}

#[test]
fn pages_of_others_write_nothing_through_the_proxy() {
    let server = server("");
    let ada = says(&server.client(), "ada@example.com");
    let body = json!({"name": "x", "scope": "sessions"});
    ada.post("/auth/tokens", body.clone()).expect(403);
    ada.with("origin", "https://evil.example")
        .post("/auth/tokens", body.clone())
        .expect(403);
    ada.with("origin", &server.url)
        .post("/auth/tokens", body)
        .expect(201);
}

#[test]
fn programs_get_tokens_of_ours_and_need_no_proxy() {
    let server = server("");
    let ada = says(&server.client(), "ada@example.com").with("origin", &server.url);
    let made = ada
        .post("/auth/tokens", json!({"name": "ci"}))
        .expect(201)
        .json();
    let ci = server
        .client()
        .bearer(made["token"].as_str().expect("a token"));
    ci.get("/v1/sessions").expect(200);
    // A bearer token decides alone, also a bad one.
    let me = says(&ci, "bob@example.com")
        .get("/v1/me")
        .expect(200)
        .json();
    assert_eq!(me["user_id"], "ada@example.com");
    says(&server.client().bearer("bad"), "bob@example.com")
        .get("/v1/me")
        .expect(401);

    let ticket = server
        .client()
        .send("POST", "/auth/cli-login", None, "")
        .expect(200)
        .json();
    let url = ticket["login_url"].as_str().expect("a path");
    let page = ada.get(url).expect(200).text;
    assert!(
        page.contains(ticket["user_code"].as_str().expect("a code")),
        "{page}"
    );
    let code = url.split_once("ticket=").expect("a code").1;
    ada.form(
        "/auth/cli-login/decide",
        &[
            ("ticket", code),
            ("decision", "approve"),
            ("form_token", &hidden(&page, "form_token")),
        ],
    )
    .expect(200);
    let path = format!(
        "/auth/cli-poll?ticket={}",
        ticket["ticket"].as_str().expect("a secret")
    );
    let login = server.client().get(&path).expect(200).json();
    assert_eq!(login["user_id"], "ada@example.com");
    let cli = server
        .client()
        .bearer(login["token"].as_str().expect("a token"));
    cli.get("/v1/sessions").expect(200);
}

#[test]
fn a_disabled_account_is_refused_at_once() {
    let server = server("");
    let ada = says(&server.client(), "ada@example.com");
    ada.get("/v1/sessions").expect(200);
    assert_eq!(
        server
            .operator(&["account", "disable", "ada@example.com"])
            .0,
        0
    );
    ada.get("/v1/sessions").expect(401);
    assert_eq!(
        server.operator(&["account", "enable", "ada@example.com"]).0,
        0
    );
    ada.get("/v1/sessions").expect(200);
}

#[test]
fn a_proxy_may_come_through_a_socket_of_its_own() {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("proxy.sock");
    let ask = |uids: &str| {
        let text = format!("unix_socket = {path:?}\nunix_socket_uids = [{uids}]");
        let text = config(&text, "").replace("trusted_proxies = [\"127.0.0.1\"]", "");
        let server = ServerBuilder::no_auth().config(&text).start();
        let mut stream = UnixStream::connect(&path).expect("it listens");
        let _ = stream.write_all(
            b"GET /v1/me HTTP/1.1\r\nhost: x\r\nx-forwarded-email: ada@example.com\r\nconnection: close\r\n\r\n",
        );
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        says(&server.client(), "ada@example.com")
            .get("/v1/sessions")
            .expect(401);
        answer
    };
    let me =
        std::fs::metadata("/proc/self").map(|about| std::os::unix::fs::MetadataExt::uid(&about));
    let me = me.expect("a process");
    assert!(ask(&me.to_string()).contains("\"user_id\":\"ada@example.com\""));
    assert_eq!(ask(&(me + 1).to_string()), "", "another user is not let in");
}

#[test]
fn the_doctor_finds_a_proxy_that_believes_everybody() {
    let server = server("");
    let ask = |url: &str| server.operator_free(&["doctor", "proxy", url]);
    for proxy in [Proxy::nginx(&server.url), Proxy::caddy(&server.url)] {
        let (code, shown, complaint) = ask(&proxy.url);
        assert_eq!(code, 0, "{shown}{complaint}");
        assert!(
            shown.contains("not believed") && !shown.contains("BELIEVED"),
            "{shown}"
        );
    }
    // Around the proxy, from an address that is trusted.
    let (code, shown, complaint) = ask(&server.url);
    assert_eq!(code, 1, "{shown}");
    assert!(
        shown.contains("the header itself") && shown.contains("BELIEVED"),
        "{shown}"
    );
    assert!(
        complaint.contains("forged identities were believed"),
        "{complaint}"
    );
    let (code, _, complaint) = ask("http://127.0.0.1:9");
    assert!(
        code == 1 && complaint.contains("cannot be reached"),
        "{complaint}"
    );
}
