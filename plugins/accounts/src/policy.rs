//! Which passwords are refused when they are set (NIST SP 800-63B section 3.1.1.2).
//!
//! Length and commonness, nothing else: no composition rules. A password is common when somebody
//! who knows the usual lists, the account's name and the product's would have it within
//! [`COMMON_GUESSES`] tries.

/// As many guesses as the lists of common passwords are long, with room for their variations.
const COMMON_GUESSES: u64 = 100_000;

/// The shortest password, in characters.
pub(crate) const MIN_LENGTH: usize = 8;
/// The longest password, in characters.
pub(crate) const MAX_LENGTH: usize = 1024;

/// Why `password` may not be the password of `username`, in words for its owner.
pub(crate) fn refusal(username: &str, password: &str) -> Option<&'static str> {
    let length = password.chars().count();
    if length < MIN_LENGTH {
        return Some("a password has at least 8 characters");
    }
    if length > MAX_LENGTH {
        return Some("a password has at most 1024 characters");
    }
    let own_words = [
        username,
        username.split('@').next().unwrap_or_default(),
        "omnigent",
    ];
    let estimate = zxcvbn::zxcvbn(password, &own_words);
    (estimate.guesses() < COMMON_GUESSES).then_some(
        "this password is too easy to guess; choose one that is not a common password or your name",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_passwords_and_own_names_are_refused() {
        for password in [
            "password",
            "Password1",
            "P@ssw0rd",
            "12345678",
            "qwertyuiop",
            "iloveyou1",
            "test1234",
            "letmein99",
            "aaaaaaaa",
            "abcdefgh",
            "omnigent",
            "Omnigent1",
            "wonderwoman",
            "wonderwoman1",
        ] {
            assert!(refusal("wonderwoman", password).is_some(), "{password}");
        }
        assert!(refusal("alexander@example.com", "alexander").is_some());
    }

    /// OWASP ASVS 6.2.4. zxcvbn's own list has 11 611 of that length; none of them passes.
    #[test]
    fn the_3000_most_common_passwords_are_refused() {
        let list = include_str!("../fixtures/common.txt");
        let passwords = list.lines().filter(|line| !line.starts_with('#'));
        assert_eq!(passwords.clone().count(), 3000);
        for password in passwords {
            assert!(refusal("somebody", password).is_some(), "{password}");
        }
    }

    #[test]
    fn long_and_unusual_ones_are_not() {
        for password in [
            "correct horse battery staple",
            "s3cret-pass",
            "пароль-крепкий-как-дуб",
            &"x7Ké-".repeat(204),
        ] {
            assert_eq!(refusal("alice", password), None, "{password}");
        }
    }

    #[test]
    fn length_is_counted_in_characters() {
        assert!(refusal("alice", "1234567").is_some());
        assert!(refusal("alice", "čřžýáíé").is_some());
        assert!(refusal("alice", &"é".repeat(1025)).is_some());
    }
}
