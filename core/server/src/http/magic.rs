//! Sign-in links: making one, and signing in by it once (CONTRACT section 4).
//!
//! **Invariant:** a link that a page sends a browser to signs nobody in who did not say so.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;

use super::{
    Access, ApiError, BodyRule, Fields, Outcome, Request, Route, cookies,
    forms::field,
    pages::{Link, Page, PageForm, page},
    response::{no_store, ok, redirect},
};
use crate::{
    account::{AccountError, MagicLink, issue_magic, redeem_magic},
    app::App,
    audit::{Entry, Event},
    login,
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/auth/magic", Access::Login, magic),
        Route::new(Method::GET, "/auth/magic/redeem", Access::Public, redeem),
        Route::new(
            Method::POST,
            "/auth/magic/redeem",
            Access::Public,
            redeem_meant,
        )
        .body(BodyRule::Form),
    ]
}

async fn magic(app: Arc<App>, request: Request) -> Outcome {
    let uid = request.user()?.account().uid;
    let expires_at = request.now.plus_seconds(app.magic_ttl);
    let (live, access) = (app.live.by(request.scene()), request.access);
    let token = app
        .store
        .write(move |tx| {
            access.still_admits(&live, tx)?;
            issue_magic(&live, tx, &MagicLink { uid, expires_at })
        })
        .await?;
    let url = format!(
        "{}/auth/magic/redeem?t={}",
        app.settings.base_url,
        token.expose()
    );
    Ok(no_store(ok(
        &json!({"redeem_url": url, "expires_at": expires_at.seconds()}),
    )))
}

/// A link that is opened signs in. One that a page leads to, be it by way of ours, might be somebody
/// else's: there the person has to mean it (THREATS C2).
async fn redeem(app: Arc<App>, request: Request) -> Outcome {
    let mut fields = Fields::of_query(&request);
    let Some(token) = fields
        .optional_string("t", 1..=128)
        .filter(|token| !token.is_empty())
    else {
        return Ok(redirect("/login?magic=missing"));
    };
    let site = request.head.header("sec-fetch-site");
    if site.is_some_and(|site| site != "none") {
        let shown = Page {
            title: "Sign in",
            message: Some(
                "A page sent you here with a link that signs you in. Go on if you asked for \
                 it: what you do then is done in the account it was made for."
                    .to_owned(),
            ),
            forms: vec![PageForm {
                action: "/auth/magic/redeem",
                hidden: vec![("t", token)],
                fields: Vec::new(),
                submit: "Sign in",
            }],
            links: vec![Link::new("/", "Do not sign in")],
            ..Page::default()
        };
        return page(StatusCode::OK, &shown);
    }
    redeem_token(&app, &request, token).await
}

/// The person meant it: on a page of ours, or there is nobody to be deceived.
async fn redeem_meant(app: Arc<App>, request: Request) -> Outcome {
    let token = field(&request, "t");
    if token.is_empty() || token.len() > 128 {
        return Ok(redirect("/login?magic=missing"));
    }
    redeem_token(&app, &request, token).await
}

async fn redeem_token(app: &App, request: &Request, token: String) -> Outcome {
    let (lifetimes, now) = (app.lifetimes.clone(), request.now);
    let live = app.live.by(request.head.scene(now));
    let report = |entry| app.live.audit.report(request.scene(), entry);
    let (guest, mode) = (request.guest(None), app.mode().to_owned());
    let attempt = app.desk.guess_code("", guest.address, now);
    let attempt = attempt.map_err(|error| {
        report(Entry::new(Event::Throttled).reason("sign-in links"));
        ApiError::from(error).for_people()
    })?;
    let redeemed = app
        .store
        .write(move |tx| {
            let uid = redeem_magic(&live, tx, &token, now)?;
            let origin = login::Origin::magic_link(guest, mode);
            login::establish(&live, tx, &uid, origin, &lifetimes, now)
        })
        .await;
    match redeemed {
        Ok(established) => {
            attempt.withdrawn();
            let login = app.desk.hand_out(established);
            let mut response = no_store(redirect("/"));
            cookies::set(&mut response, &app.settings, &login);
            Ok(response)
        }
        Err(AccountError::Store(error)) => {
            attempt.withdrawn();
            Err(error.into())
        }
        Err(_) => {
            attempt.failed();
            report(Entry::new(Event::MagicLinkDenied));
            Ok(redirect("/login?magic=expired"))
        }
    }
}
