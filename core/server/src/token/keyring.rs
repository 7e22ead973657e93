//! The signing keys, and the key of keyed hashes.
//!
//! Owns: which key signs, which ones verify, under which `kid`; what the configuration makes of
//! them. Does not: read claims, know which tokens still live (`keys` does).
//!
//! **Invariants:** a key has one algorithm, chosen when it was made; the `kid` of a token is a
//! name looked up in a list and nothing else; a change is on disk before it is in force.
//! Configured secrets are never written down, and keyed hashes have a key of their own, which is
//! never rotated: refresh tokens, invites and tickets outlive every signing key.
//!
//! | configured | signs | verifies |
//! |---|---|---|
//! | nothing | the file's signing key, made at the first start | all keys of the file |
//! | an algorithm | the same; a new key when it is of another algorithm | all keys of the file |
//! | a secret, and no algorithm or HS256 | the secret, its `kid` derived from it | it, and all keys of the file |
//! | a secret, and another algorithm | the file's signing key | the secret, and all keys of the file |
//!
//! A configured previous secret verifies.

use std::{fmt, path::Path};

use super::{
    algorithm::Algorithm,
    claims::Claims,
    codec,
    hash::Hasher,
    keyerror::KeyringError,
    keyfile::{self, Contents, State},
    parse::{self, Segments},
    refusal::Refusal,
    signing::SigningKey,
    strength,
};
use crate::{clock::Timestamp, secret::Secret};

/// Most keys that sign or verify at once.
pub const MAX_KEYS: usize = 32;

/// Names this server has had, in `iss`, that are remembered.
const MAX_ISSUERS: usize = 64;

/// What the configuration says of keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeySettings {
    /// Signs in place of a key of the file, or verifies; see the module.
    pub secret: Option<Secret<Vec<u8>>>,
    /// Verifies.
    pub previous_secret: Option<Secret<Vec<u8>>>,
    /// Of the key that signs. Absent: that of the key that does.
    pub algorithm: Option<Algorithm>,
    /// Seconds a token may live at most, API tokens aside.
    pub longest: u64,
    /// `iss` of new tokens.
    pub issuer: Box<str>,
}

impl KeySettings {
    fn secret_signs(&self) -> bool {
        let algorithm = self.algorithm.unwrap_or(Algorithm::Hs256);
        self.secret.is_some() && algorithm == Algorithm::Hs256
    }
}

/// What people are told of a key. Nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name.
    pub kid: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// What it is for.
    pub state: KeyState,
    /// Whether it is a secret of the configuration.
    pub is_configured: bool,
    /// When it was made, where that is known.
    pub created: Option<Timestamp>,
    /// Seconds the longest-lived token could have that it signed, API tokens aside.
    pub longest: u64,
}

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It signs.
    Signing,
    /// It signed until then, where that is known, and verifies.
    Verifying(Option<Timestamp>),
    /// It has done nothing since then.
    Retired(Timestamp),
}

/// All keys. Changing them makes a new keyring: hand it to `Verifier::replace_keyring`.
pub struct Keyring {
    active: SigningKey,
    others: Vec<SigningKey>,
    hash_key: Secret<[u8; 32]>,
    settings: KeySettings,
    contents: Contents,
}

impl Keyring {
    /// The keyring in `dir`, made when there is none, as the settings want it. Two processes must
    /// not do this at once: hold the store's lock.
    ///
    /// # Errors
    /// See [`KeyringError`]; the server must not start then.
    pub fn load_or_create(
        dir: &Path,
        settings: &KeySettings,
        now: Timestamp,
    ) -> Result<Self, KeyringError> {
        for secret in [&settings.secret, &settings.previous_secret] {
            secret
                .iter()
                .try_for_each(|s| strength::check(s.expose()))?;
        }
        let stored = keyfile::read(dir, settings.longest, now)?;
        keyfile::tidy(dir)?;
        let contents = stored.clone().unwrap_or_else(Contents::new);
        Self::settled(contents, stored.as_ref(), settings.clone(), dir, now)
    }

