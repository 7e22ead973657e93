//! The pages below `/settings` and `/admin` in a browser without JavaScript: who gets in, what a form
//! needs, what is done (THREATS sections 5 and 6).

use http::Method;
use omnigent_server::http::{Access, routes};
use omnigent_tests::{
    Client, PASSWORD, Server, ServerBuilder,
    browser::{Browser, Page, hidden},
};
use serde_json::json;

/// A browser in which `name` is signed in.
fn signed_in(server: &Server, name: &str) -> Browser {
    let browser = Browser::new();
    let page = browser.open(&format!("{}/login", server.url));
    let home = browser.submit(&page, &[("username", name), ("password", PASSWORD)]);
    assert!(home.text.contains(&format!("as {name}")), "{home:?}");
    browser
}

fn open(server: &Server, browser: &Browser, path: &str) -> Page {
    browser.open(&format!("{}{path}", server.url))
}

fn claimed() -> Server {
    let server = ServerBuilder::accounts().start();
    server.claim();
    server
}

/// What the browser would send, as a client to which anything can be added.
fn client_of(server: &Server, browser: &Browser) -> Client {
    let session = browser.cookies(&server.url)["ap_session"].clone();
    server
        .client()
        .with("cookie", &format!("ap_session={session}"))
}

/// The paths of pages and forms behind a sign-in, with ids nobody has.
fn pages(method: &Method) -> Vec<String> {
    let is_page = |path: &str| {
        ["/settings/", "/admin/", "/logout", "/auth/cli-login/decide"]
            .iter()
            .any(|start| path.starts_with(start))
    };
    let nobody = |part: &str| match part.strip_prefix('{') {
        Some(_) => "0123456789abcdef0123456789abcdef".to_owned(),
        None => part.to_owned(),
    };
    let routes = routes();
    let found = routes
        .iter()
        .filter(|route| route.method == *method && is_page(route.path))
        .filter(|route| route.access != Access::Public);
    found
        .map(|route| {
            route
                .path
                .split('/')
                .map(nobody)
                .collect::<Vec<_>>()
                .join("/")
        })
        .collect()
}

#[test]
fn strangers_are_shown_the_way_in_and_come_back() {
    let server = claimed();
    let paths = pages(&Method::GET);
    assert!(paths.len() >= 14, "{paths:?}");
    for path in paths {
        let answer = server.client().get(&path).expect(302);
        let to = answer.header("location").unwrap_or_default();
        assert_eq!(to, format!("/login?return_to={path}"));
    }
    let browser = Browser::new();
    let page = open(&server, &browser, "/settings/logins");
    let page = browser.submit(&page, &[("username", "admin"), ("password", PASSWORD)]);
    assert!(page.url.ends_with("/settings/logins"), "{page:?}");
    assert!(page.text.contains("this device"), "{page:?}");
}

#[test]
fn a_form_is_taken_only_from_its_own_login() {
    let server = claimed();
    let (browser, other) = (signed_in(&server, "admin"), signed_in(&server, "admin"));
    let token = hidden(
        &open(&server, &browser, "/settings/logins").text,
        "form_token",
    );
    let foreign = hidden(
        &open(&server, &other, "/settings/logins").text,
        "form_token",
    );
    assert_ne!(token, foreign);
    let client = client_of(&server, &browser);
    let own = client.with("origin", &server.url);
    let paths = pages(&Method::POST);
    assert!(paths.len() >= 14, "{paths:?}");
    for path in &paths {
        server.client().form(path, &[]).expect(401);
        let no_token = own.form(path, &[]).expect(403);
        assert!(
            no_token.text.contains("this form is not from this sign-in"),
            "{path}: {no_token:?}"
        );
        let id = no_token.header("x-request-id").unwrap_or_default();
        assert!(id.len() == 32 && no_token.text.contains(id), "{no_token:?}");
        let mut altered = token.clone().into_bytes();
        altered[0] ^= 1;
        let altered = String::from_utf8_lossy(&altered).into_owned();
        for wrong in [&foreign, "", "x", &"A".repeat(43), &altered] {
            own.form(path, &[("form_token", wrong)]).expect(403);
        }
        let right = [("form_token", token.as_str())];
        client.form(path, &right).expect(403);
        let evil = client.with("origin", "https://evil.example");
        evil.form(path, &right).expect(403);
        let framed = client.with("sec-fetch-site", "cross-site");
        framed.form(path, &right).expect(403);
        let json = own.send("POST", path, Some("application/json"), "{}");
        assert_eq!(json.status, 415, "{path}");
    }
    let me = open(&server, &browser, "/settings/logins");
    assert_eq!(me.status, 200, "nothing has come of all that");
}

