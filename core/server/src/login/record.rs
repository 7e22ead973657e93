//! What is stored of a login.

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, id::GrantId, store::Record};

/// A signed-in stay on one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// The backend that vouched (`provider` claim names its plugin).
    pub backend: String,
    /// The identity it was vouched for with: issuer and subject.
    pub identity: (String, String),
    /// Where from.
    pub address: String,
    /// What the client called itself, cut to 256 characters.
    pub user_agent: String,
    /// The grant that refreshes it, if the client asked for one.
    pub grant: Option<GrantId>,
    /// What the client that refreshes it calls itself.
    pub client_id: Option<String>,
}

impl Record for Login {
    const VERSION: u8 = 2;

    fn upgrade(version: u8, payload: &[u8]) -> Option<Self> {
        /// Before clients were noted.
        #[derive(Deserialize)]
        struct First {
            created_at: Timestamp,
            expires_at: Timestamp,
            backend: String,
            identity: (String, String),
            address: String,
            user_agent: String,
            grant: Option<GrantId>,
        }
        if version != 1 {
            return None;
        }
        let first: First = postcard::from_bytes(payload).ok()?;
        Some(Self {
            created_at: first.created_at,
            expires_at: first.expires_at,
            backend: first.backend,
            identity: first.identity,
            address: first.address,
            user_agent: first.user_agent,
            grant: first.grant,
            client_id: None,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_login_of_before_clients_were_noted_has_none() {
        let grant = Some(GrantId::from_bytes([7; 16]));
        let texts = ["local", "", "ada", "192.0.2.1", "curl"];
        let [backend, issuer, subject, address, agent] = texts;
        let (begun, ends) = (Timestamp::from_seconds(1), Timestamp::from_seconds(2));
        let identity = (issuer, subject);
        let first = (begun, ends, backend, identity, address, agent, grant);
        let payload = postcard::to_extend(&first, Vec::new()).unwrap();
        let login = Login::upgrade(1, &payload).unwrap();
        assert_eq!((login.grant, login.client_id), (grant, None));
        assert_eq!((login.created_at, login.expires_at), (begun, ends));
        assert_eq!(login.user_agent, "curl");
        assert!(Login::upgrade(3, &payload).is_none());
    }
}
