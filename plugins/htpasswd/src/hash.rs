//! The hashes of a password file: those that are still safe. Each is verified by a library.

use sha_crypt::{PasswordVerifier, ShaCrypt};

/// Longest password bcrypt takes whole, in bytes: the rest would not count (THREATS P4).
const BCRYPT_LONGEST: usize = 72;

/// A stored password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    /// `htpasswd -B`
    Bcrypt(String),
    /// `openssl passwd -5`, `openssl passwd -6`
    ShaCrypt(String),
    /// A PHC string, verified by the server.
    Argon2(String),
}

impl Hash {
    /// Reads the part after the colon.
    ///
    /// # Errors
    /// Why it is not taken, and what to do.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| text.starts_with(prefix));
        if starts(&["$2y$", "$2b$", "$2a$"]) {
            let parts: Vec<_> = text.split('$').collect();
            return match parts.as_slice() {
                ["", _, cost, rest] if cost.len() == 2 && rest.len() == 53 => {
                    Ok(Self::Bcrypt(text.to_owned()))
                }
                _ => Err("a bcrypt hash that is cut or damaged".to_owned()),
            };
        }
        if starts(&["$5$", "$6$"]) {
            let length = if text.starts_with("$5$") { 43 } else { 86 };
            let is_whole = text.rsplit('$').next().map(str::len) == Some(length);
            return if is_whole && text.split('$').count() >= 4 {
                Ok(Self::ShaCrypt(text.to_owned()))
            } else {
                Err("a SHA-crypt hash that is cut or damaged".to_owned())
            };
        }
        if starts(&["$argon2id$"]) {
            return Ok(Self::Argon2(text.to_owned()));
        }
        let kind = if starts(&["$apr1$", "$1$"]) {
            "an MD5 hash"
        } else if starts(&["{SHA}", "{SSHA}"]) {
            "a SHA-1 hash"
        } else if text.len() == 13 {
            "a DES crypt hash, or a password in the clear,"
        } else {
            "a password in the clear, or a hash of an unknown kind,"
        };
        Err(format!(
            "{kind} is not taken; set the password anew with `htpasswd -B`"
        ))
    }

    /// Whether it is the hash of `password`. Takes its time; [`Hash::Argon2`] is the server's to do.
    pub(crate) fn verify(&self, password: &str) -> bool {
        match self {
            Self::Bcrypt(hash) => {
                let fits = password.len() <= BCRYPT_LONGEST && !password.contains('\0');
                // The work is done either way.
                let is_right = bcrypt::verify(password, hash).unwrap_or(false);
                fits && is_right
            }
            Self::ShaCrypt(hash) => ShaCrypt::default()
                .verify_password(password.as_bytes(), hash.as_str())
                .is_ok(),
            Self::Argon2(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    // `openssl passwd -5|-6 -salt saltsalt correct-horse`
    const SHA256: &str = "$5$saltsalt$CCKm5X4kzVCLWT/Hq5GucahpjziEZzqHdFDbxBDxFT8";
    const SHA512: &str = "$6$saltsalt$K7UFl//Wp07xMvFGF5CNr3JVL52HTe9O9C8NXwEvinkuKFSKIlvZQXSwQoNHq5D.BYsXc7IkvOpvWCBRDof1g1";

    #[test]
    fn each_kind_verifies_its_own_password_only() {
        let bcrypt = bcrypt::hash_with_salt("correct-horse", 4, [7; 16]).unwrap();
        let bcrypt = bcrypt.format_for_version(bcrypt::Version::TwoY);
        for text in [bcrypt.as_str(), SHA256, SHA512] {
            let hash = Hash::parse(text).unwrap();
            assert!(hash.verify("correct-horse"), "{text}");
            for wrong in [
                "",
                "correct-hors",
                "correct-horse ",
                "Correct-horse",
                "correct-horse\0",
            ] {
                assert!(!hash.verify(wrong), "{text} {wrong:?}");
            }
        }
    }

    #[test]
    fn bcrypt_never_takes_a_password_it_would_cut() {
        let long = "x".repeat(72);
        let hash = bcrypt::hash_with_salt(&long, 4, [7; 16]).unwrap();
        let hash = Hash::parse(&hash.format_for_version(bcrypt::Version::TwoB)).unwrap();
        assert!(hash.verify(&long));
        assert!(!hash.verify(&format!("{long}y")));
    }

    #[test]
    fn what_is_not_safe_is_not_taken() {
        for (text, word) in [
            ("$apr1$SaLt$hxW0IqXzqkHdXqvtVY9ZP1", "MD5"),
            ("$1$SaLt$hxW0IqXzqkHdXqvtVY9ZP1", "MD5"),
            ("{SHA}fEqNCco3Yq9h5ZUglD3CZJT4lBs=", "SHA-1"),
            ("rl.3StKT.4T8M", "DES"),
            ("hunter2", "clear"),
            ("", "clear"),
            ("$2y$05$tooshort", "damaged"),
            (
                "$2y$5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
                "damaged",
            ),
            ("$6$saltsalt$tooshort", "damaged"),
            ("$7$what", "unknown"),
        ] {
            let refused = Hash::parse(text).unwrap_err();
            assert!(refused.contains(word), "{text}: {refused}");
            assert!(
                text.len() < 5 || !refused.contains(text),
                "the hash is not repeated"
            );
        }
    }
}
