//! `[tokens]`, `[passwords]`, `[throttle]` and `[device]`: how credentials are made and guarded.

use std::time::Duration;

use super::sheet::Section;
use crate::secret::Secret;
pub use crate::token::Algorithm;

/// `[tokens]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// Life of a login's access token.
    pub access_ttl: Duration,
    /// Life of an access token got by refreshing or by the device grant.
    pub refreshed_ttl: Duration,
    /// Absolute life of a grant, however often it is refreshed.
    pub grant_max_lifetime: Duration,
    /// Algorithm of the key that signs (RFC 7518 section 3.1); when absent, whatever it is.
    pub algorithm: Option<Algorithm>,
    /// `iss` claim; the public URL when absent.
    pub issuer: Option<String>,
    /// `aud` claim.
    pub audience: String,
    /// HS256 signing key; generated into the data directory when absent. At least 32 bytes.
    pub secret: Option<Secret<Vec<u8>>>,
    /// What `secret` was before: verifies.
    pub previous_secret: Option<Secret<Vec<u8>>>,
    /// Life of an API token whose maker names none. When absent: 90 days, or for ever where that is
    /// allowed.
    pub api_default_ttl: Option<Duration>,
    /// Longest life of an API token.
    pub api_max_ttl: Duration,
    /// Whether an API token may live for ever.
    pub api_allow_unlimited: bool,
    /// An API token is only made by a login no older than this.
    pub api_creation_login_age: Duration,
    /// With less than this to live, an API token is announced to end.
    pub api_expiry_notice: Duration,
}

/// `[passwords]`: cost and capacity of hashing (Argon2id, RFC 9106).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passwords {
    /// Memory of one hash, in bytes.
    pub memory: u64,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes.
    pub parallelism: u32,
    /// Hashes computed at once; `None` means one for each core but one, at most 4.
    pub threads: Option<usize>,
    /// Hashes waiting for a thread; past it, 503 with `Retry-After`.
    pub queue: usize,
}

/// `[throttle]`: what guesses and strangers are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throttle {
    /// Failures at one account from one network, or by one familiar device, that cost no wait.
    pub account_failures: u32,
    /// The longest wait after them, and the time in which one is forgotten.
    pub account_wait: Duration,
    /// Failures at one account by strangers to it, wherever from, that cost no wait.
    pub stranger_failures: u32,
    /// The longest wait after them, and the time in which one is forgotten.
    pub stranger_wait: Duration,
    /// Failures at one account in a row after which strangers pause (NIST SP 800-63B section 3.2.2).
    pub failures_in_a_row: u32,
    /// How long they pause.
    pub pause: Duration,
    /// Failures from one network, over all accounts, that cost no wait.
    pub address_failures: u32,
    /// The longest wait after them, and the time in which one is forgotten.
    pub address_wait: Duration,
    /// Sign-ins, tickets and device grants a network may begin in a minute.
    pub begun_per_minute: u32,
    /// Accounts a network may register in an hour.
    pub registered_per_hour: u32,
    /// Requests without a credential that write, of one network, in a minute.
    pub writes_per_minute: u32,
    /// Accounts, networks and pairs of them remembered at once, of each.
    pub max_tracked: usize,
}

/// `[device]`: the device grant (RFC 8628).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// When set, clients must send it in `X-Omnigent-Client-Secret`.
    pub client_secret: Option<Secret<String>>,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn tokens(mut section: Section<'_>) -> Tokens {
    let algorithms = Algorithm::ALL.map(|one| (one.as_str(), Some(one)));
    let tokens = Tokens {
        access_ttl: section.duration("access_ttl", 8 * HOUR, MINUTE..=366 * DAY),
        refreshed_ttl: section.duration("refreshed_ttl", HOUR, MINUTE..=30 * DAY),
        grant_max_lifetime: section.duration("grant_max_lifetime", 30 * DAY, HOUR..=366 * DAY),
        algorithm: section.word("algorithm", None, &algorithms),
        issuer: section.text("issuer").map(|(_, text)| text),
        audience: section
            .text("audience")
            .map_or_else(|| "omnigent".to_owned(), |(_, text)| text),
        secret: signing_secret(&mut section, "secret", "secret_file"),
        previous_secret: signing_secret(&mut section, "previous_secret", "previous_secret_file"),
        api_default_ttl: api_default_ttl(&mut section),
        api_max_ttl: section.duration("api_max_ttl", 366 * DAY, DAY..=3660 * DAY),
        api_allow_unlimited: section.boolean("api_allow_unlimited", false),
        api_creation_login_age: section.duration(
            "api_creation_login_age",
            8 * HOUR,
            MINUTE..=366 * DAY,
        ),
        api_expiry_notice: section.duration(
            "api_expiry_notice",
            14 * DAY,
            Duration::ZERO..=366 * DAY,
        ),
    };
    section.finish();
    tokens
}

