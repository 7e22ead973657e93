//! Signing in at a real identity provider: the certified npm `oidc-provider` (CONTRACT section 6).

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use omnigent_server::store::{Options, Store, StoreError, Table, Tx};
use omnigent_tests::{
    Client, Server, ServerBuilder,
    browser::{Browser, Page},
    idp::{Idp, free_port, relying_on, sign_in},
};
use serde_json::{Value, json};

struct House {
    server: Server,
    idp: Idp,
}

fn people() -> Value {
    json!({
        "ada": {"email": "Ada@Example.com", "email_verified": true, "name": "Ada", "groups": ["staff", "ops"]},
        "bob": {"email": "bob@example.com", "email_verified": true, "name": "Bob", "groups": ["staff"]},
        "eve": {"email": "ada@example.com", "email_verified": false},
        "far": {"email": "far@elsewhere.example", "email_verified": true},
        "local": {"email": "local", "email_verified": true},
        "bare": {"name": "No Address"},
    })
}

fn house(keys: &str, more: &str) -> House {
    let port = free_port();
    let idp = Idp::start(&format!("http://127.0.0.1:{port}"), people());
    let server = relying_on(&idp.issuer, port, keys, more).start();
    House { server, idp }
}

fn token(browser: &Browser, server: &Server) -> Option<String> {
    browser.cookies(&server.url).get("ap_session").cloned()
}

#[track_caller]
fn me(page: &Page) -> Value {
    assert_eq!(page.status, 200, "{page:?}");
    serde_json::from_str(&page.text).unwrap_or_else(|_| panic!("{page:?}"))
}

/// A ticket's login for whoever is signed in in this browser.
fn command_line(browser: &Browser, server: &Server) -> Value {
    let ticket = server
        .client()
        .send("POST", "/auth/cli-login", None, "")
        .expect(200)
        .json();
    let text = |key: &str| ticket[key].as_str().expect("a text").to_owned();
    let page = browser.open(&format!("{}{}", server.url, text("login_url")));
    assert!(page.text.contains(&text("user_code")), "{page:?}");
    let done = browser.submit(&page, &[]);
    assert!(done.text.contains("Login successful"), "{done:?}");
    let path = format!("/auth/cli-poll?ticket={}", text("ticket"));
    server.client().get(&path).expect(200).json()
}

/// As [`command_line`], of bob, who signs in for it.
fn bobs_command_line(server: &Server) -> Value {
    let browser = Browser::new();
    me(&sign_in(&browser, server, "bob"));
    command_line(&browser, server)
}

