//! A token as a server gave it, or a person.
//!
//! **Invariant:** it consists of what a header can carry and a terminal only shows: whoever made it
//! up, it can be sent, stored and printed as it is.

use omnigent_server::secret::Secret;
use serde::{Deserialize, Deserializer, de::Error};

use crate::failure::Failure;

/// A bearer token, or what it is renewed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bearer(Secret<String>);

impl Bearer {
    /// Takes what a token can consist of: visible ASCII (RFC 6750 section 2.1 and RFC 6749 appendix A
    /// allow less); `None` for anything else.
    pub(crate) fn parse(text: String) -> Option<Self> {
        let secret = Secret::new(text);
        let text = secret.expose();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then_some(Self(secret))
    }

    /// The token that is all there is on standard input.
    pub(crate) fn from_input() -> Result<Self, Failure> {
        let text = crate::password::piped(std::io::stdin())?;
        Self::parse(text.trim().to_owned())
            .ok_or_else(|| Failure::Usage("standard input holds no token".into()))
    }

    /// The token itself. Never log what this returns.
    pub(crate) const fn expose(&self) -> &String {
        self.0.expose()
    }
}

impl<'de> Deserialize<'de> for Bearer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(text).ok_or_else(|| D::Error::custom("no token"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_no_token() {
        for bad in [
            "",
            " ",
            "a b",
            "a\n",
            "a\u{1b}[2J",
            "a\u{9b}2J",
            "a\u{7f}",
            "a\u{202e}b",
            "é",
        ] {
            assert!(Bearer::parse(bad.to_owned()).is_none(), "{bad:?}");
            let json = serde_json::json!(bad);
            assert!(serde_json::from_value::<Bearer>(json).is_err(), "{bad:?}");
        }
        for good in ["aaa.bbb.ccc", "~+/_-=", "omni_x"] {
            assert_eq!(Bearer::parse(good.to_owned()).unwrap().expose(), good);
        }
    }
}
