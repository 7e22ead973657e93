//! Talking to the directory: one connection for each question, bound as whoever may ask it.
//!
//! **Invariants:** what people type is escaped before it becomes part of a filter or a name; an
//! empty password is never sent, because a directory takes it for nobody's and says yes (RFC 4513
//! section 5.1.2); referrals are not followed.

use std::sync::Arc;

use ldap3::{
    Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry,
    adapters::{Adapter, EntriesOnly, PagedResults},
    dn_escape, ldap_escape,
};
use omnigent_plugin::{BackendError, Identity};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::{config::Config, filter};

/// Entries of one page of a search (RFC 2696).
const PAGE: i32 = 500;

/// Attributes that say that somebody may not sign in, whatever their password.
const LOCKS: [&str; 3] = [
    "pwdAccountLockedTime",
    "nsAccountLock",
    "userAccountControl",
];

/// Active Directory's ACCOUNTDISABLE.
const AD_DISABLED: i64 = 2;

pub(crate) struct Directory {
    config: Config,
    tls: Option<Arc<ClientConfig>>,
}

/// What came of a name and a password.
pub(crate) enum Verdict {
    /// They are right.
    Person(Box<Identity>),
    /// There is nobody of that name.
    Unknown,
    /// The person may not come in, and why.
    Denied(String),
}

impl Directory {
    pub(crate) fn new(config: Config) -> Result<Self, BackendError> {
        let tls = match &config.ca_file {
            None => None,
            Some(path) => Some(Arc::new(trusting(path)?)),
        };
        Ok(Self { config, tls })
    }

    /// A connection, with TLS where it is wanted.
    async fn connect(&self) -> Result<Ldap, BackendError> {
        let mut settings = LdapConnSettings::new()
            .set_conn_timeout(self.config.timeout())
            .set_starttls(self.config.starttls);
        if let Some(tls) = &self.tls {
            settings = settings.set_config(Arc::clone(tls));
        }
        let opened = LdapConnAsync::with_settings(settings, &self.config.url);
        let opened = tokio::time::timeout(self.config.timeout(), opened).await;
        let (connection, ldap) = opened
            .map_err(|_| BackendError::unavailable("the directory does not answer"))?
            .map_err(|error| unavailable(&error))?;
        ldap3::drive!(connection);
        Ok(ldap)
    }

    /// A connection bound as the one who searches.
    async fn searcher(&self) -> Result<Ldap, BackendError> {
        let mut ldap = self.connect().await?;
        if let (Some(dn), Some(password)) = (&self.config.bind_dn, &self.config.bind_password) {
            let bound = ldap
                .with_timeout(self.config.timeout())
                .simple_bind(dn, password)
                .await
                .map_err(|error| unavailable(&error))?;
            bound.success().map_err(|_| {
                BackendError::misconfigured("the directory refuses bind_dn and bind_password")
            })?;
        }
        Ok(ldap)
    }

    /// Whether the directory answers, and lets us search.
    pub(crate) async fn health(&self) -> Result<(), BackendError> {
        let mut ldap = self.searcher().await?;
        let _ = ldap.unbind().await;
        Ok(())
    }

    /// Who the name and the password are.
    pub(crate) async fn sign_in(
        &self,
        username: &str,
        password: &str,
    ) -> Result<Verdict, BackendError> {
        if username.is_empty() || username.len() > 256 || username.chars().any(char::is_control) {
            return Ok(Verdict::Unknown);
        }
        if password.is_empty() || password.contains('\0') {
            return Ok(Verdict::Denied("no password".into()));
        }
        match &self.config.user_dn {
            Some(template) => {
                let dn = template.replace("{username}", &dn_escape(username));
                let mut ldap = self.connect().await?;
                if !self.bind(&mut ldap, &dn, password).await? {
                    return Ok(Verdict::Denied(
                        "wrong password, or nobody of that name".into(),
                    ));
                }
                let found = self
                    .read(&mut ldap, &dn, Scope::Base, "(objectClass=*)")
                    .await?;
                self.verdict(&mut ldap, found).await
            }
            None => {
                let mut searcher = self.searcher().await?;
                let escaped = ldap_escape(username);
                let filter = self.config.user_filter.replace("{username}", &escaped);
                let base = self.config.base_dn.as_deref().unwrap_or_default();
                let found = self
                    .read(&mut searcher, base, Scope::Subtree, &filter)
                    .await?;
                let dn = match found.as_slice() {
                    [] => return Ok(Verdict::Unknown),
                    [one] => one.dn.clone(),
                    several => {
                        let count = several.len();
                        return Ok(Verdict::Denied(format!("{count} entries have that name")));
                    }
                };
                let mut ldap = self.connect().await?;
                if !self.bind(&mut ldap, &dn, password).await? {
                    return Ok(Verdict::Denied("wrong password".into()));
                }
                self.verdict(&mut searcher, found).await
            }
        }
    }