fn api_default_ttl(section: &mut Section<'_>) -> Option<Duration> {
    let unset = Duration::ZERO;
    let ttl = section.duration("api_default_ttl", unset, DAY..=366 * DAY);
    Some(ttl).filter(|ttl| *ttl != unset)
}

/// 32 bytes or more, in hexadecimal: RFC 7518 section 3.2 wants a key as long as the hash.
fn signing_secret(
    section: &mut Section<'_>,
    key: &'static str,
    file_key: &'static str,
) -> Option<Secret<Vec<u8>>> {
    let (place, secret) = section.secret(key, file_key)?;
    let bytes = hex::decode(secret.expose().trim()).unwrap_or_default();
    if bytes.len() < 32 {
        let message = "must be at least 64 hexadecimal digits, an even number of them";
        let suggestion = Some("`openssl rand -hex 32` makes one".to_owned());
        section.sheet.fault_with(&place, message, suggestion);
        return None;
    }
    if let Err(weak) = crate::token::check_strength(&bytes) {
        section.sheet.fault(&place, weak.to_string());
        return None;
    }
    Some(Secret::new(bytes))
}

pub(super) fn passwords(mut section: Section<'_>) -> Passwords {
    let memory = section.size("memory", 19 << 20, 7 << 20..=1 << 30);
    let threads = section.integer("threads", 0, 0..=64) as usize;
    let passwords = Passwords {
        memory,
        iterations: section.integer("iterations", 2, 1..=32) as u32,
        parallelism: section.integer("parallelism", 1, 1..=16) as u32,
        threads: (threads > 0).then_some(threads),
        queue: section.integer("queue", 64, 1..=10_000) as usize,
    };
    section.finish();
    passwords
}

pub(super) fn throttle(mut section: Section<'_>) -> Throttle {
    let second = Duration::from_secs(1);
    let throttle = Throttle {
        account_failures: section.integer("account_failures", 10, 1..=1_000_000) as u32,
        account_wait: section.duration("account_wait", 15 * MINUTE, second..=7 * DAY),
        stranger_failures: section.integer("stranger_failures", 30, 1..=1_000_000) as u32,
        stranger_wait: section.duration("stranger_wait", HOUR, second..=7 * DAY),
        failures_in_a_row: section.integer("failures_in_a_row", 100, 1..=60_000) as u32,
        pause: section.duration("pause", DAY, second..=366 * DAY),
        address_failures: section.integer("address_failures", 100, 1..=1_000_000) as u32,
        address_wait: section.duration("address_wait", MINUTE, second..=7 * DAY),
        begun_per_minute: section.integer("begun_per_minute", 300, 1..=60_000) as u32,
        registered_per_hour: section.integer("registered_per_hour", 60, 1..=60_000) as u32,
        writes_per_minute: section.integer("writes_per_minute", 3000, 1..=60_000) as u32,
        max_tracked: section.integer("max_tracked", 100_000, 1000..=10_000_000) as usize,
    };
    section.finish();
    throttle
}

pub(super) fn device(mut section: Section<'_>) -> Device {
    let secret = section.secret("client_secret", "client_secret_file");
    let device = Device {
        client_secret: secret.map(|(_, secret)| secret),
    };
    section.finish();
    device
}
