//! `omnigent completions` and `omnigent man`: what packagers and shells want of the command line.

use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;

use crate::{failure::Failure, output};

/// Writes a completion script to standard output
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent completions bash > /etc/bash_completion.d/omnigent
  omnigent completions zsh > ~/.zfunc/_omnigent
  omnigent completions fish > ~/.config/fish/completions/omnigent.fish")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

/// Writes a manual page for every command into a directory
#[derive(clap::Args)]
#[command(after_help = "Example: omnigent man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// The directory; it must be there
    dir: PathBuf,
}

pub(crate) fn completions(args: &Completions, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "omnigent", &mut script);
    output::say(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}

pub(crate) fn man(args: &Man, command: Command) -> Result<(), Failure> {
    if !args.dir.is_dir() {
        let dir = args.dir.display();
        return Err(Failure::Usage(format!("{dir} is not a directory")));
    }
    let written = clap_mangen::generate_to(command, &args.dir);
    written.map_err(|error| {
        Failure::Failed(format!("cannot write into {}: {error}", args.dir.display()))
    })
}
