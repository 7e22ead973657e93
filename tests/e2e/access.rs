//! Every route of the table refuses whom it should (THREATS T5, T6, T8, A1).

use omnigent_server::http::{Access, routes};
use omnigent_tests::{Answer, Client, ServerBuilder};
use serde_json::json;

/// Calls a route with ids nobody has and no body.
fn call(client: &Client, method: &str, path: &str) -> Answer {
    let path: Vec<_> = path
        .split('/')
        .map(|part| {
            if part.starts_with('{') {
                "0123456789abcdef0123456789abcdef"
            } else {
                part
            }
        })
        .collect();
    client.send(method, &path.join("/"), None, "")
}

/// Refused for who is asking, or already for the shape of what they ask; or shown to the door.
fn is_refused(answer: &Answer) -> bool {
    let is_shown_out = answer.status == 302
        && answer
            .header("location")
            .is_some_and(|to| to.starts_with("/login?return_to="));
    is_shown_out || [401, 403, 415, 422].contains(&answer.status)
}

#[test]
fn strangers_get_into_nothing_but_what_is_public() {
    let server = ServerBuilder::accounts().start();
    server.claim();
    for route in routes() {
        let answer = call(&server.client(), route.method.as_str(), route.path);
        let id = answer.header("x-request-id").unwrap_or_default();
        assert!(
            id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
            "{}: {answer:?}",
            route.path
        );
        assert!(
            answer.status < 500 || answer.status == 503,
            "{}: {answer:?}",
            route.path
        );
        if !matches!(route.access, Access::Public | Access::Optional) {
            assert!(
                is_refused(&answer),
                "{} {}: {answer:?}",
                route.method,
                route.path
            );
        }
        let bad = call(
            &server.client().bearer("bad"),
            route.method.as_str(),
            route.path,
        );
        if route.access != Access::Public {
            assert!(is_refused(&bad), "{} {}: {bad:?}", route.method, route.path);
        }
    }
}

#[test]
fn those_who_are_no_admins_get_into_nothing_of_theirs() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let bob = server.join(&admin, "bob");
    let made = admin.post(
        "/auth/tokens",
        json!({"name": "ci", "scope": "sessions account"}),
    );
    let token = made.expect(201).json()["token"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let ci = server.client().bearer(&token);
    let mut seen = 0;
    for route in routes()
        .iter()
        .filter(|route| matches!(route.access, Access::Admin | Access::Operator))
    {
        for client in [&bob, &ci] {
            let answer = call(client, route.method.as_str(), route.path);
            assert!(
                is_refused(&answer),
                "{} {}: {answer:?}",
                route.method,
                route.path
            );
        }
        seen += 1;
    }
    assert!(seen >= 10, "the table has admin routes");
}

#[test]
fn methods_a_route_does_not_have_are_refused_with_those_it_has() {
    let server = ServerBuilder::accounts().start();
    for route in routes() {
        for method in ["HEAD", "OPTIONS", "TRACE", "PURGE"] {
            let answer = call(&server.client(), method, route.path);
            assert_eq!(answer.status, 405, "{method} {}", route.path);
            let allow = answer.header("allow").unwrap_or_default();
            assert!(
                allow
                    .split(", ")
                    .any(|allowed| allowed == route.method.as_str()),
                "{allow}"
            );
        }
    }
}

#[test]
fn an_admin_on_the_network_is_no_operator() {
    let server = ServerBuilder::accounts().start();
    let admin = server.claim();
    let mut seen = 0;
    for route in routes()
        .iter()
        .filter(|route| route.access == Access::Operator)
    {
        let path = route.path.replace("{id}", "admin");
        let path = path.replace("{backend}", "local").replace("{kid}", "key");
        let answer = admin.send(route.method.as_str(), &path, Some("application/json"), "{}");
        assert_eq!(answer.status, 403, "{path}: {answer:?}");
        seen += 1;
    }
    assert!(seen >= 5, "the table has operator routes");
}
