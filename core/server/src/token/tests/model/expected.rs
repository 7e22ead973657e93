//! The model: lists, and a rule of four lines.

use std::collections::HashSet;

use super::{
    Client, Event,
    real::{ACCESS, GRANT, REFRESHED, Server, SignedIn},
    *,
};

struct Account {
    uid: Uid,
    name: String,
    is_disabled: bool,
    is_deleted: bool,
}

/// A login or an API token: what is ended as one.
struct Stay {
    account: usize,
    sid: LoginId,
    has_ended: bool,
    /// Of an API token that was rotated.
    ends_at: Option<Timestamp>,
    /// Of an API token: until when it lives, if not for ever.
    api: Option<Option<Timestamp>>,
}

struct Grant {
    stay: usize,
    is_rotating: bool,
    expires_at: Timestamp,
    rotated_at: Timestamp,
    /// One for each generation, the newest last.
    refresh_tokens: Vec<String>,
}

struct Token {
    text: String,
    stay: usize,
    expires_at: Option<Timestamp>,
    kid: String,
}

pub(super) struct Model {
    now: Timestamp,
    accounts: Vec<Account>,
    stays: Vec<Stay>,
    grants: Vec<Grant>,
    tokens: Vec<Token>,
    retired: HashSet<String>,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            now: NOW,
            accounts: Vec::new(),
            stays: Vec::new(),
            grants: Vec::new(),
            tokens: Vec::new(),
            retired: HashSet::new(),
        }
    }
}

impl Model {
    /// The rule.
    fn counts(&self, token: &Token) -> bool {
        let stay = &self.stays[token.stay];
        let account = &self.accounts[stay.account];
        !stay.has_ended
            && !account.is_disabled
            && !account.is_deleted
            && !self.retired.contains(&token.kid)
            && token.expires_at.is_none_or(|end| self.now < end)
    }

    #[track_caller]
    pub(super) fn compare(&self, server: &Server, event: &Event) {
        for (at, token) in self.tokens.iter().enumerate() {
            let found = server.verifier.verify(token.text.as_bytes(), self.now);
            let found = found.map(|verified| verified.sid);
            assert_eq!(
                found.is_ok(),
                self.counts(token),
                "token {at} after {event:?}: {found:?}"
            );
        }
    }

    pub(super) fn happen(&mut self, server: &mut Server, event: &Event) {
        let now = self.now;
        match *event {
            Event::Create => self.create(server),
            Event::SignIn { account, client } => self.sign_in(server, account, client),
            Event::SignOut { stay } => {
                let logins = self.stays_where(|stay| stay.api.is_none());
                if let Some(at) = picked(&logins, stay) {
                    let stay = &mut self.stays[at];
                    server.sign_out(self.accounts[stay.account].uid, stay.sid);
                    stay.has_ended = true;
                }
            }
            Event::SignOutEverywhere { account } => {
                if let Some(at) = picked(&self.people(), account) {
                    server.sign_out_everywhere(self.accounts[at].uid, now);
                    self.end_logins(at);
                }
            }
            Event::Refresh { grant, back } => self.refresh(server, grant, back),
            Event::MakeToken { account, days } => {
                let able = self.able();
                if let Some(at) = picked(&able, account) {
                    let end = days.map(|days| now.plus_seconds(days * 86_400));
                    let Account { uid, name, .. } = &self.accounts[at];
                    let made = server.make_token((*uid, name), end, None, now);
                    self.note(server, at, &made, end, Some(end));
                }
            }
            Event::RotateToken { token, overlap } => self.rotate_token(server, token, overlap),
            Event::RevokeToken { token } => {
                let tokens = self.stays_where(|stay| stay.api.is_some());
                if let Some(at) = picked(&tokens, token) {
                    let stay = &mut self.stays[at];
                    server.revoke_token(self.accounts[stay.account].uid, stay.sid);
                    stay.has_ended = true;
                }
            }
            Event::Disable { account } => {
                if let Some(at) = picked(&self.people(), account) {
                    server.set_disabled(self.accounts[at].uid, true, now);
                    self.accounts[at].is_disabled = true;
                    // Its API tokens sleep.
                    self.end_logins(at);
                }
            }
            Event::Enable { account } => {
                if let Some(at) = picked(&self.people(), account) {
                    server.set_disabled(self.accounts[at].uid, false, now);
                    self.accounts[at].is_disabled = false;
                }
            }
            Event::Delete { account } => {
                if let Some(at) = picked(&self.people(), account) {
                    server.delete(self.accounts[at].uid, now);
                    self.accounts[at].is_deleted = true;
                }
            }
            Event::RotateKey { algorithm } => {
                server.keys.rotate(Some(algorithm), now).unwrap();
            }
            Event::RetireKey { key } => {
                let is_over = |key: &KeyInfo| matches!(key.state, KeyState::Verifying(_));
                let keys: Vec<_> = server.keys.list().into_iter().filter(is_over).collect();
                if let Some(key) = keys.get(key % keys.len().max(1)) {
                    server.keys.retire(&key.kid, now).unwrap();
                    self.retired.insert(key.kid.clone());
                }
            }
            Event::Pass { seconds } => {
                self.now = now.plus_seconds(seconds);
                server.look_after(self.now);
                for stay in &mut self.stays {
                    stay.has_ended |= stay.ends_at.is_some_and(|end| end <= self.now);
                }
            }
            Event::Restart => server.restart(now),
            Event::Crash => server.crash(now),
        }
    }

