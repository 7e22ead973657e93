//! `omnigent account`: an operator's work on accounts, with the server up or down.

use clap::Subcommand;
use serde_json::json;

use crate::{
    admin::{self, Admin, Change, Row},
    failure::Failure,
    output, password,
    settings::Settings,
    swap, when,
};

/// Manages accounts, through the running server or, when it is down, on its data directory
#[derive(clap::Args)]
#[command(after_help = "\
Give the same --config or --data-dir as to `omnigent server`. Whoever may write to the data
directory is an operator; no token is needed.

Examples:
  omnigent account add alice --admin
  printf %s \"$PASSWORD\" | omnigent account add bob --password-stdin
  omnigent account list --json | jq -r '.[] | select(.disabled) | .id'
  omnigent account disable bob          every token of his is refused from now on")]
pub(crate) struct Args {
    #[command(flatten)]
    settings: Settings,
    /// Write JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes an account; asks for its password
    Add {
        /// User name or e-mail address
        id: String,
        /// Make it an admin
        #[arg(long)]
        admin: bool,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        /// Give it no password: it signs in through another backend
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
    },
    /// Shows all accounts
    List,
    /// Refuses an account and all its tokens from now on
    Disable {
        /// The account
        id: String,
    },
    /// Lets a disabled account in again
    Enable {
        /// The account
        id: String,
    },
    /// Deletes an account and everything of theirs
    Delete {
        /// The account
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// Gives an account a new password, shows it once, and ends its logins
    ResetPassword {
        /// The account
        id: String,
    },
    /// Shows by what identities an account signs in
    Identities {
        /// The account
        id: String,
    },
    /// Lets an identity of a backend lead to an account, from its first sign-in on
    Link {
        /// The account
        id: String,
        /// The backend that will assert the identity
        backend: String,
        #[command(flatten)]
        by: By,
    },
    /// Takes an account's identities at a backend away, and ends what was signed in with them
    Unlink {
        /// The account
        id: String,
        /// The backend
        backend: String,
    },
    Migrate(swap::Migrate),
    /// Shows a link that signs an account in once: for when its backend is down
    ResetLink {
        /// The account
        id: String,
    },
    /// Makes an account an admin
    Promote {
        /// The account
        id: String,
    },
    /// Makes an admin an ordinary account
    Demote {
        /// The account
        id: String,
    },
}

/// What an identity is recognised by.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct By {
    /// Its unchanging subject at the issuer
    #[arg(long)]
    subject: Option<String>,
    /// Its verified e-mail address
    #[arg(long)]
    email: Option<String>,
    /// Its username
    #[arg(long)]
    username: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let config = args.settings.load(None)?;
    // Asked before the data directory is opened: a person takes their time.
    let ready = prepare(&args.command)?;
    let admin = match args.command {
        Command::Add { .. } => admin::reach_or_make(config)?,
        _ => admin::reach(config)?,
    };
    perform(&admin, &args.command, ready, args.json)
}

type Password = omnigent_server::secret::Secret<String>;

fn prepare(command: &Command) -> Result<Option<Password>, Failure> {
    match command {
        Command::Add {
            no_password: false,
            password_stdin,
            ..
        } => password::new(*password_stdin).map(Some),
        Command::Delete { id, yes: false } => confirm(id).map(|()| None),
        _ => Ok(None),
    }
}

/// Deleting cannot be undone, so the id has to be typed.
pub(crate) fn confirm(id: &str) -> Result<(), Failure> {
    use std::io::{BufRead, IsTerminal};

    let shown = output::plain(id);
    if !std::io::stdin().is_terminal() {
        return Err(Failure::Usage("deleting asks first; say --yes".into()));
    }
    eprint!("Everything of {shown} will be gone. Type the id to go on: ");
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    if read.is_ok() && line.trim() == id {
        Ok(())
    } else {
        Err(Failure::Failed("nothing was deleted".into()))
    }
}

