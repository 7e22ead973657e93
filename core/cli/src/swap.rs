//! Changing how people sign in without losing anybody: `config plan`, `config reload`,
//! `account migrate`.

use std::path::{Path, PathBuf};

use omnigent_server::{
    account::Mark,
    account::swap::{By, Target, Way},
    config::{Change, Config, Env, Overrides},
    token::Algorithm,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{admin, failure::Failure, output, settings::Settings};

/// Shows what another configuration would mean for everybody
///
/// Nothing is changed. Accounts that would lose access are listed with the way to carry them over.
/// Give the configuration in force with --config.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent config plan new.toml --config /etc/omnigent.toml
  omnigent config plan new.toml --config /etc/omnigent.toml --json | jq -r '.loses[].id'

Exit codes: 0 nobody would lose access · 1 somebody would · 2 a configuration is refused")]
pub(crate) struct Plan {
    /// The configuration to come
    new: PathBuf,
    #[command(flatten)]
    settings: Settings,
    /// Write JSON: {changes, new_key, keeps, gains, loses, neither}
    #[arg(long)]
    json: bool,
}

/// Puts the changed configuration file in force, without a restart
///
/// The running server reads its file and environment anew, opens what has changed, and swaps; if
/// anything cannot work, the configuration in force stays. SIGHUP does the same.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent config reload --config /etc/omnigent.toml

Exit codes: 0 in force · 1 refused, nothing changed · 2 configuration refused here already")]
pub(crate) struct Reload {
    #[command(flatten)]
    settings: Settings,
    /// Write JSON: {changes, warnings}
    #[arg(long)]
    json: bool,
}

/// One account of a plan, as the server tells it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    id: String,
    disabled: bool,
    now: Vec<(String, Way)>,
    then: Vec<(String, Way)>,
}

/// A page of a plan.
#[derive(Deserialize)]
struct Planned {
    refused: Vec<String>,
    accounts: Vec<Row>,
}

#[derive(Serialize)]
struct Outcome<'a> {
    changes: Vec<Change>,
    /// The algorithm of a key that will be made.
    new_key: Option<Algorithm>,
    keeps: Vec<&'a Row>,
    gains: Vec<&'a Row>,
    loses: Vec<&'a Row>,
    neither: Vec<&'a Row>,
}

pub(crate) fn plan(args: &Plan) -> Result<(), Failure> {
    let current = args.settings.load(None)?;
    let overrides = Overrides {
        listen: None,
        data_dir: Some(current.server.data_dir.display().to_string()),
    };
    let new =
        Config::load(Some(&args.new), &Env::of_process(), &overrides).map_err(Failure::Config)?;
    let changes = current.changes(&new);
    let backends: Vec<Target> = new.auth.backends.iter().map(Target::of).collect();
    let admin = admin::reach(current)?;
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let after = rows.last().map(|row| row.id.clone());
        let page: Planned = admin.plan(&json!({"backends": backends, "after": after}))?;
        if !page.refused.is_empty() {
            return Err(Failure::Usage(page.refused.join("\n")));
        }
        if page.accounts.is_empty() {
            break;
        }
        rows.extend(page.accounts);
    }
    let of = |now: bool, then: bool| -> Vec<&Row> {
        let is = |row: &&Row| row.now.is_empty() != now && row.then.is_empty() != then;
        rows.iter().filter(is).collect()
    };
    let outcome = Outcome {
        new_key: new_key(&admin, &new)?,
        changes,
        keeps: of(true, true),
        gains: of(false, true),
        loses: of(true, false),
        neither: of(false, false),
    };
    let is_no_auth = new.is_no_auth();
    if args.json {
        output::json(&outcome);
    } else {
        output::say(told(&outcome, &new));
    }
    if outcome.loses.is_empty() || is_no_auth {
        Ok(())
    } else {
        let count = outcome.loses.len();
        Err(Failure::Failed(format!(
            "{count} accounts would lose access"
        )))
    }
}

/// Whether the server will make a key, because the one that signs is of another algorithm.
fn new_key(admin: &admin::Admin, new: &Config) -> Result<Option<Algorithm>, Failure> {
    let Some(wanted) = new.tokens.algorithm else {
        return Ok(None);
    };
    let is_secret = wanted == Algorithm::Hs256 && new.tokens.secret.is_some();
    let signs = admin.keys()?.iter().any(|key| key.signs_with(wanted));
    Ok((!is_secret && !signs).then_some(wanted))
}

fn told(outcome: &Outcome<'_>, new: &Config) -> String {
    let mut lines = Vec::new();
    if outcome.changes.is_empty() {
        lines.push("no key changes".to_owned());
    }
    for change in &outcome.changes {
        let remark = if change.needs_restart {
            " (at the next restart)"
        } else {
            ""
        };
        lines.push(format!("changes  {}{remark}", change.key_path));
    }
    if let Some(algorithm) = outcome.new_key {
        lines.push(format!(
            "keys     a new {algorithm} key will sign; what is signed until then goes on counting"
        ));
    }
    if new.is_no_auth() {
        lines.push("nobody signs in any more: everybody on this machine is an admin".to_owned());
        return lines.join("\n");
    }
    let mut part = |word: &str, rows: &[&Row], is_then: bool| {
        lines.push(format!("{word:<8} {} accounts", rows.len()));
        for row in rows.iter().take(20) {
            let ways = if is_then { &row.then } else { &row.now };
            let ways: Vec<_> = ways
                .iter()
                .map(|(backend, way)| format!("{backend}: {}", words(*way)))
                .collect();
            let off = if row.disabled { ", disabled" } else { "" };
            lines.push(format!(
                "         {} ({}{off})",
                output::plain(&row.id),
                ways.join("; ")
            ));
        }
        if rows.len() > 20 {
            lines.push(format!(
                "         … and {} more (--json shows all)",
                rows.len() - 20
            ));
        }
    };
    part("keeps", &outcome.keeps, true);
    part("gains", &outcome.gains, true);
    part("loses", &outcome.loses, false);
    if !outcome.neither.is_empty() {
        part("neither", &outcome.neither, true);
    }
    if !outcome.loses.is_empty() {
        lines.push(
            "Accounts that lose access keep their sessions; API tokens go on working. Carry them \
             over with `omnigent account migrate --to BACKEND --match email|username|map.csv`."
                .to_owned(),
        );
    }
    for backend in &new.auth.backends {
        use omnigent_server::config::AccountRule::{Create, Existing, Link};
        let rule = match backend.accounts {
            Create => "makes a new account for everybody it admits who has none",
            Link => "joins accounts by their proven e-mail address, and makes new ones for others",
            Existing => "admits nobody who is not linked, expected or invited",
        };
        lines.push(format!(
            "backend  {} ({}) {rule}",
            backend.name, backend.plugin
        ));
    }
    lines.join("\n")
}

