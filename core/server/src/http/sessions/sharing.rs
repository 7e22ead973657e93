//! `/v1/sessions/{id}/permissions`.

use std::sync::Arc;

use serde_json::json;

use super::{id_of, viewer};
use crate::{
    account::NAMES,
    app::App,
    http::{
        ApiError, BodyRule, Fields, Outcome, Request, Shape,
        response::{no_content, no_store, ok},
    },
    id::Uid,
    session::{self, Grantee, Level, SessionError},
    store::{Read, StoreError},
};

/// What everybody is called.
const PUBLIC: &str = "__public__";

pub(super) async fn permissions(app: Arc<App>, request: Request) -> Outcome {
    let (viewer, id) = (viewer(&app, &request)?, id_of(&request)?);
    let grants = app
        .store
        .read(move |reader| session::permissions(reader, &viewer, &id))
        .await?;
    let rows = grants.into_iter().filter_map(|(grantee, level)| {
        let user = match grantee {
            Grantee::Public => PUBLIC.to_owned(),
            // Grants to accounts that are gone are not shown.
            Grantee::Account(uid) => app.live.accounts.get(&uid)?.id.to_string(),
        };
        Some(json!({"user_id": user, "conversation_id": id, "level": level}))
    });
    Ok(no_store(ok(
        &json!({"permissions": rows.collect::<Vec<_>>(), "next_cursor": null}),
    )))
}

/// Whoever asks, by name: in no-auth mode no account has it.
type Own = (String, Uid);

fn own(request: &Request) -> Result<Own, ApiError> {
    let account = request.user()?.account();
    Ok((account.id.to_string(), account.uid))
}

fn grantee(from: &impl Read, own: &Own, user: &str) -> Result<Option<Grantee>, StoreError> {
    Ok(match user {
        PUBLIC => Some(Grantee::Public),
        user if user == own.0 => Some(Grantee::Account(own.1)),
        user => NAMES.get(from, user)?.map(Grantee::Account),
    })
}

pub(super) struct ShareBody {
    user: String,
    level: u64,
}

impl Shape for ShareBody {
    const BODY: BodyRule = BodyRule::Json;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_body(request);
        let body = Self {
            user: fields.string("user_id", 1..=256),
            level: fields.integer("level", 1..=3),
        };
        fields.finish().map(|()| body)
    }
}

pub(super) async fn share(app: Arc<App>, request: Request, body: ShareBody) -> Outcome {
    let (viewer, id) = (viewer(&app, &request)?, id_of(&request)?);
    if app.settings.sharing_mode == "off" {
        return Err(ApiError::forbidden("Sharing is disabled on this server"));
    }
    let level = Level::from_number(body.level)
        .ok_or_else(|| ApiError::invalid_input("level is 1, 2 or 3"))?;
    let user = body.user.to_lowercase();
    if user == PUBLIC && !app.settings.public_sharing {
        return Err(ApiError::forbidden(
            "Public sharing is disabled on this server",
        ));
    }
    let own = own(&request)?;
    app.store
        .write(move |tx| {
            // First whether one may share at all, then with whom: names do not leak.
            session::manage(tx, &viewer, &id)?;
            let grantee = grantee(tx, &own, &user)?;
            let grantee = grantee.ok_or(SessionError::Invalid("no such user"))?;
            session::share(tx, &viewer, &id, grantee, level)
        })
        .await?;
    Ok(ok(
        &json!({"user_id": body.user, "conversation_id": id, "level": body.level}),
    ))
}

pub(super) async fn unshare(app: Arc<App>, request: Request) -> Outcome {
    let (viewer, id) = (viewer(&app, &request)?, id_of(&request)?);
    let (own, user) = (own(&request)?, request.param("user").to_lowercase());
    app.store
        .write(move |tx| match grantee(tx, &own, &user)? {
            Some(grantee) => session::unshare(tx, &viewer, &id, grantee),
            // Not shared with nobody: as it should be, for whoever could have shared it.
            None => session::manage(tx, &viewer, &id),
        })
        .await?;
    Ok(no_content())
}