fn refresh(server: &Server, login: &Value) -> (u16, Value) {
    let token = login["refresh_token"].as_str().expect("a refresh token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
    let answer = server.client().form("/oauth/token", &fields);
    (answer.status, answer.json())
}

#[test]
fn a_person_signs_in_at_the_provider() {
    let House { server, idp: _idp } = house("admin_groups = [\"ops\"]", "");
    let info = server.client().get("/v1/info").expect(200).json();
    assert_eq!(info["auth_mode"], "oidc");
    assert_eq!(info["login_url"], "/auth/login");
    assert_eq!(info["backends"][0]["flows"], json!(["redirect"]));
    let anonymous = server.client().get("/v1/me").expect(401).json();
    assert_eq!(anonymous["login_url"], "/auth/login");

    let browser = Browser::new();
    let page = sign_in(&browser, &server, "ada");
    assert_eq!(
        me(&page),
        json!({"user_id": "ada@example.com", "is_admin": true})
    );
    assert!(
        page.url.ends_with("/v1/me"),
        "back to where they wanted to go"
    );
    let bearer = server
        .client()
        .bearer(&token(&browser, &server).expect("a cookie"));
    bearer.get("/v1/sessions").expect(200);
    let bob = Browser::new();
    assert_eq!(me(&sign_in(&bob, &server, "bob"))["is_admin"], false);
    // The same person again is the same account; another tab at the same time is no trouble.
    let (one, two) = (browser.clone(), browser.clone());
    assert_eq!(
        me(&sign_in(&one, &server, "ada"))["user_id"],
        "ada@example.com"
    );
    assert_eq!(
        me(&sign_in(&two, &server, "ada"))["user_id"],
        "ada@example.com"
    );
}

#[test]
fn the_way_there_carries_what_binds_it() {
    let House { server, idp } = house("", "");
    let browser = Browser::new();
    let step = browser.step("GET", &format!("{}/auth/login", server.url), None, "none");
    assert_eq!(step.status, 302);
    let to = step.headers["location"].to_str().expect("a URL").to_owned();
    assert!(to.starts_with(&format!("{}/auth?", idp.issuer)), "{to}");
    for needle in [
        "response_type=code",
        "client_id=omnigent",
        "code_challenge_method=S256",
        "code_challenge=",
        "state=",
        "nonce=",
        "scope=openid",
        "redirect_uri=",
    ] {
        assert!(to.contains(needle), "{needle}: {to}");
    }
    let cookie = step.headers["set-cookie"].to_str().expect("a cookie");
    for needle in [
        "ap_auth_state=",
        "HttpOnly",
        "Max-Age=300",
        "Path=/",
        "SameSite=lax",
    ] {
        assert!(cookie.contains(needle), "{needle}: {cookie}");
    }
}

/// Goes to the provider, signs in there, and stops before coming back: the URL to come back to.
fn almost_back(browser: &Browser, server: &Server, login: &str) -> String {
    let form = browser.open(&format!("{}/auth/login?backend=corp", server.url));
    let mut page = browser.step("POST", &form.url, Some(&[("login", login)]), "same-origin");
    loop {
        let to = page.headers["location"]
            .to_str()
            .expect("a redirect")
            .to_owned();
        if to.starts_with(&server.url) {
            return to;
        }
        page = browser.step("GET", &to, None, "same-origin");
    }
}

#[test]
fn a_sign_in_ends_only_in_the_browser_it_began_in_and_once() {
    let House { server, idp: _idp } = house("", "");
    let (browser, other) = (Browser::new(), Browser::new());
    let back = almost_back(&browser, &server, "ada");
    let refused = |browser: &Browser, url: &str, text: &str| {
        let page = browser.step("GET", url, None, "cross-site");
        assert_eq!(page.status, 400, "{page:?}");
        let plain = page.text.replace("&#40;", "(").replace("&#41;", ")");
        assert!(plain.contains(text), "{text}: {page:?}");
        assert!(token(browser, &server).is_none());
    };
    refused(&other, &back, "Missing auth state cookie");
    other.open(&format!("{}/auth/login", server.url));
    refused(&other, &back, "State mismatch (possible CSRF)");
    let callback = format!("{}/auth/callback", server.url);
    refused(&browser, &callback, "Missing code or state parameter");
    refused(
        &browser,
        &format!("{callback}?code=x"),
        "Missing code or state parameter",
    );
    refused(
        &browser,
        &format!("{callback}?state=x"),
        "Missing code or state parameter",
    );
    for empty in ["code=x&state=", "code=&state=x", "error=x&state="] {
        let url = format!("{callback}?{empty}");
        refused(&browser, &url, "Missing code or state parameter");
    }
    refused(
        &browser,
        &format!("{callback}?code=x&state=y"),
        "State mismatch (possible CSRF)",
    );
    refused(
        &browser,
        &format!("{back}&state=z"),
        "Missing code or state parameter",
    );
    let done = browser.step("GET", &back, None, "cross-site");
    assert_eq!(done.status, 302, "{done:?}");
    let fresh = Browser::new();
    let again = browser.step("GET", &back, None, "cross-site");
    assert_eq!(again.status, 400, "{again:?}");
    assert!(
        again.text.contains("Invalid or expired auth state"),
        "{again:?}"
    );
    refused(&fresh, &back, "Missing auth state cookie");
    // JSON for who is no browser.
    let json = server.client().get("/auth/callback").expect(400).json();
    assert_eq!(json["error"], "Missing code or state parameter");
}

#[test]
fn who_may_not_come_in_does_not() {
    let House { server, idp: _idp } = house("allowed_domains = [\"example.com\"]", "");
    for (login, text) in [
        ("far", "is not permitted on this server"),
        ("eve", "Could not determine user email from IdP"),
        ("bare", "Could not determine user email from IdP"),
        ("nobody", "cancelled"),
    ] {
        let browser = Browser::new();
        let page = sign_in(&browser, &server, login);
        assert!([400, 403].contains(&page.status), "{login}: {page:?}");
        assert!(page.text.contains(text), "{login}: {page:?}");
        assert!(!page.text.contains("script"), "{page:?}");
        assert!(token(&browser, &server).is_none(), "{login}");
    }
    for keys in [
        "",
        "email_claim = \"email\"\nskip_email_verification = true",
    ] {
        let House { server, idp: _idp } = house(keys, "");
        let page = sign_in(&Browser::new(), &server, "local");
        assert_eq!(page.status, 403, "{page:?}");
        assert!(page.text.contains("Reserved user name"), "{page:?}");
    }
}

#[test]
fn new_keys_at_the_provider_are_fetched_once_they_are_needed() {
    let House { server, idp } = house("", "");
    me(&sign_in(&Browser::new(), &server, "ada"));
    idp.rotate_keys();
    me(&sign_in(&Browser::new(), &server, "ada"));
}

#[test]
fn a_command_line_refreshes_until_the_person_leaves() {
    let House { server, idp } = house("", "");
    let browser = Browser::new();
    sign_in(&browser, &server, "bob");
    let login = command_line(&browser, &server);
    let (status, refreshed) = refresh(&server, &login);
    assert_eq!(status, 200, "{refreshed}");
    let cli = server
        .client()
        .bearer(refreshed["access_token"].as_str().expect("a token"));
    cli.get("/v1/sessions").expect(200);
    // The provider cannot be asked: no refresh, and no end either.
    idp.go_down();
    let (status, _) = refresh(&server, &login);
    assert_eq!(status, 503);
    cli.get("/v1/sessions").expect(200);
    idp.come_up();
    assert!((0..150).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        refresh(&server, &login).0 == 200
    }));
    idp.remove("bob");
    let (status, refused) = refresh(&server, &login);
    assert_eq!(
        (status, refused["error"].as_str()),
        (400, Some("invalid_grant"))
    );
    cli.get("/v1/sessions").expect(401);
}

