//! `omnigent session`: the sessions one owns or shares in.

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    client::{Body, Target, Which},
    failure::Failure,
    output::{self, escape},
    token::cell,
    when,
};

/// Shows, makes and deletes sessions
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent session list
  omnigent session create reviewer --title 'Pull request 12'
  omnigent session list --json | jq -r '.[].id'")]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
    /// Write JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows your sessions, newest first
    List {
        /// At most so many
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        /// Archived ones too
        #[arg(long)]
        archived: bool,
        /// Only those with this text in their title
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
    },
    /// Makes a session of an agent
    Create {
        /// Name or id of the agent
        agent: String,
        /// What it is about
        #[arg(long)]
        title: Option<String>,
    },
    /// Shows a session
    Show {
        /// Its id
        id: String,
    },
    /// Deletes a session
    Delete {
        /// Its id
        id: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let target = args.which.target()?;
    match &args.command {
        Command::List {
            limit,
            archived,
            search,
        } => list(&target, *limit, *archived, search.as_deref(), args.json),
        Command::Create { agent, title } => {
            let mut body = json!({"agent_id": agent_id(&target, agent)?});
            if let Some(title) = title {
                body["title"] = title.as_str().into();
            }
            let answer = target.ask(Method::POST, "/v1/sessions", Body::Json(&body))?;
            let session: Value = answer.json()?;
            if args.json {
                output::json(&session);
            } else {
                output::say(cell(&session["id"]));
            }
            Ok(())
        }
        Command::Show { id } => {
            let session = target.fetch(&format!("/v1/sessions/{}", escape(id)))?;
            show(&session, args.json);
            Ok(())
        }
        Command::Delete { id, yes } => {
            if !yes {
                crate::account::confirm(id)?;
            }
            let path = format!("/v1/sessions/{}", escape(id));
            let answer = target.ask(Method::DELETE, &path, Body::None)?;
            if args.json {
                output::json(&answer.json::<Value>()?);
            } else {
                output::say(format_args!("{}: deleted", output::plain(id)));
            }
            Ok(())
        }
    }
}

fn list(
    target: &Target,
    limit: u16,
    archived: bool,
    search: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    let limit = limit.to_string();
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", &limit);
    query
        .append_pair("order", "desc")
        .append_pair("sort_by", "created_at");
    if archived {
        query.append_pair("include_archived", "true");
    }
    if let Some(search) = search {
        query.append_pair("search_query", search);
    }
    let page = target.fetch(&format!("/v1/sessions?{}", query.finish()))?;
    let sessions = page["data"].as_array().cloned().unwrap_or_default();
    if json {
        output::json(&sessions);
        return Ok(());
    }
    let row = |session: &Value| {
        vec![
            cell(&session["id"]),
            cell(&session["agent_name"]),
            cell(&session["status"]),
            session["created_at"]
                .as_f64()
                .map_or("-".to_owned(), when::at),
            cell(&session["owner"]),
            cell(&session["title"]),
        ]
    };
    let rows: Vec<_> = sessions.iter().map(row).collect();
    let head = ["id", "agent", "status", "since", "owner", "title"];
    output::say(output::table(&head, &rows));
    if page["has_more"] == true {
        output::hint("There are more: --limit N");
    }
    Ok(())
}

fn show(session: &Value, json: bool) {
    if json {
        output::json(session);
        return;
    }
    let members = [
        "id",
        "title",
        "agent_name",
        "status",
        "owner",
        "created_at",
        "updated_at",
        "workspace",
        "archived",
        "labels",
    ];
    let shown = members.iter().filter(|member| !session[**member].is_null());
    let row = |member: &&str| {
        let value = &session[*member];
        let text = match value.as_f64() {
            Some(at) if member.ends_with("_at") => when::at(at),
            _ => cell(value),
        };
        vec![(*member).to_owned(), text]
    };
    let rows: Vec<_> = shown.map(row).collect();
    output::say(output::table(&["", ""], &rows).trim_start_matches('\n'));
}

/// The id of an agent given by name or id.
fn agent_id(target: &Target, agent: &str) -> Result<String, Failure> {
    let mut after = String::new();
    loop {
        let page = target.fetch(&format!("/v1/agents?limit=1000{after}"))?;
        let agents = page["data"].as_array().cloned().unwrap_or_default();
        let is_it = |row: &&Value| row["name"] == agent || row["id"] == agent;
        if let Some(id) = agents.iter().find(is_it).and_then(|row| row["id"].as_str()) {
            return Ok(id.to_owned());
        }
        match page["last_id"].as_str() {
            Some(last) if page["has_more"] == true && !agents.is_empty() => {
                after = format!("&after={}", escape(last));
            }
            // Perhaps an id in another spelling: for the server to say.
            _ if agent.trim_start_matches("ag_").len() == 32 => return Ok(agent.to_owned()),
            _ => return Err(Failure::Refused(format!("there is no agent {agent}"))),
        }
    }
}
