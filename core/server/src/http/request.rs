//! A request on its way to its handler.

use std::{
    cell::Cell,
    net::IpAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use super::{
    Access, ApiError,
    authenticate::{Credential, OUTSIDE},
    body::Content,
    cookies,
    door::Door,
    peer::Peer,
};
use crate::{
    account::IdentityKey,
    app::App,
    audit::{Entry, Event, Scene, Who},
    clock::Timestamp,
    id::{RequestId, Uid},
    login::Guest,
    token::{AccountState, Scope, TokenUse, VerifiedToken},
    trace::{Arrived, Parent, Trace},
};

/// A request as it came, without its body.
pub struct Head {
    /// The method.
    pub method: Method,
    /// The target.
    pub uri: Uri,
    /// The headers.
    pub headers: HeaderMap,
    /// Who is at the other end.
    pub peer: Peer,
    /// The client's address: the peer's, or what a trusted proxy says.
    pub client: IpAddr,
    /// Whether the peer is a proxy the operator trusts.
    pub is_from_trusted_proxy: bool,
    /// What the answer and the log call it.
    pub id: RequestId,
    /// When it came, for how long it takes.
    pub(super) began: Instant,
    /// The place of its route in the table, once found.
    pub(super) route: AtomicU16,
    /// The end of the API token it presents, when that is near: the answer says so.
    pub(super) expiry_notice: OnceLock<Timestamp>,
    /// The version of HTTP it came by.
    pub(super) version: Version,
    /// Its trace, once somebody has asked whether it is traced.
    pub(super) trace: OnceLock<Option<Arc<Trace>>>,
}

impl Head {
    /// A header's only value as text; nothing when it is absent, twice there, or not text.
    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    }

    /// Its trace, if it is traced.
    pub(super) fn trace(&self, app: &App) -> Option<&Arc<Trace>> {
        let tracer = app.tracer.as_ref()?;
        let begin = || {
            let mut lines = self.headers.get_all("traceparent").iter();
            let parent = lines.next().and_then(|line| Parent::parse(line.as_bytes()));
            tracer.begin(&Arrived {
                request: self.id,
                began: self.began,
                now: app.clock.nanos(),
                parent: parent.filter(|_| lines.next().is_none()),
                is_trusted: self.is_from_trusted_proxy,
            })
        };
        self.trace.get_or_init(begin).as_ref()
    }

    /// The client's address; loopback for the operator's socket.
    pub const fn address(&self) -> IpAddr {
        self.client
    }

    /// Whether it is from this machine. Of what comes by a proxy's socket, or from somebody a
    /// balancer does not know, nobody can say so.
    pub(super) fn is_from_here(&self) -> bool {
        match self.peer {
            Peer::Operator => true,
            Peer::Tcp(_) => self.client.is_loopback(),
            Peer::Socket | Peer::Balancer(_) => false,
        }
    }

    /// What happens by this request before it is known whom it is from.
    pub(super) fn scene(&self, at: Timestamp) -> Scene {
        let agent = self.header(http::header::USER_AGENT);
        Scene {
            address: Some(self.client),
            request: Some(self.id),
            agent: agent.map(Into::into),
            ..Scene::system(at).done_by(Who::Nobody)
        }
    }
}

/// By what authority a request acts.
#[derive(Clone, Debug)]
pub enum Authority {
    /// A token's.
    Token(VerifiedToken),
    /// Everybody's, in no-auth mode.
    NoAuth(Arc<AccountState>),
    /// The operator's, on the Unix socket.
    Operator(Arc<AccountState>),
    /// A backend's, that says who each request is from: its name, and issuer and subject.
    Asserted(Arc<AccountState>, Arc<IdentityKey>),
}

/// Whoever a request acts as, with what authority.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The authority.
    pub authority: Authority,
    /// Whether a browser or a proxy adds it by itself, whoever made the request.
    pub is_ambient: bool,
}

impl Principal {
    /// The account.
    pub fn account(&self) -> &Arc<AccountState> {
        match &self.authority {
            Authority::Token(token) => token.account(),
            Authority::NoAuth(account)
            | Authority::Operator(account)
            | Authority::Asserted(account, _) => account,
        }
    }

    /// The verified token, if it acts by one.
    pub const fn token(&self) -> Option<&VerifiedToken> {
        match &self.authority {
            Authority::Token(token) => Some(token),
            Authority::NoAuth(_) | Authority::Operator(_) | Authority::Asserted(..) => None,
        }
    }

    /// The account behind it, when it is somebody's.
    pub fn person(&self) -> Option<Uid> {
        match self.authority {
            Authority::Token(_) | Authority::Asserted(..) => Some(self.account().uid),
            Authority::NoAuth(_) | Authority::Operator(_) => None,
        }
    }

    /// Who acts, for the audit trail.
    pub fn who(&self) -> Who {
        match &self.authority {
            Authority::Operator(_) => Who::Operator,
            Authority::NoAuth(_) => Who::Everybody,
            Authority::Token(_) | Authority::Asserted(..) => Who::Account {
                name: self.account().id.to_string(),
                uid: self.account().uid,
                login: self.token().map(|token| token.sid),
            },
        }
    }

    /// Whether it may administer: the account may, and the token is not made for a program, or is
    /// made for that.
    pub fn is_admin(&self) -> bool {
        self.account().is_admin() && self.has(Scope::Admin)
    }

    /// A login has every authority of its account; an API token outside `/v1` only what it names.
    fn has(&self, scope: Scope) -> bool {
        self.token().is_none_or(|token| match token.scope {
            Some(scopes) => scopes.contains(scope),
            None => token.token_use == TokenUse::Access,
        })
    }
}

