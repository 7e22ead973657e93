//! Signed assertions of a proxy: Cloudflare Access, Google IAP, AWS ALB, Pomerium, any JWT.
//!
//! **Invariant:** an assertion that is there and not good is refused, never overlooked.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use jsonwebtoken::Algorithm;
use omnigent_plugin::prelude::*;
use quick_cache::sync::Cache;
use serde_json::{Map, Value};

use crate::{
    assertion::{LEEWAY, LONGEST, Unverified, times},
    config::{self, Config, Kind},
    keys::{Keys, Source, check_url},
    plain::is_alias,
};

/// Assertions remembered: proxies send the same one with many requests.
const REMEMBERED: usize = 4096;

pub(crate) struct Signed {
    kind: Kind,
    header: String,
    algorithm: Algorithm,
    issuer: String,
    audience: Option<String>,
    signer: Option<String>,
    strip_prefix: String,
    config: Config,
    keys: Arc<Keys>,
    host: Host,
    verified: Cache<[u8; 32], Arc<(Identity, u64)>>,
}

impl Signed {
    pub(crate) fn new(kind: Kind, config: Config, host: Host) -> Result<Self, BackendError> {
        let wrong = |text: &str| BackendError::misconfigured(text);
        let need = |value: &Option<String>, text: &str| value.clone().ok_or_else(|| wrong(text));
        let issuer = match kind {
            Kind::Cloudflare => {
                let team = need(
                    &config.team,
                    "team: required with assertion = \"cloudflare\"",
                )?;
                let is_name = team.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
                if team.is_empty() || !is_name {
                    return Err(wrong("team: the part before .cloudflareaccess.com"));
                }
                format!("https://{team}.cloudflareaccess.com")
            }
            Kind::Iap => "https://cloud.google.com/iap".to_owned(),
            Kind::Alb | Kind::Pomerium | Kind::Jwt => need(&config.issuer, "issuer: required")?,
        };
        let (header, algorithm) = match kind {
            Kind::Cloudflare => ("cf-access-jwt-assertion", Algorithm::RS256),
            Kind::Iap => ("x-goog-iap-jwt-assertion", Algorithm::ES256),
            Kind::Alb => ("x-amzn-oidc-data", Algorithm::ES256),
            Kind::Pomerium => ("x-pomerium-jwt-assertion", Algorithm::ES256),
            Kind::Jwt => ("", named(config.algorithm.as_deref())?),
        };
        let header = config.header.as_deref().unwrap_or(header);
        if header.is_empty() {
            return Err(wrong("header: required with assertion = \"jwt\""));
        }
        if kind != Kind::Jwt && config.algorithm.is_some() {
            return Err(wrong("algorithm: only with assertion = \"jwt\""));
        }
        let header = config::name("header", header)?;
        let audience = match kind {
            Kind::Alb => None,
            _ => Some(need(&config.audience, "audience: required")?),
        };
        let signer = match kind {
            Kind::Alb => Some(need(&config.signer, "signer: the load balancer's ARN")?),
            _ => None,
        };
        let source = source(kind, &config, &issuer)?;
        Ok(Self {
            kind,
            header,
            algorithm,
            issuer,
            audience,
            signer,
            strip_prefix: config.strip_prefix.clone().unwrap_or_default(),
            keys: Keys::start(source, algorithm, host.clone())?,
            config,
            host,
            verified: Cache::new(REMEMBERED),
        })
    }

    pub(crate) fn health(&self) -> Result<(), BackendError> {
        self.keys
            .trouble()
            .map_or(Ok(()), |trouble| Err(BackendError::unavailable(trouble)))
    }

    pub(crate) fn read(&self, request: &RequestView<'_>) -> Result<Verdict, BackendError> {
        if self.config.require_trusted_proxy && !request.is_from_trusted_proxy() {
            return Ok(Verdict::NotMine);
        }
        let alias = |name: &str| name.contains('_') && is_alias(name, &self.header);
        if let Some(name) = request.header_names().find(|name| alias(name)) {
            return Ok(Verdict::Denied(format!(
                "{name} is another spelling of {}",
                self.header
            )));
        }
        let mut lines = request.headers(&self.header);
        let Some(line) = lines.next() else {
            return Ok(Verdict::NotMine);
        };
        if lines.next().is_some() {
            return Ok(Verdict::Denied(format!("{} comes twice", self.header)));
        }
        let now = self.host.now().duration_since(std::time::UNIX_EPOCH);
        let now = now.map_or(0, |since| since.as_secs());
        let Ok(digest) = <[u8; 32]>::try_from(digest(&SHA256, line).as_ref()) else {
            return Err(BackendError::internal("a digest of another length"));
        };
        if let Some(known) = self.verified.get(&digest)
            && now < known.1 + LEEWAY
        {
            return Ok(Verdict::Accepted(known.0.clone()));
        }
        match self.verify(line, now) {
            Ok((identity, ends)) => {
                self.verified
                    .insert(digest, Arc::new((identity.clone(), ends)));
                Ok(Verdict::Accepted(identity))
            }
            Err(Bad::Denied(reason)) => Ok(Verdict::Denied(reason)),
            Err(Bad::CannotTell) => Err(BackendError::unavailable(
                "the proxy's keys are being fetched",
            )),
        }
    }