#[track_caller]
fn is_refused(server: &Server, login: &Value) {
    let (status, refused) = refresh(server, login);
    let said = (status, refused["error"].as_str());
    assert_eq!(said, (400, Some("invalid_grant")));
}

#[test]
fn who_left_at_the_provider_goes_on_by_no_login() {
    let House { server, idp } = house("", "");
    let (ada, bob, elsewhere) = (Browser::new(), Browser::new(), Browser::new());
    for (browser, login) in [(&ada, "ada"), (&bob, "bob"), (&elsewhere, "bob")] {
        sign_in(browser, &server, login);
    }
    let adas = command_line(&ada, &server);
    let logins = [&bob, &bob, &elsewhere].map(|browser| command_line(browser, &server));
    let bearer = |token: &str| server.client().bearer(token);
    let clients: Vec<Client> = logins
        .iter()
        .map(|login| bearer(login["token"].as_str().expect("a token")))
        .chain([&bob, &elsewhere].map(|browser| bearer(&token(browser, &server).expect("one"))))
        .collect();
    for client in &clients {
        client.get("/v1/me").expect(200);
    }
    idp.remove("bob");
    is_refused(&server, &logins[0]);
    for client in &clients {
        client.get("/v1/me").expect(401);
    }
    for login in &logins {
        is_refused(&server, login);
    }
    assert_eq!(refresh(&server, &adas).0, 200);

    // They are not forgotten to be gone: not by a sign-in link, and not by a restart.
    let server = server.kill_and_restart();
    let link = ["account", "reset-link", "bob@example.com"];
    let (code, url, _) = server.operator(&link);
    assert_eq!(code, 0);
    let by_link = Browser::new();
    by_link.open(url.trim());
    let login = command_line(&by_link, &server);
    let client = server
        .client()
        .bearer(login["token"].as_str().expect("a token"));
    client.get("/v1/me").expect(200);
    is_refused(&server, &login);
    client.get("/v1/me").expect(401);
}

/// A server at `port` whose people sign in at `idp` without a secret of its own.
fn public_client(idp: &Idp, port: u16) -> Server {
    let issuer = &idp.issuer;
    let config = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\n[auth]\nbackends = [\"corp\"]\n\
         [backend.corp]\nplugin = \"oidc\"\nissuer = {issuer:?}\nclient_id = \"omnigent-public\"\n"
    );
    let server = ServerBuilder::no_auth().config(&config);
    server.listening_as_configured().start()
}

