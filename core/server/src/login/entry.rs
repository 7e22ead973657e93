//! From an identity a backend vouches for to the account it leads to, and to a login.
//!
//! **Invariant:** a backend's word is bounded before anything is made of it.

use std::sync::Arc;

use omnigent_plugin::Identity;

use super::{Desk, Established, Guest, Origin, SignInError, SignedIn, establish};
use crate::{
    account::{self, ACCOUNTS, AccountError, Asserted, IdentityKey, Linking, Rules},
    audit::{Entry, Event, Scene},
    backend::{CallError, Instance},
    clock::Timestamp,
    id::Uid,
    known::IdentityFacts,
    token::AccountState,
};

impl Desk {
    pub(super) async fn sign_in(
        &self,
        backend: &Instance,
        identity: &Identity,
        invite: Option<String>,
        guest: Guest,
        now: Timestamp,
    ) -> Result<SignedIn, SignInError> {
        let asserted = asserted(backend, identity)?;
        let (live, rules) = (self.live.by(guest.scene(now)), rules(backend));
        let lifetimes = self.lifetimes.of(backend);
        let mut origin = origin(backend, &asserted.key, guest);
        origin.session.clone_from(&identity.session);
        let established = self
            .store
            .write(move |tx| {
                let invite = invite.as_deref();
                let account = account::admit(&live, tx, &rules, &asserted, invite, now)?;
                establish(&live, tx, &account.uid, origin, &lifetimes, now)
            })
            .await?;
        Ok(self.hand_out(established))
    }

    /// The account that these very facts of an identity have led to before, without asking the store.
    pub fn known(&self, backend: &Instance, identity: &Identity) -> Option<Arc<AccountState>> {
        let key = IdentityFacts::new(backend.name(), identity);
        self.live.known.get(&key)
    }

    /// The account that the identity of a request leads to. Asks the store; [`Desk::known`] first.
    ///
    /// # Errors
    /// Why it leads to none.
    pub async fn recognise(
        &self,
        backend: &Instance,
        identity: &Identity,
        scene: Scene,
    ) -> Result<Arc<AccountState>, SignInError> {
        let now = scene.at;
        let key = IdentityFacts::new(backend.name(), identity);
        let asserted = asserted(backend, identity)?;
        let (live, rules) = (self.live.by(scene), rules(backend));
        let account = self
            .store
            .write(move |tx| {
                let account = account::admit(&live, tx, &rules, &asserted, None, now)?;
                let account = account::record_login(&live, tx, &account.uid, now)?;
                let accepted = Entry::new(Event::LoginAccepted)
                    .account(account.uid, account.name.as_str())
                    .backend(&asserted.key.backend)
                    .reason("request")
                    .by_themselves();
                live.note(tx, accepted)?;
                Ok::<_, AccountError>(account)
            })
            .await?;
        let found = self.live.accounts.get(&account.uid);
        let state = found.ok_or(SignInError::Denied)?;
        self.live.known.put(&key, Arc::clone(&state));
        Ok(state)
    }