    /// The same keys by other settings.
    ///
    /// # Errors
    /// Those of writing; then nothing has changed.
    pub fn reconfigured(
        &self,
        dir: &Path,
        settings: KeySettings,
        now: Timestamp,
    ) -> Result<Self, KeyringError> {
        let contents = self.contents.clone();
        Self::settled(contents, Some(&self.contents), settings, dir, now)
    }

    /// Makes a new key sign, in the file and in the keyring returned; the others still verify.
    /// Without an algorithm it has the one of the key before.
    ///
    /// # Errors
    /// [`KeyringError::Configured`], [`KeyringError::OtherAlgorithm`], [`KeyringError::TooMany`],
    /// and those of writing.
    pub fn rotate(
        &self,
        dir: &Path,
        algorithm: Option<Algorithm>,
        now: Timestamp,
    ) -> Result<Self, KeyringError> {
        if self.settings.secret_signs() {
            return Err(KeyringError::Configured);
        }
        let pinned = self.settings.algorithm;
        let algorithm = algorithm.or(pinned).unwrap_or(self.active.algorithm());
        if let Some(pinned) = pinned.filter(|pinned| *pinned != algorithm) {
            return Err(KeyringError::OtherAlgorithm(pinned));
        }
        let mut contents = self.contents.clone();
        contents.renew(algorithm, self.settings.longest, now);
        let keyring = Self::of(contents, self.settings.clone(), dir)?;
        keyfile::write(dir, &keyring.contents)?;
        Ok(keyring)
    }

    /// Takes the key `kid` out of the file and of the keyring returned: its tokens end.
    ///
    /// # Errors
    /// [`KeyringError::Unknown`], [`KeyringError::Signs`], [`KeyringError::Secret`],
    /// [`KeyringError::Retired`], and those of writing.
    pub fn retire(&self, dir: &Path, kid: &str, now: Timestamp) -> Result<Self, KeyringError> {
        self.may_retire(kid)?;
        let mut contents = self.contents.clone();
        contents.retire(kid, now);
        let keyring = Self::of(contents, self.settings.clone(), dir)?;
        keyfile::write(dir, &keyring.contents)?;
        Ok(keyring)
    }

    /// The key, if it can be retired.
    ///
    /// # Errors
    /// As [`Keyring::retire`].
    pub fn may_retire(&self, kid: &str) -> Result<KeyInfo, KeyringError> {
        let key = self.infos().find(|key| key.kid == kid);
        let key = key.ok_or(KeyringError::Unknown)?;
        match key.state {
            KeyState::Signing => Err(KeyringError::Signs),
            KeyState::Retired(_) => Err(KeyringError::Retired),
            KeyState::Verifying(_) if key.is_configured => Err(KeyringError::Secret),
            KeyState::Verifying(_) => Ok(key),
        }
    }

    /// What the configuration says.
    pub(super) fn settings(&self) -> &KeySettings {
        &self.settings
    }

    /// The keyed hashes of this server. The same for the life of the data directory.
    pub fn hasher(&self) -> Hasher {
        Hasher::new(self.hash_key.expose())
    }

    /// The `kid` of the key that signs.
    pub fn active(&self) -> &str {
        &self.active.kid
    }

    /// The algorithm of the key that signs.
    pub fn algorithm(&self) -> Algorithm {
        self.active.algorithm()
    }

    /// The `kid` of each key that verifies, the one that signs first.
    pub fn kids(&self) -> impl Iterator<Item = &str> {
        self.keys().map(|key| &*key.kid)
    }

    /// The public halves of the keys that have one (RFC 7517 section 5), the one that signs first.
    pub fn public(&self) -> impl Iterator<Item = serde_json::Value> {
        self.keys().filter_map(SigningKey::public)
    }

    /// Whether any key has a public half.
    pub fn has_public(&self) -> bool {
        self.keys().any(|key| key.algorithm().is_asymmetric())
    }

