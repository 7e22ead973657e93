//! The pages behind a sign-in, and what their forms do.

use http::Method;
use serde_json::{Value, json};

use super::operation::{Operation, object, of};

/// Path, id, what it is.
type Row = (&'static str, &'static str, &'static str);

const PAGES: [Row; 16] = [
    ("/settings/tokens", "tokens_page", "One's API tokens"),
    ("/settings/tokens/new", "new_token_page", "Ask for a token"),
    (
        "/settings/tokens/{id}/rotate",
        "rotate_token_page",
        "Ask before rotating",
    ),
    (
        "/settings/tokens/{id}/revoke",
        "revoke_token_page",
        "Ask before revoking",
    ),
    ("/settings/logins", "logins_page", "One's logins"),
    ("/settings/password", "password_page", "Ask for a password"),
    (
        "/settings/identities",
        "identities_page",
        "One's linked identities",
    ),
    ("/admin/people", "people_page", "People by fifty"),
    ("/admin/people/{id}", "person_page", "One of them"),
    (
        "/admin/people/{id}/reset",
        "reset_page",
        "Ask before resetting",
    ),
    (
        "/admin/people/{id}/delete",
        "delete_page",
        "Ask before deleting",
    ),
    ("/admin/invite", "invite_page", "Ask before inviting"),
    ("/admin/backends", "backends_page", "How each is doing"),
    ("/admin/audit", "audit_page", "Who did what"),
    ("/admin/config", "config_page", "What is in force"),
    ("/assets/page.js", "script", "What copies"),
];

/// Path, id, what it does, and what the form holds.
type Form = (
    &'static str,
    &'static str,
    &'static str,
    &'static [&'static str],
);

const FORMS: [Form; 14] = [
    ("/logout", "logout_by_page", "Sign out", &[]),
    (
        "/settings/tokens/new",
        "make_token_by_page",
        "Make a token",
        &[
            "name",
            "expires",
            "access",
            "scope_read",
            "scope_sessions",
            "scope_account",
            "scope_admin",
        ],
    ),
    (
        "/settings/tokens/{id}/rotate",
        "rotate_token_by_page",
        "Rotate a token",
        &["overlap"],
    ),
    (
        "/settings/tokens/{id}/revoke",
        "revoke_token_by_page",
        "Revoke a token",
        &[],
    ),
    (
        "/settings/logins/end-others",
        "end_other_logins_by_page",
        "End all other logins",
        &[],
    ),
    (
        "/settings/logins/{id}/end",
        "end_login_by_page",
        "End a login",
        &[],
    ),
    (
        "/settings/password",
        "change_password_by_page",
        "Change one's password",
        &["old_password", "new_password", "again"],
    ),
    (
        "/admin/invite",
        "invite_by_page",
        "Make an invite",
        &["is_admin"],
    ),
    (
        "/admin/people/{id}/change",
        "change_person_by_page",
        "Promote, demote, disable or enable",
        &["is_admin", "disabled"],
    ),
    (
        "/admin/people/{id}/reset",
        "reset_by_page",
        "Reset a password",
        &[],
    ),
    (
        "/admin/people/{id}/delete",
        "delete_by_page",
        "Delete an account",
        &[],
    ),
    (
        "/admin/people/{id}/logins/end",
        "end_persons_logins_by_page",
        "End all logins of somebody",
        &[],
    ),
    (
        "/admin/people/{id}/logins/{lid}/end",
        "end_persons_login_by_page",
        "End a login of somebody",
        &[],
    ),
    (
        "/admin/people/{id}/tokens/{tid}/revoke",
        "revoke_persons_token_by_page",
        "Revoke a token of somebody",
        &[],
    ),
];

pub(super) fn operations() -> Vec<Operation> {
    let op = of("pages");
    let string = || json!({"type": "string"});
    let asset = |operation: Operation, media| operation.answer(200, "It", media, string());
    let pages = PAGES.into_iter().map(|(path, id, about)| {
        let operation = op(Method::GET, path, id, about);
        if path.starts_with("/assets/") {
            return asset(operation, "text/javascript");
        }
        operation
            .query("done", string())
            .query("after", string())
            .shows(200, "The page")
            .redirects("To sign in, and back")
            .shows(401, "The credential is no good")
            .shows(403, "Not for you")
            .shows(404, "Not there")
    });
    let forms = FORMS.into_iter().map(|(path, id, about, names)| {
        let members: Vec<(&str, Value)> = names.iter().map(|name| (*name, string())).collect();
        let form = object(&[("form_token", string())], &members);
        op(Method::POST, path, id, about)
            .takes(form)
            .shows(200, "What came of it")
            .redirects("Done: back to the page")
            .shows(400, "Not like that")
            .shows(401, "Not signed in")
            .shows(403, "Not for you, or a form of another sign-in")
            .shows(404, "Not there")
            .shows(409, "Not now")
            .shows(410, "It is over")
            .shows(422, "Not like that")
            .refuses(&[429])
    });
    let icon = op(Method::GET, "/assets/icon.svg", "icon", "The icon");
    let mut all: Vec<_> = pages.chain(forms).collect();
    all.push(asset(icon, "image/svg+xml"));
    all
}
