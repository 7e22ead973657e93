//! Requests of a proxy, and of those who are none, under fuzzing. Not part of the plugin.
//!
//! Through the plugin's own border: what it answers is what the server sees.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "what the fuzzer stands on"
)]

use std::{
    sync::OnceLock,
    task::{Context, Poll, Waker},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use omnigent_plugin::{
    Exported as _, Identity,
    abi::{
        BackendObject, FfiFuture, FfiHeader, FfiHost, FfiHost_TO, FfiRequest, FfiVerdict,
        TRUSTED_PROXY,
    },
    contract::{Opening, Reply},
    reexport::{
        self,
        abi_stable::{
            erased_types::TD_Opaque,
            std_types::{RBox, RResult, RSlice, RStr, RVec},
        },
    },
};
use serde_json::{Value, json};

use crate::Header;

/// What is fuzzed, by name.
#[expect(clippy::type_complexity, reason = "a name and a function")]
pub const TARGETS: &[(&str, fn(&[u8]))] = &[
    ("header_plain", header_plain),
    ("header_signed", header_signed),
];

const NOW: u64 = 1_800_000_000;
const SECRET: &str = "kQ7w-proxy-Zt4x-proves-9dLr-itself";

/// A server of which only the clock is asked.
struct Clock;

impl FfiHost for Clock {
    fn log(&self, _: u8, _: RStr<'_>) {}

    fn query(&self, service: RStr<'_>) -> RVec<u8> {
        assert_eq!(service.as_str(), "clock");
        serde_json::to_vec(&Reply::Ok(NOW * 1000))
            .unwrap_or_default()
            .into()
    }

    fn call(&self, service: RStr<'_>, _: RVec<u8>) -> FfiFuture<RVec<u8>> {
        panic!("{service} was asked for");
    }
}

fn open(config: Value) -> BackendObject {
    assert_eq!(Header::NAME, "header");
    let opening = Opening {
        name: "proxy".to_owned(),
        config,
        ..Opening::default()
    };
    let opening = serde_json::to_vec(&opening).expect("a message");
    let host = FfiHost_TO::from_value(Clock, TD_Opaque);
    let mut opened = Box::pin(reexport::open::<Header>(opening.into(), host));
    loop {
        match opened
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(RResult::ROk(object)) => return object,
            Poll::Ready(RResult::RErr(error)) => panic!("{}", String::from_utf8_lossy(&error)),
            Poll::Pending => std::thread::yield_now(),
        }
    }
}

/// What the backend makes of header lines.
fn ask(backend: &BackendObject, lines: &[(String, Vec<u8>)], is_trusted: bool) -> FfiVerdict {
    let headers: Vec<_> = lines
        .iter()
        .map(|(name, value)| FfiHeader::new(name, value))
        .collect();
    let trusted = [FfiHeader::new(TRUSTED_PROXY, b"1")];
    let more = if is_trusted { &trusted[..] } else { &[] };
    backend.identify(FfiRequest {
        method: "GET".into(),
        path: "/v1/me".into(),
        peer: "10.0.0.1".into(),
        headers: RSlice::from_slice(&headers),
        more: RSlice::from_slice(more),
    })
}

/// Lines `name: value`, as hyper lets them through.
fn lines(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let lines = data.split(|byte| *byte == b'\n').take(64);
    let pairs = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = std::str::from_utf8(&line[..at]).ok()?.to_ascii_lowercase();
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let is_value = |b: &u8| *b == b'\t' || (*b >= b' ' && *b != 0x7f);
        let value = line[at + 1..].trim_ascii();
        let is_good = !name.is_empty() && name.bytes().all(is_token) && value.iter().all(is_value);
        is_good.then(|| (name, value.to_vec()))
    });
    pairs.collect()
}