#[test]
fn the_key_of_a_client_without_a_secret_is_in_no_export_and_is_kept_from_older_versions() {
    let port = free_port();
    let idp = Idp::start(&format!("http://127.0.0.1:{port}"), people());
    let server = public_client(&idp, port);
    let login = bobs_command_line(&server);
    assert_eq!(refresh(&server, &login).0, 200);

    // As an older version kept it.
    let kv = Table::<[u8], Vec<u8>>::new(11, "plugin-kv");
    let [new, old] = ["secret/refresh-key", "refresh-key"].map(|key| format!("corp\0{key}"));
    let dir = Arc::clone(&server.dir);
    let store_of = || {
        let folder = dir.path().join("data/store");
        Store::open(&folder, &Options::default()).expect("a store")
    };
    let builder = server.kill();
    let store = store_of();
    let moved = (new.clone(), old.clone());
    let move_back = move |tx: &mut Tx<'_>| {
        let key = kv.get(tx, moved.0.as_bytes())?;
        kv.delete(tx, moved.0.as_bytes())?;
        kv.put(tx, moved.1.as_bytes(), &key.clone().unwrap_or_default())?;
        Ok::<_, StoreError>(key)
    };
    let key = store.write_blocking(move_back).expect("written");
    let key = key.expect("a key");
    store.close();

    // What it sealed still opens: the provider is asked, and says no.
    let server = builder.start();
    assert_eq!(refresh(&server, &login).0, 200);
    let (code, ..) = server.operator(&["data", "export", "all.jsonl"]);
    assert_eq!(code, 0);
    let export = dir.path().join("all.jsonl");
    let said = std::fs::read_to_string(export).expect("an export");
    let payload = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        BASE64.decode(line["payload"].as_str()?).ok()
    };
    let holds = |payload: &Vec<u8>| payload.windows(key.len()).any(|part| part == &key[..]);
    assert!(said.lines().count() > 10 && !said.lines().filter_map(payload).any(|p| holds(&p)));
    idp.revoke("bob");
    is_refused(&server, &login);
    drop(server.kill());
    let store = store_of();
    let at = |place: &str| kv.get(&store.reader(), place.as_bytes()).expect("read");
    assert_eq!((at(&new), at(&old)), (Some(key), None));
}

#[test]
fn whoever_signs_in_anew_is_back() {
    let House { server, idp } = house("", "");
    let login = || bobs_command_line(&server);
    let before = login();
    idp.revoke("bob");
    is_refused(&server, &before);
    let again = login();
    assert_eq!(refresh(&server, &again).0, 200);
    is_refused(&server, &before);
    // Without a refresh token, too: then there is nothing to ask by.
    idp.revoke("bob");
    is_refused(&server, &again);
    idp.withhold();
    let never_asked = login();
    assert_eq!(refresh(&server, &never_asked).0, 200);
}

#[test]
fn a_sign_in_during_a_refresh_that_fails_is_not_undone() {
    let House { server, idp } = house("", "");
    let login = || bobs_command_line(&server);
    let before = login();
    idp.revoke("bob");
    idp.hold();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| refresh(&server, &before).0);
        std::thread::sleep(std::time::Duration::from_millis(500));
        let meanwhile = login();
        assert!(!asking.is_finished(), "the provider holds its answer back");
        assert_eq!(asking.join().expect("an answer"), 200);
        assert_eq!(refresh(&server, &meanwhile).0, 200);
    });
}

#[test]
fn the_provider_ends_a_login_on_the_back_channel() {
    let House { server, idp } = house("", "");
    let (ada, bob) = (Browser::new(), Browser::new());
    sign_in(&ada, &server, "ada");
    sign_in(&bob, &server, "bob");
    let client = |browser: &Browser| -> Client {
        server
            .client()
            .bearer(&token(browser, &server).expect("a cookie"))
    };
    let (ada, bob) = (client(&ada), client(&bob));
    ada.get("/v1/me").expect(200);
    idp.end_session("ada");
    ada.get("/v1/me").expect(401);
    bob.get("/v1/me").expect(200);
    let path = "/auth/backchannel-logout/corp";
    for bad in ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        server
            .client()
            .form(path, &[("logout_token", bad)])
            .expect(400);
    }
    server
        .client()
        .form("/auth/backchannel-logout/nobody", &[("logout_token", "x")])
        .expect(404);
    bob.get("/v1/me").expect(200);
}

