//! The proxy's keys: fetched behind the requests' backs, kept while newer ones cannot be had.
//!
//! **Invariants:** no request waits for a fetch; fetches have a deadline and a bound and follow no
//! redirect; a set without a usable key replaces nothing (THREATS O7, O9).

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::VerifyingKey;
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, Jwk, PublicKeyUse},
};
use omnigent_plugin::prelude::*;
use serde_json::Value;
use tokio::{sync::mpsc, time::Instant};

/// How often the keys are fetched anew.
const EVERY: Duration = Duration::from_secs(600);
/// How often they are tried for while there are none.
const RETRY: Duration = Duration::from_secs(2);
/// How often an unknown key may make them be fetched, after the first few.
const BURST: u32 = 3;
const UNKNOWN_EVERY: Duration = Duration::from_secs(10);
/// Longest a fetch may take, and largest answer, in bytes.
const TIMEOUT: Duration = Duration::from_secs(5);
const LARGEST: usize = 512 * 1024;
/// Most keys kept.
const MOST: usize = 64;

/// Where keys come from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A key set (RFC 7517 section 5).
    Set(reqwest::Url),
    /// One PEM for each key id, below this URL.
    PerKey(reqwest::Url),
    /// A file with a key set.
    File(PathBuf),
}

/// See the module.
pub(crate) struct Keys {
    by_id: RwLock<HashMap<String, Arc<DecodingKey>>>,
    is_per_key: bool,
    is_loaded: AtomicBool,
    trouble: Mutex<Option<String>>,
    wanted: mpsc::Sender<String>,
    /// How many unknown keys may be asked for at once, and since when one more.
    asks: Mutex<(u32, Option<Instant>)>,
}

impl Keys {
    /// Begins to fetch.
    ///
    /// # Errors
    /// When TLS cannot start, or the file cannot be used.
    pub(crate) fn start(
        source: Source,
        algorithm: Algorithm,
        host: Host,
    ) -> Result<Arc<Self>, BackendError> {
        let (wanted, asked) = mpsc::channel(16);
        let keys = Arc::new(Self {
            by_id: RwLock::default(),
            is_per_key: matches!(source, Source::PerKey(_)),
            is_loaded: AtomicBool::new(false),
            trouble: Mutex::new(None),
            wanted,
            asks: Mutex::new((BURST, None)),
        });
        if let Source::File(path) = &source {
            let wrong = |why: String| {
                BackendError::misconfigured(format!("jwks_file {}: {why}", path.display()))
            };
            let text = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
            let set = read_set(&text, algorithm).map_err(wrong)?;
            keys.put(set);
            return Ok(keys);
        }
        let is_local = match &source {
            Source::Set(url) | Source::PerKey(url) => is_loopback(url),
            Source::File(_) => false,
        };
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT);
        if is_local {
            builder = builder.no_proxy();
        }
        let client = builder
            .build()
            .map_err(|error| BackendError::misconfigured(format!("TLS cannot start: {error}")))?;
        let fetching = Fetching {
            source,
            algorithm,
            client,
            host,
        };
        tokio::spawn(fetching.run(Arc::clone(&keys), asked));
        Ok(keys)
    }

    /// The key of this id. Without an id, the only one there is.
    pub(crate) fn get(&self, kid: &str) -> Option<Arc<DecodingKey>> {
        let by_id = self.by_id.read().unwrap_or_else(PoisonError::into_inner);
        let only = || {
            by_id
                .values()
                .next()
                .filter(|_| by_id.len() == 1 && kid.is_empty())
        };
        by_id.get(kid).or_else(only).cloned()
    }

    /// Asks for a key that is not there. Whether it may come soon.
    pub(crate) fn ask(&self, kid: &str) -> bool {
        if !self.is_per_key && !self.is_loaded.load(Ordering::Acquire) {
            return true;
        }
        let mut state = self.asks.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, since) = &mut *state;
        if since.is_none_or(|since| since.elapsed() >= UNKNOWN_EVERY) {
            *since = Some(Instant::now());
            *left = (*left + 1).min(BURST);
        }
        let may = *left > 0 && self.wanted.try_send(kid.to_owned()).is_ok();
        *left -= u32::from(may);
        may
    }

    /// What was wrong the last time, if nothing has been right since.
    pub(crate) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        trouble.clone()
    }

    fn note(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    fn put(&self, keys: HashMap<String, Arc<DecodingKey>>) {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        if self.is_per_key {
            if by_id.len() >= MOST {
                by_id.clear();
            }
            by_id.extend(keys);
        } else {
            *by_id = keys;
        }
        self.is_loaded.store(true, Ordering::Release);
    }
}

struct Fetching {
    source: Source,
    algorithm: Algorithm,
    client: reqwest::Client,
    host: Host,
}

