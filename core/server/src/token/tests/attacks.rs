//! Headers, signatures and shapes that must not pass, each otherwise a good token.

use super::*;
use Refusal::{Algorithm, Malformed, Signature, UnknownKey};

#[test]
fn good_token_counts() {
    let world = World::new();
    let verified = world.verify(world.token()).unwrap();
    assert_eq!(&*verified.account().id, "alice");
    assert_eq!(verified.account().uid, world.alice);
    assert!(world.verify(world.forge(&world.json().to_string())).is_ok());
}

#[test]
fn other_algorithms_are_refused() {
    let world = World::new();
    let kid = world.verifier.keyring().active().to_owned();
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "HS384",
        "HS512",
        "hs256",
        "HS256 ",
        "RS256",
        "RS512",
        "PS256",
        "ES256",
        "ES256K",
        "ES384",
        "EdDSA",
        "Ed25519",
        "A128KW",
        "dir",
        "HS256\u{0}",
    ] {
        let header = json!({"alg": alg, "typ": "JWT", "kid": kid}).to_string();
        let token = world.forge_header(&header, world.json().to_string().as_bytes());
        world.refuse(&token, Algorithm);
        let (signed, _) = token.rsplit_once('.').unwrap();
        world.refuse(format!("{signed}."), Signature);
        world.refuse(signed, Malformed);
    }
}

#[test]
fn stronger_hashes_of_the_same_key_are_refused() {
    let world = World::new();
    let kid = world.verifier.keyring().active().to_owned();
    for (alg, hmac_alg) in [("HS384", hmac::HMAC_SHA384), ("HS512", hmac::HMAC_SHA512)] {
        for named in [alg, "HS256"] {
            let header = json!({"alg": named, "typ": "JWT", "kid": kid}).to_string();
            let good = world.forge_header(&header, world.json().to_string().as_bytes());
            let (signed, _) = good.rsplit_once('.').unwrap();
            let tag = hmac::sign(&hmac::Key::new(hmac_alg, &KEY), signed.as_bytes());
            let whole = URL_SAFE_NO_PAD.encode(tag.as_ref());
            world.refuse_any(format!("{signed}.{whole}"), &[Signature, Algorithm]);
            let cut = URL_SAFE_NO_PAD.encode(&tag.as_ref()[..32]);
            world.refuse_any(format!("{signed}.{cut}"), &[Signature, Algorithm]);
        }
    }
}

#[test]
fn header_members_beyond_alg_typ_kid_are_refused() {
    let world = World::new();
    let claims = world.json().to_string();
    for (name, value) in [
        ("crit", json!([])),
        ("crit", json!(null)),
        ("crit", json!(["alg"])),
        ("crit", json!(["exp"])),
        ("crit", json!(["b64"])),
        ("crit", json!("b64")),
        ("crit", json!({})),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("jku", json!("https://evil.example/jwks.json")),
        ("jwk", json!({"kty": "oct", "k": "AAAA"})),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("cty", json!("JWT")),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("epk", json!({})),
        ("url", json!("https://auth.example.com")),
        ("nonce", json!("n")),
        ("iss", json!(ISSUER)),
        ("exp", json!(9_999_999_999_u64)),
        ("Alg", json!("HS256")),
        ("", json!("")),
        ("\u{0}", json!(1)),
    ] {
        let mut header = world.header();
        header[name] = value;
        world.refuse(
            world.forge_header(&header.to_string(), claims.as_bytes()),
            Malformed,
        );
    }
}

#[test]
fn kid_is_a_name_and_nothing_else() {
    let world = World::new();
    let claims = world.json().to_string();
    for kid in [
        "",
        "..",
        "../../../../dev/null",
        "/dev/null",
        "keyring.json",
        "file:///dev/null",
        "http://evil.example/key",
        "' OR '1'='1",
        "x' UNION SELECT 'k",
        "|whoami",
        "$(id)",
        "*",
        "\u{0}",
        "0",
        "null",
        "A128GCM",
    ] {
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid}).to_string();
        world.refuse(world.forge_header(&header, claims.as_bytes()), UnknownKey);
    }
    let active = world.verifier.keyring().active().to_owned();
    for kid in [
        active.to_uppercase(),
        format!("{active} "),
        format!("{active}\u{0}"),
        active[1..].into(),
    ] {
        let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid}).to_string();
        let numeric = active == kid;
        assert!(
            numeric
                || world
                    .verify(world.forge_header(&header, claims.as_bytes()))
                    .is_err()
        );
    }
}