const fn words(way: Way) -> &'static str {
    match way {
        Way::Linked => "linked",
        Way::Expected => "expected",
        Way::Address => "joins by address",
    }
}

pub(crate) fn reload(args: &Reload) -> Result<(), Failure> {
    let config = args.settings.load(None)?;
    let Some(admin) = admin::running(&config)? else {
        return Err(Failure::Failed(format!(
            "no server runs on {}: it reads its configuration when it starts",
            config.server.data_dir.display()
        )));
    };
    let reloaded = admin.reload()?;
    if args.json {
        output::json(&reloaded);
        return Ok(());
    }
    let changes: Vec<Change> =
        serde_json::from_value(reloaded["changes"].clone()).unwrap_or_default();
    if changes.is_empty() {
        output::say("in force; no key changed");
    }
    for change in changes {
        let when = if change.needs_restart {
            "at the next restart"
        } else {
            "in force"
        };
        output::say(format_args!("{}: {when}", output::plain(&change.key_path)));
    }
    Ok(())
}

/// Carries accounts over to another backend
#[derive(clap::Args)]
pub(crate) struct Migrate {
    /// Only accounts that sign in with this backend. The same as --to: it calls people otherwise now, and
    /// their new identities take the place of the old ones
    #[arg(long, value_name = "BACKEND")]
    from: Option<String>,
    /// The backend they will sign in with
    #[arg(long, value_name = "BACKEND")]
    to: String,
    /// What they will be recognised by: `email` or `username` (the account's own name), or a CSV
    /// file of lines `account,subject` or `account,e-mail address`
    #[arg(long = "match", value_name = "email|username|FILE")]
    by: String,
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Moved {
    id: String,
    by: Option<Mark>,
    outcome: String,
}

#[derive(Deserialize)]
struct Page {
    accounts: Vec<Moved>,
    next: Option<String>,
}

pub(crate) fn migrate(admin: &admin::Admin, args: &Migrate, json: bool) -> Result<(), Failure> {
    let ways = match args.by.as_str() {
        "email" => vec![By::Email],
        "username" => vec![By::Username],
        file => {
            let pairs = read_map(Path::new(file))?;
            pairs
                .chunks(1000)
                .map(|chunk| By::Map(chunk.to_vec()))
                .collect()
        }
    };
    let mut moved: Vec<Moved> = Vec::new();
    for by in ways {
        let mut after: Option<String> = None;
        loop {
            let page: Page = admin.migrate(&json!({
                "from": args.from, "to": args.to, "by": by, "dry_run": args.dry_run, "after": after,
            }))?;
            moved.extend(page.accounts);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    if json {
        output::json(&moved);
        return Ok(());
    }
    let rows: Vec<_> = moved
        .iter()
        .map(|row| {
            let by = match &row.by {
                Some(Mark::Subject(subject)) => format!("subject {subject}"),
                Some(Mark::Email(email)) => format!("e-mail {email}"),
                Some(Mark::Username(name)) => format!("username {name}"),
                None => String::new(),
            };
            vec![
                output::plain(&row.id),
                output::plain(&by),
                row.outcome.clone(),
            ]
        })
        .collect();
    output::say(output::table(&["id", "recognised by", "outcome"], &rows));
    let count = moved
        .iter()
        .filter(|row| row.outcome.contains("expected") && !row.outcome.contains("another"));
    let verb = if args.dry_run {
        "would be carried over"
    } else {
        "carried over"
    };
    output::say(format_args!(
        "{} of {} accounts {verb} to {}",
        count.count(),
        moved.len(),
        args.to
    ));
    Ok(())
}

/// Lines `account,mark`; a mark with an @ is an e-mail address, any other a subject.
fn read_map(path: &Path) -> Result<Vec<(String, Mark)>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("{}: {error}", path.display())))?;
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') || (number == 0 && line.starts_with("account,"))
        {
            continue;
        }
        let wrong = || {
            Failure::Usage(format!(
                "{}:{}: not a line `account,subject` or `account,e-mail`",
                path.display(),
                number + 1
            ))
        };
        let (account, mark) = line.split_once(',').ok_or_else(wrong)?;
        let (account, mark) = (account.trim(), mark.trim());
        if account.is_empty() || mark.is_empty() || mark.contains(',') {
            return Err(wrong());
        }
        let mark = if mark.contains('@') {
            Mark::Email(mark.to_owned())
        } else {
            Mark::Subject(mark.to_owned())
        };
        pairs.push((account.to_owned(), mark));
    }
    Ok(pairs)
}
