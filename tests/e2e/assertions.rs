//! Signed assertions of proxies: Cloudflare Access, Google IAP, AWS ALB, Pomerium, any JWT.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD as B64},
};
use omnigent_tests::{Answer, Server, ServerBuilder};
use serde_json::{Value, json};

struct Key(EcdsaKeyPair);

impl Key {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"))
    }

    fn jwk(&self, kid: &str) -> Value {
        let point = self.0.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
            "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..]),
        })
    }

    fn pem(&self) -> String {
        let der: PublicKeyX509Der<'_> = self.0.public_key().as_der().expect("DER");
        let text = STANDARD.encode(der.as_ref());
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    fn sign(&self, input: &str) -> Vec<u8> {
        let signature = self.0.sign(&SystemRandom::new(), input.as_bytes());
        signature.expect("signed").as_ref().to_vec()
    }

    fn token(&self, header: &str, claims: &str) -> String {
        let input = format!("{}.{}", B64.encode(header), B64.encode(claims));
        format!("{input}.{}", B64.encode(self.sign(&input)))
    }
}

type Pages = Arc<Mutex<Vec<(String, String)>>>;

/// Answers GET with what is there by path.
fn serving(pages: &[(&str, String)]) -> (String, Pages) {
    let pages: Vec<_> = pages
        .iter()
        .map(|(path, body)| ((*path).to_owned(), body.clone()))
        .collect();
    let pages = Arc::new(Mutex::new(pages));
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let shared = Arc::clone(&pages);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let count = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..count]).into_owned();
            let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let pages = shared.lock().expect("pages");
            let body = pages
                .iter()
                .find(|(own, _)| *own == path)
                .map(|(_, body)| body.clone());
            let (status, body) = body.map_or((404, String::new()), |body| (200, body));
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, pages)
}

#[allow(clippy::disallowed_methods, reason = "a proxy has a clock of its own")]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("after 1970").as_secs()
}

fn started(keys: &str) -> Server {
    ServerBuilder::no_auth()
        .config(&format!(
            "[auth]\nbackends = [\"proxy\"]\n[backend.proxy]\nplugin = \"header\"\n{keys}\n"
        ))
        .start()
}

fn ask(server: &Server, header: &str, token: &str) -> Answer {
    server.client().with(header, token).get("/v1/sessions")
}

