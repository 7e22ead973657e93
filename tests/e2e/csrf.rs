//! What another site can make a browser do (THREATS section 5): nothing.

use omnigent_server::http::{Access, Route, routes};
use omnigent_tests::{Answer, Client, PASSWORD, Server, ServerBuilder};
use serde_json::json;

const FOREIGN: [&str; 6] = [
    "https://evil.example",
    "null",
    "http://127.0.0.1",
    "http://127.0.0.1:1.evil.example",
    "https://127.0.0.1:1",
    "",
];

/// Signs in; the session cookie.
fn cookie(client: &Client) -> String {
    let body = json!({"username": "admin", "password": PASSWORD});
    let answer = client.post("/auth/login", body).expect(200);
    let lines = answer.headers.get_all("set-cookie").iter();
    let mut lines = lines.filter_map(|line| line.to_str().ok());
    let line = lines.find(|line| line.starts_with("ap_session="));
    let line = line.expect("a session cookie");
    assert!(line.contains("HttpOnly") && line.contains("SameSite=lax") && line.contains("Path=/"));
    assert!(!line.to_lowercase().contains("domain"), "{line}");
    line.split(';').next().unwrap_or_default().to_owned()
}

fn in_browser(server: &Server) -> Client {
    server.client().with("cookie", &cookie(&server.client()))
}

fn path(route: &Route) -> String {
    let part = |part: &'static str| match part.starts_with('{') {
        true => "0123456789abcdef0123456789abcdef",
        false => part,
    };
    let parts: Vec<_> = route.path.split('/').map(part).collect();
    parts.join("/")
}

/// Calls a route without a body, or with one where it insists.
fn call(client: &Client, route: &Route) -> Answer {
    let (method, path) = (route.method.as_str(), path(route));
    let answer = client.send(method, &path, None, "");
    if answer.status != 415 {
        return answer;
    }
    client.send(method, &path, Some("application/json"), "{}")
}

fn writes(route: &Route) -> bool {
    route.method != "GET" && route.access != Access::Operator
}

#[test]
fn a_browsers_authority_writes_only_for_pages_of_ours() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let browser = in_browser(&server);
    let mut seen = 0;
    for route in routes().iter().filter(|route| writes(route)) {
        let place = format!("{} {}", route.method, route.path);
        let answer = call(&browser, route);
        let said = (answer.status, answer.text.as_str());
        assert_eq!(said, (403, r#"{"detail":"missing Origin"}"#), "{place}");
        for origin in FOREIGN {
            let answer = call(&browser.with("origin", origin), route);
            assert_eq!(answer.status, 403, "{place} from {origin:?}: {answer:?}");
        }
        for site in ["cross-site", "same-site"] {
            let answer = call(&browser.with("sec-fetch-site", site), route);
            assert_eq!(answer.status, 403, "{place} from {site}: {answer:?}");
        }
        let twice = browser.with("origin", &server.url);
        let answer = call(&twice.with("origin", "https://evil.example"), route);
        assert_eq!(answer.status, 403, "{place} from two: {answer:?}");
        seen += 1;
    }
    assert!(seen >= 20, "the table has routes that write");
    browser.get("/auth/me").expect(200);
}

#[test]
fn without_a_cookie_another_site_signs_nobody_in_or_out_either() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    for route in routes().iter().filter(|route| writes(route)) {
        let foreign = server.client().with("origin", "https://evil.example");
        let answer = call(&foreign, route);
        assert_eq!(answer.status, 403, "{} {}", route.method, route.path);
    }
}

#[test]
fn reading_changes_nothing_whoever_made_the_browser_read() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let browser = in_browser(&server);
    let sent = browser.with("sec-fetch-site", "cross-site");
    for route in routes().iter().filter(|route| route.method == "GET") {
        sent.get(&path(route));
    }
    browser.get("/auth/me").expect(200);
    let logins = browser.get("/auth/logins").expect(200).json();
    assert_eq!(logins["logins"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        browser.get("/auth/tokens").expect(200).json(),
        json!({"tokens": []})
    );
}

#[test]
fn no_other_origin_is_ever_let_in_by_cors() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let browser = in_browser(&server);
    for route in routes() {
        for origin in ["https://evil.example", "null", server.url.as_str()] {
            for client in [&server.client(), &browser] {
                let client = client
                    .with("origin", origin)
                    .with("access-control-request-method", route.method.as_str());
                for method in ["OPTIONS", route.method.as_str()] {
                    let answer = client.send(method, &path(&route), None, "");
                    let cors = answer
                        .headers
                        .keys()
                        .find(|name| name.as_str().starts_with("access-control-"));
                    assert_eq!(cors, None, "{method} {}", route.path);
                }
            }
        }
    }
}

#[test]
fn no_page_is_ever_framed() {
    let server = ServerBuilder::accounts().start();
    let mut seen = 0;
    for is_claimed in [false, true] {
        if is_claimed {
            server.claim();
        }
        for route in routes() {
            let client = server.client().with("accept", "text/html");
            let answer = client.send(route.method.as_str(), &path(&route), None, "");
            let kind = answer.header("content-type").unwrap_or_default();
            if kind.starts_with("text/html") {
                let policy = answer.header("content-security-policy").unwrap_or_default();
                let place = format!("{} {}", route.method, route.path);
                assert!(policy.contains("frame-ancestors 'none'"), "{place}");
                assert!(policy.contains("default-src 'none'"), "{place}");
                assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{place}");
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{place}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 8, "the table has pages");
}

#[test]
fn a_cookie_that_is_there_is_never_adopted() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    let first = cookie(&server.client());
    let second = cookie(
        &server
            .client()
            .with("cookie", &first)
            .with("origin", &server.url),
    );
    assert_ne!(first, second);
    let of = |cookie: &str| server.client().with("cookie", cookie);
    of(&second)
        .with("origin", &server.url)
        .post("/auth/logout", json!({}))
        .expect(204);
    of(&second).get("/auth/me").expect(401);
    of(&first).get("/auth/me").expect(200);
    // Two of the name, or one that is no good, are nobody: not the better one of them.
    for cookies in [
        format!("{first}; {first}"),
        format!("{first}; {second}"),
        format!("ap_session=; {first}"),
        "ap_session=x".to_owned(),
        format!("{first}x"),
    ] {
        of(&cookies).get("/auth/me").expect(401);
    }
    // Names that only look like ours are not ours.
    for cookies in [
        first.replace("ap_session", "AP_SESSION"),
        first.replace("ap_session", "__Host-ap_session"),
        first.replace("ap_session=", "ap_session ="),
    ] {
        let status = of(&cookies).get("/auth/me").status;
        assert!([400, 401].contains(&status), "{cookies}");
    }
}
