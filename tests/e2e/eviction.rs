//! Whoever is thrown out stays out: by nothing they have under way, nor by anything they made before
//! (CONTRACT section 2, THREATS J10).

use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering},
};

use omnigent_tests::{Answer, Client, PASSWORD, Server, ServerBuilder, browser::hidden};
use serde_json::{Value, json};

const OTHER: &str = "another-Orchid-78-lantern";

/// What ends all that acts for `name`: by their own client, by an admin's.
type End = fn(&str, &Client, &Client);

const ENDS: [(&str, End); 4] = [
    ("change", |_, own, _| {
        let body = json!({"old_password": PASSWORD, "new_password": OTHER});
        own.post("/auth/users/me/password", body).expect(204);
    }),
    ("reset", |name, _, admin| {
        let path = format!("/auth/users/{name}/reset");
        admin.post(&path, json!({})).expect(200);
    }),
    ("disable", |name, _, admin| {
        let path = format!("/auth/users/{name}");
        admin.patch(&path, json!({"disabled": true})).expect(200);
        admin.patch(&path, json!({"disabled": false})).expect(200);
    }),
    ("others", |_, own, _| {
        own.delete("/auth/logins").expect(204);
    }),
];

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn cookie(answer: &Answer) -> String {
    let cookies = answer.headers.get_all("set-cookie").iter();
    let mut pairs = cookies.filter_map(|line| line.to_str().ok()?.split(';').next());
    let session = pairs.find(|pair| pair.starts_with("ap_session="));
    session.expect("a session cookie").to_owned()
}

fn sign_in(server: &Server, name: &str) -> Answer {
    let body = json!({"username": name, "password": PASSWORD, "client_id": "omnigent-cli"});
    server.client().post("/auth/login", body)
}

/// What a login left behind to come back by.
struct Left {
    device_code: String,
    ticket: String,
    link: String,
}

impl Left {
    fn by(server: &Server, name: &str) -> Self {
        let asked = server
            .client()
            .post("/oauth/device/authorize", json!({"client_id": "tv"}));
        let asked = asked.expect(200).json();
        let opened = server.client().post("/auth/cli-login", json!({}));
        let opened = opened.expect(200).json();
        let cookie = cookie(&sign_in(server, name).expect(200));
        let browser = server.client().with("cookie", &cookie);
        let browser = browser.with("origin", &server.url);
        let code = [("user_code", text(&asked["user_code"]))];
        browser.form("/oauth/device/approve", &code).expect(200);
        let page = browser.get(text(&opened["login_url"])).expect(200).text;
        let fields = [
            ("form_token", &*hidden(&page, "form_token")),
            ("ticket", &*hidden(&page, "ticket")),
            ("decision", "approve"),
        ];
        browser.form("/auth/cli-login/decide", &fields).expect(200);
        let link = browser.post("/auth/magic", json!({})).expect(200).json();
        let link = text(&link["redeem_url"]);
        Self {
            device_code: text(&asked["device_code"]).to_owned(),
            ticket: text(&opened["ticket"]).to_owned(),
            link: link.strip_prefix(&server.url).expect("ours").to_owned(),
        }
    }

    /// Whether each of them still leads to a login.
    fn lead_in(&self, server: &Server) -> [bool; 3] {
        let client = server.client();
        let device = client.form(
            "/oauth/token",
            &[
                ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
                ("device_code", &self.device_code),
                ("client_id", "tv"),
            ],
        );
        let ticket = client.get(&format!("/auth/cli-poll?ticket={}", self.ticket));
        let link = client.get(&self.link);
        if device.status != 200 {
            assert_eq!(device.json()["error"], "access_denied");
            assert_eq!(ticket.status, 410, "{ticket:?}");
            assert_eq!(link.header("location"), Some("/login?magic=expired"));
        }
        [
            device.status == 200,
            ticket.status == 200,
            link.header("location") == Some("/"),
        ]
    }
}

#[test]
fn what_was_made_or_approved_before_leads_nobody_back() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    server.join(&admin, "bystander");
    let bystander = Left::by(&server, "bystander");
    for (name, end) in ENDS {
        let own = server.join(&admin, name);
        let left = Left::by(&server, name);
        end(name, &own, &admin);
        assert_eq!(left.lead_in(&server), [false; 3], "{name}");
    }
    assert_eq!(
        bystander.lead_in(&server),
        [true; 3],
        "nobody else is thrown out"
    );
}

#[test]
fn a_sign_in_under_way_with_the_old_password_comes_too_late() {
    let server = ServerBuilder::accounts()
        .replacing("\"7MiB\"", "\"32MiB\"")
        .replacing("iterations = 1", "iterations = 3")
        .also("[throttle]\naccount_failures = 1000\naddress_failures = 1000\nstranger_failures = 1000")
        .start();
    let admin = server.claim();
    for (name, end) in &ENDS[..2] {
        let own = server.join(&admin, name);
        let (got_in, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        let answer = sign_in(&server, name);
                        if answer.status == 200 {
                            got_in.lock().expect("a list").push(answer.json());
                        }
                    }
                });
            }
            while got_in.lock().expect("a list").len() < 8 {
                std::thread::yield_now();
            }
            end(name, &own, &admin);
            is_over.store(true, Ordering::Relaxed);
        });
        for login in got_in.into_inner().expect("a list") {
            let client = server.client().bearer(text(&login["token"]));
            client.get("/v1/me").expect(401);
            let fields = [
                ("grant_type", "refresh_token"),
                ("refresh_token", text(&login["refresh_token"])),
            ];
            server.client().form("/oauth/token", &fields).expect(400);
        }
    }
}