    /// The person of this subject, as the directory has them now.
    pub(crate) async fn by_subject(&self, subject: &str) -> Result<Verdict, BackendError> {
        let Some(base) = &self.config.base_dn else {
            return Err(BackendError::NotSupported);
        };
        let mut searcher = self.searcher().await?;
        let attribute = &self.config.subject_attribute;
        let filter = subject_filter(attribute, subject);
        let mut found = self
            .read(&mut searcher, base, Scope::Subtree, &filter)
            .await?;
        if bytes_of(subject).is_some() {
            // A matching rule for texts overlooks control characters.
            found.retain(|entry| self::subject(entry, attribute).as_deref() == Some(subject));
        }
        if found.is_empty() {
            return Ok(Verdict::Unknown);
        }
        if !self.may_still(&mut searcher, &found).await? {
            return Ok(Verdict::Denied(
                "user_filter does not find them any more".into(),
            ));
        }
        self.verdict(&mut searcher, found).await
    }

    /// Whether `user_filter` finds the entry still, as it would at a sign-in.
    async fn may_still(
        &self,
        ldap: &mut Ldap,
        found: &[SearchEntry],
    ) -> Result<bool, BackendError> {
        let attribute = &self.config.username_attribute;
        let filtered = |entry| filter::of(&self.config.user_filter, entry, attribute);
        let Some((entry, filter)) = found.first().and_then(|one| Some((one, filtered(one)?)))
        else {
            return Ok(false);
        };
        let again = self.read(ldap, &entry.dn, Scope::Base, &filter).await?;
        Ok(!again.is_empty())
    }

    async fn bind(&self, ldap: &mut Ldap, dn: &str, password: &str) -> Result<bool, BackendError> {
        let bound = ldap
            .with_timeout(self.config.timeout())
            .simple_bind(dn, password)
            .await
            .map_err(|error| unavailable(&error))?;
        passes(bound.rc)
    }

    async fn read(
        &self,
        ldap: &mut Ldap,
        base: &str,
        scope: Scope,
        filter: &str,
    ) -> Result<Vec<SearchEntry>, BackendError> {
        let own = [
            &self.config.subject_attribute,
            &self.config.username_attribute,
            &self.config.email_attribute,
            &self.config.name_attribute,
        ];
        let mut attributes: Vec<String> = own.into_iter().cloned().collect();
        attributes.push("memberOf".to_owned());
        attributes.extend(LOCKS.map(str::to_owned));
        let searched = filter::attributes(&self.config.user_filter);
        attributes.extend(searched.into_iter().map(str::to_owned));
        let found = ldap
            .with_timeout(self.config.timeout())
            .search(base, scope, filter, attributes)
            .await
            .map_err(|error| unavailable(&error))?;
        match found.1.rc {
            0 => {}
            32 => return Ok(Vec::new()),
            code => {
                return Err(BackendError::unavailable(format!(
                    "the directory answers a search with code {code}"
                )));
            }
        }
        let entries = found.0.into_iter().filter(|entry| !entry.is_ref());
        Ok(entries.map(SearchEntry::construct).collect())
    }

    async fn verdict(
        &self,
        ldap: &mut Ldap,
        found: Vec<SearchEntry>,
    ) -> Result<Verdict, BackendError> {
        let Some(entry) = found.into_iter().next() else {
            return Ok(Verdict::Denied("the entry cannot be read".into()));
        };
        if let Some(lock) = lock(&entry) {
            return Ok(Verdict::Denied(lock));
        }
        let Some(subject) = subject(&entry, &self.config.subject_attribute) else {
            let attribute = &self.config.subject_attribute;
            return Err(BackendError::misconfigured(format!(
                "the entry has no {attribute}; name what never changes in subject_attribute"
            )));
        };
        let username = first(&entry, &self.config.username_attribute);
        // Never what was typed: a filter may find people by what they write into their entry themselves.
        let own = username.as_deref().unwrap_or_default();
        let groups = self.groups(ldap, &entry, own).await?;
        let email = first(&entry, &self.config.email_attribute);
        Ok(Verdict::Person(Box::new(Identity {
            username,
            email_verified: email.is_some() && self.config.trust_email,
            email,
            display_name: first(&entry, &self.config.name_attribute),
            groups,
            ..Identity::new(subject)
        })))
    }