#[test]
fn a_token_is_shown_once_works_at_once_and_is_refused_at_once() {
    let server = claimed();
    let browser = signed_in(&server, "admin");
    let page = open(&server, &browser, "/settings/tokens/new");
    let form = "/settings/tokens/new";
    for bad in [
        &[("name", "")][..],
        &[("name", "ci"), ("expires", "0")],
        &[("name", "ci"), ("expires", "30"), ("access", "chosen")],
        &[("name", "ci"), ("expires", "30"), ("access", "")],
    ] {
        let refused = browser.submit_to(&page, form, bad);
        assert!(
            refused.status == 400 && refused.text.contains("role=\"alert\""),
            "{refused:?}"
        );
    }
    let made = browser.submit_to(&page, form, &[("name", "<ci>"), ("expires", "30")]);
    assert_eq!(made.status, 200, "{made:?}");
    assert_eq!(made.headers["cache-control"], "no-store");
    let (_, rest) = made.text.split_once("id=\"token\"").expect("the token");
    let (_, rest) = rest.split_once('>').expect("the token");
    let token = rest.split('<').next().unwrap_or_default();
    let ci = server.client().bearer(token);
    ci.get("/v1/me").expect(200);
    // A program's token opens no page, not even as a cookie.
    for path in pages(&Method::GET) {
        let status = ci.get(&path).status;
        assert!([401, 403].contains(&status), "{path}: {status}");
        let cookie = server
            .client()
            .with("cookie", &format!("ap_session={token}"));
        let status = cookie.get(&path).status;
        assert!([302, 403].contains(&status), "{path}: {status}");
    }
    let list = open(&server, &browser, "/settings/tokens");
    assert!(
        list.text.contains("&#60;ci&#62;") && !list.text.contains(token),
        "{list:?}"
    );
    let (_, rest) = list
        .text
        .split_once("href=\"/settings/tokens/")
        .expect("a link");
    let rest = rest
        .split_once("href=\"/settings/tokens/")
        .map_or(rest, |(_, rest)| rest);
    let id = rest.split('/').next().unwrap_or_default().to_owned();
    assert_eq!(id.len(), 32, "{id}");

    // Nobody else's hands reach it.
    server.join(&server.login("admin", PASSWORD), "bob");
    let bob = signed_in(&server, "bob");
    let theirs = open(&server, &bob, "/settings/tokens/new");
    assert!(!theirs.text.contains("scope_admin"), "bob is no admin");
    let bobs = hidden(&theirs.text, "form_token");
    let bob_client = client_of(&server, &bob).with("origin", &server.url);
    for act in ["rotate", "revoke"] {
        let path = format!("/settings/tokens/{id}/{act}");
        assert_eq!(open(&server, &bob, &path).status, 404);
        let fields = [("form_token", bobs.as_str()), ("overlap", "0")];
        bob_client.form(&path, &fields).expect(404);
    }
    let tries = [
        ("form_token", bobs.as_str()),
        ("name", "x"),
        ("expires", "30"),
        ("access", "chosen"),
        ("scope_admin", "on"),
    ];
    bob_client.form(form, &tries).expect(403);

    ci.get("/v1/me").expect(200);
    let ask = open(&server, &browser, &format!("/settings/tokens/{id}/revoke"));
    assert!(ask.text.contains("cannot be undone"), "{ask:?}");
    let done = browser.submit_to(&ask, &format!("/settings/tokens/{id}/revoke"), &[]);
    assert!(done.text.contains("it is refused from now on"), "{done:?}");
    ci.get("/v1/me").expect(401);
    let server = server.kill_and_restart();
    server.client().bearer(token).get("/v1/me").expect(401);
}

#[test]
fn a_login_ends_for_its_owner_only() {
    let server = claimed();
    server.join(&server.login("admin", PASSWORD), "bob");
    let (laptop, desk) = (signed_in(&server, "admin"), signed_in(&server, "admin"));
    let list = open(&server, &desk, "/settings/logins");
    let (_, rest) = list
        .text
        .split_once("action=\"/settings/logins/")
        .expect("a form");
    let rest = if rest.starts_with("end-others") {
        rest.split_once("action=\"/settings/logins/")
            .expect("another form")
            .1
    } else {
        rest
    };
    let id = rest.split('/').next().unwrap_or_default().to_owned();
    let action = format!("/settings/logins/{id}/end");
    let bob = signed_in(&server, "bob");
    let bobs = hidden(&open(&server, &bob, "/settings/logins").text, "form_token");
    let bob_client = client_of(&server, &bob).with("origin", &server.url);
    bob_client
        .form(&action, &[("form_token", &bobs)])
        .expect(404);
    let ended = desk.submit_to(&list, &action, &[]);
    assert!(ended.text.contains("The login is ended."), "{ended:?}");
    let all = desk.submit_to(&list, "/settings/logins/end-others", &[]);
    assert!(all.text.contains("All other logins are ended."), "{all:?}");
    assert!(
        open(&server, &laptop, "/settings/logins")
            .url
            .contains("/login?")
    );
    assert_eq!(open(&server, &desk, "/settings/logins").status, 200);
    let out = desk.submit_to(&all, "/logout", &[]);
    assert!(out.text.contains("You are not signed in"), "{out:?}");
    assert!(!desk.cookies(&server.url).contains_key("ap_session"));
}

