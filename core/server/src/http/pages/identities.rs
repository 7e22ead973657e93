//! Settings → Linked identities.

use std::sync::Arc;

use askama::Template;
use http::{Method, StatusCode};

use super::{
    super::{Access, Outcome, Request, Route},
    Shell, render,
};
use crate::{account::ACCOUNTS, account::IdentityKey, app::App};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::page(Method::GET, PLACE, Access::Login, list)]
}

const PLACE: &str = "/settings/identities";

/// An identity in a list.
pub(super) struct Row {
    pub(super) title: String,
    pub(super) is_configured: bool,
    pub(super) subject: String,
    pub(super) issuer: String,
}

impl Row {
    pub(super) fn new(app: &App, key: IdentityKey) -> Self {
        let backend = app.backends.get(&key.backend);
        Self {
            is_configured: backend.is_some(),
            title: backend.map_or(key.backend, |backend| backend.title().to_owned()),
            subject: key.subject,
            issuer: key.issuer,
        }
    }
}

#[derive(Template)]
#[template(path = "identities.html")]
struct List {
    shell: Shell,
    identities: Vec<Row>,
}

async fn list(app: Arc<App>, request: Request) -> Outcome {
    let uid = request.user()?.account().uid;
    let account = app
        .store
        .read(move |reader| ACCOUNTS.get(reader, &uid))
        .await?;
    let keys = account.map(|account| account.identities);
    let list = List {
        shell: Shell::at(&app, &request, PLACE, "Linked identities").await?,
        identities: keys
            .unwrap_or_default()
            .into_iter()
            .map(|key| Row::new(&app, key))
            .collect(),
    };
    render(StatusCode::OK, &list)
}
