//! Brute force and abuse (THREATS P2, P3, A4, T9), through every door.

use omnigent_tests::{Answer, Client, PASSWORD, Server, ServerBuilder};
use serde_json::{Value, json};

/// A server behind a proxy, so that tests come from where they like.
fn server(throttle: &str) -> Server {
    ServerBuilder::accounts()
        .also(&format!(
            "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[throttle]\n{throttle}\n"
        ))
        .start()
}

fn from(server: &Server, address: &str) -> Client {
    server.client().with("x-forwarded-for", address)
}

fn sign_in(client: &Client, name: &str, password: &str) -> Answer {
    let body = json!({"username": name, "password": password});
    client.post("/auth/login", body)
}

/// The statuses of so many wrong passwords, and what the last one said of waiting.
fn guess(client: &Client, name: &str, times: usize) -> (Vec<u16>, Option<u64>) {
    let answers: Vec<_> = (0..times)
        .map(|i| sign_in(client, name, &format!("guess-{i}")))
        .collect();
    let wait = answers.last().and_then(wait);
    (answers.iter().map(|answer| answer.status).collect(), wait)
}

fn wait(answer: &Answer) -> Option<u64> {
    answer.header("retry-after")?.parse().ok()
}

fn devices(answer: &Answer) -> String {
    let cookies = answer.headers.get_all("set-cookie").iter();
    let mut found = cookies
        .filter_map(|line| line.to_str().ok())
        .filter_map(|line| line.strip_prefix("ap_devices="));
    let line = found.next().expect("a mark");
    for attribute in ["HttpOnly", "SameSite=lax", "Path=/", "Max-Age=15552000"] {
        assert!(line.contains(attribute), "{line}");
    }
    format!("ap_devices={}", line.split(';').next().unwrap_or_default())
}

fn held(server: &Server) -> Vec<Value> {
    let (code, out, err) = server.operator(&["throttle", "list", "--json"]);
    assert_eq!(code, 0, "{err}");
    let answer: Value = serde_json::from_str(&out).expect("JSON");
    answer["held"].as_array().cloned().expect("a list")
}

/// Waits that no test sits through.
const SLOW: &str = "account_failures = 3\naccount_wait = \"1h\"";

#[test]
fn who_has_the_name_at_another_backend_guesses_no_more_than_anybody() {
    let builder = ServerBuilder::accounts().replacing("[\"local\"]", "[\"local\", \"file\"]");
    let dir = tempfile::TempDir::new().expect("a folder");
    let people = dir.path().join("people");
    let hash = std::process::Command::new("openssl")
        .args(["passwd", "-6", "file-pass-77"])
        .output()
        .expect("openssl");
    let hash = String::from_utf8_lossy(&hash.stdout);
    std::fs::write(&people, format!("alice:{hash}")).expect("written");
    let server = builder
        .also(&format!(
            "[backend.file]\nplugin = \"htpasswd\"\nfile = {people:?}\n[throttle]\n{SLOW}\n"
        ))
        .start();
    let admin = server.claim();
    for name in ["alice", "bob"] {
        server.join(&admin, name);
    }
    let link = ["account", "link", "bob", "file", "--username", "alice"];
    assert_eq!(server.operator(&link).0, 0);
    // Bob is alice in the file, and guesses at the other one.
    let bob = server.client();
    let sign_in = |client: &Client, backend: &str, password: &str| {
        let body = json!({"username": "alice", "password": password, "backend": backend});
        client.post("/auth/login", body)
    };
    let mark = devices(&sign_in(&bob, "file", "file-pass-77").expect(200));
    let bob = bob.with("cookie", &mark);
    let wrong: Vec<u16> = (0..5)
        .map(|_| {
            sign_in(&bob, "file", "file-pass-77").expect(200);
            sign_in(&bob, "local", "guess").status
        })
        .collect();
    assert_eq!(wrong, [401, 401, 401, 429, 429]);
}

#[test]
fn somebody_who_goes_on_waits_longer_and_hears_nothing_of_the_password() {
    let server = server(SLOW);
    server.claim();
    for name in ["admin", "nobody"] {
        let client = from(&server, "203.0.113.9");
        let (statuses, wait) = guess(&client, name, 6);
        assert_eq!(statuses[..3], [401, 401, 401], "{name}");
        assert!(statuses[3..].iter().all(|s| [401, 429].contains(s)));
        assert!(statuses.contains(&429) && wait.is_some_and(|wait| wait >= 1));
    }
    // The right password is refused like a wrong one.
    let client = from(&server, "203.0.113.9");
    let wrong = sign_in(&client, "admin", "wrong");
    let right = sign_in(&client, "admin", PASSWORD);
    if wrong.status == 429 {
        assert_eq!((right.status, &right.text), (429, &wrong.text));
    }
    sign_in(&from(&server, "203.0.113.10"), "admin", PASSWORD).expect(200);
}