    async fn groups(
        &self,
        ldap: &mut Ldap,
        entry: &SearchEntry,
        username: &str,
    ) -> Result<Vec<String>, BackendError> {
        let Some(base) = &self.config.group_base else {
            let named = entry.attrs.get("memberOf").cloned().unwrap_or_default();
            // By the short name and by the whole one, which no group elsewhere has.
            let leaves = named.iter().filter_map(|dn| leaf(dn));
            return Ok(leaves.chain(named.iter().cloned()).collect());
        };
        let filter = self
            .config
            .group_filter
            .replace("{dn}", &ldap_escape(entry.dn.as_str()))
            .replace("{username}", &ldap_escape(username));
        let adapters: Vec<Box<dyn Adapter<'_, String, Vec<String>>>> = vec![
            Box::new(EntriesOnly::new()),
            Box::new(PagedResults::new(PAGE)),
        ];
        let attributes = vec![self.config.group_attribute.clone()];
        let mut stream = ldap
            .with_timeout(self.config.timeout())
            .streaming_search_with(adapters, base, Scope::Subtree, &filter, attributes)
            .await
            .map_err(|error| unavailable(&error))?;
        let mut groups = Vec::new();
        while let Some(entry) = stream.next().await.map_err(|error| unavailable(&error))? {
            groups.extend(first(
                &SearchEntry::construct(entry),
                &self.config.group_attribute,
            ));
        }
        let done = stream.finish().await;
        match done.rc {
            0 => Ok(groups),
            code => Err(BackendError::unavailable(format!(
                "the directory answers a search for groups with code {code}"
            ))),
        }
    }
}

/// An attribute's first value as text; attribute names have no case (RFC 4512 section 2.5).
fn first(entry: &SearchEntry, attribute: &str) -> Option<String> {
    let mut named = entry.attrs.iter();
    let (_, values) = named.find(|(name, _)| name.eq_ignore_ascii_case(attribute))?;
    values.first().filter(|value| !value.is_empty()).cloned()
}

/// The subject: text, or bytes that are none (Active Directory's objectGUID) in hexadecimal.
fn subject(entry: &SearchEntry, attribute: &str) -> Option<String> {
    let text = first(entry, attribute);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    match text {
        // Sixteen bytes may happen to be a text.
        Some(text) if text.chars().any(char::is_control) => Some(hex(text.as_bytes())),
        Some(text) => Some(text),
        None => {
            let mut named = entry.bin_attrs.iter();
            let (_, values) = named.find(|(name, _)| name.eq_ignore_ascii_case(attribute))?;
            values.first().map(|bytes| hex(bytes))
        }
    }
}

/// The bytes that a subject stands for, if it may be one of bytes: lower-case hexadecimal of what is no
/// text.
fn bytes_of(subject: &str) -> Option<Vec<u8>> {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if subject.is_empty() || !subject.len().is_multiple_of(2) || !subject.chars().all(is_hex) {
        return None;
    }
    let bytes: Vec<u8> = (0..subject.len())
        .step_by(2)
        .filter_map(|at| u8::from_str_radix(subject.get(at..at + 2)?, 16).ok())
        .collect();
    let is_text = std::str::from_utf8(&bytes).is_ok_and(|text| !text.chars().any(char::is_control));
    (!is_text).then_some(bytes)
}

/// What finds the entry of a subject. Bytes are searched as bytes, each escaped (RFC 4515 section 3); a
/// text may look like their hexadecimal.
fn subject_filter(attribute: &str, subject: &str) -> String {
    let text = format!("({attribute}={})", ldap_escape(subject));
    match bytes_of(subject) {
        None => text,
        Some(bytes) => {
            let bytes: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
            format!("(|{text}({attribute}={bytes}))")
        }
    }
}

/// Why the entry may not sign in, if it may not.
fn lock(entry: &SearchEntry) -> Option<String> {
    if first(entry, "pwdAccountLockedTime").is_some() {
        return Some("the entry is locked (pwdAccountLockedTime)".into());
    }
    if first(entry, "nsAccountLock").is_some_and(|lock| lock.eq_ignore_ascii_case("true")) {
        return Some("the entry is locked (nsAccountLock)".into());
    }
    let control = first(entry, "userAccountControl").and_then(|text| text.parse::<i64>().ok());
    control
        .is_some_and(|control| control & AD_DISABLED != 0)
        .then(|| "the entry is disabled (userAccountControl)".into())
}