/// Header lines. Who is not trusted is nobody; somebody is who one line says, and nothing else.
pub fn header_plain(data: &[u8]) {
    static BACKEND: OnceLock<BackendObject> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| {
        open(json!({
            "header": "x-user", "email_header": "x-email", "name_header": "x-name",
            "groups_header": "x-groups", "secret_header": "x-secret", "secrets": [SECRET],
        }))
    });
    let lines = lines(data);
    match ask(backend, &lines, false) {
        FfiVerdict::NotMine => {}
        _ => panic!("a stranger was believed"),
    }
    let identity = match ask(backend, &lines, true) {
        FfiVerdict::NotMine => return assert!(of(&lines, "x-user").all(|value| value.is_empty())),
        FfiVerdict::Denied(reason) => {
            return assert!(!reason.contains(SECRET), "{reason}");
        }
        FfiVerdict::Failed(error) => panic!("{}", String::from_utf8_lossy(&error)),
        FfiVerdict::Accepted(identity) => Identity::from(RBox::into_inner(identity)),
    };
    let said: Vec<_> = of(&lines, "x-user").collect();
    let [said] = said[..] else {
        panic!("accepted of {} lines", said.len());
    };
    assert!(said.eq_ignore_ascii_case(identity.subject.as_bytes()));
    assert!(!identity.subject.is_empty() && identity.subject.len() <= 254);
    assert!(
        identity
            .subject
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b',')
    );
    assert_eq!(
        of(&lines, "x-secret").collect::<Vec<_>>(),
        [SECRET.as_bytes()]
    );
    let mine = ["x-user", "x-email", "x-name", "x-groups", "x-secret"];
    for (name, _) in &lines {
        let spelt = name.replace('_', "-");
        let bare = spelt.strip_prefix("http-").unwrap_or(&spelt);
        assert!(
            mine.contains(&name.as_str()) || !mine.contains(&bare),
            "{name} passed"
        );
    }
}

fn of<'l>(lines: &'l [(String, Vec<u8>)], name: &str) -> impl Iterator<Item = &'l [u8]> {
    lines
        .iter()
        .filter(move |(has, _)| has == name)
        .map(|(_, value)| value.as_slice())
}

/// A header line and claims of an assertion, signed with the right key. Accepted is only who issuer,
/// audience and time are right for.
pub fn header_signed(data: &[u8]) {
    static WORLD: OnceLock<(BackendObject, Ed25519KeyPair)> = OnceLock::new();
    let (backend, pair) = WORLD.get_or_init(signed);
    let (header, claims) = match data.iter().position(|byte| *byte == b'\n') {
        Some(at) if at > 0 => (&data[..at], &data[at + 1..]),
        Some(_) => (&br#"{"alg":"EdDSA","kid":"k"}"#[..], &data[1..]),
        None => (&br#"{"alg":"EdDSA","kid":"k"}"#[..], data),
    };
    let [header, body] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
    let signed = format!("{header}.{body}");
    let tag = URL_SAFE_NO_PAD.encode(pair.sign(signed.as_bytes()));
    let line = |value: String| [("x-assertion".to_owned(), value.into_bytes())];
    let verdict = ask(backend, &line(format!("{signed}.{tag}")), false);
    // Another signature never counts, and no text does that has none.
    let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode([7; 64]));
    assert!(!matches!(
        ask(backend, &line(forged), false),
        FfiVerdict::Accepted(_)
    ));
    assert!(!matches!(
        ask(backend, &line(signed), true),
        FfiVerdict::Accepted(_)
    ));
    match verdict {
        FfiVerdict::NotMine => panic!("overlooked"),
        FfiVerdict::Denied(_) => {}
        FfiVerdict::Failed(error) => {
            // A key nobody knows is asked for: that is for a set that is fetched, not for a file.
            panic!("{}", String::from_utf8_lossy(&error));
        }
        FfiVerdict::Accepted(identity) => {
            let identity = Identity::from(RBox::into_inner(identity));
            let claims: Value = serde_json::from_slice(claims).expect("JSON was accepted");
            assert_eq!(claims["iss"], "https://proxy.example.com");
            let is_ours = |aud: &Value| *aud == "omnigent";
            let list = claims["aud"].as_array();
            assert!(list.map_or_else(|| is_ours(&claims["aud"]), |list| list.iter().any(is_ours)));
            assert!(
                claims["exp"]
                    .as_f64()
                    .is_some_and(|exp| exp + 60.0 > NOW as f64)
            );
            assert_eq!(claims["sub"], identity.subject);
            assert!(!identity.subject.is_empty());
        }
    }
}

fn signed() -> (BackendObject, Ed25519KeyPair) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("a key");
    let x = URL_SAFE_NO_PAD.encode(pair.public_key());
    let set = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k", "x": x}]});
    let name = format!("omnigent-fuzz-{}-jwks", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, set.to_string()).expect("a file");
    let backend = open(json!({
        "assertion": "jwt", "header": "x-assertion", "issuer": "https://proxy.example.com",
        "audience": "omnigent", "algorithm": "EdDSA", "jwks_file": path,
    }));
    let _ = std::fs::remove_file(&path);
    (backend, pair)
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_and_their_neighbours_break_no_promise() {
        omnigent_tests::fuzz::replay(super::TARGETS);
    }
}