#[test]
fn a_password_is_changed_by_whoever_knows_it() {
    let server = claimed();
    let (desk, laptop) = (signed_in(&server, "admin"), signed_in(&server, "admin"));
    let page = open(&server, &desk, "/settings/password");
    let new = "maple-Cobalt-12-harbour";
    let change = |old: &str, new: &str, again: &str| {
        let fields = [
            ("old_password", old),
            ("new_password", new),
            ("again", again),
        ];
        desk.submit_to(&page, "/settings/password", &fields)
    };
    let wrong = change("not-the-password", new, new);
    assert!(
        wrong.status == 403 && wrong.text.contains("Old password incorrect."),
        "{wrong:?}"
    );
    assert!(!wrong.text.contains(new), "what was typed is not sent back");
    assert_eq!(change(PASSWORD, new, "another-one-entirely").status, 400);
    assert_eq!(change(PASSWORD, "short", "short").status, 400);
    let weak = change(PASSWORD, "password", "password");
    assert!(
        weak.status == 400 && weak.text.contains("too easy to guess"),
        "{weak:?}"
    );
    let done = change(PASSWORD, new, new);
    assert!(done.text.contains("Your password is changed"), "{done:?}");
    assert!(
        open(&server, &laptop, "/settings/password")
            .url
            .contains("/login?")
    );
    server.login("admin", new);
}

#[test]
fn admins_pages_are_for_admins_and_do_what_they_say() {
    let server = claimed();
    let admin = signed_in(&server, "admin");
    let page = open(&server, &admin, "/admin/invite");
    let shown = admin.submit_to(&page, "/admin/invite", &[]);
    let (_, rest) = shown.text.split_once("/register?invite=").expect("a link");
    let invite: String = rest.chars().take(43).collect();
    let bob = Browser::new();
    let form = open(&server, &bob, &format!("/register?invite={invite}"));
    let home = bob.submit(&form, &[("username", "bob"), ("password", PASSWORD)]);
    assert!(home.text.contains("as bob."), "{home:?}");
    assert!(!home.text.contains("/admin/"), "{home:?}");
    for path in pages(&Method::GET) {
        let page = open(&server, &bob, &path);
        if path.starts_with("/admin") {
            assert!(
                page.status == 403 && page.text.contains("admin only"),
                "{page:?}"
            );
        }
    }
    let token = hidden(&home.text, "form_token");
    let client = client_of(&server, &bob).with("origin", &server.url);
    for path in pages(&Method::POST) {
        if path.starts_with("/admin") {
            client.form(&path, &[("form_token", &token)]).expect(403);
        }
    }

    let person = open(&server, &admin, "/admin/people/bob");
    let change = "/admin/people/bob/change";
    let done = admin.submit_to(&person, change, &[]);
    assert!(done.text.contains("Now an admin."), "{done:?}");
    assert_eq!(open(&server, &bob, "/admin/people").status, 200);
    let done = admin.submit_to(&person, change, &[("is_admin", "false")]);
    assert!(done.text.contains("No longer an admin."), "{done:?}");
    let own = open(&server, &admin, "/admin/people/admin");
    let last = admin.submit_to(&own, "/admin/people/admin/change", &[]);
    assert!(
        last.status == 400 && last.text.contains("last admin"),
        "{last:?}"
    );
    let ask = open(&server, &admin, "/admin/people/bob/reset");
    let reset = admin.submit_to(&ask, "/admin/people/bob/reset", &[]);
    let (_, rest) = reset
        .text
        .split_once("aria-label=\"New password\">")
        .expect("a password");
    let password = rest.split('<').next().unwrap_or_default();
    server.login("bob", password);
    assert!(
        open(&server, &bob, "/settings/logins")
            .url
            .contains("/login?")
    );
    let ask = open(&server, &admin, "/admin/people/bob/delete");
    let done = admin.submit_to(&ask, "/admin/people/bob/delete", &[]);
    assert!(done.text.contains("The account is deleted"), "{done:?}");
    assert_eq!(open(&server, &admin, "/admin/people/bob").status, 404);
}

