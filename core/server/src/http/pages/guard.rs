//! Who gets to a page, and whose form it is (THREATS C2).
//!
//! **Invariant:** a form is taken only with the token of the login that sends it, whatever `Origin`
//! says. The token is a keyed hash under a label of its own: it reveals nothing and signs nobody in.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, StatusCode, header};

use super::super::{
    ApiError, Authority, Fields, Outcome, Principal, Request, forms,
    response::{no_store, redirect},
};
use crate::{app::App, id::LoginId, token::hash::Kind};

/// What to answer instead of the page to a request that is not admitted to it: the way to sign in,
/// or an error.
pub(in crate::http) fn instead(app: &App, request: &Request) -> Option<Outcome> {
    let head = &request.head;
    let principal = match request.admit().and_then(|()| request.user()) {
        Ok(principal) => principal,
        Err(error) => {
            let is_signed_out = error.status() == StatusCode::UNAUTHORIZED
                && head.method == Method::GET
                && !head.headers.contains_key(header::AUTHORIZATION);
            return Some(if is_signed_out {
                let here = head.uri.path_and_query().map_or("/", |here| here.as_str());
                Ok(no_store(redirect(&forms::sign_in_url(here))))
            } else {
                Err(error.for_people())
            });
        }
    };
    if head.method == Method::GET || has_form_token(app, principal, request) {
        return None;
    }
    let text = "this form is not from this sign-in; open the page again and repeat what you did";
    Some(Err(ApiError::auth(StatusCode::FORBIDDEN, text).for_people()))
}

/// As [`form_token`], of a login that has just begun.
pub(in crate::http) fn form_token_of(app: &App, sid: &LoginId) -> String {
    URL_SAFE_NO_PAD.encode(app.live.hasher.hash(Kind::Form, &of_login(sid)))
}

fn of_login(sid: &LoginId) -> Vec<u8> {
    [b"login\0", &sid.as_bytes()[..]].concat()
}

/// What a form carries to show that it was made for this principal's login.
pub(in crate::http) fn form_token(app: &App, principal: &Principal) -> String {
    URL_SAFE_NO_PAD.encode(app.live.hasher.hash(Kind::Form, &subject(principal)))
}

fn has_form_token(app: &App, principal: &Principal, request: &Request) -> bool {
    let said = Fields::of_body(request).optional_string("form_token", 43..=43);
    let said = said.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    said.is_some_and(|hash| {
        app.live
            .hasher
            .matches(Kind::Form, &subject(principal), &hash)
    })
}

/// What the token is of. No two kinds of authority begin alike.
fn subject(principal: &Principal) -> Vec<u8> {
    let uid = principal.account().uid;
    match &principal.authority {
        Authority::Token(token) => of_login(&token.sid),
        Authority::Asserted(..) => [b"asserted\0", &uid.as_bytes()[..]].concat(),
        Authority::NoAuth(_) => b"no-auth\0".to_vec(),
        Authority::Operator(_) => b"operator\0".to_vec(),
    }
}
