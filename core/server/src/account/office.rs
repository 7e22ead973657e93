//! The office where accounts with a password are made and changed: brings the backend that keeps
//! the passwords and our own records together in one transaction.
//!
//! Owns: adding, password changes and resets; setup and registration in `joining`. Does not: hash
//! passwords (the backend does); remove anybody (`removal`).
//!
//! **Invariant:** an account and its password change together or not at all.

mod joining;

use std::sync::Arc;

use omnigent_plugin::{Change, Password};

use super::{
    ACCOUNTS, Account, AccountError, AccountName, IdentityKey, NAMES, OfficeError, REMNANTS,
    by_name, create, still_acts, still_admin,
};
use crate::{
    audit::{Entry, Event, Scene},
    backend::{self, Backends, Instance},
    config::Registration,
    id::{LoginId, Uid},
    live::Live,
    login::{self, Lifetimes},
    secret::Secret,
    store::{Store, Tx},
    token::{self, hash},
};

/// Makes and changes accounts with a password.
pub struct Office {
    pub(crate) store: Store,
    pub(crate) live: Live,
    pub(crate) backends: Arc<Backends>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) registration: Registration,
    /// The one-time setup code, while the server waits to be claimed. Without one, nobody has it.
    pub(crate) setup_code: Option<Secret<String>>,
    /// Whether it is reached from this machine only, so far as we know: who is on it needs no code.
    pub(crate) is_local: bool,
}

/// A name and a password somebody chose.
#[derive(Debug)]
pub struct Chosen {
    /// The name, as parsed.
    pub name: AccountName,
    /// The password.
    pub password: Password,
}

impl Office {
    /// Whether the server waits to be claimed: a backend keeps passwords and nobody has one.
    pub fn needs_setup(&self) -> bool {
        !self.store.initialised() && self.directory().is_ok()
    }

    /// Adds an account on an admin's word. Without a password it can be linked, or given one later.
    ///
    /// # Errors
    /// [`AccountError::NameTaken`] and what the backend refuses; [`AccountError::NotAdmin`].
    pub async fn add(
        &self,
        scene: Scene,
        name: AccountName,
        password: Option<Password>,
        is_admin: bool,
    ) -> Result<Account, OfficeError> {
        let prepared = match password {
            None => None,
            Some(password) => {
                self.require_free(&name).await?;
                let backend = self.directory()?;
                let change = backend.directory_create(name.as_str(), &password).await?;
                Some((backend.name().to_owned(), key(backend, &change), change))
            }
        };
        let now = scene.at;
        let live = self.live.by(scene);
        self.store
            .write(move |tx| {
                still_admin(&live, tx)?;
                let key = match prepared {
                    None => None,
                    Some((backend, key, change)) => {
                        require_no_remnant(tx, &key)?;
                        backend::apply_change(tx, &backend, &change).map_err(name_taken)?;
                        tx.mark_initialised();
                        Some(key)
                    }
                };
                let account = create(&live, tx, name, is_admin, key, now)?;
                super::address::vouch(tx, &account)?;
                Ok(account)
            })
            .await
    }

    /// Changes one's own password and ends all other logins.
    ///
    /// # Errors
    /// [`OfficeError::WrongPassword`], [`OfficeError::NoPassword`], [`OfficeError::PasswordRefused`].
    pub async fn change_password(
        &self,
        uid: Uid,
        keep: Option<LoginId>,
        old: &Password,
        new: &Password,
        scene: Scene,
    ) -> Result<(), OfficeError> {
        let (backend, subject) = self.password_identity(uid).await?;
        let change = backend
            .directory_change_password(&subject, old, new)
            .await?;
        let (now, name) = (scene.at, backend.name().to_owned());
        let live = self.live.by(scene);
        self.store
            .write(move |tx| {
                still_acts(&live, tx)?;
                backend::apply_change(tx, &name, &change).map_err(collision)?;
                let changed = Entry::new(Event::PasswordChanged).backend(&name);
                live.note_of(tx, &uid, changed)?;
                live.accounts.password_changes(&uid);
                login::end_all(&live, tx, &uid, keep.as_ref(), now)?;
                Ok(())
            })
            .await
    }

    /// Gives the account a new random password and ends everything that acts for it.
    ///
    /// # Errors
    /// [`AccountError::NotFound`]; [`OfficeError::NoPassword`]; [`AccountError::NotAdmin`].
    pub async fn reset_password(
        &self,
        scene: Scene,
        name: &str,
    ) -> Result<Secret<String>, OfficeError> {
        let wanted = name.to_owned();
        let account = self
            .store
            .read(move |reader| by_name(reader, &wanted))
            .await?;
        let password = hash::generate_password();
        let new = Password::new(password.expose().clone());
        self.set_password(scene, account.uid, &new).await?;
        Ok(password)
    }

