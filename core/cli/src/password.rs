//! Asking for a password: from the terminal without echo, or from standard input. Never from the
//! command line, which others can read.

use std::io::Read;

use omnigent_plugin::Password;
use omnigent_server::secret::Secret;

use crate::failure::Failure;

/// A new password, asked for twice, or the whole of standard input.
pub(crate) fn new(from_stdin: bool) -> Result<Secret<String>, Failure> {
    let password = if from_stdin {
        piped(std::io::stdin())?
    } else {
        prompted()?
    };
    let length = password.chars().count();
    if !(8..=1024).contains(&length) {
        return Err(Failure::Usage("a password has 8 to 1024 characters".into()));
    }
    Ok(Secret::new(password))
}

/// The password of somebody, from standard input.
pub(crate) fn given() -> Result<Password, Failure> {
    piped(std::io::stdin()).map(Password::new)
}

fn prompted() -> Result<String, Failure> {
    let no_terminal = |error| {
        Failure::Usage(format!(
            "cannot ask for a password ({error}); use --password-stdin"
        ))
    };
    let password = rpassword::prompt_password("New password: ").map_err(no_terminal)?;
    let again = rpassword::prompt_password("Once more: ").map_err(no_terminal)?;
    if password != again {
        return Err(Failure::Usage("the two passwords differ".into()));
    }
    Ok(password)
}

/// The text without the one line end a shell adds.
pub(crate) fn piped(input: impl Read) -> Result<String, Failure> {
    let mut text = String::new();
    input
        .take(16 << 10)
        .read_to_string(&mut text)
        .map_err(|error| Failure::Usage(format!("cannot read the password: {error}")))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_the_line_end_is_cut_off() {
        assert_eq!(piped(&b" a b \r\n"[..]).unwrap(), " a b ");
        assert_eq!(piped(&b"a\n\n"[..]).unwrap(), "a\n");
        assert_eq!(piped(&b"a"[..]).unwrap(), "a");
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(piped(&b"\xff\xff"[..]).unwrap_err().code(), 2);
    }
}
