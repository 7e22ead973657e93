//! Refusing signing secrets that somebody else knows or can guess (RFC 8725 section 3.5).

/// Why a configured secret will not do. Never holds the secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WeakSecret {
    /// RFC 7518 section 3.2: at least as long as the hash.
    #[error("the signing secret is shorter than 32 bytes; `openssl rand -hex 32` makes a good one")]
    Short,
    /// From documentation, or made of the words people put where a secret should go.
    #[error(
        "the signing secret is a published example or a placeholder; `openssl rand -hex 32` makes a good one"
    )]
    Known,
    /// One byte or a short pattern repeated, a run of consecutive bytes, few different bytes.
    #[error("the signing secret is a pattern, not random; `openssl rand -hex 32` makes a good one")]
    Pattern,
    /// A PEM file: a public key is no secret, a private one is for another algorithm.
    #[error("the signing secret is a PEM file; `openssl rand -hex 32` makes a good one")]
    Pem,
}

/// Words that no random text of these lengths holds.
const PLACEHOLDERS: [&str; 8] = [
    "secret",
    "password",
    "changeme",
    "change-me",
    "change_me",
    "example",
    "default",
    "omnigent",
];

/// RFC 7515 appendix A.1, in base64url as published and as bytes.
const RFC7515: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";

/// Accepts `secret` as a signing key, or says why not.
pub fn check(secret: &[u8]) -> Result<(), WeakSecret> {
    if secret.len() < 32 {
        return Err(WeakSecret::Short);
    }
    if secret.starts_with(b"-----BEGIN") {
        return Err(WeakSecret::Pem);
    }
    if is_known(secret) {
        return Err(WeakSecret::Known);
    }
    if is_pattern(secret) {
        return Err(WeakSecret::Pattern);
    }
    Ok(())
}

fn is_known(secret: &[u8]) -> bool {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let published = URL_SAFE_NO_PAD.decode(RFC7515).unwrap_or_default();
    if secret == RFC7515.as_bytes() || secret == published {
        return true;
    }
    // jwt.io's samples ("a-string-secret-at-least-256-bits-long", "your-512-bit-secret…") too.
    let Ok(text) = std::str::from_utf8(secret) else {
        return false;
    };
    let text = text.to_ascii_lowercase();
    PLACEHOLDERS.iter().any(|word| text.contains(word))
}

fn is_pattern(secret: &[u8]) -> bool {
    let mut seen = [false; 256];
    secret
        .iter()
        .for_each(|byte| seen[usize::from(*byte)] = true);
    // 32 random bytes hold about 30 different ones, hexadecimal text of 64 digits about 16.
    let is_poor = seen.iter().filter(|seen| **seen).count() < 10;
    let is_repeated =
        (1..=16).any(|period| secret.iter().zip(&secret[period..]).all(|(a, b)| a == b));
    let step = secret[1].wrapping_sub(secret[0]);
    let is_run = secret
        .windows(2)
        .all(|pair| pair[1].wrapping_sub(pair[0]) == step);
    is_poor || is_repeated || is_run
}