#[test]
fn the_owner_gets_in_while_everybody_tries_their_account() {
    let server = server("stranger_failures = 5\nstranger_wait = \"1h\"\nfailures_in_a_row = 8");
    server.claim();
    let home = from(&server, "198.51.100.1");
    let mark = devices(&sign_in(&home, "admin", PASSWORD).expect(200));
    for i in 1..=40 {
        let answer = sign_in(&from(&server, &format!("20.{i}.0.1")), "Admin", "wrong");
        assert!([401, 429].contains(&answer.status), "{answer:?}");
    }
    let travelling = from(&server, "192.0.2.77");
    sign_in(&travelling, "admin", PASSWORD).expect(429);
    sign_in(&home, "admin", PASSWORD).expect(200);
    let own = travelling.with("cookie", &mark);
    let again = sign_in(&own, "admin", PASSWORD).expect(200);
    assert_eq!(again.headers.get_all("set-cookie").iter().count(), 1);
    // The mark of one account is none of another's, and a changed one is none at all.
    let forged = travelling.with("cookie", &mark.replace('A', "B"));
    sign_in(&forged, "nobody", PASSWORD).expect(401);
}

#[test]
fn parallel_guesses_do_not_overtake_the_count_where_the_owner_signs_in() {
    let server = server(SLOW);
    server.join(&server.claim(), "alice");
    let statuses = |password: &'static str| -> Vec<u16> {
        let client = server.client();
        let one = |_| {
            let client = client.clone();
            std::thread::spawn(move || sign_in(&client, "alice", password).status)
        };
        let all: Vec<_> = (0..40).map(one).collect();
        all.into_iter()
            .map(|one| one.join().expect("it ends"))
            .collect()
    };
    let right = statuses(PASSWORD);
    assert!(right.iter().all(|status| *status == 200), "{right:?}");
    let wrong = statuses("guess");
    let looked_at = wrong.iter().filter(|status| **status == 401).count();
    assert_eq!(looked_at, 3, "{wrong:?}");
}

#[test]
fn a_spray_over_many_accounts_is_held_up_at_its_network_and_the_wider_one() {
    let server = server("address_failures = 5\naddress_wait = \"1h\"");
    server.claim();
    let spray = |address: &str, count: usize| -> Vec<u16> {
        let client = from(&server, address);
        (0..count)
            .map(|i| sign_in(&client, &format!("user{i}"), "Winter2026").status)
            .collect()
    };
    assert_eq!(spray("203.0.113.9", 5), [401; 5]);
    assert!(spray("203.0.113.9", 4).contains(&429));
    // Another address of the same IPv6 /64 is the same network; another /64 of the same /48 is not,
    // until the /48 is used up.
    assert_eq!(spray("2001:db8:1:1::1", 5), [401; 5]);
    assert!(spray("2001:db8:1:1::2", 4).contains(&429));
    for i in 2..5 {
        assert_eq!(spray(&format!("2001:db8:1:{i}::1"), 5), [401; 5]);
    }
    assert!(spray("2001:db8:1:99::1", 4).contains(&429));
    assert_eq!(spray("2001:db8:2:1::1", 1), [401]);
    assert_eq!(spray("::ffff:198.51.100.4", 1), [401]);
}

#[test]
fn every_door_to_a_password_counts() {
    let server = server(SLOW);
    let admin = server.claim();
    let client = from(&server, "203.0.113.9");
    let step = |password: &str| {
        let begun = client.post("/auth/conversations", json!({})).expect(201);
        let id = begun.json()["id"].as_str().expect("an id").to_owned();
        let answers = json!({"answers": {"username": "admin", "password": password}});
        client.post(&format!("/auth/conversations/{id}"), answers)
    };
    let page = |password: &str| {
        let page = client.get("/login").expect(200).text;
        let conversation = omnigent_tests::browser::hidden(&page, "conversation");
        let fields = [
            ("conversation", conversation.as_str()),
            ("username", "ADMIN"),
            ("password", password),
        ];
        client.with("origin", &server.url).form("/login", &fields)
    };
    sign_in(&client, "admin", "wrong").expect(401);
    step("wrong").expect(401);
    page("wrong").expect(401);
    // One's own old password is a guess too, where somebody took over a session.
    let change = || {
        let body = json!({"old_password": "wrong", "new_password": "tidal-Orchid-78-lantern"});
        admin
            .with("x-forwarded-for", "203.0.113.9")
            .post("/auth/users/me/password", body)
            .status
    };
    let statuses: Vec<u16> = (0..4).map(|_| change()).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    let refused = page("wrong");
    assert!([401, 429].contains(&refused.status));
    assert!(held(&server).iter().any(|key| {
        key["scope"] == "pair" && key["account"] == "admin" && key["network"] == "203.0.113.9"
    }));
}

