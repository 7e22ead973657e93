//! From what a provider says to who somebody is. No input or output: what e-mail rules mean is
//! decided here (THREATS O6).

use omnigent_plugin::Identity;
use serde_json::Value;

use crate::{
    groups::{self, Groups},
    json::{self, Object},
};

/// Names that the host lets nobody have.
const RESERVED: [&str; 2] = ["local", "__public__"];

/// What the operator wants of a person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rules {
    /// `skip_email_verification`.
    pub(crate) skip_email_verification: bool,
    /// `email_verified_as_string`.
    pub(crate) email_verified_as_string: bool,
    /// `email_claim`, unless it is `email`.
    pub(crate) email_claim: Option<String>,
    /// `groups_claim`.
    pub(crate) groups_claim: String,
}

/// Why there is no identity.
#[derive(Debug, PartialEq)]
pub(crate) enum NoIdentity {
    /// No name to go by. Another source may have one.
    NoName(String),
    /// The groups were left out.
    TooManyGroups,
    /// What it says is wrong.
    Wrong(String),
}

/// What one source says the person is called.
#[derive(Debug, Default, PartialEq)]
struct Name {
    username: String,
    email: Option<String>,
    email_verified: bool,
}

impl Rules {
    /// Who it is. `sources`: the id_token's claims and what more there is; the first that says a
    /// thing counts, an address always with the same source's word on whether it is verified.
    ///
    /// # Errors
    /// [`NoIdentity`].
    pub(crate) fn identity(
        &self,
        issuer: &str,
        subject: &str,
        sources: &[&Object],
    ) -> Result<Identity, NoIdentity> {
        let groups = self.groups(sources)?;
        let name = self.name_of(sources)?;
        let said = |claim: &str| {
            let mut texts = sources.iter().filter_map(|source| {
                let text = json::text(source, claim).ok().flatten()?;
                Some(text.to_owned()).filter(|text| !text.is_empty())
            });
            texts.next()
        };
        Ok(Identity {
            subject: subject.to_owned(),
            issuer: Some(issuer.to_owned()),
            username: Some(name.username),
            email: name.email,
            email_verified: name.email_verified,
            display_name: said("name").map(|name| displayed(&name)),
            groups,
            session: said("sid"),
        })
    }

    /// Whether the id_token alone does not say all there is to know.
    pub(crate) fn needs_more(&self, id_token: &Object) -> bool {
        let unsaid = groups::read(id_token, &self.groups_claim) == Ok(Groups::Unsaid);
        unsaid || matches!(self.name(id_token), Err(NoIdentity::NoName(_)))
    }

    fn groups(&self, sources: &[&Object]) -> Result<Vec<String>, NoIdentity> {
        let mut outcome = Ok(Vec::new());
        for source in sources {
            match groups::read(source, &self.groups_claim).map_err(NoIdentity::Wrong)? {
                Groups::These(groups) => return Ok(groups),
                Groups::Unsaid => {}
                Groups::TooMany => outcome = Err(NoIdentity::TooManyGroups),
            }
        }
        outcome
    }

    /// Of the first source that has one; else why the first one has none.
    fn name_of(&self, sources: &[&Object]) -> Result<Name, NoIdentity> {
        let mut first = None;
        for source in sources {
            match self.name(source) {
                Err(NoIdentity::NoName(why)) => {
                    first.get_or_insert(NoIdentity::NoName(why));
                }
                told => return told,
            }
        }
        Err(first.unwrap_or_else(|| NoIdentity::NoName("nothing was said".into())))
    }

    fn name(&self, claims: &Object) -> Result<Name, NoIdentity> {
        let email = self.email(claims)?;
        let Some(claim) = &self.email_claim else {
            let (email, verified) = email.ok_or_else(|| {
                NoIdentity::NoName("`email` is missing: is the scope `email` asked for?".into())
            })?;
            if !verified {
                return Err(NoIdentity::NoName(
                    "`email_verified` is not true (see `skip_email_verification`)".into(),
                ));
            }
            return Ok(Name {
                username: email.clone(),
                email: Some(email),
                email_verified: true,
            });
        };
        let Some(said) = json::text(claims, claim).map_err(NoIdentity::Wrong)? else {
            return Err(NoIdentity::NoName(format!("`{claim}` is missing")));
        };
        let username = said.trim().to_ascii_lowercase();
        if username.is_empty() || username.len() > 254 || !is_plain(&username) {
            return Err(NoIdentity::NoName(format!("`{claim}` is not a name")));
        }
        // The operator's word that this claim names people makes an address in it theirs.
        let (email, email_verified) = match address(said) {
            Some(address) => (Some(address), true),
            None => email.map_or((None, false), |(email, is)| (Some(email), is)),
        };
        Ok(Name {
            username,
            email,
            email_verified,
        })
    }

    /// The address, and whether it counts as verified.
    fn email(&self, claims: &Object) -> Result<Option<(String, bool)>, NoIdentity> {
        let Some(said) = json::text(claims, "email").map_err(NoIdentity::Wrong)? else {
            return Ok(None);
        };
        // A reserved name is no address either, and the host has its own word for it.
        let reserved = |said: &str| {
            let said = said.trim().to_ascii_lowercase();
            RESERVED.contains(&said.as_str()).then_some(said)
        };
        let Some(address) = address(said).or_else(|| reserved(said)) else {
            return Ok(None);
        };
        let verified = match claims.get("email_verified") {
            _ if self.skip_email_verification => true,
            Some(Value::Bool(verified)) => *verified,
            Some(Value::String(text)) => self.email_verified_as_string && text == "true",
            _ => false,
        };
        Ok(Some((address, verified)))
    }
}

/// Lower-cased, if it looks like one. Only ASCII letters change: Unicode's rules would make the
/// Kelvin sign a `k` and one person another.
pub(crate) fn address(text: &str) -> Option<String> {
    let text = text.trim();
    let (local, domain) = text.rsplit_once('@')?;
    let fits = !local.is_empty() && !domain.is_empty() && text.len() <= 254 && is_plain(text);
    (fits && !local.contains('@')).then(|| text.to_ascii_lowercase())
}

fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// One line, of a length that fits a page.
pub(crate) fn displayed(name: &str) -> String {
    let visible = name.chars().filter(|c| !c.is_control());
    visible.take(200).collect()
}