fn perform(
    admin: &Admin,
    command: &Command,
    password: Option<Password>,
    json: bool,
) -> Result<(), Failure> {
    let done = |id: &str, what: &str| {
        if json {
            output::json(&json!({"id": id, "done": what}));
        } else {
            output::say(format_args!("{id}: {what}"));
        }
    };
    let change = |id: &str, is_admin: Option<bool>, disabled: Option<bool>, what: &str| {
        admin.change(id, Change { is_admin, disabled })?;
        done(id, what);
        Ok(())
    };
    match command {
        Command::Add {
            id,
            admin: is_admin,
            ..
        } => {
            admin.add(id, password.as_ref(), *is_admin)?;
            done(id, if *is_admin { "added as admin" } else { "added" });
            Ok(())
        }
        Command::List => {
            let rows = admin.list()?;
            if json {
                output::json(&rows);
            } else {
                output::say(show(&rows));
            }
            Ok(())
        }
        Command::Disable { id } => change(id, None, Some(true), "disabled"),
        Command::Enable { id } => change(id, None, Some(false), "enabled"),
        Command::Promote { id } => change(id, Some(true), None, "promoted"),
        Command::Demote { id } => change(id, Some(false), None, "demoted"),
        Command::Delete { id, .. } => {
            admin.delete(id)?;
            done(id, "deleted");
            Ok(())
        }
        Command::Identities { id } => {
            let found = admin.identities(id)?;
            if json {
                output::json(&found);
            } else {
                output::say(show_identities(&found));
            }
            Ok(())
        }
        Command::Link { id, backend, by } => {
            let by = match by {
                By {
                    subject: Some(subject),
                    ..
                } => json!({"subject": subject}),
                By {
                    email: Some(email), ..
                } => json!({"email": email}),
                By { username, .. } => json!({"username": username}),
            };
            admin.link(id, &json!({"backend": backend, "by": by}))?;
            done(id, &format!("expected at {backend}"));
            Ok(())
        }
        Command::Unlink { id, backend } => {
            admin.unlink(id, backend)?;
            done(id, &format!("unlinked from {backend}"));
            Ok(())
        }
        Command::Migrate(args) => swap::migrate(admin, args, json),
        Command::ResetLink { id } => {
            let link = admin.reset_link(id)?;
            if json {
                output::json(&link);
            } else {
                let url = link["redeem_url"].as_str().unwrap_or_default();
                output::say(output::plain(url));
            }
            Ok(())
        }
        Command::ResetPassword { id } => {
            let password = admin.reset_password(id)?;
            if json {
                output::json(&json!({"id": id, "new_password": password.expose()}));
            } else {
                output::say(output::plain(password.expose()));
            }
            Ok(())
        }
    }
}

fn show_identities(found: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| output::plain(value.as_str().unwrap_or_default());
    let list = |key: &str| found[key].as_array().cloned().unwrap_or_default();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for key in list("linked") {
        let what = format!("{} {}", text(&key["issuer"]), text(&key["subject"]));
        rows.push(vec![
            text(&key["backend"]),
            "linked".to_owned(),
            what.trim().to_owned(),
        ]);
    }
    for expectation in list("expected") {
        let by = expectation["by"]
            .as_object()
            .and_then(|by| by.iter().next());
        let what = by.map_or_else(String::new, |(kind, value)| {
            format!("{kind} {}", text(value))
        });
        rows.push(vec![
            text(&expectation["backend"]),
            "expected".to_owned(),
            what,
        ]);
    }
    output::table(&["backend", "state", "identity"], &rows)
}

fn show(rows: &[Row]) -> String {
    let yes = |flag: bool| if flag { "yes" } else { "" }.to_owned();
    let cells = |row: &Row| {
        vec![
            output::plain(&row.id),
            yes(row.is_admin),
            yes(row.disabled),
            yes(row.has_password),
            row.created_at.map_or_else(String::new, when::day),
            row.last_login_at
                .map_or_else(|| "never".to_owned(), when::day),
        ]
    };
    let rows: Vec<_> = rows.iter().map(cells).collect();
    let head = [
        "id",
        "admin",
        "disabled",
        "password",
        "created",
        "last login",
    ];
    output::table(&head, &rows)
}
