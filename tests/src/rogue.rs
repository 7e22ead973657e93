//! A misbehaving identity provider: an OpenID Connect provider that does one thing wrong.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    digest, hmac,
    rand::SystemRandom,
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use serde_json::json;

use crate::idp::SECRET;

macro_rules! faults {
    ($($name:ident),* $(,)?) => {
        /// What it does wrong.
        #[allow(missing_docs, reason = "each says it")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($name),* }

        /// All of them.
        pub const FAULTS: &[Fault] = &[$(Fault::$name),*];
    };
}

faults! {
    Nothing, JunkBesideTheKey, NewKeyUnderNewId,
    // Its id_token.
    WrongIssuer, IssuerWithSlash, NoIssuer, WrongAudience, AudienceNearlyOurs, NoAudience,
    AudienceListWithoutUs, TwoAudiencesNoAzp, WrongAzp, NoNonce, WrongNonce, NonceOfAnotherType,
    Expired, NoExpiry, ExpiryAsText, IssuedInTheFuture, NoIssuedAt, NotYetValid, AlgNone,
    SignedWithClientSecret, SignedWithPublicKey, WrongKey, UnknownKey, NoKidAmongSeveral,
    BadSignature, CutSignature, NoSignature, WrongAccessTokenHash, NoSubject, EmptySubject,
    LongSubject, SubjectAsNumber, TwoSubjects, CriticalHeader, NoIdToken, IdTokenNoJwt,
    IdTokenAsNumber, DeepIdToken,
    // Who it says somebody is.
    OtherSubjectInUserinfo, UserinfoIsHtml, UserinfoFails, UnverifiedEmail, VerifiedAsText, NoEmail,
    EmailAsList, ReservedName, GroupOverage,
    // How it sends people back.
    StateDropped, StateChanged, CodeDropped, WrongIssuerInReturn, AccessDenied, ErrorWithMarkup,
    // Its token endpoint.
    CodeUsedUp, TokenFails, TokenIsHtml, TokenRedirects, TokenIsHuge, TokenDrips, TokenHangs,
    TokenBreaksOff, TokenIsText,
    // Its discovery.
    DiscoveryMissing, DiscoveryOfAnother, DiscoveryIsHtml, DiscoveryLacksEndpoints,
    DiscoveryNamesFiles, DiscoveryNamesPlainHttp, DiscoveryRedirects, DiscoveryIsHuge,
    DiscoveryHangs,
    // Its keys.
    KeysFail, KeysEmpty, KeysAreHtml, KeysHang, KeysAreSymmetric, KeysAreTooSmall, KeysForEncryption,
}

/// A provider that runs, until the process ends.
pub struct Rogue {
    /// Its issuer URL.
    pub issuer: String,
    state: Arc<State>,
}

struct State {
    issuer: String,
    fault: Mutex<Fault>,
    key: KeyPair,
    other: KeyPair,
    has_new_key: AtomicBool,
    nonces: Mutex<HashMap<String, String>>,
}