    fn verify(&self, line: &[u8], now: u64) -> Result<(Identity, u64), Bad> {
        let token = std::str::from_utf8(line)
            .ok()
            .filter(|token| token.len() <= LONGEST);
        let token = token.ok_or("the assertion is too long, or not text")?;
        let more: &[&str] = match self.kind {
            Kind::Alb => &["client", "signer", "exp", "iss"],
            _ => &[],
        };
        let is_padded = self.kind == Kind::Alb;
        let token = Unverified::read(token, self.algorithm, more, is_padded)?;
        if let Some(signer) = &self.signer
            && token.header("signer") != Some(signer)
        {
            return Err("another load balancer signed it (`signer`)".into());
        }
        let Some(key) = self.keys.get(&token.kid) else {
            return Err(if self.keys.ask(&token.kid) {
                Bad::CannotTell
            } else {
                "it is signed by a key the proxy does not name".into()
            });
        };
        let claims = token.verify(&key, self.algorithm)?;
        let ends = times(&claims, now)?;
        if claims.get("iss").and_then(Value::as_str) != Some(self.issuer.as_str()) {
            return Err("`iss` is another issuer".into());
        }
        if let Some(audience) = &self.audience {
            let is_ours = match claims.get("aud") {
                Some(Value::String(one)) => one == audience,
                Some(Value::Array(several)) => several.iter().any(|one| one == audience),
                _ => false,
            };
            if !is_ours {
                return Err("`aud` is another audience".into());
            }
        }
        Ok((self.identity(&claims)?, ends))
    }

    fn identity(&self, claims: &Map<String, Value>) -> Result<Identity, Bad> {
        let text = |name: &str| match claims.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => {
                let text = text
                    .strip_prefix(self.strip_prefix.as_str())
                    .unwrap_or(text);
                Ok(Some(text.to_owned()))
            }
            Some(_) => Err(Bad::Denied(format!("`{name}` is not text"))),
        };
        let subject = match claims.get(&self.config.subject_claim) {
            Some(Value::String(text)) => text.strip_prefix(self.strip_prefix.as_str()),
            _ => None,
        };
        let subject = subject.filter(|subject| !subject.is_empty());
        let subject = subject.ok_or_else(|| {
            let name = &self.config.subject_claim;
            format!("`{name}` is missing, or lacks the prefix of strip_prefix")
        })?;
        let email = text(&self.config.email_claim)?.map(|email| email.to_ascii_lowercase());
        // ALB hands on what the identity provider says of the address.
        let is_denied = claims.get("email_verified").is_some_and(|verified| {
            *verified == Value::Bool(false) || verified.as_str() == Some("false")
        });
        let groups = match claims.get(&self.config.groups_claim) {
            Some(Value::Array(groups)) => groups
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        };
        let is_vouched_for = self.config.trust_email && !is_denied;
        Ok(Identity {
            issuer: Some(self.issuer.clone()),
            username: email.clone().filter(|_| is_vouched_for),
            email_verified: email.is_some() && is_vouched_for,
            email,
            display_name: text(&self.config.name_claim)?,
            groups,
            ..Identity::new(subject)
        })
    }
}

/// Why an assertion is not good.
enum Bad {
    Denied(String),
    CannotTell,
}

impl From<String> for Bad {
    fn from(reason: String) -> Self {
        Self::Denied(reason)
    }
}

impl From<&str> for Bad {
    fn from(reason: &str) -> Self {
        Self::Denied(reason.to_owned())
    }
}

fn named(algorithm: Option<&str>) -> Result<Algorithm, BackendError> {
    match algorithm {
        Some("RS256") => Ok(Algorithm::RS256),
        Some("PS256") => Ok(Algorithm::PS256),
        Some("ES256") => Ok(Algorithm::ES256),
        Some("EdDSA") => Ok(Algorithm::EdDSA),
        _ => Err(BackendError::misconfigured(
            "algorithm: RS256, PS256, ES256 or EdDSA; required with assertion = \"jwt\"",
        )),
    }
}

fn source(kind: Kind, config: &Config, issuer: &str) -> Result<Source, BackendError> {
    if let Some(path) = &config.jwks_file {
        return Ok(Source::File(path.clone()));
    }
    let url = |text: &str| check_url("jwks_url", text);
    if kind == Kind::Alb {
        let region = config.region.as_deref().unwrap_or_default();
        let default = format!("https://public-keys.auth.elb.{region}.amazonaws.com/");
        if config.jwks_url.is_none() && region.is_empty() {
            return Err(BackendError::misconfigured(
                "region: required with assertion = \"alb\"",
            ));
        }
        let prefix = config.jwks_url.as_deref().unwrap_or(&default);
        return Ok(Source::PerKey(url(prefix)?));
    }
    if let Some(text) = &config.jwks_url {
        return Ok(Source::Set(url(text)?));
    }
    let issuer = issuer.trim_end_matches('/');
    Ok(Source::Set(match kind {
        Kind::Cloudflare => url(&format!("{issuer}/cdn-cgi/access/certs"))?,
        Kind::Iap => url("https://www.gstatic.com/iap/verify/public_key-jwk")?,
        Kind::Pomerium => {
            let host = issuer.trim_start_matches("https://");
            url(&format!("https://{host}/.well-known/pomerium/jwks.json"))?
        }
        Kind::Alb | Kind::Jwt => {
            return Err(BackendError::misconfigured(
                "jwks_url or jwks_file: required",
            ));
        }
    }))
}
