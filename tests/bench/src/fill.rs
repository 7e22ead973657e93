//! A data directory as after years of use, written with the server's own tables.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use omnigent_server::{
    account::{self, AccountName},
    clock::{Clock, Timestamp},
    id::{AgentId, LoginId, SessionId, TokenId, Uid, random_bytes},
    live::Live,
    login::{LOGINS, Login},
    session::{self, Session},
    store::{Options, Store, StoreError},
    token::{
        self, Claims, KeySettings, Keyring, TokenUse, Verifier,
        api::{API_TOKENS, ApiToken},
    },
};

use crate::server::Outcome;

const BATCH: usize = 5_000;

/// What the tokens say issued them. The keyring remembers it as a name the server has had.
const ISSUER: &str = "omnigent";

/// How much there is of everything.
#[derive(Clone, Copy, Default)]
pub struct Scale {
    /// Accounts without a password.
    pub accounts: usize,
    /// Sessions, all of one account.
    pub sessions: usize,
    /// Logins, one issued token each.
    pub logins: usize,
    /// API tokens, at most 1000 of one account.
    pub api_tokens: usize,
    /// Revoked ids.
    pub revoked: usize,
}

/// Adds `scale` to the store in `data`; sessions go to the account called `owner`. Returns `tokens`
/// access tokens, of that account and the new ones in turn.
pub fn fill(data: &Path, scale: Scale, owner: &str, tokens: usize) -> Outcome<Vec<String>> {
    let store = Store::open(&data.join("store"), &Options::default())?;
    let now = Clock::system().now();
    let settings = KeySettings {
        issuer: ISSUER.into(),
        ..KeySettings::default()
    };
    let keyring = Keyring::load_or_create(data, &settings, now)?;
    let live = Live::load(&store, keyring.hasher(), now)?;
    let owner_uid = account::by_name(&store.reader(), owner)
        .map_err(|e| e.to_string())?
        .uid;
    let mut people = vec![(owner_uid, owner.to_owned())];
    in_batches(scale.accounts, |range| {
        let live = live.clone();
        let made = store.write_blocking(move |tx| {
            range
                .map(|i| {
                    let name = AccountName::parse(&format!("user{i:07}@example.com"))?;
                    account::create(&live, tx, name, false, None, now)
                })
                .collect::<Result<Vec<_>, account::AccountError>>()
        })?;
        people.extend(
            made.into_iter()
                .map(|account| (account.uid, account.name.as_str().into())),
        );
        Ok(())
    })?;
    in_batches(scale.api_tokens, |range| {
        let uids: Vec<_> = range
            .map(|i| people[i / token::api::MAX_PER_ACCOUNT % people.len()].0)
            .collect();
        store.write_blocking(move |tx| {
            for uid in uids {
                API_TOKENS.put(tx, &(uid, LoginId::random()), &api_token(now))?;
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(())
    })?;
    in_batches(scale.revoked, |range| {
        store.write_blocking(move |tx| {
            for _ in range {
                token::revoke(tx, random_bytes(), Some(now.plus_seconds(30 * 86_400)))?;
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(())
    })?;
    in_batches(scale.logins, |range| {
        store.write_blocking(move |tx| {
            for _ in range {
                LOGINS.put(tx, &(Uid::random(), LoginId::random()), &login(now))?;
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(())
    })?;
    in_batches(scale.sessions, |range| {
        store.write_blocking(move |tx| {
            for i in range {
                let at = Timestamp::from_millis(now.millis() - i as u64);
                session::create(tx, session_of(owner_uid, i, at))?;
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(())
    })?;
    let (accounts, revocations) = (Arc::clone(&live.accounts), Arc::clone(&live.revocations));
    let verifier = Verifier::new(keyring, ISSUER, "omnigent", accounts, revocations);
    let tokens = (0..tokens)
        .map(|i| {
            verifier
                .sign(&claims(&people[i % people.len()], now))
                .expose()
                .clone()
        })
        .collect();
    drop(live);
    store.close();
    Ok(tokens)
}

fn claims((uid, name): &(Uid, String), now: Timestamp) -> Claims<'_> {
    Claims {
        issuer: ISSUER.into(),
        audience: "omnigent".into(),
        subject: name.as_str().into(),
        uid: *uid,
        sid: LoginId::random(),
        jti: TokenId::random(),
        issued_at: now,
        not_before: now,
        expires_at: Some(now.plus_seconds(86_400)),
        provider: "accounts".into(),
        token_use: TokenUse::Access,
        scope: None,
        grant: None,
        client_id: None,
    }
}

fn session_of(owner: Uid, i: usize, at: Timestamp) -> Session {
    Session {
        id: SessionId::random(),
        owner,
        agent: AgentId::from_bytes([1; 16]),
        agent_name: "reviewer".into(),
        title: Some(format!("session {i}")),
        labels: BTreeMap::new(),
        reasoning_effort: None,
        model_override: None,
        workspace: None,
        parent: None,
        external_id: None,
        archived: false,
        created_at: at,
        updated_at: at,
    }
}

fn in_batches(
    count: usize,
    mut write: impl FnMut(std::ops::Range<usize>) -> Outcome<()>,
) -> Outcome<()> {
    for start in (0..count).step_by(BATCH) {
        write(start..count.min(start + BATCH))?;
    }
    Ok(())
}

fn api_token(now: Timestamp) -> ApiToken {
    ApiToken {
        name: "nightly build".into(),
        scope: Some("sessions".into()),
        provider: "accounts".into(),
        created_at: now,
        expires_at: Some(now.plus_seconds(90 * 86_400)),
        last_used_at: None,
        last_used_ip: None,
        kid: None,
    }
}

fn login(now: Timestamp) -> Login {
    Login {
        created_at: now,
        expires_at: now.plus_seconds(8 * 3600),
        backend: "local".into(),
        identity: (String::new(), "somebody".into()),
        address: "192.0.2.1".into(),
        user_agent: "bench".into(),
        grant: None,
        client_id: None,
    }
}