#[test]
fn a_step_that_has_to_wait_can_be_answered_afterwards() {
    let server = server("account_failures = 3\naccount_wait = \"1m\"");
    server.claim();
    let client = from(&server, "203.0.113.9");
    let begun = client.post("/auth/conversations", json!({})).expect(201);
    let path = format!(
        "/auth/conversations/{}",
        begun.json()["id"].as_str().expect("an id")
    );
    let right = json!({"answers": {"username": "admin", "password": PASSWORD}});
    while sign_in(&client, "admin", "wrong").status != 429 {}
    let first = client.post(&path, right.clone());
    if first.status == 429 {
        assert!(wait(&first).is_some_and(|wait| wait >= 1));
        let (code, _, err) = server.operator(&["throttle", "clear", "--account", "admin"]);
        assert_eq!(code, 0, "{err}");
        client.post(&path, right).expect(200);
    }
}

#[test]
fn wrong_codes_count_and_are_counted_apart_from_passwords() {
    let server = server("address_failures = 5\naddress_wait = \"1h\"");
    let admin = server.claim();
    let client = from(&server, "203.0.113.9");
    let register = |invite: &str| {
        let body = json!({"invite": invite, "username": "eve", "password": PASSWORD});
        client.post("/auth/register", body).status
    };
    assert_eq!([register("a"), register("b")], [400, 400]);
    let redeem = |link: &str| client.get(&format!("/auth/magic/redeem?t={link}")).status;
    assert_eq!([redeem("a"), redeem("b"), redeem("c")], [302, 302, 302]);
    let statuses: Vec<u16> = (0..3).map(|_| redeem("d")).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
    sign_in(&client, "admin", PASSWORD).expect(200);
    let link = admin.post("/auth/magic", json!({})).expect(200).json();
    let path = link["redeem_url"].as_str().expect("a link");
    let path = path.strip_prefix(&server.url).unwrap_or(path);
    from(&server, "203.0.114.9").get(path).expect(302);
}

#[test]
fn a_network_begins_and_registers_only_so_much() {
    let server = server("begun_per_minute = 4\nregistered_per_hour = 2");
    let admin = server.claim();
    let client = from(&server, "203.0.113.9");
    let begin = || client.post("/auth/conversations", json!({})).status;
    let ticket = || client.post("/auth/cli-login", json!({})).status;
    let device = || client.post("/oauth/device/authorize", json!({}));
    assert_eq!([begin(), ticket(), begin()], [201, 200, 201]);
    device().expect(200);
    let refused = device().expect(429);
    assert_eq!(refused.json()["error"], "slow_down");
    assert!(wait(&refused).is_some_and(|wait| (1..=15).contains(&wait)));
    assert_eq!([begin(), ticket()], [429, 429]);
    let polled = client.get("/auth/cli-poll?ticket=unknown");
    assert_eq!(polled.status, 410, "never 429");
    let page = client.with("accept", "text/html").get("/login").expect(429);
    assert!(page.text.contains("<html") && wait(&page).is_some());

    let register = |name: &str| {
        let invite = admin.post("/auth/invite", json!({})).expect(200).json();
        let body = json!({"invite": invite["token"], "username": name, "password": PASSWORD});
        client.post("/auth/register", body).status
    };
    assert_eq!(
        [register("a1"), register("a2"), register("a3")],
        [200, 200, 429]
    );
    let elsewhere = from(&server, "203.0.114.9");
    elsewhere.post("/auth/conversations", json!({})).expect(201);
}

#[test]
fn whoever_has_no_credential_writes_only_so_much_and_others_go_on() {
    let server = server("writes_per_minute = 20");
    let admin = server.claim().with("x-forwarded-for", "203.0.113.9");
    let client = from(&server, "203.0.113.9");
    let refresh = || {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", "junk")];
        client.form("/oauth/token", &fields)
    };
    let answers: Vec<_> = (0..24).map(|_| refresh()).collect();
    let refused = answers.iter().find(|answer| answer.status == 429);
    let refused = refused.expect("a limit");
    assert_eq!(refused.json()["error"], "slow_down");
    client.get("/auth/cli-poll?ticket=unknown").expect(410);
    admin.post("/auth/magic", json!({})).expect(200);
    sign_in(&from(&server, "203.0.114.9"), "admin", PASSWORD).expect(200);
}

