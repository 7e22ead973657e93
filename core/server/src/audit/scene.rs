//! On whose behalf something happens, when, and from where.

use std::net::IpAddr;

use crate::{
    clock::Timestamp,
    id::{LoginId, RequestId, Uid},
};

/// Who does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// The server by itself.
    System,
    /// Somebody who has not shown who they are.
    Nobody,
    /// Everybody: authentication is off.
    Everybody,
    /// The operator, on the machine.
    Operator,
    /// A backend: what an identity provider asks for.
    Backend(String),
    /// A person, or a program of theirs.
    Account {
        /// The account's name.
        name: String,
        /// The account.
        uid: Uid,
        /// The login or API token it acts by.
        login: Option<LoginId>,
    },
}

impl Who {
    /// What kind of actor this is.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Nobody => "nobody",
            Self::Everybody => "everybody",
            Self::Operator => "operator",
            Self::Backend(_) => "backend",
            Self::Account { .. } => "account",
        }
    }

    /// The account, if it is one.
    pub const fn uid(&self) -> Option<Uid> {
        match self {
            Self::Account { uid, .. } => Some(*uid),
            _ => None,
        }
    }
}

/// What is around an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scene {
    /// When.
    pub at: Timestamp,
    /// Who does it.
    pub who: Who,
    /// Where from.
    pub address: Option<IpAddr>,
    /// By what request.
    pub request: Option<RequestId>,
    /// What the client calls itself.
    pub agent: Option<Box<str>>,
}

impl Scene {
    /// What the server does by itself.
    pub const fn system(at: Timestamp) -> Self {
        Self {
            at,
            who: Who::System,
            address: None,
            request: None,
            agent: None,
        }
    }

    /// What the operator does.
    pub fn operator(at: Timestamp) -> Self {
        Self {
            who: Who::Operator,
            ..Self::system(at)
        }
    }

    /// The same, done by somebody else.
    #[must_use]
    pub fn done_by(mut self, who: Who) -> Self {
        self.who = who;
        self
    }

    /// The account that does it: what an admin's authority is checked for. Nobody is the operator.
    pub const fn person(&self) -> Option<Uid> {
        self.who.uid()
    }
}
