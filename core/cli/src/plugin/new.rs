//! `omnigent plugin new`: a crate to begin a backend with.

use std::{fs, path::PathBuf};

use crate::{failure::Failure, output};

/// Makes a crate to begin a backend with: it builds, passes `plugin check`, and signs somebody in
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent plugin new badge-reader --sdk ../omnigent/core/plugin
  cd omnigent-auth-badge-reader && cargo build --release")]
pub(super) struct Args {
    /// The plugin's name: lower-case letters, digits and dashes
    name: String,
    /// The folder to make; omnigent-auth-NAME by default
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where omnigent's core/plugin is
    #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin"))]
    sdk: PathBuf,
}

/// The files, with `{{name}}`, `{{lib}}`, `{{type}}` and `{{sdk}}` to fill in.
const FILES: [(&str, &str); 5] = [
    (
        "Cargo.toml",
        include_str!("../../templates/plugin/Cargo.toml.txt"),
    ),
    (
        "src/lib.rs",
        include_str!("../../templates/plugin/lib.rs.txt"),
    ),
    (
        "omnigent.toml",
        include_str!("../../templates/plugin/omnigent.toml.txt"),
    ),
    (
        "README.md",
        include_str!("../../templates/plugin/README.md.txt"),
    ),
    (".gitignore", "/target\n/data\n"),
];

pub(super) fn run(args: &Args) -> Result<(), Failure> {
    let name = args.name.as_str();
    let is_good = (1..=48).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && !name.contains("--")
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !is_good {
        return Err(Failure::Usage(
            "a plugin's name is lower-case letters, digits and single dashes, and begins with a letter"
                .into(),
        ));
    }
    let sdk = fs::canonicalize(&args.sdk)
        .ok()
        .filter(|sdk| sdk.join("src/backend.rs").is_file());
    let Some(sdk) = sdk else {
        return Err(Failure::Usage(format!(
            "{} is not omnigent's core/plugin; name it with --sdk",
            args.sdk.display()
        )));
    };
    let folder = args
        .dir
        .clone()
        .unwrap_or_else(|| format!("omnigent-auth-{name}").into());
    let failed = |error: std::io::Error| Failure::Failed(format!("{}: {error}", folder.display()));
    fs::create_dir_all(folder.parent().unwrap_or(&folder)).map_err(failed)?;
    fs::create_dir(&folder).map_err(failed)?;
    fs::create_dir(folder.join("src")).map_err(failed)?;
    let fill = [
        ("{{name}}", name.to_owned()),
        ("{{lib}}", name.replace('-', "_")),
        ("{{type}}", type_name(name)),
        ("{{sdk}}", sdk.display().to_string()),
    ];
    for (file, text) in FILES {
        let text = fill.iter().fold(text.to_owned(), |text, (what, with)| {
            text.replace(what, with)
        });
        fs::write(folder.join(file), text).map_err(failed)?;
    }
    output::say(format_args!(
        "{folder} is a backend that signs in alice; next:\n  cd {folder}\n  cargo build --release\n  \
         omnigent plugin check target/release/libomnigent_auth_{lib}.so --config omnigent.toml\n  \
         omnigent server --config omnigent.toml --data-dir data",
        folder = folder.display(),
        lib = name.replace('-', "_"),
    ));
    Ok(())
}

/// `badge-reader` as `BadgeReader`.
fn type_name(name: &str) -> String {
    let capital = |part: &str| {
        let mut chars = part.chars();
        chars.next().map_or_else(String::new, |first| {
            first.to_uppercase().chain(chars).collect()
        })
    };
    name.split('-').map(capital).collect()
}