#[test]
fn a_policy_that_admits_nobody_is_no_wrong_password() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = folder.path().join("people");
    let made = std::process::Command::new("htpasswd")
        .args(["-nbB", "-C", "4", "ada", "ada-pass-77"])
        .output()
        .expect("htpasswd");
    std::fs::write(&people, made.stdout).expect("written");
    let server = ServerBuilder::accounts()
        .replacing("backends = [\"local\"]", "backends = [\"local\", \"file\"]")
        .also(&format!(
            "[backend.file]\nplugin = \"htpasswd\"\nfile = {people:?}\naccounts = \"existing\"\n\
             [throttle]\n{SLOW}"
        ))
        .start();
    let admin = server.claim();
    let statuses = |name: &str, password: &str| -> Vec<u16> {
        let client = server.client();
        (0..6)
            .map(|_| sign_in(&client, name, password).status)
            .collect()
    };
    assert_eq!(statuses("ada", "ada-pass-77"), [403; 6]);
    // A disabled account is told like a wrong password, and counted like one.
    server.join(&admin, "bob");
    admin
        .patch("/auth/users/bob", json!({"disabled": true}))
        .expect(200);
    let told = statuses("bob", PASSWORD);
    assert_eq!(told[..3], [401, 401, 401]);
    assert!(told.contains(&429), "{told:?}");
}

#[test]
fn the_operator_sees_who_waits_and_lets_them_go() {
    let server = server(SLOW);
    server.claim();
    let client = from(&server, "203.0.113.9");
    let (statuses, _) = guess(&client, "admin", 8);
    assert!(statuses.contains(&429));
    let rows = held(&server);
    let row = rows.iter().find(|row| row["scope"] == "pair").expect("it");
    assert_eq!(
        (&row["class"], &row["account"]),
        (&json!("sign-in"), &json!("admin"))
    );
    let (code, out, _) = server.operator(&["throttle", "list"]);
    assert!(code == 0 && out.contains("203.0.113.9"), "{out}");
    let (code, out, _) = server.operator(&["throttle", "clear", "--network", "203.0.113.9"]);
    assert!(code == 0 && out.starts_with("cleared: "), "{out}");
    assert!(held(&server).is_empty());
    sign_in(&client, "admin", PASSWORD).expect(200);
    let (code, _, err) = server.operator(&["throttle", "clear", "--network", "nowhere"]);
    assert!(code != 0 && err.contains("not an address"), "{err}");
    let (code, _, _) = server.operator(&["throttle", "clear"]);
    assert_eq!(code, 2);
}

#[test]
fn who_waits_goes_on_waiting_after_a_reload_and_strangers_after_a_restart() {
    let config = "stranger_failures = 4\nstranger_wait = \"1h\"\nfailures_in_a_row = 4";
    let server = server(config);
    server.claim();
    for i in 1..=4 {
        sign_in(&from(&server, &format!("20.{i}.0.1")), "admin", "wrong").expect(401);
    }
    let stranger = |server: &Server| {
        let answer = sign_in(&from(server, "20.99.0.1"), "admin", PASSWORD);
        (answer.status, wait(&answer).unwrap_or(0))
    };
    let (status, seconds) = stranger(&server);
    assert!(status == 429 && seconds > 80_000, "a day: {seconds}");
    server.reconfigure(&server.configuration().replace("\"1h\"", "\"2h\""));
    let (code, _, err) = server.operator(&["config", "reload"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(stranger(&server).0, 429);
    let server = server.stop().1.start();
    assert_eq!(stranger(&server).0, 429);
    let (code, _, err) = server.operator(&["throttle", "clear", "--account", "admin"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(stranger(&server).0, 200);
}

#[test]
fn a_sign_in_link_that_a_page_leads_to_has_to_be_meant() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let link = || {
        let link = admin.post("/auth/magic", json!({})).expect(200).json();
        let url = link["redeem_url"].as_str().expect("a link").to_owned();
        url.strip_prefix(&server.url).unwrap_or(&url).to_owned()
    };
    let sent = |site: &str| server.client().with("sec-fetch-site", site);
    for site in ["cross-site", "same-site", "same-origin"] {
        let path = link();
        let page = sent(site).get(&path).expect(200);
        assert!(page.header("set-cookie").is_none());
        let token = omnigent_tests::browser::hidden(&page.text, "t");
        let fields = [("t", token.as_str())];
        let foreign = sent("cross-site").with("origin", "https://evil.example");
        foreign.form("/auth/magic/redeem", &fields).expect(403);
        let meant = sent("same-origin").with("origin", &server.url);
        let answer = meant.form("/auth/magic/redeem", &fields).expect(302);
        assert!(answer.header("set-cookie").is_some());
    }
    let typed = sent("none").get(&link()).expect(302);
    assert!(typed.header("set-cookie").is_some());
}
