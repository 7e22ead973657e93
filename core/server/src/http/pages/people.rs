//! Admin → People: the list.

use std::sync::Arc;

use askama::Template;
use http::{Method, StatusCode};

use super::{
    super::{Access, Outcome, Request, Route, forms::query},
    Shell, When,
    invite::can_invite,
    render,
};
use crate::{
    account::{self, Account},
    app::App,
    clock::Timestamp,
};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::page(Method::GET, PLACE, Access::Admin, list)]
}

pub(super) const PLACE: &str = "/admin/people";

/// People on a page.
const PAGE: usize = 50;

/// A person, at a glance.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) is_self: bool,
    pub(super) is_admin: bool,
    pub(super) is_disabled: bool,
    pub(super) created: When,
    pub(super) seen: Option<When>,
}

impl Row {
    pub(super) fn new(account: &Account, own: &str, now: Timestamp) -> Self {
        Self {
            name: account.name.as_str().to_owned(),
            is_self: account.name.as_str() == own,
            is_admin: account.is_admin,
            is_disabled: account.disabled,
            created: When::new(account.created_at, now),
            seen: account.last_login_at.map(|at| When::new(at, now)),
        }
    }
}

#[derive(Template)]
#[template(path = "people.html")]
struct List {
    shell: Shell,
    people: Vec<Row>,
    can_invite: bool,
    is_later: bool,
    next: Option<String>,
}

async fn list(app: Arc<App>, request: Request) -> Outcome {
    let after = query(&request, "after").filter(|after| (1..=64).contains(&after.len()));
    let is_later = after.is_some();
    let mut accounts = app
        .store
        .read(move |reader| account::list(reader, after.as_deref(), PAGE + 1))
        .await?;
    let has_more = accounts.len() > PAGE;
    accounts.truncate(PAGE);
    let own = &request.user()?.account().id;
    let people: Vec<_> = accounts
        .iter()
        .map(|account| Row::new(account, own, request.now))
        .collect();
    let notices = [(
        "deleted",
        "The account is deleted, and everything that acted for it.",
    )];
    let list = List {
        shell: Shell::at(&app, &request, PLACE, "People")
            .await?
            .noting(&request, &notices),
        can_invite: can_invite(&app),
        is_later,
        next: people
            .last()
            .filter(|_| has_more)
            .map(|last| last.name.clone()),
        people,
    };
    render(StatusCode::OK, &list)
}
