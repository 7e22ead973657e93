//! Who may read and write what must not be read or written by others (THREATS X14).

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

use omnigent_server::config::Config;

use super::finding::Findings;

/// What others may do to a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Others {
    /// Neither read nor write it.
    Nothing,
    /// Read it.
    Read,
}

pub(super) fn examine(findings: &mut Findings, config: &Config, file: Option<&Path>) {
    let dir = &config.server.data_dir;
    match fs::metadata(dir) {
        Ok(about) if about.is_dir() => {
            if judge(findings, "data_dir", dir, &about, Others::Nothing) {
                let dir = dir.display();
                findings.ok("data_dir", format!("{dir} is its owner's alone"));
            }
            // A file of its own, wherever it was copied from; what else is there is out of reach
            // while the directory is.
            let keyring = dir.join("keyring.json");
            if let Ok(about) = fs::metadata(&keyring)
                && judge(findings, "keyring", &keyring, &about, Others::Nothing)
            {
                findings.ok("keyring", "the signing keys are their owner's alone");
            }
        }
        Ok(_) => findings.fail(
            "data_dir",
            format!("{} is not a directory", dir.display()),
            "set server.data_dir to one",
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => findings.ok(
            "data_dir",
            format!("{} is made at the first start", dir.display()),
        ),
        Err(error) => findings.fail(
            "data_dir",
            format!("{} cannot be looked at: {error}", dir.display()),
            "run this as the server's own user",
        ),
    }
    if let Some(file) = file
        && let Ok(about) = fs::metadata(file)
        && judge(findings, "config", file, &about, Others::Read)
    {
        let file = file.display();
        findings.ok("config", format!("{file} can be changed by its owner only"));
    }
}

/// Whether the file is ours, or root's, and others may do no more than that.
fn judge(
    findings: &mut Findings,
    check: &'static str,
    path: &Path,
    about: &Metadata,
    others: Others,
) -> bool {
    let shown = path.display();
    let me = rustix::process::geteuid().as_raw();
    let (owner, mode) = (about.uid(), about.mode() & 0o777);
    // Root looks after the server of another user.
    if owner != me && owner != 0 && me != 0 {
        findings.fail(
            check,
            format!("{shown} belongs to user {owner}, and this is user {me}"),
            "run this as the server's own user, or give the file to it with chown",
        );
        return false;
    }
    let (forbidden, may) = match others {
        Others::Nothing => (0o077, "go="),
        Others::Read => (0o022, "go-w"),
    };
    if mode & forbidden == 0 {
        return true;
    }
    let done = if mode & 0o022 != 0 { "written" } else { "read" };
    let harm = match others {
        Others::Nothing => "whoever does may sign in as anybody, or bring revoked tokens back",
        Others::Read => "whoever does decides who signs in, and which code runs",
    };
    findings.fail(
        check,
        format!("{shown} (mode {mode:o}) can be {done} by others: {harm}"),
        format!("chmod {may} {shown}"),
    );
    false
}