#[test]
fn many_people_are_listed_page_by_page() {
    let server = claimed();
    let admin = server.login("admin", PASSWORD);
    for i in 0..60 {
        admin
            .post("/auth/users", json!({"id": format!("p{i:02}")}))
            .expect(201);
    }
    let browser = signed_in(&server, "admin");
    let first = open(&server, &browser, "/admin/people");
    assert!(first.text.contains("/admin/people/p48\""), "{first:?}");
    assert!(!first.text.contains("/admin/people/p49\""), "{first:?}");
    let next = open(&server, &browser, "/admin/people?after=p48");
    assert!(
        next.text.contains("/admin/people/p59\"") && !next.text.contains("after="),
        "{next:?}"
    );
}

#[test]
fn configuration_and_backends_are_shown_without_secrets() {
    let secret = "9689d9b98e17c2f3b6d73c60f988157aeb5ac113cdbfbc1036ae9282b4fa460f";
    let server = ServerBuilder::accounts()
        .replacing("backends = [\"local\"]", "backends = [\"local\", \"gone\"]")
        .also(&format!(
            "[tokens]\nsecret = \"{secret}\"\n[backend.gone]\nplugin = \"nowhere\"\n\
             required = false\nbind_password = \"hush-hush\""
        ))
        .start();
    server.claim();
    let browser = signed_in(&server, "admin");
    let page = open(&server, &browser, "/admin/config");
    assert!(
        page.text.contains("access_ttl") && page.text.contains("[backend.gone]"),
        "{page:?}"
    );
    assert!(
        !page.text.contains(secret) && !page.text.contains("hush-hush"),
        "{page:?}"
    );
    assert!(page.text.contains("set, not shown"), "{page:?}");
    let page = open(&server, &browser, "/admin/backends");
    assert!(
        page.text.contains("not loaded") && page.text.contains("No such file"),
        "{page:?}"
    );
    assert!(!page.text.contains("hush-hush"), "{page:?}");
}

#[test]
fn people_who_come_through_a_proxy_have_the_settings_that_make_sense() {
    let server = ServerBuilder::no_auth()
        .config(
            "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[auth]\nbackends = [\"proxy\"]\n\
             [backend.proxy]\nplugin = \"header\"\n",
        )
        .start();
    let ada = server.client().with("x-forwarded-email", "ada@example.com");
    let home = ada.get("/").expect(200);
    assert!(
        home.text.contains("as ada@example.com") && !home.text.contains("/logout"),
        "{home:?}"
    );
    assert!(!home.text.contains("/settings/password"), "{home:?}");
    ada.get("/settings/password").expect(404);
    ada.get("/settings/logins").expect(200);
    let page = ada.get("/settings/tokens/new").expect(200);
    let token = hidden(&page.text, "form_token");
    let fields = [
        ("form_token", token.as_str()),
        ("name", "ci"),
        ("expires", "30"),
        ("access", "all"),
    ];
    ada.form("/settings/tokens/new", &fields).expect(403);
    let ada = ada.with("origin", &server.url);
    let bob = server
        .client()
        .with("origin", &server.url)
        .with("x-forwarded-email", "bob@example.com");
    bob.get("/v1/me").expect(200);
    bob.form("/settings/tokens/new", &fields).expect(403);
    let made = ada.form("/settings/tokens/new", &fields).expect(200);
    assert!(made.text.contains("curl -H"), "{made:?}");
    let stranger = server.client().get("/settings/tokens").expect(302);
    let to = stranger.header("location").unwrap_or_default().to_owned();
    server.client().get(&to).expect(401);
}

#[test]
fn without_authentication_every_page_says_so() {
    let server = ServerBuilder::no_auth().start();
    for path in [
        "/",
        "/admin/people",
        "/admin/backends",
        "/admin/config",
        "/settings/tokens",
    ] {
        let page = server.client().get(path).expect(200);
        assert!(
            page.text.contains("Authentication is off"),
            "{path}: {page:?}"
        );
    }
    let lost = server
        .client()
        .with("accept", "text/html")
        .get("/no/such/page");
    assert!(lost.expect(404).text.contains("Authentication is off"));
}

#[test]
fn errors_are_pages_for_people_and_json_for_programs() {
    let server = claimed();
    let person = server.client().with("accept", "text/html");
    let page = person.get("/no/such/page").expect(404);
    let id = page.header("x-request-id").unwrap_or_default();
    assert!(
        page.text.contains(id) && page.text.contains("There is nothing here"),
        "{page:?}"
    );
    assert!(page.header("content-security-policy").is_some());
    let json = server.client().get("/no/such/page").expect(404).json();
    assert_eq!(json, json!({"detail": "Not Found"}));
    let api = person.get("/v1/sessions").expect(401).json();
    assert_eq!(api["error"]["code"], "unauthorized");
}