impl Rogue {
    /// One that does nothing wrong yet.
    #[track_caller]
    pub fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let issuer = format!("http://{}", listener.local_addr().expect("bound"));
        let new = || KeyPair::generate(KeySize::Rsa2048).expect("a key");
        let state = Arc::new(State {
            issuer: issuer.clone(),
            fault: Mutex::new(Fault::Nothing),
            key: new(),
            other: new(),
            has_new_key: AtomicBool::new(false),
            nonces: Mutex::default(),
        });
        let serving = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&serving);
                std::thread::spawn(move || state.serve(stream));
            }
        });
        Self { issuer, state }
    }

    /// Does this wrong from now on.
    pub fn set(&self, fault: Fault) {
        *self.state.fault.lock().expect("a fault") = fault;
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) {
        let Some((method, target, body)) = request(&mut stream) else {
            return;
        };
        let fault = *self.fault.lock().expect("a fault");
        let (path, query) = target.split_once('?').unwrap_or((target.as_str(), ""));
        let query = pairs(query);
        match path {
            "/.well-known/openid-configuration" => self.discovery(&mut stream, fault),
            "/authorize" => self.authorize(&mut stream, fault, &query),
            "/token" if method == "POST" => self.token(&mut stream, fault, &pairs(&body)),
            "/jwks" => self.jwks(&mut stream, fault),
            "/userinfo" => self.userinfo(&mut stream, fault),
            _ => answer(&mut stream, 404, "text/plain", "no"),
        }
    }

    fn discovery(&self, stream: &mut TcpStream, fault: Fault) {
        let at = |path: &str| format!("{}{path}", self.issuer);
        let mut document = json!({
            "issuer": self.issuer,
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/jwks"),
            "userinfo_endpoint": at("/userinfo"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "authorization_response_iss_parameter_supported": true,
        });
        match fault {
            Fault::DiscoveryMissing => return answer(stream, 404, "text/plain", "no"),
            Fault::DiscoveryIsHtml => return answer(stream, 200, "text/html", "<h1>Hello</h1>"),
            Fault::DiscoveryRedirects => return redirect(stream, "http://127.0.0.1:9/other"),
            Fault::DiscoveryIsHuge => return huge(stream),
            Fault::DiscoveryHangs => return hang(stream),
            Fault::DiscoveryOfAnother => document["issuer"] = json!("https://evil.example"),
            Fault::DiscoveryNamesFiles => document["token_endpoint"] = json!("file:///etc/passwd"),
            Fault::DiscoveryNamesPlainHttp => {
                document["token_endpoint"] = json!("http://evil.example/token");
            }
            Fault::DiscoveryLacksEndpoints => {
                document
                    .as_object_mut()
                    .map(|document| document.remove("token_endpoint"));
            }
            _ => {}
        }
        answer(stream, 200, "application/json", &document.to_string());
    }

    fn authorize(&self, stream: &mut TcpStream, fault: Fault, query: &HashMap<String, String>) {
        let said = |name: &str| query.get(name).cloned().unwrap_or_default();
        let code = format!("code-{}", now());
        self.nonces
            .lock()
            .expect("nonces")
            .insert(code.clone(), said("nonce"));
        let mut back = vec![
            ("code", code),
            ("state", said("state")),
            ("iss", self.issuer.clone()),
        ];
        match fault {
            Fault::StateDropped => back.retain(|(name, _)| *name != "state"),
            Fault::StateChanged => back[1].1 = "0".repeat(32),
            Fault::CodeDropped => back.retain(|(name, _)| *name != "code"),
            Fault::WrongIssuerInReturn => back[2].1 = "https://evil.example".into(),
            Fault::AccessDenied => back[0] = ("error", "access_denied".into()),
            Fault::ErrorWithMarkup => {
                back[0] = ("error", "server_error".into());
                back.push(("error_description", "<script>alert(1)</script>".into()));
            }
            _ => {}
        }
        let encode = |text: &str| {
            text.bytes()
                .map(|b| {
                    if b.is_ascii_alphanumeric() || b == b'-' {
                        char::from(b).to_string()
                    } else {
                        format!("%{b:02X}")
                    }
                })
                .collect::<String>()
        };
        let pairs: Vec<_> = back
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        redirect(
            stream,
            &format!("{}?{}", said("redirect_uri"), pairs.join("&")),
        );
    }

    fn token(&self, stream: &mut TcpStream, fault: Fault, form: &HashMap<String, String>) {
        match fault {
            Fault::TokenFails => return answer(stream, 500, "text/plain", "oops"),
            Fault::TokenIsHtml => return answer(stream, 200, "text/html", "<h1>Hello</h1>"),
            Fault::TokenRedirects => return redirect(stream, "http://127.0.0.1:9/token"),
            Fault::TokenIsHuge => return huge(stream),
            Fault::TokenDrips => return drip(stream),
            Fault::TokenHangs => return hang(stream),
            Fault::TokenBreaksOff => return,
            Fault::CodeUsedUp => {
                return answer(
                    stream,
                    400,
                    "application/json",
                    "{\"error\":\"invalid_grant\"}",
                );
            }
            _ => {}
        }
        let code = form.get("code").cloned().unwrap_or_default();
        let nonce = self.nonces.lock().expect("nonces").remove(&code);
        let Some(nonce) = nonce.filter(|_| form.contains_key("code_verifier")) else {
            return answer(
                stream,
                400,
                "application/json",
                "{\"error\":\"invalid_grant\"}",
            );
        };
        let mut reply = json!({
            "access_token": "an-access-token", "token_type": "Bearer", "expires_in": 60,
            "id_token": self.id_token(fault, &nonce),
        });
        match fault {
            Fault::NoIdToken => {
                reply.as_object_mut().map(|reply| reply.remove("id_token"));
            }
            Fault::IdTokenNoJwt => reply["id_token"] = json!("not a token"),
            Fault::IdTokenAsNumber => reply["id_token"] = json!(7),
            _ => {}
        }
        let kind = if fault == Fault::TokenIsText {
            "text/plain"
        } else {
            "application/json"
        };
        let text = if fault == Fault::TokenIsText {
            "access_token=x".to_owned()
        } else {
            reply.to_string()
        };
        answer(stream, 200, kind, &text);
    }

    fn id_token(&self, fault: Fault, nonce: &str) -> String {
        let now = now() / 1_000_000_000;
        let hash = digest::digest(&digest::SHA256, b"an-access-token");
        let mut claims = json!({
            "iss": self.issuer, "aud": "omnigent", "sub": "ada-1", "nonce": nonce,
            "iat": now, "exp": now + 600, "at_hash": B64.encode(&hash.as_ref()[..16]),
            "email": "ada@example.com", "email_verified": true, "groups": ["staff"],
        });
        let mut header = json!({"alg": "RS256", "typ": "JWT", "kid": "one"});
        let mut drop = |name: &str| {
            claims.as_object_mut().map(|claims| claims.remove(name));
        };
        match fault {
            Fault::NoIssuer => drop("iss"),
            Fault::NoAudience => drop("aud"),
            Fault::NoNonce => drop("nonce"),
            Fault::NoExpiry => drop("exp"),
            Fault::NoIssuedAt => drop("iat"),
            Fault::NoSubject => drop("sub"),
            Fault::NoEmail => drop("email"),
            Fault::GroupOverage => drop("groups"),
            Fault::UserinfoIsHtml | Fault::UserinfoFails | Fault::OtherSubjectInUserinfo => {
                drop("email")
            }
            _ => {}
        }
        match fault {
            Fault::WrongIssuer => claims["iss"] = json!("https://evil.example"),
            Fault::IssuerWithSlash => claims["iss"] = json!(format!("{}/", self.issuer)),
            Fault::WrongAudience => claims["aud"] = json!("somebody-else"),
            Fault::AudienceNearlyOurs => claims["aud"] = json!("omnigent2"),
            Fault::AudienceListWithoutUs => claims["aud"] = json!(["a", "b"]),
            Fault::TwoAudiencesNoAzp => claims["aud"] = json!(["omnigent", "b"]),
            Fault::WrongAzp => claims["azp"] = json!("somebody-else"),
            Fault::WrongNonce => claims["nonce"] = json!("another"),
            Fault::NonceOfAnotherType => claims["nonce"] = json!([nonce]),
            Fault::Expired => claims["exp"] = json!(now - 600),
            Fault::ExpiryAsText => claims["exp"] = json!((now + 600).to_string()),
            Fault::IssuedInTheFuture => claims["iat"] = json!(now + 600),
            Fault::NotYetValid => claims["nbf"] = json!(now + 600),
            Fault::WrongAccessTokenHash => claims["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA"),
            Fault::EmptySubject => claims["sub"] = json!(""),
            Fault::LongSubject => claims["sub"] = json!("s".repeat(256)),
            Fault::SubjectAsNumber => claims["sub"] = json!(7),
            Fault::UnverifiedEmail => claims["email_verified"] = json!(false),
            Fault::VerifiedAsText => claims["email_verified"] = json!("true"),
            Fault::EmailAsList => claims["email"] = json!(["ada@example.com"]),
            Fault::ReservedName => claims["email"] = json!("local"),
            Fault::GroupOverage => claims["_claim_names"] = json!({"groups": "src1"}),
            Fault::DeepIdToken => {
                let deep = (0..5000).fold(String::from("1"), |deep, _| format!("[{deep}]"));
                let text = claims
                    .to_string()
                    .replacen('{', &format!("{{\"deep\":{deep},"), 1);
                return self.signed(&header.to_string(), &text, &self.key);
            }
            Fault::TwoSubjects => {
                let text = claims.to_string().replacen('{', "{\"sub\":\"root\",", 1);
                return self.signed(&header.to_string(), &text, &self.key);
            }
            _ => {}
        }
        match fault {
            Fault::AlgNone => header["alg"] = json!("none"),
            Fault::SignedWithClientSecret | Fault::SignedWithPublicKey => {
                header["alg"] = json!("HS256")
            }
            Fault::UnknownKey => header["kid"] = json!("unknown"),
            Fault::NewKeyUnderNewId => header["kid"] = json!("two"),
            Fault::CriticalHeader => header["crit"] = json!(["exp"]),
            Fault::NoKidAmongSeveral => {
                header.as_object_mut().map(|header| header.remove("kid"));
            }
            _ => {}
        }
        let (header, claims) = (header.to_string(), claims.to_string());
        let input = format!("{}.{}", B64.encode(&header), B64.encode(&claims));
        match fault {
            Fault::AlgNone | Fault::NoSignature => format!("{input}."),
            Fault::SignedWithClientSecret => with_hmac(&input, SECRET.as_bytes()),
            Fault::SignedWithPublicKey => with_hmac(&input, self.key.public_key().as_ref()),
            Fault::WrongKey | Fault::UnknownKey => self.signed(&header, &claims, &self.other),
            Fault::NewKeyUnderNewId => {
                self.has_new_key.store(true, Ordering::Relaxed);
                self.signed(&header, &claims, &self.other)
            }
            Fault::BadSignature => {
                let token = self.signed(&header, &claims, &self.key);
                let (input, signature) = token.rsplit_once('.').expect("three parts");
                let mut bytes = B64.decode(signature).expect("base64url");
                bytes[9] ^= 1;
                format!("{input}.{}", B64.encode(bytes))
            }
            Fault::CutSignature => {
                let token = self.signed(&header, &claims, &self.key);
                token[..token.len() - 40].to_owned()
            }
            _ => self.signed(&header, &claims, &self.key),
        }
    }

    fn signed(&self, header: &str, claims: &str, key: &KeyPair) -> String {
        let input = format!("{}.{}", B64.encode(header), B64.encode(claims));
        let mut signature = vec![0; key.public_modulus_len()];
        let random = SystemRandom::new();
        key.sign(&RSA_PKCS1_SHA256, &random, input.as_bytes(), &mut signature)
            .expect("signed");
        format!("{input}.{}", B64.encode(signature))
    }

    fn jwks(&self, stream: &mut TcpStream, fault: Fault) {
        let jwk = |kid: &str, key: &KeyPair| {
            let public = key.public_key();
            json!({
                "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
                "n": B64.encode(public.modulus().big_endian_without_leading_zero()),
                "e": B64.encode(public.exponent().big_endian_without_leading_zero()),
            })
        };
        let mut keys = vec![jwk("one", &self.key)];
        match fault {
            Fault::KeysFail => return answer(stream, 500, "text/plain", "oops"),
            Fault::KeysAreHtml => return answer(stream, 200, "text/html", "<h1>Hello</h1>"),
            Fault::KeysHang => return hang(stream),
            Fault::KeysEmpty => keys.clear(),
            Fault::KeysAreSymmetric => {
                keys = vec![
                    json!({"kty": "oct", "kid": "one", "alg": "HS256", "k": B64.encode(SECRET)}),
                ];
            }
            Fault::KeysAreTooSmall => keys[0]["n"] = json!(B64.encode([0xC7; 128])),
            Fault::KeysForEncryption => keys[0]["use"] = json!("enc"),
            Fault::NoKidAmongSeveral => keys.push(jwk("two", &self.other)),
            Fault::JunkBesideTheKey => {
                keys.insert(0, json!({"kty": "EC", "crv": "P-999", "x": 7}));
                keys.insert(0, json!("junk"));
                keys.push(json!({"kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB"}));
            }
            _ => {}
        }
        if self.has_new_key.load(Ordering::Relaxed) {
            keys.push(jwk("two", &self.other));
        }
        answer(
            stream,
            200,
            "application/json",
            &json!({"keys": keys}).to_string(),
        );
    }

    fn userinfo(&self, stream: &mut TcpStream, fault: Fault) {
        let mut claims =
            json!({"sub": "ada-1", "email": "ada@example.com", "email_verified": true});
        match fault {
            Fault::UserinfoIsHtml => return answer(stream, 200, "text/html", "<h1>Hello</h1>"),
            Fault::UserinfoFails => return answer(stream, 500, "text/plain", "oops"),
            Fault::OtherSubjectInUserinfo => claims["sub"] = json!("root-1"),
            Fault::NoEmail => claims = json!({"sub": "ada-1"}),
            Fault::UnverifiedEmail => claims["email_verified"] = json!(false),
            Fault::VerifiedAsText => claims["email_verified"] = json!("true"),
            Fault::ReservedName => claims["email"] = json!("local"),
            _ => {}
        }
        answer(stream, 200, "application/json", &claims.to_string());
    }
}

