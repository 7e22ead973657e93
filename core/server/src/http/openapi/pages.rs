//! What browsers are shown.

use http::Method;
use serde_json::{Value, json};

use super::operation::{Operation, object, of};

pub(super) fn operations() -> Vec<Operation> {
    let op = of("pages");
    let string = || json!({"type": "string"});
    let fields = |names: &[&'static str]| {
        let members: Vec<(&str, Value)> = names.iter().map(|name| (*name, string())).collect();
        object(&[], &members)
    };
    let sign_in = |operation: Operation| {
        [
            "return_to",
            "ticket",
            "invite",
            "backend",
            "magic",
            "reauth",
        ]
        .into_iter()
        .fold(operation, |operation, name| operation.query(name, string()))
        .shows(200, "The chooser, a form, or a question to confirm")
        .shows(401, "There is no page to sign in on")
        .shows(410, "The link is over")
        .redirects("On: to an identity provider, to set up, or home")
        .refuses(&[404, 410, 429])
    };
    let filled = |operation: Operation| {
        operation
            .shows(200, "The next step")
            .shows(401, "Wrong")
            .shows(410, "Begin again")
            .redirects("Done: on to where one wanted to go")
            .refuses(&[401, 403, 404, 409, 410, 422, 429])
    };
    vec![
        op(Method::GET, "/", "home", "The first page").shows(200, "The page"),
        op(Method::GET, "/assets/style.css", "style", "How pages look").answer(
            200,
            "The style sheet",
            "text/css",
            string(),
        ),
        sign_in(op(
            Method::GET,
            "/login",
            "login_page",
            "The page to sign in on",
        )),
        sign_in(op(
            Method::GET,
            "/auth/login",
            "begin_login",
            "The way to sign in",
        )),
        filled(
            op(
                Method::POST,
                "/login",
                "answer_login_page",
                "Answer a step of a sign-in",
            )
            .takes(fields(&[
                "conversation",
                "return_to",
                "ticket",
                "invite",
                "backend",
            ])),
        ),
        op(
            Method::GET,
            "/auth/callback",
            "callback",
            "The way back from an identity provider",
        )
        .query("code", string())
        .query("state", string())
        .query("error", string())
        .shows(200, "The next step")
        .redirects("Signed in: on to where one wanted to go")
        .refuses(&[401, 403, 404, 409, 410, 429]),
        op(
            Method::GET,
            "/auth/logout",
            "logout_page",
            "Sign out in a browser",
        )
        .shows(200, "Whether one means it")
        .redirects("Signed out")
        .refuses(&[405]),
        op(
            Method::GET,
            "/setup",
            "setup_page",
            "The page to claim a new server on",
        )
        .shows(200, "The form")
        .redirects("It is claimed"),
        filled(
            op(
                Method::POST,
                "/setup",
                "setup_by_page",
                "Claim a new server",
            )
            .takes(fields(&["username", "password", "setup_code"]))
            .shows(400, "Not like that")
            .shows(403, "Wrong code")
            .shows(409, "It is claimed")
            .shows(422, "Not like that"),
        ),
        op(
            Method::GET,
            "/register",
            "register_page",
            "The page to register on",
        )
        .query("invite", string())
        .shows(200, "The form"),
        filled(
            op(Method::POST, "/register", "register_by_page", "Register")
                .takes(fields(&["username", "password", "invite"]))
                .shows(400, "Not like that")
                .shows(403, "Not without an invite")
                .shows(409, "The name is taken")
                .shows(422, "Not like that"),
        ),
    ]
}