#[test]
fn signing_out_leads_past_the_provider() {
    let House { server, idp } = house("", "");
    let browser = Browser::new();
    sign_in(&browser, &server, "ada");
    let bearer = server
        .client()
        .bearer(&token(&browser, &server).expect("a cookie"));
    let elsewhere = browser.step(
        "GET",
        &format!("{}/auth/logout", server.url),
        None,
        "cross-site",
    );
    assert_eq!(
        elsewhere.status, 200,
        "another site's link only asks: {elsewhere:?}"
    );
    bearer.get("/v1/me").expect(200);
    let page = browser.step(
        "GET",
        &format!("{}/auth/logout", server.url),
        None,
        "same-origin",
    );
    assert_eq!(page.status, 302, "{page:?}");
    let to = page.headers["location"].to_str().expect("a URL");
    assert!(
        to.starts_with(&format!("{}/session/end", idp.issuer)),
        "{to}"
    );
    assert!(token(&browser, &server).is_none());
    bearer.get("/v1/me").expect(401);
}

#[test]
fn who_signs_out_too_late_leaves_the_provider_too() {
    let House { server, idp } = house("", "");
    let url = format!("{}/auth/logout?return_to=https://evil.example", server.url);
    let to = |browser: &Browser, site: &str| {
        let page = browser.step("GET", &url, None, site);
        assert_eq!(page.status, 302, "{page:?}");
        page.headers["location"].to_str().expect("a URL").to_owned()
    };
    let stranger = Browser::new();
    for site in ["same-origin", "none"] {
        let to = to(&stranger, site);
        let end = format!("{}/session/end?", idp.issuer);
        assert!(
            to.starts_with(&end) && !to.contains("id_token_hint"),
            "{to}"
        );
        assert!(!to.contains("evil"), "{to}");
    }
    assert_eq!(
        to(&stranger, "cross-site"),
        "/",
        "another site sends nobody"
    );
    let browser = Browser::new();
    sign_in(&browser, &server, "ada");
    let bearer = token(&browser, &server).expect("a cookie");
    let ended = server.client().bearer(&bearer);
    ended.post("/auth/logout", json!({})).expect(204);
    assert!(to(&browser, "same-origin").starts_with(&idp.issuer));
    assert!(
        token(&browser, &server).is_none(),
        "the dead cookie is cleared"
    );
}

#[test]
fn where_there_are_several_ways_in_nobody_knows_which_way_is_out() {
    let port = free_port();
    let idp = Idp::start(&format!("http://127.0.0.1:{port}"), people());
    let local =
        "[backend.local]\nplugin = \"accounts\"\n[passwords]\nmemory = \"7MiB\"\niterations = 1\n";
    let builder = relying_on(&idp.issuer, port, "", local);
    let builder = builder.replacing("[\"corp\"]", "[\"corp\", \"local\"]");
    let server = builder.start();
    let out = server.client().get("/auth/logout").expect(302);
    assert_eq!(out.header("location"), Some("/"));
}