fn with_hmac(input: &str, key: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), input.as_bytes());
    format!("{input}.{}", B64.encode(tag))
}

/// Nanoseconds: also what tells one code from another.
#[allow(
    clippy::disallowed_methods,
    reason = "a provider has a clock of its own"
)]
fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or_default()
}

fn request(stream: &mut TcpStream) -> Option<(String, String, String)> {
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    };
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    while bytes.len() < end + length.unwrap_or(0) {
        match stream.read(&mut chunk).ok()? {
            0 => break,
            count => bytes.extend_from_slice(&chunk[..count]),
        }
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some((
        method,
        target,
        String::from_utf8_lossy(&bytes[end..]).into_owned(),
    ))
}

fn pairs(text: &str) -> HashMap<String, String> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            match byte {
                b'%' => {
                    let digits = [rest.next().unwrap_or(b'0'), rest.next().unwrap_or(b'0')];
                    let digits = String::from_utf8_lossy(&digits).into_owned();
                    bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
                }
                b'+' => bytes.push(b' '),
                byte => bytes.push(byte),
            }
        }
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

fn answer(stream: &mut TcpStream, status: u16, kind: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all((head + body).as_bytes());
}

fn redirect(stream: &mut TcpStream, to: &str) {
    let head = format!(
        "HTTP/1.1 302 X\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes());
}

fn huge(stream: &mut TcpStream) {
    let head =
        "HTTP/1.1 200 X\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"x\":\"";
    let _ = stream.write_all(head.as_bytes());
    let megabyte = vec![b'x'; 1 << 20];
    for _ in 0..64 {
        if stream.write_all(&megabyte).is_err() {
            return;
        }
    }
}

fn drip(stream: &mut TcpStream) {
    let head =
        "HTTP/1.1 200 X\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{\"x\":\"";
    let _ = stream.write_all(head.as_bytes());
    while stream.write_all(b"x").is_ok() {
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn hang(stream: &mut TcpStream) {
    // Until the other side has had enough.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(60)));
    let _ = stream.read(&mut [0; 1]);
}