    /// Whether this server calls itself so, or did before. By a loopback address it is called by
    /// whoever runs here, whatever its port: of those no list is kept.
    pub(super) fn is_issuer(&self, issuer: &str) -> bool {
        self.issuers().any(|ours| ours == issuer) || is_loopback(issuer)
    }

    /// What this server calls itself, and what it did before, loopback addresses aside.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.contents.issuers.iter().map(String::as_str)
    }

    /// All keys, those that are retired last.
    pub fn infos(&self) -> impl Iterator<Item = KeyInfo> {
        let configured = self.keys().filter_map(|key| {
            let is_stored = self
                .contents
                .keys
                .iter()
                .any(|stored| *stored.kid == *key.kid);
            let is_active = key.kid == self.active.kid;
            (!is_stored).then(|| KeyInfo {
                kid: key.kid.to_string(),
                algorithm: key.algorithm(),
                state: match is_active {
                    true => KeyState::Signing,
                    false => KeyState::Verifying(None),
                },
                is_configured: true,
                created: None,
                longest: self.settings.longest,
            })
        });
        let stored = self.contents.keys.iter().map(|key| KeyInfo {
            kid: key.kid.clone(),
            algorithm: key.alg,
            state: match key.state {
                State::Signing => KeyState::Signing,
                State::Verifying { since } => KeyState::Verifying(Some(since)),
                State::Retired { at } => KeyState::Retired(at),
            },
            is_configured: false,
            created: key.created,
            longest: key.longest,
        });
        let mut infos: Vec<_> = configured.chain(stored).collect();
        infos.sort_by_key(|key| match key.state {
            KeyState::Signing => 0,
            KeyState::Verifying(_) => 1,
            KeyState::Retired(_) => 2,
        });
        infos.into_iter()
    }

    /// The token of these claims. Does not check them.
    pub fn sign(&self, claims: &Claims<'_>) -> Secret<String> {
        codec::sign(&self.active, claims)
    }

    /// Checks the header and the signature.
    pub(super) fn check(&self, segments: &Segments<'_>) -> Result<(), Refusal> {
        // Headers of ours are known by heart; only a stranger's order or spelling is parsed.
        let known = self
            .keys()
            .find(|key| key.header.as_bytes() == segments.header);
        let key = match known {
            Some(key) => key,
            None => parse::header(segments.header, |alg, kid| self.find(alg, kid))?,
        };
        if key.check.holds(segments.signed, &segments.signature) {
            Ok(())
        } else {
            Err(Refusal::Signature)
        }
    }

    fn find(&self, alg: &str, kid: &str) -> Result<&SigningKey, Refusal> {
        if self.keys().all(|key| key.algorithm().as_str() != alg) {
            return Err(Refusal::Algorithm);
        }
        let key = self.keys().find(|key| *key.kid == *kid);
        let key = key.ok_or(Refusal::UnknownKey)?;
        if key.algorithm().as_str() == alg {
            Ok(key)
        } else {
            Err(Refusal::Algorithm)
        }
    }

    fn keys(&self) -> impl Iterator<Item = &SigningKey> {
        std::iter::once(&self.active).chain(&self.others)
    }

    /// The keyring of `contents` once they are as the settings want them; written if that is not
    /// what is `stored`.
    fn settled(
        mut contents: Contents,
        stored: Option<&Contents>,
        settings: KeySettings,
        dir: &Path,
        now: Timestamp,
    ) -> Result<Self, KeyringError> {
        settle(&mut contents, &settings, now);
        let keyring = Self::of(contents, settings, dir)?;
        if stored != Some(&keyring.contents) {
            keyfile::write(dir, &keyring.contents)?;
        }
        Ok(keyring)
    }

    pub(super) fn of(
        contents: Contents,
        settings: KeySettings,
        dir: &Path,
    ) -> Result<Self, KeyringError> {
        let damaged = || KeyringError::Damaged(dir.join(keyfile::NAME));
        let mut hash_key = [0; 32];
        hex::decode_to_slice(&contents.hash_key, &mut hash_key).map_err(|_| damaged())?;
        strength::check(&hash_key).map_err(|_| damaged())?;
        let (mut active, mut others) = (None, Vec::new());
        if let Some(secret) = &settings.secret {
            let key = SigningKey::configured(secret.expose());
            match settings.secret_signs() {
                true => active = Some(key),
                false => others.push(key),
            }
        }
        if let Some(secret) = &settings.previous_secret {
            let key = SigningKey::configured(secret.expose());
            let is_new = |known: &SigningKey| known.kid != key.kid;
            if active.iter().chain(&others).all(is_new) {
                others.push(key);
            }
        }
        for stored in &contents.keys {
            let is_retired = matches!(stored.state, State::Retired { .. });
            let secret = match &stored.secret {
                None if is_retired => continue,
                Some(secret) if !is_retired => hex::decode(secret).map_err(|_| damaged())?,
                _ => return Err(damaged()),
            };
            let key = SigningKey::stored(&stored.kid, stored.alg, &secret).ok_or_else(damaged)?;
            match stored.state {
                State::Signing if active.is_none() => active = Some(key),
                State::Signing => return Err(damaged()),
                _ => others.push(key),
            }
        }
        let active = active.ok_or_else(damaged)?;
        let keyring = Self {
            active,
            others,
            hash_key: Secret::new(hash_key),
            settings,
            contents,
        };
        let retired = keyring
            .contents
            .keys
            .iter()
            .filter(|key| key.secret.is_none());
        let retired = retired.map(|key| key.kid.as_str());
        let mut kids: Vec<_> = keyring.kids().chain(retired).collect();
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(damaged());
        }
        match keyring.keys().count() {
            ..=MAX_KEYS => Ok(keyring),
            _ => Err(KeyringError::TooMany),
        }
    }
}