#[test]
fn a_provider_that_is_down_costs_only_its_own_sign_ins() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let idp = Idp::start(&url, people());
    idp.go_down();
    let local =
        "[backend.local]\nplugin = \"accounts\"\n[passwords]\nmemory = \"7MiB\"\niterations = 1\n";
    let builder = relying_on(&idp.issuer, port, "timeout = \"3s\"", local);
    let builder = builder.replacing("[\"corp\"]", "[\"corp\", \"local\"]");
    let server = builder.start();
    let admin = server.claim();
    let browser = Browser::new();
    let page = browser.open(&format!("{url}/auth/login?backend=corp"));
    assert_eq!(page.status, 503, "{page:?}");
    assert!(page.text.contains("unavailable"), "{page:?}");
    admin.get("/v1/me").expect(200);
    server.login("admin", omnigent_tests::PASSWORD);
    let ready = || server.client().get("/healthz/ready").json();
    assert!(
        (0..150).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            ready()["status"] == "degraded"
        }),
        "{}",
        ready()
    );
    let chooser = browser.open(&format!("{url}/auth/login")).text;
    assert!(chooser.contains("not available right now"), "{chooser}");
    idp.come_up();
    assert!(
        (0..300).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(100));
            ready()["status"] == "ok"
        }),
        "it heals by itself: {}",
        ready()
    );
    let form = browser.open(&format!("{url}/auth/login?backend=corp&return_to=/v1/me"));
    me(&browser.submit(&form, &[("login", "ada")]));
    // Down between the way there and the way back.
    let other = Browser::new();
    let back = almost_back(&other, &server, "bob");
    idp.go_down();
    let page = other.step("GET", &back, None, "cross-site");
    assert!([502, 503].contains(&page.status), "{page:?}");
    assert!(token(&other, &server).is_none());
}

#[test]
fn a_thousand_people_are_carried_over_from_passwords_to_the_provider() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let name = |i: usize| format!("p{i}@example.com");
    let people: serde_json::Map<_, _> = (0..1000)
        .map(|i| {
            (
                format!("p{i}"),
                json!({"email": name(i), "email_verified": true}),
            )
        })
        .collect();
    let idp = Idp::start(&url, Value::Object(people));
    let local =
        "[backend.local]\nplugin = \"accounts\"\n[passwords]\nmemory = \"7MiB\"\niterations = 1\n";
    let accounts =
        |backends: &str| relying_on(&idp.issuer, port, "", local).replacing("[\"corp\"]", backends);
    let server = accounts("[\"local\"]").start();
    let admin = server.claim();
    for i in 0..1000 {
        let body = json!({"id": name(i), "password": omnigent_tests::PASSWORD});
        admin.post("/auth/users", body).expect(201);
    }
    let chosen = [0, 1, 499, 500, 998, 999];
    let agent = admin.get("/v1/agents").json()["data"][0]["id"].clone();
    let before: Vec<_> = chosen
        .iter()
        .map(|i| {
            let client = server.login(&name(*i), omnigent_tests::PASSWORD);
            let session = client
                .post("/v1/sessions", json!({"agent_id": agent}))
                .expect(201)
                .json();
            let made = client.post("/auth/tokens", json!({"name": "ci", "scope": "sessions"}));
            let token = made.expect(201).json()["token"]
                .as_str()
                .expect("a token")
                .to_owned();
            let created_at = client.get("/auth/me").expect(200).json()["created_at"].clone();
            (session["id"].clone(), token, created_at)
        })
        .collect();

    let (code, shown, _) = server.operator(&[
        "account", "migrate", "--from", "local", "--to", "corp", "--match", "email",
    ]);
    assert_eq!(code, 0, "{shown}");
    assert!(
        shown.contains("1000 of 1001 accounts carried over"),
        "{shown}"
    );
    let new = server.configuration().replace("[\"local\"]", "[\"corp\"]");
    std::fs::write(server.dir.path().join("new.toml"), &new).expect("written");
    let (code, plan, _) = server.operator(&["config", "plan", "new.toml", "--json"]);
    let plan: Value = serde_json::from_str(&plan).expect("JSON");
    assert_eq!(code, 1, "the admin has no address");
    let count = |part: &str| plan[part].as_array().map(Vec::len);
    assert_eq!((count("keeps"), count("loses")), (Some(1000), Some(1)));
    server.reconfigure(&new);
    assert_eq!(server.operator(&["config", "reload"]).0, 0);

    for (i, (session, token, created_at)) in chosen.iter().zip(before) {
        let browser = Browser::new();
        assert_eq!(
            me(&sign_in(&browser, &server, &format!("p{i}")))["user_id"],
            json!(name(*i))
        );
        let client = server
            .client()
            .bearer(&self::token(&browser, &server).expect("a cookie"));
        for client in [&client, &server.client().bearer(&token)] {
            let list = client.get("/v1/sessions").expect(200).json();
            assert_eq!(list["data"][0]["id"], session);
        }
        assert_eq!(
            client.get("/auth/me").expect(200).json()["created_at"],
            created_at
        );
    }
}
