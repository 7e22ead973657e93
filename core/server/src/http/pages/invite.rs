//! Admin → People → Invite somebody.

use std::sync::Arc;

use askama::Template;
use http::{Method, StatusCode};

use super::{
    super::{Access, Outcome, Request, Route, forms::field, people::make_invite},
    Shell, When,
    people::PLACE,
    render,
    secret::{Shown, ShownOnce},
    when::span,
};
use crate::{app::App, backend::Instance, config::Registration};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::page(Method::GET, "/admin/invite", Access::Admin, ask),
        Route::page(Method::POST, "/admin/invite", Access::Admin, make),
    ]
}

/// Whether an invite would let anybody in.
pub(super) fn can_invite(app: &App) -> bool {
    let registers = app.office.registration != Registration::Closed
        && app.backends.iter().any(Instance::is_directory);
    registers || app.config.auth.backends.iter().any(|b| b.allow_invites)
}

#[derive(Template)]
#[template(path = "invite.html")]
struct Ask {
    shell: Shell,
    within: String,
}

async fn ask(app: Arc<App>, request: Request) -> Outcome {
    let ask = Ask {
        shell: Shell::at(&app, &request, PLACE, "Invite somebody").await?,
        within: span(app.invite_ttl),
    };
    render(StatusCode::OK, &ask)
}

async fn make(app: Arc<App>, request: Request) -> Outcome {
    let is_admin = field(&request, "is_admin") == "on";
    let invited = make_invite(&app, &request, is_admin).await?;
    let expires = When::new(invited.expires_at, request.now).words;
    let shown = ShownOnce {
        shell: Shell::at(&app, &request, PLACE, "Invite link").await?,
        warning: "Send this link to one person, by a way only they read. It is shown this once.",
        secrets: vec![Shown {
            id: "link",
            label: "Invite link",
            text: invited.register_url.expose().clone(),
        }],
        details: format!(
            "Whoever opens it first gets {}. It expires {expires}.",
            if is_admin {
                "an admin's account"
            } else {
                "an account"
            }
        ),
        back: PLACE,
    };
    shown.show()
}