/// Makes `contents` what the settings want: one key signs, of the right algorithm.
pub(super) fn settle(contents: &mut Contents, settings: &KeySettings, now: Timestamp) {
    let is_wanted = |algorithm| settings.algorithm.is_none_or(|wanted| wanted == algorithm);
    if settings.secret_signs() {
        contents.stop_signing(now);
    } else if let Some(key) = contents.signing().filter(|key| is_wanted(key.alg)) {
        key.longest = key.longest.max(settings.longest);
    } else {
        // A configured secret signed until now. The key before it has tokens out anyway.
        let has_signing = contents.signing().is_some();
        let is_spare = |state| matches!(state, State::Verifying { .. });
        let newest = contents.keys.iter_mut().find(|key| is_spare(key.state));
        match newest.filter(|key| !has_signing && is_wanted(key.alg)) {
            Some(key) => {
                key.state = State::Signing;
                key.longest = key.longest.max(settings.longest);
            }
            None => {
                let algorithm = settings.algorithm.unwrap_or(Algorithm::Hs256);
                contents.renew(algorithm, settings.longest, now);
            }
        }
    }
    let issuer = &*settings.issuer;
    let is_kept = !issuer.is_empty() && !is_loopback(issuer);
    if is_kept && contents.issuers.first().is_none_or(|first| first != issuer) {
        contents.issuers.retain(|known| known != issuer);
        contents.issuers.insert(0, issuer.to_owned());
        contents.issuers.truncate(MAX_ISSUERS);
    }
}

/// Whether it is `http://`, a loopback host, and a port or none.
fn is_loopback(issuer: &str) -> bool {
    let hosts = ["127.0.0.1", "localhost", "[::1]"];
    let Some(rest) = issuer.strip_prefix("http://") else {
        return false;
    };
    let is_port = |port: &str| {
        port.is_empty()
            || port
                .strip_prefix(':')
                .is_some_and(|n| n.parse::<u16>().is_ok())
    };
    hosts
        .iter()
        .any(|host| rest.strip_prefix(host).is_some_and(is_port))
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.kids()).finish()
    }
}
