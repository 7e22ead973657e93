//! Encrypting with a passphrase: the age format, so that what is written here can be opened without
//! us.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    iter,
    path::{Path, PathBuf},
};

use age::{
    DecryptError, Decryptor, Encryptor, scrypt,
    secrecy::SecretString,
    stream::{StreamReader, StreamWriter},
};

use crate::{failure::Failure, password};

/// scrypt's work: 2^18, 256 MiB and about a second. The same as the `age` tool's.
const WORK: u8 = 18;

/// The most that is taken from a file: 1 GiB.
const MOST_WORK: u8 = 20;

/// The shortest passphrase for a new file, in characters.
const SHORTEST: usize = 12;

/// How every age file begins.
const MAGIC: &[u8] = b"age-encryption.org/";

/// The passphrase of a command. Never on the command line, where others read it.
#[derive(clap::Args)]
pub(crate) struct Passphrase {
    /// File with the passphrase that encrypts it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase from standard input
    #[arg(long, conflicts_with = "passphrase_file")]
    passphrase_stdin: bool,
}

impl Passphrase {
    /// The one for a file that is there; nothing when none was given.
    pub(crate) fn given(&self) -> Result<Option<SecretString>, Failure> {
        let text = match &self.passphrase_file {
            Some(path) => {
                let file = File::open(path).map_err(|error| {
                    Failure::Usage(format!("cannot read {}: {error}", path.display()))
                })?;
                password::piped(file)?
            }
            None if self.passphrase_stdin => password::piped(io::stdin())?,
            None => return Ok(None),
        };
        if text.is_empty() {
            return Err(Failure::Usage("the passphrase is empty".into()));
        }
        Ok(Some(SecretString::from(text)))
    }

    /// The one for a new file.
    pub(crate) fn new_one(&self) -> Result<Option<SecretString>, Failure> {
        use age::secrecy::ExposeSecret;
        let given = self.given()?;
        let is_short = |text: &SecretString| text.expose_secret().chars().count() < SHORTEST;
        if given.as_ref().is_some_and(is_short) {
            return Err(Failure::Usage(format!(
                "a passphrase has at least {SHORTEST} characters: whoever has the file can try as many as they like"
            )));
        }
        Ok(given)
    }
}

/// A file that is written, encrypted or not.
pub(crate) enum Output {
    /// As it is.
    Plain(BufWriter<File>),
    /// Encrypted.
    Sealed(Box<StreamWriter<BufWriter<File>>>),
}

impl Output {
    /// Into `file`.
    pub(crate) fn new(file: File, passphrase: Option<&SecretString>) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 18, file);
        let Some(passphrase) = passphrase else {
            return Ok(Self::Plain(file));
        };
        let mut recipient = scrypt::Recipient::new(passphrase.clone());
        recipient.set_work_factor(WORK);
        let encryptor = Encryptor::with_recipients(iter::once(&recipient as _));
        let encryptor = encryptor.map_err(io::Error::other)?;
        Ok(Self::Sealed(Box::new(encryptor.wrap_output(file)?)))
    }

    /// Writes what is left and gives the file back.
    pub(crate) fn finish(self) -> io::Result<File> {
        let file = match self {
            Self::Plain(file) => file,
            Self::Sealed(sealed) => sealed.finish()?,
        };
        file.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Sealed(sealed) => sealed.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Sealed(sealed) => sealed.flush(),
        }
    }
}

/// A file that is read, and whether it is encrypted.
pub(crate) fn open(
    path: &Path,
    passphrase: Option<&SecretString>,
) -> Result<(Box<dyn BufRead>, bool), Failure> {
    let file = File::open(path)
        .map_err(|error| Failure::Failed(format!("cannot read {}: {error}", path.display())))?;
    read(BufReader::with_capacity(1 << 18, file), passphrase)
}

/// As [`open`], of what is open already.
pub(crate) fn read(
    mut input: impl BufRead + 'static,
    passphrase: Option<&SecretString>,
) -> Result<(Box<dyn BufRead>, bool), Failure> {
    let start = input
        .fill_buf()
        .map_err(|error| Failure::Failed(format!("cannot read it: {error}")))?;
    if !start.starts_with(MAGIC) {
        // Whoever gives a passphrase counts on its seal: anybody can write a file without.
        if passphrase.is_some() {
            if MAGIC.starts_with(start) {
                return Err(Failure::Damaged("this file is damaged or not whole".into()));
            }
            return Err(Failure::Usage(
                "this file is not encrypted, and a passphrase was given: it is not the backup made with it, or give none".into(),
            ));
        }
        return Ok((Box::new(input), false));
    }
    let Some(passphrase) = passphrase else {
        return Err(Failure::Usage(
            "this file is encrypted: give its passphrase with --passphrase-file or --passphrase-stdin".into(),
        ));
    };
    let reader = decrypt(input, passphrase)?;
    Ok((Box::new(BufReader::with_capacity(1 << 18, reader)), true))
}

fn decrypt<R: BufRead>(input: R, passphrase: &SecretString) -> Result<StreamReader<R>, Failure> {
    let damaged = |what| Failure::Damaged(format!("this file is damaged or not whole: {what}"));
    let decryptor = Decryptor::new_buffered(input).map_err(|error| damaged(error.to_string()))?;
    if !decryptor.is_scrypt() {
        return Err(Failure::Usage(
            "this file is encrypted for a key, not with a passphrase: decrypt it with age first"
                .into(),
        ));
    }
    let mut identity = scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(MOST_WORK);
    decryptor
        .decrypt(iter::once(&identity as _))
        .map_err(|error| match error {
            DecryptError::DecryptionFailed
            | DecryptError::KeyDecryptionFailed
            | DecryptError::NoMatchingKeys => Failure::Usage(
                "the passphrase is wrong, or the file's first lines are damaged".into(),
            ),
            DecryptError::ExcessiveWork { .. } => Failure::Failed(
                "opening this file takes more memory than any backup of ours does".into(),
            ),
            error => damaged(error.to_string()),
        })
}
