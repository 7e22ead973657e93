//! Whoever makes an account for themselves: the first, who claims the server, and those who register.
//!
//! **Invariants:** an account, its password, the used-up invite and the first login are committed
//! together or not at all; an invite is checked before a name, so that names do not leak; nobody
//! becomes an admin by the name they choose.

use super::{Chosen, Office, key, name_taken, require_no_remnant};
use crate::{
    account::{
        AccountError, Claim, OfficeError, create, redeem_invite, roster::any_admin, verify_invite,
    },
    audit::{Entry, Event},
    backend,
    clock::Timestamp,
    config::Registration,
    login::{Established, Guest, establish, origin},
    token::hash,
};

impl Office {
    /// Whether claiming takes the setup code, for somebody who is on this machine or not: one that
    /// listens here only is still reached from elsewhere through a proxy. One that has an admin
    /// already, by another backend, is not for whoever comes first.
    ///
    /// # Errors
    /// Only of the store.
    pub async fn needs_setup_code(&self, is_here: bool) -> Result<bool, OfficeError> {
        let is_open = self.is_local && is_here;
        Ok(!is_open || self.store.read(any_admin).await?)
    }

    /// Claims the server: makes its first admin.
    ///
    /// # Errors
    /// [`AccountError::AlreadySetUp`] to all but one; [`OfficeError::SetupCode`].
    pub async fn setup(
        &self,
        chosen: Chosen,
        claim: Claim<'_>,
        guest: Guest,
        now: Timestamp,
    ) -> Result<Established, OfficeError> {
        if self.store.initialised() {
            return Err(AccountError::AlreadySetUp.into());
        }
        let said = claim.code.unwrap_or_default().trim().as_bytes();
        let has_code = self
            .setup_code
            .as_ref()
            .is_some_and(|code| hash::constant_time_eq(said, code.expose().as_bytes()));
        let is_open = self.is_local && claim.is_here;
        if !has_code && !is_open {
            return Err(OfficeError::SetupCode);
        }
        self.admit(chosen, Admission::First { has_code }, guest, now)
            .await
    }

    /// Makes an account for whoever has an invite, or for everybody where the operator says so.
    ///
    /// # Errors
    /// [`AccountError::Invite`] comes before anything about the name.
    pub async fn register(
        &self,
        invite: Option<String>,
        chosen: Chosen,
        guest: Guest,
        now: Timestamp,
    ) -> Result<Established, OfficeError> {
        match (self.registration, invite) {
            (Registration::Closed, _) => Err(OfficeError::Closed),
            (Registration::Open, None) => self.admit(chosen, Admission::Open, guest, now).await,
            (_, None) => Err(AccountError::Invite.into()),
            (_, Some(invite)) => {
                self.admit(chosen, Admission::Invited(invite), guest, now)
                    .await
            }
        }
    }

    /// Checks an invite without using it up: what registration does before it looks at a name.
    ///
    /// # Errors
    /// [`AccountError::Invite`]; [`OfficeError::Closed`].
    pub async fn check_invite(
        &self,
        invite: Option<String>,
        now: Timestamp,
    ) -> Result<(), OfficeError> {
        match (self.registration, invite) {
            (Registration::Closed, _) => Err(OfficeError::Closed),
            (Registration::Open, None) => Ok(()),
            (Registration::Invite, None) => Err(AccountError::Invite.into()),
            (_, Some(invite)) => {
                let live = self.live.clone();
                self.store
                    .read(move |reader| verify_invite(&live, reader, &invite, now))
                    .await?;
                Ok(())
            }
        }
    }

    async fn admit(
        &self,
        chosen: Chosen,
        admission: Admission,
        guest: Guest,
        now: Timestamp,
    ) -> Result<Established, OfficeError> {
        if let Admission::Invited(invite) = &admission {
            self.check_invite(Some(invite.clone()), now).await?;
        }
        self.require_free(&chosen.name).await?;
        let backend = self.directory()?;
        let change = backend
            .directory_create(chosen.name.as_str(), &chosen.password)
            .await?;
        let key = key(backend, &change);
        let (live, lifetimes) = (self.live.by(guest.scene(now)), self.lifetimes.of(backend));
        let origin = origin(backend, &key, guest);
        self.store
            .write(move |tx| {
                let is_first = matches!(admission, Admission::First { .. });
                let is_admin = match admission {
                    Admission::First { .. } if tx.initialised() => {
                        return Err(AccountError::AlreadySetUp.into());
                    }
                    Admission::First { has_code: false } if any_admin(tx)? => {
                        return Err(OfficeError::SetupCode);
                    }
                    Admission::First { .. } => true,
                    Admission::Open => false,
                    Admission::Invited(invite) => redeem_invite(&live, tx, &invite, now)?.is_admin,
                };
                // The list says whom it means, not who was the first to call themselves so.
                if !is_admin && live.is_listed_admin(&chosen.name) {
                    return Err(AccountError::NameTaken.into());
                }
                require_no_remnant(tx, &key)?;
                backend::apply_change(tx, &key.backend, &change).map_err(name_taken)?;
                let account = create(&live, tx, chosen.name, is_admin, Some(key), now)?;
                if is_first {
                    live.note_of(
                        tx,
                        &account.uid,
                        Entry::new(Event::ServerClaimed).by_themselves(),
                    )?;
                }
                tx.mark_initialised();
                Ok(establish(&live, tx, &account.uid, origin, &lifetimes, now)?)
            })
            .await
    }
}

/// What lets somebody in who has no account yet.
enum Admission {
    First { has_code: bool },
    Open,
    Invited(String),
}