/// A request with everything its handler needs.
pub struct Request {
    /// Where it came in.
    pub(super) door: Arc<Door>,
    /// As it came.
    pub head: Arc<Head>,
    /// The variable parts of the path, by name.
    pub params: Vec<(&'static str, String)>,
    /// What it presented.
    pub(super) credential: Credential,
    /// What its route demands.
    pub(super) access: Access,
    /// The body, if its route reads one.
    pub(super) content: Content,
    /// The body as it came.
    pub bytes: Bytes,
    /// When it came.
    pub now: Timestamp,
}

impl Request {
    /// A variable part of the path.
    pub fn param(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(key, _)| *key == name)
            .map_or("", |(_, value)| value)
    }

    /// Whoever it acts as.
    pub const fn principal(&self) -> Option<&Principal> {
        match &self.credential {
            Credential::Good(principal) => Some(principal),
            _ => None,
        }
    }

    /// Whoever it acts as.
    ///
    /// # Errors
    /// 401 in the shape of the path.
    pub fn user(&self) -> Result<&Principal, ApiError> {
        match &self.credential {
            Credential::Good(principal) => Ok(principal),
            Credential::None => Err(self.unauthenticated()),
            Credential::Bad(OUTSIDE) => Err(self.unauthenticated().insufficient_scope()),
            Credential::Bad(_) => Err(self.unauthenticated().bad_credential()),
            Credential::Refused(status, text) => Err(ApiError::auth(*status, text)),
        }
    }

    /// What happens by this request.
    pub fn scene(&self) -> Scene {
        let scene = self.head.scene(self.now);
        match self.principal() {
            Some(principal) => scene.done_by(principal.who()),
            None => scene,
        }
    }

    /// Holds the request against its route's demand.
    ///
    /// # Errors
    /// 401 or 403.
    pub(super) fn admit(&self) -> Result<(), ApiError> {
        let admitted = self.check();
        if let Err(error) = &admitted
            && error.status() == StatusCode::FORBIDDEN
        {
            let app = self.door.running.glance();
            let denied = Entry::new(Event::AccessDenied).reason(match self.access {
                Access::Operator => "not the operator",
                Access::Admin => "not an admin",
                Access::Login => "not a login",
                _ => "scope",
            });
            app.live.audit.report(self.scene(), denied);
        }
        admitted
    }

    fn check(&self) -> Result<(), ApiError> {
        let scope = match self.access {
            Access::Public => return Ok(()),
            Access::Optional => {
                return match self.credential {
                    Credential::Bad(_) | Credential::Refused(..) => self.user().map(drop),
                    _ => Ok(()),
                };
            }
            Access::User => return self.user().map(drop),
            Access::Account => Scope::Account,
            Access::Login => {
                let user = self.user()?;
                let is_login = user
                    .token()
                    .is_none_or(|t| t.token_use == TokenUse::Access && t.scope.is_none());
                return if is_login {
                    Ok(())
                } else {
                    Err(too_little("sign in to do this; an API token may not"))
                };
            }
            Access::Operator => {
                return match self.user()?.authority {
                    Authority::Operator(_) => Ok(()),
                    _ => Err(too_little(
                        "only the operator may, on the server's own socket",
                    )),
                };
            }
            Access::Admin => Scope::Admin,
        };
        let user = self.user()?;
        if scope == Scope::Admin && !user.account().is_admin() {
            return Err(too_little("admin only"));
        }
        if user.has(scope) {
            Ok(())
        } else {
            Err(too_little("this token lacks the scope for it").insufficient_scope())
        }
    }

    /// Who is at the desk.
    pub fn guest(&self, client_id: Option<String>) -> Guest {
        let user_agent = self
            .head
            .header(http::header::USER_AGENT)
            .unwrap_or_default();
        Guest {
            address: self.head.address(),
            user_agent: user_agent.to_owned(),
            client_id,
            devices: None,
            request: Some(self.head.id),
            turn: self.door.running.glance().live.accounts.turn(),
        }
    }

    /// Who is at the desk, in a browser that may be familiar.
    pub(super) fn guest_of(&self, app: &App, client_id: Option<String>) -> Guest {
        Guest {
            devices: cookies::devices(&self.head.headers, &app.settings),
            ..self.guest(client_id)
        }
    }

    fn unauthenticated(&self) -> ApiError {
        let path = self.head.uri.path();
        if path == "/auth/me" && matches!(self.credential, Credential::Bad("no such account")) {
            ApiError::auth(StatusCode::UNAUTHORIZED, "user no longer exists")
        } else if path.starts_with("/auth/") {
            ApiError::auth(StatusCode::UNAUTHORIZED, "not authenticated")
        } else if path.starts_with("/oauth/") {
            ApiError::auth(StatusCode::UNAUTHORIZED, "unauthorized")
        } else {
            ApiError::unauthorized()
        }
    }
}

fn too_little(text: &str) -> ApiError {
    ApiError::auth(StatusCode::FORBIDDEN, text)
}

/// A new request id. Unique, not secret: made without a system call.
pub(super) fn next_id() -> RequestId {
    static THREADS: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static STATE: Cell<(u64, u64)> = Cell::new({
            let thread = THREADS.fetch_add(1, Ordering::Relaxed);
            let seed = u64::from_le_bytes(crate::id::random_bytes());
            (seed ^ thread, 0)
        });
    }
    STATE.with(|state| {
        let (seed, count) = state.get();
        state.set((seed, count + 1));
        let hash = xxhash_rust::xxh3::xxh3_128_with_seed(&count.to_le_bytes(), seed);
        RequestId::from_bytes(hash.to_le_bytes())
    })
}
