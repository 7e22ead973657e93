//! Certificates made with openssl.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// A certificate of its own for `localhost` and 127.0.0.1, and its key.
pub struct Certificate {
    /// As PEM.
    pub certificate: PathBuf,
    /// As PEM, readable by its owner only.
    pub key: PathBuf,
}

impl Certificate {
    /// Makes one in `dir`, called `name` in its files and in its subject.
    #[track_caller]
    pub fn make(dir: &Path, name: &str) -> Self {
        let (certificate, key) = (
            dir.join(format!("{name}.pem")),
            dir.join(format!("{name}.key")),
        );
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "2"])
            .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-subj", &format!("/CN={name}")])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .expect("openssl is installed");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("ours");
        Self { certificate, key }
    }

    /// Puts it where another is, as renewing tools do: written beside and renamed over.
    pub fn replace(&self, other: &Self) {
        for (from, to) in [
            (&self.certificate, &other.certificate),
            (&self.key, &other.key),
        ] {
            fs::rename(from, to).expect("one folder");
        }
    }

    /// `[tls]` with this one.
    pub fn toml(&self) -> String {
        format!(
            "[tls]\ncertificate_file = {:?}\nkey_file = {:?}\n",
            self.certificate, self.key
        )
    }
}