/// The value of a name's first part: `ops` of `cn=ops,ou=groups,dc=example`.
fn leaf(dn: &str) -> Option<String> {
    let (_, value) = dn.split(',').next()?.split_once('=')?;
    Some(value.to_owned())
}

/// Whether a bind with this result is one of the person. What is about the person or the password is no,
/// and nothing else may be: for the rest the directory is not there for anybody (RFC 4511 appendix A).
fn passes(code: u32) -> Result<bool, BackendError> {
    match code {
        0 => Ok(true),
        // invalidCredentials, noSuchObject, invalidDNSyntax
        49 | 32 | 34 => Ok(false),
        // inappropriateAuthentication, unwillingToPerform, insufficientAccessRights
        48 | 53 | 50 => Ok(false),
        // constraintViolation: too many wrong passwords (389 Directory Server)
        19 => Ok(false),
        code => Err(BackendError::unavailable(format!(
            "the directory answers a bind with code {code}"
        ))),
    }
}

fn unavailable(error: &LdapError) -> BackendError {
    BackendError::unavailable(format!("the directory: {error}"))
}

fn trusting(path: &std::path::Path) -> Result<ClientConfig, BackendError> {
    let wrong =
        |why: String| BackendError::misconfigured(format!("ca_file: {}: {why}", path.display()));
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(wrong("holds no certificate".into()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_stays_a_value() {
        for (typed, filter, dn) in [
            ("ada", "ada", "ada"),
            ("*", "\\2a", "*"),
            (")(uid=*", "\\29\\28uid=\\2a", ")(uid\\3d*"),
            ("a,b+c", "a,b+c", "a\\2cb\\2bc"),
            ("\\", "\\5c", "\\5c"),
            (" #x", " #x", "\\20#x"),
        ] {
            assert_eq!(ldap_escape(typed), filter);
            assert!(
                dn_escape(typed).eq_ignore_ascii_case(dn),
                "{typed}: {}",
                dn_escape(typed)
            );
        }
    }

    #[test]
    fn a_subject_of_bytes_is_searched_as_bytes() {
        for (subject, filter) in [
            ("ada", "(id=ada)"),
            ("*)(id=*", "(id=\\2a\\29\\28id=\\2a)"),
            ("0fff2a29", "(|(id=0fff2a29)(id=\\0f\\ff\\2a\\29))"),
            ("410041", "(|(id=410041)(id=\\41\\00\\41))"),
            // Bytes that are a text are one; so is what is no hexadecimal of ours.
            ("4142", "(id=4142)"),
            ("FF00", "(id=FF00)"),
            ("ff0", "(id=ff0)"),
            ("+f-f", "(id=+f-f)"),
            ("", "(id=)"),
            (
                "5a6e8c3e-2f0b-103f-9a5d-7f5c1d7e9f10",
                "(id=5a6e8c3e-2f0b-103f-9a5d-7f5c1d7e9f10)",
            ),
        ] {
            assert_eq!(subject_filter("id", subject), filter);
        }
    }

    #[test]
    fn a_subject_and_its_bytes_are_one() {
        for bytes in [&b"\xff\xfe\x00\x2a"[..], b"A\x01B", b"\x00", b"\x7f\x7f"] {
            let entry = |value: &[u8]| {
                let mut entry = SearchEntry {
                    dn: String::new(),
                    attrs: Default::default(),
                    bin_attrs: Default::default(),
                };
                match std::str::from_utf8(value) {
                    Ok(text) => drop(entry.attrs.insert("ID".into(), vec![text.into()])),
                    Err(_) => drop(entry.bin_attrs.insert("ID".into(), vec![value.into()])),
                }
                entry
            };
            let subject = subject(&entry(bytes), "id");
            assert_eq!(
                subject.as_deref().and_then(bytes_of).as_deref(),
                Some(bytes)
            );
        }
    }

    #[test]
    fn what_is_wrong_with_one_account_is_no_outage() {
        assert!(matches!(passes(0), Ok(true)));
        for code in [19, 32, 34, 48, 49, 50, 53] {
            assert!(matches!(passes(code), Ok(false)), "{code}");
        }
        for code in [1, 2, 3, 7, 8, 10, 11, 13, 51, 52, 80, 118] {
            let refused = passes(code);
            assert!(
                matches!(refused, Err(BackendError::Unavailable { .. })),
                "{code}: {refused:?}"
            );
        }
    }

    #[test]
    fn a_groups_name_is_the_first_part_of_its_dn() {
        assert_eq!(leaf("cn=ops,ou=groups,dc=example").as_deref(), Some("ops"));
        assert_eq!(leaf("nonsense"), None);
    }
}