    fn create(&mut self, server: &Server) {
        // The name of somebody who is gone, if anybody is.
        let taken = |name: &str| {
            let mut others = self.accounts.iter();
            others.any(|other| other.name == name && !other.is_deleted)
        };
        let names = (0..).map(|n| format!("person{n}"));
        let name = names.into_iter().find(|name| !taken(name)).unwrap();
        let uid = server.create(&name, self.now);
        self.accounts.push(Account {
            uid,
            name,
            is_disabled: false,
            is_deleted: false,
        });
    }

    fn sign_in(&mut self, server: &Server, account: usize, client: Client) {
        let Some(at) = picked(&self.people(), account) else {
            return;
        };
        let made = server.sign_in(self.accounts[at].uid, client, self.now);
        assert_eq!(made.is_some(), !self.accounts[at].is_disabled);
        let Some(made) = made else { return };
        let end = self.now.plus_seconds(ACCESS);
        let stay = self.note(server, at, &made, Some(end), None);
        assert_eq!(made.refresh_token.is_some(), client != Client::Browser);
        if let Some(refresh_token) = made.refresh_token {
            self.grants.push(Grant {
                stay,
                is_rotating: client == Client::App,
                expires_at: self.now.plus_seconds(GRANT),
                rotated_at: self.now,
                refresh_tokens: vec![refresh_token.expose().clone()],
            });
        }
    }

    fn refresh(&mut self, server: &Server, grant: usize, back: usize) {
        if self.grants.is_empty() {
            return;
        }
        let at = grant % self.grants.len();
        let grant = &mut self.grants[at];
        let newest = grant.refresh_tokens.len() - 1;
        let generation = newest.saturating_sub(back);
        let refreshed = server.refresh(&grant.refresh_tokens[generation], self.now);
        let stay = &mut self.stays[grant.stay];
        let is_over = stay.has_ended
            || self.accounts[stay.account].is_deleted
            || grant.expires_at <= self.now;
        let is_repeat =
            generation + 1 == newest && self.now.millis_since(grant.rotated_at) < 30_000;
        let may = !is_over && (generation == newest || is_repeat);
        assert_eq!(
            refreshed.is_some(),
            may,
            "generation {generation} of {newest}"
        );
        let Some((token, refresh_token)) = refreshed else {
            // Used again when another counts: the family ends.
            stay.has_ended |= !is_over;
            return;
        };
        if generation == newest && grant.is_rotating {
            grant.refresh_tokens.push(refresh_token.expose().clone());
            grant.rotated_at = self.now;
        }
        let counts = grant.refresh_tokens.last().unwrap();
        assert_eq!(counts, refresh_token.expose());
        self.tokens.push(Token {
            text: token.expose().clone(),
            stay: grant.stay,
            expires_at: Some(self.now.plus_seconds(REFRESHED).min(grant.expires_at)),
            kid: server.verifier.keyring().active().to_owned(),
        });
    }

    fn rotate_token(&mut self, server: &Server, token: usize, overlap: u64) {
        let now = self.now;
        let able = self.able();
        let living = self.stays_where(|stay| {
            let lives = stay.api.is_some_and(|end| end.is_none_or(|end| now < end));
            lives && !stay.has_ended && able.contains(&stay.account)
        });
        let Some(at) = picked(&living, token) else {
            return;
        };
        let (sid, account, end) = {
            let stay = &self.stays[at];
            (stay.sid, stay.account, stay.api.flatten())
        };
        let new_end = end.map(|_| now.plus_seconds(20 * 86_400));
        let Account { uid, name, .. } = &self.accounts[account];
        let made = server.make_token((*uid, name), new_end, Some((sid, overlap)), now);
        let old = &mut self.stays[at];
        match overlap {
            0 => old.has_ended = true,
            // The earliest of several ends counts.
            _ => {
                let end = now.plus_seconds(overlap);
                old.ends_at = Some(old.ends_at.map_or(end, |known| known.min(end)));
            }
        }
        self.note(server, account, &made, new_end, Some(new_end));
    }

    fn note(
        &mut self,
        server: &Server,
        account: usize,
        made: &SignedIn,
        expires_at: Option<Timestamp>,
        api: Option<Option<Timestamp>>,
    ) -> usize {
        self.stays.push(Stay {
            account,
            sid: made.sid,
            has_ended: false,
            ends_at: None,
            api,
        });
        let stay = self.stays.len() - 1;
        self.tokens.push(Token {
            text: made.token.expose().clone(),
            stay,
            expires_at,
            kid: server.verifier.keyring().active().to_owned(),
        });
        stay
    }

    fn end_logins(&mut self, account: usize) {
        for stay in &mut self.stays {
            stay.has_ended |= stay.account == account && stay.api.is_none();
        }
    }

    /// Accounts that are there.
    fn people(&self) -> Vec<usize> {
        let all = self.accounts.iter().enumerate();
        let there = all.filter(|(_, account)| !account.is_deleted);
        there.map(|(at, _)| at).collect()
    }

    /// Accounts that may act.
    fn able(&self) -> Vec<usize> {
        let is_able = |at: &usize| !self.accounts[*at].is_disabled;
        self.people().into_iter().filter(is_able).collect()
    }

    fn stays_where(&self, is_wanted: impl Fn(&Stay) -> bool) -> Vec<usize> {
        let all = self.stays.iter().enumerate();
        let wanted = all.filter(|(_, stay)| is_wanted(stay));
        wanted.map(|(at, _)| at).collect()
    }
}

fn picked(among: &[usize], number: usize) -> Option<usize> {
    among.get(number % among.len().max(1)).copied()
}