impl Fetching {
    async fn run(self, keys: Arc<Keys>, mut asked: mpsc::Receiver<String>) {
        let mut kid = None;
        loop {
            let trouble = match self.fetch(kid.as_deref()).await {
                Ok(set) => {
                    if let Some(set) = set {
                        keys.put(set);
                    }
                    None
                }
                Err(why) => {
                    let message = format!("the proxy's keys were not fetched: {why}");
                    self.host.log(Level::Warn, &message);
                    Some(why)
                }
            };
            keys.note(trouble);
            let is_missing = !self.is_per_key() && !keys.is_loaded.load(Ordering::Acquire);
            let wait = if is_missing { RETRY } else { EVERY };
            kid = match tokio::time::timeout(wait, asked.recv()).await {
                Ok(None) => return,
                Ok(kid) => kid,
                Err(_) => None,
            };
        }
    }

    const fn is_per_key(&self) -> bool {
        matches!(self.source, Source::PerKey(_))
    }

    async fn fetch(
        &self,
        kid: Option<&str>,
    ) -> Result<Option<HashMap<String, Arc<DecodingKey>>>, String> {
        match (&self.source, kid) {
            (Source::Set(url), _) => {
                let body = self.get(url.clone()).await?;
                read_set(&body, self.algorithm).map(Some)
            }
            (Source::PerKey(prefix), Some(kid)) => {
                let is_id =
                    kid.len() == 36 && kid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
                if !is_id {
                    return Err("the key id is none of the load balancer's".into());
                }
                let url = prefix.join(kid).map_err(|error| error.to_string())?;
                let body = self.get(url).await?;
                let key = DecodingKey::from_ec_pem(&body).map_err(|error| error.to_string())?;
                Ok(Some(HashMap::from([(kid.to_owned(), Arc::new(key))])))
            }
            (Source::PerKey(_), None) | (Source::File(_), _) => Ok(None),
        }
    }

    async fn get(&self, url: reqwest::Url) -> Result<Vec<u8>, String> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let failed = |_| format!("{host} does not answer");
        let mut answer = self.client.get(url).send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        if status != 200 {
            return Err(format!("{host} answered {status}"));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if body.len() + chunk.len() > LARGEST {
                return Err(format!("{host} answered more than {LARGEST} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

/// Whether a URL may be fetched: https, or this machine.
pub(crate) fn check_url(key: &str, text: &str) -> Result<reqwest::Url, BackendError> {
    let wrong = |why: &str| BackendError::misconfigured(format!("{key}: {why}"));
    let url = reqwest::Url::parse(text).map_err(|_| wrong("not a URL"))?;
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    if is_safe && url.username().is_empty() && url.password().is_none() {
        Ok(url)
    } else {
        Err(wrong("must be https (http only for this machine)"))
    }
}

fn is_loopback(url: &reqwest::Url) -> bool {
    matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"))
}

/// Whether the point is none, or of small order: by such a key anybody can sign.
fn is_weak(x: &str) -> bool {
    let point = URL_SAFE_NO_PAD.decode(x).unwrap_or_default();
    VerifyingKey::try_from(point.as_slice()).map_or(true, |key| key.is_weak())
}

/// The keys of a set that can be used with the algorithm. Junk beside them is ignored.
fn read_set(
    body: &[u8],
    algorithm: Algorithm,
) -> Result<HashMap<String, Arc<DecodingKey>>, String> {
    let document: Value = serde_json::from_slice(body).map_err(|_| "not a key set".to_owned())?;
    let entries = document["keys"].as_array().cloned().unwrap_or_default();
    let usable = entries.into_iter().take(MOST).filter_map(|entry| {
        let jwk: Jwk = serde_json::from_value(entry).ok()?;
        let is_for_signatures =
            !matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption));
        let fits = match (&jwk.algorithm, algorithm) {
            // 2048 bits in base64url (RFC 7518 section 3.3).
            (AlgorithmParameters::RSA(rsa), Algorithm::RS256 | Algorithm::PS256) => {
                rsa.n.len() >= 342
            }
            (AlgorithmParameters::EllipticCurve(_), Algorithm::ES256) => true,
            (AlgorithmParameters::OctetKeyPair(pair), Algorithm::EdDSA) => !is_weak(&pair.x),
            _ => false,
        };
        let key = DecodingKey::from_jwk(&jwk)
            .ok()
            .filter(|_| fits && is_for_signatures)?;
        Some((jwk.common.key_id.unwrap_or_default(), Arc::new(key)))
    });
    let keys: HashMap<_, _> = usable.collect();
    if keys.is_empty() {
        return Err("the key set has no key that can be used".into());
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::Algorithm;

    use super::read_set;

    #[test]
    fn an_ed25519_key_that_anybody_can_sign_with_is_ignored() {
        let set =
            |x: &str| format!(r#"{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "x": "{x}"}}]}}"#);
        let is_read = |x: &str| read_set(set(x).as_bytes(), Algorithm::EdDSA).is_ok();
        // RFC 8037 appendix A.2.
        assert!(is_read("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
        // Of order 4, 1 and 2; no point; too short.
        for x in [
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA",
            "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "7P________________________________________8",
            "AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAA",
        ] {
            assert!(!is_read(x), "{x}");
        }
    }
}
