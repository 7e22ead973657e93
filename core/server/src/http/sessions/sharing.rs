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
    session::{self, Grantee, Level, SessionError},
};

pub(super) async fn permissions(app: Arc<App>, request: Request) -> Outcome {
    let (viewer, id) = (viewer(&app, &request)?, id_of(&request)?);
    let grants = app
        .store
        .read(move |reader| session::permissions(reader, &viewer, &id))
        .await?;
    let rows = grants.into_iter().filter_map(|(grantee, level)| {
        let user = match grantee {
            Grantee::Public => "__public__".to_owned(),
            // Grants to accounts that are gone are not shown.
            Grantee::Account(uid) => app.live.accounts.get(&uid)?.id.to_string(),
        };
        Some(json!({"user_id": user, "conversation_id": id, "level": level}))
    });
    Ok(no_store(ok(
        &json!({"permissions": rows.collect::<Vec<_>>(), "next_cursor": null}),
    )))
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
    let is_public = body.user == "__public__";
    if is_public && !app.settings.public_sharing {
        return Err(ApiError::forbidden(
            "Public sharing is disabled on this server",
        ));
    }
    let user = body.user.clone();
    app.store
        .write(move |tx| {
            // First whether one may share at all, then with whom: names do not leak.
            let grantee = if is_public {
                Grantee::Public
            } else {
                let (_, own) = session::get(tx, &viewer, &id)?;
                match NAMES.get(tx, &user.to_lowercase())? {
                    Some(uid) => Grantee::Account(uid),
                    None if own < Level::Manage => {
                        return Err(SessionError::Forbidden("Manage access is needed"));
                    }
                    None => return Err(SessionError::Invalid("no such user")),
                }
            };
            session::share(tx, &viewer, &id, grantee, level)
        })
        .await?;
    Ok(ok(
        &json!({"user_id": body.user, "conversation_id": id, "level": body.level}),
    ))
}

pub(super) async fn unshare(app: Arc<App>, request: Request) -> Outcome {
    let (viewer, id) = (viewer(&app, &request)?, id_of(&request)?);
    let user = request.param("user").to_lowercase();
    app.store
        .write(move |tx| {
            let grantee = match user.as_str() {
                "__public__" => Some(Grantee::Public),
                user => NAMES.get(tx, user)?.map(Grantee::Account),
            };
            match grantee {
                Some(grantee) => session::unshare(tx, &viewer, &id, grantee),
                // Not shared with nobody: as it should be, for whoever may know.
                None => session::get(tx, &viewer, &id).map(drop),
            }
        })
        .await?;
    Ok(no_content())
}
