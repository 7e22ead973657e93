//! Signing in a command line through a browser: tickets (CONTRACT section 6).

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::json;

use super::{
    Access, ApiError, Outcome, Request, Route,
    forms::{field, query},
    pages::{Page, page, sign_in},
    request::Authority,
    response::{json as json_response, no_store, ok},
};
use crate::{
    account::AccountError,
    app::App,
    clock::Timestamp,
    id::Uid,
    login::{
        LOGINS,
        throttle::Rate,
        ticket::{self, Approval, LIFETIME, Polled},
    },
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/auth/cli-login", Access::Public, open),
        Route::new(Method::GET, "/auth/cli-poll", Access::Public, poll),
        Route::page(
            Method::POST,
            "/auth/cli-login/decide",
            Access::Login,
            decide,
        ),
    ]
}

/// Opens a ticket. The body, if any, is ignored, as the original does.
async fn open(app: Arc<App>, request: Request) -> Outcome {
    if app.login_url().is_none() && app.backends.request().next().is_none() {
        return Err(ApiError::auth(
            StatusCode::BAD_REQUEST,
            "nobody signs in on this server",
        ));
    }
    let (live, now, guest) = (app.live.clone(), request.now, request.guest(None));
    app.desk.charge(Rate::Begin, guest.address, now)?;
    let issued = app
        .store
        .write(move |tx| ticket::issue(&live, tx, guest.address, &guest.user_agent, now))
        .await?;
    let issued = issued.map_err(|ticket::TooMany| ApiError::throttled(60))?;
    Ok(no_store(ok(&json!({
        "ticket": issued.secret.expose(),
        "login_url": format!("/auth/login?ticket={}", issued.code.expose()),
        "user_code": issued.user_code,
        "expires_in": LIFETIME,
        "interval": 2,
    }))))
}

/// What has become of a ticket. Never throttled: any status but these ends the client's wait.
async fn poll(app: Arc<App>, request: Request) -> Outcome {
    let secret = query(&request, "ticket").unwrap_or_default();
    let gone = |text: &str| ApiError::auth(StatusCode::GONE, text);
    let (live, now, asked) = (app.live.clone(), request.now, secret.clone());
    let seen = app
        .store
        .read(move |reader| ticket::poll(&live, reader, &asked, now))
        .await?;
    let redeemed = match seen {
        Polled::Approved => app.desk.redeem_ticket(secret, request.scene()).await?,
        seen => Err(seen),
    };
    let login = match redeemed {
        Ok(login) => login,
        Err(Polled::Pending | Polled::Approved) => {
            let pending = json!({"status": "pending"});
            return Ok(no_store(json_response(StatusCode::ACCEPTED, &pending)));
        }
        Err(Polled::Unknown) => return Err(gone("Ticket not found or expired")),
        Err(Polled::Expired) => return Err(gone("Ticket expired")),
    };
    let mut body = json!({
        "token": login.token.expose(),
        "user_id": login.user_id,
        "expires_in": login.expires_in,
    });
    if let Some(refresh) = &login.refresh_token {
        body["refresh_token"] = refresh.expose().as_str().into();
    }
    Ok(no_store(ok(&body)))
}

/// Asks the person whether it was they who started the command line.
pub(super) async fn confirm(
    app: &App,
    form_token: String,
    code: &str,
    account: &str,
    now: Timestamp,
) -> Outcome {
    let (live, wanted) = (app.live.clone(), code.to_owned());
    let found = app
        .store
        .read(move |reader| ticket::by_code(&live, reader, &wanted, now))
        .await?;
    match found {
        Some(ticket) => sign_in::confirm_cli(app, form_token, account, code, &ticket, now),
        None => invalid(),
    }
}

fn invalid() -> Outcome {
    let shown = Page {
        title: "Confirm sign-in",
        problem: Some("This link is invalid or has expired.".to_owned()),
        ..Page::default()
    };
    page(StatusCode::GONE, &shown)
}

async fn decide(app: Arc<App>, request: Request) -> Outcome {
    let code = field(&request, "ticket");
    let approval = match field(&request, "decision").as_str() {
        "approve" => Some(approval(&app, &request).await?.0),
        _ => None,
    };
    let is_approval = approval.is_some();
    let (live, now) = (app.live.by(request.scene()), request.now);
    let access = request.access;
    let decided = app
        .store
        .write(move |tx| {
            access.still_admits(&live, tx)?;
            ticket::decide(&live, tx, &code, approval, now).map_err(AccountError::from)
        })
        .await?;
    if !decided {
        return invalid();
    }
    let (title, message) = if is_approval {
        (
            "Login successful",
            "You can close this page and go back to your terminal.",
        )
    } else {
        ("Denied", "The command line gets nothing.")
    };
    let shown = Page {
        title,
        message: Some(message.to_owned()),
        ..Page::default()
    };
    page(StatusCode::OK, &shown)
}

/// What vouched for the person who approves, and since when they are signed in.
pub(super) async fn approval(
    app: &App,
    request: &Request,
) -> Result<(Approval, Timestamp), ApiError> {
    let principal = request.user()?;
    let uid: Uid = principal.account().uid;
    if let Authority::Asserted(_, key) = &principal.authority {
        let provider = app
            .backends
            .get(&key.backend)
            .map(|b| b.plugin().to_owned());
        let approval = Approval {
            uid,
            backend: key.backend.clone(),
            provider: provider.unwrap_or_default(),
            identity: (key.issuer.clone(), key.subject.clone()),
        };
        // Vouched for with this very request.
        return Ok((approval, request.now));
    }
    let token = principal
        .token()
        .ok_or_else(|| ApiError::auth(StatusCode::FORBIDDEN, "sign in to approve this"))?;
    let sid = token.sid;
    let login = app
        .store
        .read(move |reader| LOGINS.get(reader, &(uid, sid)))
        .await?;
    let login =
        login.ok_or_else(|| ApiError::auth(StatusCode::FORBIDDEN, "sign in to approve this"))?;
    let since = login.created_at;
    let approval = Approval {
        uid,
        backend: login.backend,
        provider: token.provider.to_string(),
        identity: login.identity,
    };
    Ok((approval, since))
}