    /// Sets the account's password on an admin's word and ends everything that acts for it.
    ///
    /// # Errors
    /// [`OfficeError::NoPassword`]; [`OfficeError::PasswordRefused`].
    pub async fn set_password(
        &self,
        scene: Scene,
        uid: Uid,
        new: &Password,
    ) -> Result<(), OfficeError> {
        let (backend, subject) = self.password_identity(uid).await?;
        let change = backend.directory_set_password(&subject, new).await?;
        let (now, name) = (scene.at, backend.name().to_owned());
        let live = self.live.by(scene);
        self.store
            .write(move |tx| {
                still_admin(&live, tx)?;
                backend::apply_change(tx, &name, &change).map_err(collision)?;
                let reset = Entry::new(Event::PasswordReset).backend(&name);
                live.note_of(tx, &uid, reset)?;
                live.accounts.password_changes(&uid);
                login::end_all(&live, tx, &uid, None, now)?;
                token::api::revoke_all(&live, tx, &uid)?;
                Ok(())
            })
            .await
    }

    /// For each account, whether it has a password.
    ///
    /// # Errors
    /// [`OfficeError::Unavailable`].
    pub async fn have_passwords(&self, accounts: &[Account]) -> Result<Vec<bool>, OfficeError> {
        let mut have = vec![false; accounts.len()];
        for backend in self
            .backends
            .iter()
            .filter(|backend| backend.is_directory())
        {
            let of_backend = |account: &Account| {
                account
                    .identities
                    .iter()
                    .find(|key| key.backend == backend.name())
                    .map(|key| key.subject.clone())
            };
            let (places, subjects): (Vec<usize>, Vec<String>) = accounts
                .iter()
                .enumerate()
                .filter_map(|(place, account)| Some((place, of_backend(account)?)))
                .unzip();
            let entries = backend.directory_describe(&subjects).await?;
            for (place, entry) in places.into_iter().zip(entries) {
                have[place] |= entry.has_password;
            }
        }
        Ok(have)
    }

    /// Whether a backend of this server keeps a password for the account.
    ///
    /// # Errors
    /// Only of the store.
    pub async fn keeps_password(&self, uid: Uid) -> Result<bool, OfficeError> {
        match self.password_identity(uid).await {
            Ok(_) => Ok(true),
            Err(OfficeError::NoPassword | OfficeError::Account(AccountError::NotFound)) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn require_free(&self, name: &AccountName) -> Result<(), OfficeError> {
        let name = name.clone();
        let is_taken = self
            .store
            .read(move |reader| {
                NAMES
                    .contains(reader, name.as_str())
                    .map_err(AccountError::from)
            })
            .await?;
        if is_taken {
            Err(AccountError::NameTaken.into())
        } else {
            Ok(())
        }
    }

    async fn password_identity(&self, uid: Uid) -> Result<(&Instance, String), OfficeError> {
        let account = self
            .store
            .read(move |reader| ACCOUNTS.get(reader, &uid)?.ok_or(AccountError::NotFound))
            .await?;
        account
            .identities
            .iter()
            .find_map(|key| {
                let backend = self
                    .backends
                    .get(&key.backend)
                    .filter(|backend| backend.is_directory())?;
                Some((backend, key.subject.clone()))
            })
            .ok_or(OfficeError::NoPassword)
    }

    /// The name of the backend that keeps passwords. Empty where none does.
    pub fn directory_name(&self) -> &str {
        self.directory().map_or("", Instance::name)
    }

    /// The backend that keeps passwords: the first one that can.
    fn directory(&self) -> Result<&Instance, OfficeError> {
        self.backends
            .iter()
            .find(|backend| backend.is_directory())
            .ok_or(OfficeError::NoDirectory)
    }
}

fn key(backend: &Instance, change: &Change) -> IdentityKey {
    IdentityKey {
        backend: backend.name().to_owned(),
        issuer: change.identity.issuer.clone().unwrap_or_default(),
        subject: change.identity.subject.clone(),
    }
}

/// What is new must not go with what is left of somebody who was deleted.
fn require_no_remnant(tx: &Tx<'_>, key: &IdentityKey) -> Result<(), AccountError> {
    match REMNANTS.contains(tx, key)? {
        true => Err(AccountError::NameTaken),
        false => Ok(()),
    }
}

/// Two who register the same name at once: the second finds the first's password in its place.
fn name_taken(error: backend::ApplyError) -> AccountError {
    match collision(error) {
        AccountError::Collision => AccountError::NameTaken,
        error => error,
    }
}

pub(super) fn collision(error: backend::ApplyError) -> AccountError {
    match error {
        backend::ApplyError::Conflict => AccountError::Collision,
        backend::ApplyError::Refused(_) => AccountError::Collision,
        backend::ApplyError::Store(error) => AccountError::Store(error),
    }
}