/// Asks until the keys are there.
fn soon(server: &Server, header: &str, token: &str) -> Answer {
    for _ in 0..200 {
        let answer = ask(server, header, token);
        if answer.status != 503 {
            return answer;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("the keys never came: {}", server.log())
}

const HEADER: &str = r#"{"alg":"ES256","typ":"JWT","kid":"one"}"#;

fn claims(issuer: &str) -> Value {
    json!({
        "iss": issuer, "aud": "our-audience", "sub": "ada-1", "email": "Ada@Example.com",
        "iat": now(), "exp": now() + 300, "groups": ["staff"], "name": "Ada",
    })
}

#[test]
fn each_proxys_assertion_is_read() {
    let key = Key::new();
    let set = json!({"keys": ["junk", {"kty": "oct", "k": "AAAA"}, key.jwk("one")]}).to_string();
    let kid = "0123abcd-0123-0123-0123-0123456789ab";
    let (url, _) = serving(&[("/keys", set), (&format!("/{kid}"), key.pem())]);
    let jwks = format!("jwks_url = \"{url}/keys\"\naudience = \"our-audience\"");
    for (kind, header, issuer, keys) in [
        (
            "iap",
            "x-goog-iap-jwt-assertion",
            "https://cloud.google.com/iap",
            jwks.clone(),
        ),
        (
            "pomerium",
            "x-pomerium-jwt-assertion",
            "auth.example.com",
            format!("{jwks}\nissuer = \"auth.example.com\""),
        ),
        (
            "jwt",
            "x-our-assertion",
            "https://proxy.example",
            format!(
                "{jwks}\nissuer = \"https://proxy.example\"\nheader = \"x-our-assertion\"\nalgorithm = \"ES256\""
            ),
        ),
    ] {
        let server = started(&format!(
            "assertion = \"{kind}\"\n{keys}\nallowed_groups = [\"staff\"]"
        ));
        let token = key.token(HEADER, &claims(issuer).to_string());
        let answer = soon(&server, header, &token);
        assert_eq!(answer.status, 200, "{kind}: {answer:?} {}", server.log());
        let me = server
            .client()
            .with(header, &token)
            .get("/v1/me")
            .expect(200)
            .json();
        assert_eq!(me["user_id"], "ada@example.com", "{kind}");
        server.client().get("/v1/sessions").expect(401);
    }
    // AWS names the signer in the header, has a PEM for each key, and pads its base64.
    let arn = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/x/1";
    let server = started(&format!(
        "assertion = \"alb\"\nissuer = \"https://idp.example\"\nsigner = \"{arn}\"\njwks_url = \"{url}/\""
    ));
    let alb = |signer: &str| {
        let header = json!({
            "alg": "ES256", "typ": "JWT", "kid": kid, "signer": signer, "client": "c",
            "iss": "https://idp.example", "exp": now() + 60,
        });
        let mut claims = claims("https://idp.example");
        claims.as_object_mut().map(|claims| claims.remove("aud"));
        let input = format!(
            "{}.{}",
            URL_SAFE.encode(header.to_string()),
            URL_SAFE.encode(claims.to_string())
        );
        format!("{input}.{}", URL_SAFE.encode(key.sign(&input)))
    };
    assert_eq!(
        soon(&server, "x-amzn-oidc-data", &alb(arn)).status,
        200,
        "{}",
        server.log()
    );
    assert_eq!(
        ask(&server, "x-amzn-oidc-data", &alb("arn:another")).status,
        400
    );
}

#[test]
fn a_prefix_is_part_of_who_somebody_is() {
    let key = Key::new();
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("keys.json");
    std::fs::write(&file, json!({"keys": [key.jwk("one")]}).to_string()).expect("written");
    let server = started(&format!(
        "assertion = \"iap\"\naudience = \"our-audience\"\njwks_file = {file:?}\n\
         strip_prefix = \"corp:\""
    ));
    let says = |subject: &str, email: &str| {
        let mut claims = claims("https://cloud.google.com/iap");
        claims["sub"] = subject.into();
        claims["email"] = email.into();
        let token = key.token(HEADER, &claims.to_string());
        ask(&server, "x-goog-iap-jwt-assertion", &token).status
    };
    assert_eq!(says("corp:alice", "corp:alice@example.com"), 200);
    assert_eq!(says("corp:bob", "bob@example.com"), 200);
    for another in ["alice", "other:alice", "CORP:alice", "corp:", ""] {
        assert_eq!(says(another, "alice@example.com"), 400, "{another}");
    }
}

#[test]
fn what_is_not_good_is_refused() {
    let (key, other) = (Key::new(), Key::new());
    let issuer = "https://cloud.google.com/iap";
    let header_name = "x-goog-iap-jwt-assertion";
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("keys.json");
    std::fs::write(&file, json!({"keys": [key.jwk("one")]}).to_string()).expect("written");
    let server = started(&format!(
        "assertion = \"iap\"\naudience = \"our-audience\"\njwks_file = {file:?}"
    ));
    let good = key.token(HEADER, &claims(issuer).to_string());
    assert_eq!(ask(&server, header_name, &good).status, 200);

    let with = |name: &str, value: Value| {
        let mut claims = claims(issuer);
        claims[name] = value;
        key.token(HEADER, &claims.to_string())
    };
    let without = |name: &str| {
        let mut claims = claims(issuer);
        claims.as_object_mut().map(|claims| claims.remove(name));
        key.token(HEADER, &claims.to_string())
    };
    let headed = |header: &str| key.token(header, &claims(issuer).to_string());
    let (head, tail) = good.rsplit_once('.').expect("three parts");
    let mut bytes = B64.decode(tail).expect("base64url");
    bytes[7] ^= 1;
    let twice = claims(issuer)
        .to_string()
        .replacen('{', "{\"sub\":\"root\",", 1);
    let bad: Vec<(&str, String)> = vec![
        ("wrong issuer", with("iss", json!("https://evil.example"))),
        ("issuer with more", with("iss", json!(format!("{issuer}/")))),
        ("no issuer", without("iss")),
        ("wrong audience", with("aud", json!("another"))),
        ("audience nearly", with("aud", json!("our-audience2"))),
        ("audience list", with("aud", json!(["a", "b"]))),
        ("no audience", without("aud")),
        ("expired", with("exp", json!(now() - 61))),
        ("no expiry", without("exp")),
        (
            "expiry as text",
            with("exp", json!((now() + 60).to_string())),
        ),
        ("expiry as float", with("exp", json!(1e12))),
        ("expiry negative", with("exp", json!(-1))),
        ("issued later", with("iat", json!(now() + 120))),
        ("not yet", with("nbf", json!(now() + 120))),
        ("iat as text", with("iat", json!("now"))),
        ("no subject", without("sub")),
        ("empty subject", with("sub", json!(""))),
        ("subject as number", with("sub", json!(7))),
        ("e-mail as list", with("email", json!(["root@example.com"]))),
        ("subject twice", key.token(HEADER, &twice)),
        (
            "another key",
            other.token(HEADER, &claims(issuer).to_string()),
        ),
        (
            "unknown key",
            headed(r#"{"alg":"ES256","typ":"JWT","kid":"two"}"#),
        ),
        (
            "none",
            format!(
                "{}.{}.",
                B64.encode(r#"{"alg":"none"}"#),
                B64.encode(claims(issuer).to_string())
            ),
        ),
        ("HS256", headed(r#"{"alg":"HS256","kid":"one"}"#)),
        ("RS256", headed(r#"{"alg":"RS256","kid":"one"}"#)),
        ("no algorithm", headed(r#"{"kid":"one"}"#)),
        (
            "algorithm twice",
            headed(r#"{"alg":"none","alg":"ES256","kid":"one"}"#),
        ),
        ("crit", headed(r#"{"alg":"ES256","kid":"one","crit":[]}"#)),
        ("jwk", headed(r#"{"alg":"ES256","kid":"one","jwk":{}}"#)),
        (
            "jku",
            headed(r#"{"alg":"ES256","kid":"one","jku":"https://evil.example"}"#),
        ),
        (
            "x5u",
            headed(r#"{"alg":"ES256","kid":"one","x5u":"https://evil.example"}"#),
        ),
        ("b64", headed(r#"{"alg":"ES256","kid":"one","b64":false}"#)),
        ("zip", headed(r#"{"alg":"ES256","kid":"one","zip":"DEF"}"#)),
        (
            "signer",
            headed(r#"{"alg":"ES256","kid":"one","signer":"x"}"#),
        ),
        ("header no object", headed("[]")),
        ("claims no object", key.token(HEADER, "[]")),
        ("claims no JSON", key.token(HEADER, "{")),
        ("flipped bit", format!("{head}.{}", B64.encode(&bytes))),
        ("cut signature", good[..good.len() - 8].to_owned()),
        ("no signature", format!("{head}.")),
        ("padded", format!("{good}==")),
        ("two parts", head.to_owned()),
        ("four parts", format!("{good}.x")),
        ("five parts", format!("{good}.x.y")),
        ("not base64", format!("{}!", &good[..good.len() - 1])),
        ("words", "not an assertion".to_owned()),
        ("too long", with("x", json!("y".repeat(9000)))),
        ("two, comma", format!("{good},{good}")),
        ("bearer", format!("Bearer {good}")),
    ];
    for (what, token) in &bad {
        let answer = ask(&server, header_name, token);
        // What is longer than a request's header may be never gets as far.
        assert!([400, 431].contains(&answer.status), "{what}: {answer:?}");
        assert!(!answer.text.contains("evil"), "{what}: {answer:?}");
    }
    assert!(bad.len() >= 45);
    let twice = server
        .client()
        .with(header_name, &good)
        .with(header_name, &good);
    twice.get("/v1/sessions").expect(400);
    let spelt = server.client().with("x_goog_iap_jwt_assertion", &good);
    spelt.get("/v1/sessions").expect(400);
    // The plain header of the mode next door means nothing here.
    server
        .client()
        .with("x-forwarded-email", "ada@example.com")
        .get("/v1/sessions")
        .expect(401);
    assert!(server.says("looks forged"));
}

#[test]
fn keys_that_change_are_fetched_and_bad_ones_replace_nothing() {
    let (old, new) = (Key::new(), Key::new());
    let (url, pages) = serving(&[("/keys", json!({"keys": [old.jwk("one")]}).to_string())]);
    let server = started(&format!(
        "assertion = \"iap\"\naudience = \"our-audience\"\njwks_url = \"{url}/keys\""
    ));
    let header = "x-goog-iap-jwt-assertion";
    let of = |key: &Key, kid: &str| {
        let head = format!(r#"{{"alg":"ES256","typ":"JWT","kid":"{kid}"}}"#);
        key.token(&head, &claims("https://cloud.google.com/iap").to_string())
    };
    assert_eq!(soon(&server, header, &of(&old, "one")).status, 200);
    pages.lock().expect("pages")[0].1 =
        json!({"keys": [old.jwk("one"), new.jwk("two")]}).to_string();
    assert_eq!(
        soon(&server, header, &of(&new, "two")).status,
        200,
        "{}",
        server.log()
    );
    pages.lock().expect("pages")[0].1 = "<h1>down</h1>".to_owned();
    for _ in 0..20 {
        let forged = ask(&server, header, &of(&new, "three")).status;
        assert!([400, 503].contains(&forged), "{forged}");
    }
    assert_eq!(
        ask(&server, header, &of(&old, "one")).status,
        200,
        "the old ones stay"
    );
}

#[test]
fn what_cannot_be_checked_does_not_start() {
    for (keys, word) in [
        ("assertion = \"iap\"", "audience"),
        ("assertion = \"cloudflare\"\naudience = \"x\"", "team"),
        (
            "assertion = \"cloudflare\"\naudience = \"x\"\nteam = \"a/b\"",
            "team",
        ),
        ("assertion = \"pomerium\"\naudience = \"x\"", "issuer"),
        ("assertion = \"alb\"\nissuer = \"x\"", "signer"),
        (
            "assertion = \"alb\"\nissuer = \"x\"\nsigner = \"arn\"",
            "region",
        ),
        (
            "assertion = \"jwt\"\nissuer = \"x\"\naudience = \"x\"",
            "algorithm",
        ),
        (
            "assertion = \"jwt\"\nissuer = \"x\"\naudience = \"x\"\nalgorithm = \"ES256\"",
            "header",
        ),
        (
            "assertion = \"jwt\"\nissuer = \"x\"\naudience = \"x\"\nalgorithm = \"none\"\nheader = \"x-a\"",
            "algorithm",
        ),
        (
            "assertion = \"jwt\"\nissuer = \"x\"\naudience = \"x\"\nalgorithm = \"HS256\"\nheader = \"x-a\"",
            "algorithm",
        ),
        (
            "assertion = \"jwt\"\nissuer = \"x\"\naudience = \"x\"\nalgorithm = \"ES256\"\nheader = \"x-a\"",
            "jwks_url",
        ),
        (
            "assertion = \"iap\"\naudience = \"x\"\njwks_url = \"http://evil.example/\"",
            "https",
        ),
        (
            "assertion = \"iap\"\naudience = \"x\"\njwks_file = \"/nowhere\"",
            "jwks_file",
        ),
        ("assertion = \"saml\"", "assertion"),
    ] {
        let config = format!(
            "[auth]\nbackends = [\"proxy\"]\n[backend.proxy]\nplugin = \"header\"\n{keys}\n"
        );
        let Err(log) = ServerBuilder::no_auth().config(&config).try_start() else {
            panic!("{keys}: it started");
        };
        assert!(
            log.contains(word) || log.contains("unknown variant"),
            "{keys}: {log}"
        );
    }
}
