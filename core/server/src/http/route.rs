//! The route table: what there is, who may come in, how its body is read.
//!
//! **Invariant:** a handler runs only after its route's [`Access`] was granted: the four ways to
//! make a [`Route`] see to it, and nothing else makes one.

use std::{pin::Pin, sync::Arc};

use http::Method;
use matchit::Router;

use super::{
    ApiError,
    body::{BodyRule, Shape},
    pages,
    request::Request,
    response::Outcome,
};
use crate::{
    account::{AccountError, still_acts, still_admin},
    app::App,
    live::Live,
    metrics::UNMATCHED,
    store::Tx,
};

/// Who may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody; a credential is not looked at.
    Public,
    /// Everybody without a credential, and whoever has a good one.
    Optional,
    /// Whoever has a good credential.
    User,
    /// A login, or an API token with scope `account`.
    Account,
    /// A login.
    Login,
    /// An admin's login, or an admin's API token with scope `admin`.
    Admin,
    /// The operator, on the Unix socket.
    Operator,
}

impl Access {
    /// Holds whoever acts through `live` against this demand once more, inside the transaction of what
    /// they do: what admitted them may have ended since.
    ///
    /// # Errors
    /// As [`still_admin`].
    pub(super) fn still_admits(self, live: &Live, tx: &Tx<'_>) -> Result<(), AccountError> {
        match self {
            Self::Admin => still_admin(live, tx),
            _ => still_acts(live, tx),
        }
    }
}

type Later =
    Box<dyn Fn(Arc<App>, Request) -> Pin<Box<dyn Future<Output = Outcome> + Send>> + Send + Sync>;

/// What answers.
pub(super) enum Handler {
    /// At once: for what never waits.
    Now(fn(&App, &Request) -> Outcome),
    /// Later.
    Later(Later),
}

/// One route.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with `{name}` for variable parts.
    pub path: &'static str,
    /// Who may come in.
    pub access: Access,
    pub(super) body: BodyRule,
    pub(super) handler: Handler,
    /// Its place in the table.
    pub(super) place: u16,
}

impl Route {
    /// A route that answers at once.
    pub fn now(
        method: Method,
        path: &'static str,
        access: Access,
        handler: fn(&App, &Request) -> Outcome,
    ) -> Self {
        Self {
            method,
            path,
            access,
            body: BodyRule::None,
            handler: Handler::Now(handler),
            place: UNMATCHED,
        }
    }

    /// A route that reads no body, or reads it itself after access was granted.
    pub fn new<F>(
        method: Method,
        path: &'static str,
        access: Access,
        handler: impl Fn(Arc<App>, Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let handler: Later = Box::new(move |app, request| match request.admit() {
            Ok(()) => Box::pin(handler(app, request)),
            Err(error) => Box::pin(async { Err(error) }),
        });
        Self {
            method,
            path,
            access,
            body: BodyRule::None,
            handler: Handler::Later(handler),
            place: UNMATCHED,
        }
    }

    /// A route whose body or query is of a shape. The shape is checked before access, as the
    /// original does (CONTRACT section 1).
    pub fn shaped<T, F>(
        method: Method,
        path: &'static str,
        access: Access,
        handler: impl Fn(Arc<App>, Request, T) -> F + Send + Sync + 'static,
    ) -> Self
    where
        T: Shape,
        F: Future<Output = Outcome> + Send + 'static,
    {
        let handler: Later = Box::new(move |app, request| {
            match T::read(&request).and_then(|shape| request.admit().map(|()| shape)) {
                Ok(shape) => Box::pin(handler(app, request, shape)),
                Err(error) => Box::pin(async { Err(error) }),
            }
        });
        Self {
            method,
            path,
            access,
            body: T::BODY,
            handler: Handler::Later(handler),
            place: UNMATCHED,
        }
    }

    /// A page, or what a form on a page does: the form must carry the token of its login, and who is
    /// not admitted sees a page that says so, or the way to sign in.
    pub(super) fn page<F>(
        method: Method,
        path: &'static str,
        access: Access,
        handler: impl Fn(Arc<App>, Request) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let body = match method {
            Method::POST => BodyRule::Form,
            _ => BodyRule::None,
        };
        let handler: Later = Box::new(move |app, request| match pages::instead(&app, &request) {
            None => {
                let work = handler(app, request);
                Box::pin(async move { work.await.map_err(ApiError::for_people) })
            }
            Some(answer) => Box::pin(async { answer }),
        });
        Self {
            method,
            path,
            access,
            body,
            handler: Handler::Later(handler),
            place: UNMATCHED,
        }
    }

    /// With a body rule of its own.
    #[must_use]
    pub const fn body(mut self, rule: BodyRule) -> Self {
        self.body = rule;
        self
    }
}

/// All routes, by path.
pub(super) struct Table {
    routes: Vec<Route>,
    paths: Router<Vec<usize>>,
}

/// What was found for a path and method.
pub(super) type Found<'t> = (&'t Route, Vec<(&'static str, String)>);

impl Table {
    /// # Errors
    /// Two paths that cannot be told apart.
    pub(super) fn new(mut routes: Vec<Route>) -> Result<Self, matchit::InsertError> {
        for (place, route) in routes.iter_mut().enumerate() {
            route.place = u16::try_from(place).unwrap_or(UNMATCHED);
        }
        let mut by_path: Vec<(&'static str, Vec<usize>)> = Vec::new();
        for (i, route) in routes.iter().enumerate() {
            match by_path.iter_mut().find(|(path, _)| *path == route.path) {
                Some((_, places)) => places.push(i),
                None => by_path.push((route.path, vec![i])),
            }
        }
        let mut paths = Router::new();
        for (path, places) in by_path {
            paths.insert(path, places)?;
        }
        Ok(Self { routes, paths })
    }

    /// # Errors
    /// 404 and 405.
    pub(super) fn find(&self, method: &Method, path: &str) -> Result<Found<'_>, ApiError> {
        let not_found = || ApiError::detail(http::StatusCode::NOT_FOUND, "Not Found");
        let found = self.paths.at(path).map_err(|_| not_found())?;
        let of_path = || found.value.iter().filter_map(|i| self.routes.get(*i));
        let Some(route) = of_path().find(|route| route.method == *method) else {
            let mut allowed: Vec<_> = of_path().map(|route| route.method.as_str()).collect();
            allowed.sort_unstable();
            return Err(ApiError::method_not_allowed(allowed.join(", ")));
        };
        if found.params.is_empty() {
            return Ok((route, Vec::new()));
        }
        let names = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let params = found
            .params
            .iter()
            .zip(names)
            .map(|((_, value), name)| (name, decoded(value)))
            .collect();
        Ok((route, params))
    }
}

/// What of an account's name browsers write in other ways in a path: nothing that could mean
/// something to a router.
const ENCODED: [(&str, &str); 3] = [("%40", "@"), ("%2B", "+"), ("%2b", "+")];

/// Whether nothing but that is encoded in `path` (THREATS T5).
pub(super) fn is_decodable(path: &str) -> bool {
    path.match_indices('%')
        .all(|(at, _)| ENCODED.iter().any(|(code, _)| path[at..].starts_with(code)))
}

/// A variable part of a path.
fn decoded(part: &str) -> String {
    ENCODED.iter().fold(part.to_owned(), |part, (code, plain)| {
        part.replace(code, plain)
    })
}
