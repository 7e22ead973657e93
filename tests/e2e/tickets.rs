//! Signing in a command line through a browser (CONTRACT section 6, THREATS O13, A5).

use omnigent_tests::{Answer, Client, PASSWORD, Server, ServerBuilder, browser::hidden};
use serde_json::{Value, json};

fn opened(server: &Server) -> Value {
    server
        .client()
        .send("POST", "/auth/cli-login", None, "")
        .expect(200)
        .json()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn poll(server: &Server, ticket: &Value) -> Answer {
    let path = format!("/auth/cli-poll?ticket={}", text(&ticket["ticket"]));
    server.client().get(&path)
}

fn cookie(answer: &Answer) -> String {
    let cookies = answer.headers.get_all("set-cookie").iter();
    let pairs = cookies.filter_map(|line| line.to_str().ok()?.split(';').next());
    let session = pairs
        .into_iter()
        .find(|pair| pair.starts_with("ap_session="));
    session.expect("a session cookie").to_owned()
}

/// Signs in on the page the ticket leads to: the page that asks for confirmation, and the browser.
fn signed_in(server: &Server, ticket: &Value) -> (String, Client) {
    let page = server
        .client()
        .get(text(&ticket["login_url"]))
        .expect(200)
        .text;
    let fields = [
        ("conversation", hidden(&page, "conversation")),
        ("ticket", hidden(&page, "ticket")),
        ("username", "admin".to_owned()),
        ("password", PASSWORD.to_owned()),
    ];
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let browser = server.client().with("origin", &server.url);
    let answer = browser.form("/login", &fields).expect(200);
    let browser = browser.with("cookie", &cookie(&answer));
    (answer.text, browser)
}

fn decide(browser: &Client, ticket: &Value, decision: &str) -> Answer {
    let url = text(&ticket["login_url"]);
    let (_, code) = url.split_once("ticket=").expect("a code");
    // Any page of this login has its form token.
    let page = browser.get("/settings/logins").text;
    let token = page
        .contains("form_token")
        .then(|| hidden(&page, "form_token"));
    let token = token.unwrap_or_default();
    browser.form(
        "/auth/cli-login/decide",
        &[
            ("ticket", code),
            ("decision", decision),
            ("form_token", &token),
        ],
    )
}

fn claimed() -> Server {
    let server = ServerBuilder::accounts().start();
    server.claim();
    server
}

#[test]
fn a_command_line_gets_a_login_its_person_approved() {
    let server = claimed();
    let ticket = opened(&server);
    let pending = poll(&server, &ticket).expect(202);
    assert_eq!(pending.json(), json!({"status": "pending"}));
    let (page, browser) = signed_in(&server, &ticket);
    assert!(
        page.contains(text(&ticket["user_code"])) && page.contains("127.0.0.1"),
        "{page}"
    );
    poll(&server, &ticket).expect(202);
    let done = decide(&browser, &ticket, "approve").expect(200).text;
    assert!(done.contains("Login successful"), "{done}");
    let login = poll(&server, &ticket).expect(200).json();
    assert_eq!(login["user_id"], "admin");
    let cli = server.client().bearer(text(&login["token"]));
    cli.get("/v1/sessions").expect(200);
    let refreshed = server.client().form(
        "/oauth/token",
        &[
            ("grant_type", "refresh_token"),
            ("refresh_token", text(&login["refresh_token"])),
        ],
    );
    assert_eq!(refreshed.expect(200).json()["expires_in"], 3600);
    let again = poll(&server, &ticket).expect(410).json();
    assert_eq!(again["error"], "Ticket not found or expired");
}

#[test]
fn who_is_signed_in_already_only_confirms() {
    let server = claimed();
    let (_, browser) = signed_in(&server, &opened(&server));
    let ticket = opened(&server);
    let page = browser.get(text(&ticket["login_url"])).expect(200).text;
    assert!(page.contains(text(&ticket["user_code"])), "{page}");
    decide(&browser, &ticket, "approve").expect(200);
    poll(&server, &ticket).expect(200);
}

#[test]
fn a_denied_ticket_yields_nothing() {
    let server = claimed();
    let ticket = opened(&server);
    let (_, browser) = signed_in(&server, &ticket);
    let denied = decide(&browser, &ticket, "deny").expect(200).text;
    assert!(denied.contains("Denied"), "{denied}");
    poll(&server, &ticket).expect(410);
    decide(&browser, &ticket, "approve").expect(410);
    poll(&server, &ticket).expect(410);
}

#[test]
fn nobody_but_the_person_on_our_page_approves() {
    let server = claimed();
    let ticket = opened(&server);
    let (_, browser) = signed_in(&server, &ticket);
    let stranger = server.client().with("origin", &server.url);
    decide(&stranger, &ticket, "approve").expect(401);
    let no_origin = browser.anonymous().with("cookie", &{
        let login = server.client().post(
            "/auth/login",
            json!({"username": "admin", "password": PASSWORD}),
        );
        cookie(&login.expect(200))
    });
    decide(&no_origin, &ticket, "approve").expect(403);
    decide(
        &no_origin.with("origin", "https://evil.example"),
        &ticket,
        "approve",
    )
    .expect(403);
    let made = server.login("admin", PASSWORD).post(
        "/auth/tokens",
        json!({"name": "ci", "scope": "sessions account admin"}),
    );
    let ci = server
        .client()
        .bearer(text(&made.expect(201).json()["token"]));
    assert!([401, 403].contains(&decide(&ci, &ticket, "approve").status));
    poll(&server, &ticket).expect(202);
    // The link's code polls nothing, and what is polled with opens nothing.
    let code = text(&ticket["login_url"])
        .split_once("ticket=")
        .expect("a code")
        .1
        .to_owned();
    poll(&server, &json!({"ticket": code})).expect(410);
    let url = format!("/auth/login?ticket={}", text(&ticket["ticket"]));
    browser.get(&url).expect(410);
    for bad in ["", "x", "%00", &"a".repeat(5000)] {
        let answer = server.client().get(&format!("/auth/cli-poll?ticket={bad}"));
        assert_eq!(answer.status, 410, "{bad}: {answer:?}");
    }
}

#[test]
fn a_ticket_outlives_kill_9_and_is_redeemed_once() {
    let server = claimed();
    let ticket = opened(&server);
    let server = server.kill_and_restart();
    poll(&server, &ticket).expect(202);
    let (_, browser) = signed_in(&server, &ticket);
    decide(&browser, &ticket, "approve").expect(200);
    let server = server.kill_and_restart();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let polls: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| poll(&server, &ticket).status))
            .collect();
        polls
            .into_iter()
            .map(|poll| poll.join().expect("an answer"))
            .collect()
    });
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        1,
        "{statuses:?}"
    );
    assert!(
        statuses.iter().all(|status| [200, 410].contains(status)),
        "{statuses:?}"
    );
}

#[test]
fn a_flood_of_tickets_stops_at_its_own_network() {
    let server = claimed();
    let first = opened(&server);
    let open = || {
        server
            .client()
            .send("POST", "/auth/cli-login", None, "")
            .status
    };
    let statuses: Vec<_> = (0..40).map(|_| open()).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    poll(&server, &first).expect(202);
}