#[test]
fn odd_headers_are_refused() {
    let world = World::new();
    let claims = world.json().to_string();
    let kid = world.verifier.keyring().active().to_owned();
    let deep = format!("{}1{}", "[".repeat(2000), "]".repeat(2000));
    let good = format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#);
    assert!(
        world
            .verify(world.forge_header(&good, claims.as_bytes()))
            .is_ok()
    );
    for header in [
        String::new(),
        "{}".into(),
        "null".into(),
        "[]".into(),
        "1".into(),
        format!(r#"["HS256","JWT","{kid}"]"#),
        format!(r#""{kid}""#),
        format!("\u{feff}{good}"),
        format!(" {good}"),
        format!("{good}{good}"),
        format!("{good},"),
        format!("{good}\u{0}"),
        format!("[{good}]"),
        format!(r#"{{"alg":"HS256","alg":"HS256","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"none","alg":"HS256","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"HS256","typ":"JWT","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"HS256","typ":"JWT","kid":"{kid}","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"HS256","\u0061lg":"HS256","typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":["HS256"],"typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":null,"typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"typ":"JWT","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#),
        r#"{"alg":"HS256","typ":"JWT"}"#.into(),
        r#"{"alg":"HS256","typ":"JWT","kid":null}"#.into(),
        r#"{"alg":"HS256","typ":"JWT","kid":7}"#.into(),
        format!(r#"{{"alg":"HS256","typ":"JWT","kid":["{kid}"]}}"#),
        format!(r#"{{"alg":"HS256","typ":"JOSE","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"HS256","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"HS256","typ":null,"kid":"{kid}"}}"#),
        format!(r#"{{"alg":"HS256","typ":"JWT","kid":{deep}}}"#),
        format!(r#"{{"x":{deep},"alg":"HS256","typ":"JWT","kid":"{kid}"}}"#),
    ] {
        world.refuse(world.forge_header(&header, claims.as_bytes()), Malformed);
    }
}

#[test]
fn signatures_that_are_not_the_one_are_refused() {
    let world = World::new();
    let token = world.token();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    for wrong in [
        String::new(),
        encode(&[0; 32]),
        encode(&[0xff; 32]),
        encode(&raw[..31]),
        encode(&raw[..16]),
        encode(&[raw.as_slice(), &[0]].concat()),
        encode(&[raw.as_slice(), raw.as_slice()].concat()),
        hex::encode(&raw),
        format!("{signature}="),
        format!("{signature}=="),
        format!("{signature}A"),
        format!("{signature}\n"),
        format!(" {signature}"),
        format!("{}\u{0}", &signature[..42]),
        signature[..42].to_owned(),
        signature.to_lowercase(),
        signature.chars().rev().collect(),
    ] {
        world.refuse(format!("{signed}.{wrong}"), Signature);
    }
    // 43 characters hold two bits more than 32 bytes: only zeros are canonical there.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for last in alphabet.chars().filter(|last| !signature.ends_with(*last)) {
        world.refuse(format!("{signed}.{}{last}", &signature[..42]), Signature);
    }
    assert!(world.verify(&token).is_ok());
}

#[test]
fn non_canonical_base64_is_refused_even_when_signed() {
    let world = World::new();
    let token = world.token();
    let (signed, _) = token.rsplit_once('.').unwrap();
    let (header, body) = signed.split_once('.').unwrap();
    for (header, body) in [
        (format!("{header}="), body.to_owned()),
        (header.to_owned(), format!("{body}=")),
        (header.to_owned(), format!("{body}==")),
        (header.to_owned(), format!("{body}\n")),
        (format!(" {header}"), body.to_owned()),
        (header.to_owned(), format!("{body}+")),
        (header.to_owned(), format!("{}/{}", &body[..8], &body[9..])),
        (header.to_owned(), "A".to_owned()),
    ] {
        world.refuse(seal(&format!("{header}.{body}")), Malformed);
    }
    // One byte left over leaves four unused bits, two leave two: all must be zero.
    for spaces in 0..3 {
        let json = format!("{}{}", world.json(), " ".repeat(spaces));
        let body = URL_SAFE_NO_PAD.encode(&json);
        assert!(world.verify(seal(&format!("{header}.{body}"))).is_ok());
        if !json.len().is_multiple_of(3) {
            let last = char::from(body.bytes().last().unwrap() + 1);
            let loose = format!("{}{last}", &body[..body.len() - 1]);
            world.refuse(seal(&format!("{header}.{loose}")), Malformed);
        }
    }
}

#[test]
fn not_three_segments_are_refused() {
    let world = World::new();
    let token = world.token();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, body) = signed.split_once('.').unwrap();
    for odd in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "....".into(),
        ".".repeat(10_000),
        header.into(),
        signed.into(),
        format!("{header}.{signature}"),
        format!("{header}..{signature}"),
        format!(".{body}.{signature}"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{header}.{header}.{body}.{body}.{signature}"),
        format!("{token}{token}"),
        format!("{token},{token}"),
        format!(
            r#"{{"payload":"{body}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#
        ),
        format!(r#"{{"payload":"{body}","protected":"{header}","signature":"{signature}"}}"#),
    ] {
        world.refuse_any(&odd, &[Malformed, Signature]);
    }
}

#[test]
fn text_around_a_token_is_refused() {
    let world = World::new();
    let token = world.token();
    // In the cache, where some of these end as it does.
    world.accept_twice(&token);
    for odd in [
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{token}\r\n"),
        format!("\t{token}"),
        format!("\"{token}\""),
        format!("{token}\u{0}"),
        format!("\u{feff}{token}"),
        format!("{token}, Bearer {token}"),
        format!("{token} {token}"),
        format!("{token},Bearer {token}"),
        format!("access_token={token}"),
        token.replace('.', "%2E"),
        token.replace('.', "\u{3002}"),
    ] {
        assert!(world.verify(&odd).is_err(), "{odd}");
    }
    let mut bytes = token.clone().into_bytes();
    bytes.push(0xff);
    world.refuse(&bytes, Signature);
    bytes[0] = 0xc3;
    assert!(world.verify(&bytes).is_err());
}

#[test]
fn long_tokens_are_refused_unread() {
    let world = World::new();
    for length in [MAX_LENGTH + 1, 100_000, 2_000_000] {
        world.refuse("a".repeat(length), Malformed);
        world.refuse(".".repeat(length), Malformed);
        let padded = format!("{}{}", world.json(), " ".repeat(length));
        world.refuse(world.forge(&padded), Malformed);
    }
    // Up to the cap a token may be as long as it likes.
    let long = format!("{}{}", world.json(), " ".repeat(5000));
    assert!(world.verify(world.forge(&long)).is_ok());
}

#[test]
fn tokens_of_other_keys_are_refused() {
    let world = World::new();
    let other = World::with(
        Keyring::load_or_create(
            world.dir.path(),
            &secret(&KEY.iter().rev().copied().collect::<Vec<_>>()),
            NOW,
        )
        .unwrap(),
        tempfile::tempdir().unwrap(),
    );
    world.refuse(other.token(), UnknownKey);
    // The right name does not make it the right key.
    let token = other.token();
    let body = token.split('.').nth(1).unwrap();
    let header = URL_SAFE_NO_PAD.encode(world.header().to_string());
    let signature = token.rsplit_once('.').unwrap().1;
    world.refuse(format!("{header}.{body}.{signature}"), Signature);
}