    /// Holds new facts of an identity that is signed in against the backend's rules, and takes them
    /// over. False when it would not be admitted any more.
    ///
    /// # Errors
    /// When that cannot be told.
    pub async fn renew(
        &self,
        backend: &Instance,
        identity: &Identity,
        uid: Uid,
        scene: Scene,
    ) -> Result<bool, SignInError> {
        let asserted = asserted(backend, identity)?;
        let (live, rules) = (self.live.by(scene), rules(backend));
        let renewed = self
            .store
            .write(move |tx| {
                let account = ACCOUNTS.get(tx, &uid)?.ok_or(AccountError::NotFound)?;
                account::renew(&live, tx, &rules, &asserted, account)
            })
            .await;
        match renewed {
            Ok(_) => Ok(true),
            Err(AccountError::Domain(_) | AccountError::Group | AccountError::NotFound) => {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Signs the access token of a login that began.
    pub fn hand_out(&self, established: Established) -> SignedIn {
        let Established {
            account,
            claims,
            refresh_token,
        } = established;
        SignedIn {
            uid: account.uid,
            devices: None,
            user_id: account.name.as_str().to_owned(),
            is_admin: account.is_admin,
            sid: claims.sid,
            token: self.verifier.sign(&claims),
            expires_in: claims.expires_at.map_or(0, |at| {
                at.seconds().saturating_sub(claims.issued_at.seconds())
            }),
            refresh_token,
        }
    }
}

/// What the core takes over of an identity. A backend's word is bounded: what is too long or holds
/// control characters is its fault, not the person's.
pub(crate) fn asserted(backend: &Instance, identity: &Identity) -> Result<Asserted, SignInError> {
    taken_over(backend.name(), identity)
}

/// As [`asserted`], by the backend's name.
pub(crate) fn taken_over(backend: &str, identity: &Identity) -> Result<Asserted, SignInError> {
    // Only ASCII letters change: Unicode's rules would make the Kelvin sign a `k` and one person another.
    let email = identity
        .email
        .as_ref()
        .map(|email| email.to_ascii_lowercase());
    let name = identity
        .username
        .as_deref()
        .or(email.as_deref().filter(|_| identity.email_verified));
    let key = IdentityKey {
        backend: backend.to_owned(),
        issuer: identity.issuer.clone().unwrap_or_default(),
        subject: identity.subject.clone(),
    };
    let name = name.unwrap_or(&identity.subject).to_owned();
    let texts = [Some(&key.issuer), Some(&key.subject), Some(&name)];
    let optional = [identity.username.as_ref(), email.as_ref()];
    let is_sane = |text: &String| text.len() <= 512 && !text.chars().any(char::is_control);
    if key.subject.is_empty() || !texts.into_iter().chain(optional).flatten().all(is_sane) {
        let error = CallError::garbage(
            "an identity whose subject is empty, over-long or holds control characters",
        );
        return Err(SignInError::Unavailable(error));
    }
    let reserved = [Some(&key.subject), Some(&name), identity.username.as_ref()];
    if let Some(name) = reserved
        .into_iter()
        .flatten()
        .find(|name| account::is_reserved(name))
    {
        return Err(SignInError::Account(AccountError::Reserved(
            name.to_lowercase(),
        )));
    }
    // A subject that is also a name is one to recognise somebody by.
    let by_subject = || (name == key.subject).then(|| name.clone());
    Ok(Asserted {
        username: identity.username.clone().or_else(by_subject),
        key,
        name,
        email,
        email_verified: identity.email_verified,
        groups: identity.groups.clone(),
    })
}

/// The backend's rules. People of a backend that is a directory are made by registration, together
/// with their account: one without the other is a remnant.
fn rules(backend: &Instance) -> Rules {
    let mut rules = backend.rules().clone();
    if backend.is_directory() {
        rules.linking = Linking::Existing;
    }
    rules
}

/// Where a login comes from.
pub(crate) fn origin(backend: &Instance, key: &IdentityKey, guest: Guest) -> Origin {
    Origin {
        backend: backend.name().to_owned(),
        provider: backend.plugin().to_owned(),
        identity: (key.issuer.clone(), key.subject.clone()),
        session: None,
        address: guest.address.to_string(),
        user_agent: guest.user_agent,
        client_id: guest.client_id,
        turn: guest.turn,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn no_letter_of_an_address_becomes_another() {
        for (said, heard) in [
            ("Ada@Example.COM", "ada@example.com"),
            ("mi\u{212a}e@corp.com", "mi\u{212a}e@corp.com"),
            ("mike@CORP.\u{212a}om", "mike@corp.\u{212a}om"),
        ] {
            let identity = Identity {
                email: Some(said.into()),
                email_verified: true,
                ..Identity::new("1")
            };
            let asserted = taken_over("corp", &identity).unwrap();
            assert_eq!(asserted.email.as_deref(), Some(heard));
            assert_eq!(asserted.name, heard);
        }
    }
}
