//! `omnigent api`: any request, as whoever is signed in.

use std::io::{IsTerminal, Read, Write};

use reqwest::Method;

use crate::{
    client::{Body, Which},
    failure::Failure,
    output,
};

/// Sends a request to the API as whoever is signed in, and prints the answer
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  omnigent api GET /v1/me
  omnigent api POST /v1/sessions --data '{\"agent_id\": \"…\"}'
  omnigent api PATCH /v1/sessions/ID --data @change.json
  jq -n '{is_admin: true}' | omnigent api POST /auth/invite --data -

Exit codes: 0 a success · 5 401 · 6 another refusal · 7 5xx, or the server cannot be reached")]
pub(crate) struct Args {
    /// GET, POST, PUT, PATCH, DELETE, …
    method: String,
    /// Path on the server, with its query: /v1/me
    path: String,
    /// What to send: a text, @FILE, or - for standard input
    #[arg(long, short, value_name = "DATA")]
    data: Option<String>,
    /// What that is
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// Print status and headers too
    #[arg(long, short)]
    include: bool,
    #[command(flatten)]
    which: Which,
}

/// Largest body sent.
const MAX_DATA: u64 = 64 << 20;

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let method = args.method.to_ascii_uppercase();
    let method = Method::from_bytes(method.as_bytes())
        .map_err(|_| Failure::Usage(format!("{} is no method", args.method)))?;
    if !args.path.starts_with('/') || args.path.starts_with("//") {
        return Err(Failure::Usage(
            "the path begins with one slash; the server is chosen with --server".into(),
        ));
    }
    let target = args.which.target()?;
    let url = url::Url::parse(&target.wire().server().join(&args.path));
    if !url.is_ok_and(|url| target.wire().server().is_same_origin(&url)) {
        return Err(Failure::Usage("that path is not on the server".into()));
    }
    let body = match &args.data {
        Some(data) => Body::Raw(&args.content_type, read(data)?),
        None => Body::None,
    };
    let answer = target.send(method, &args.path, body)?;
    if args.include {
        output::say(format_args!("{}", answer.status));
        for (name, value) in &answer.headers {
            // A cookie is a credential.
            let value = match name.as_str() {
                "set-cookie" => "[secret]".to_owned(),
                _ => output::plain(&String::from_utf8_lossy(value.as_bytes())),
            };
            output::say(format_args!("{name}: {value}"));
        }
        output::say("");
    }
    write(&answer.body);
    answer.success().map(drop)
}

fn read(data: &str) -> Result<Vec<u8>, Failure> {
    let read = |mut input: Box<dyn Read>, what: &str| {
        let mut bytes = Vec::new();
        let count = input.by_ref().take(MAX_DATA + 1).read_to_end(&mut bytes);
        match count {
            Ok(_) if bytes.len() as u64 > MAX_DATA => {
                Err(Failure::Usage(format!("{what} is too large")))
            }
            Ok(_) => Ok(bytes),
            Err(error) => Err(Failure::Usage(format!("cannot read {what}: {error}"))),
        }
    };
    match data.strip_prefix('@') {
        Some(path) => {
            let file = std::fs::File::open(path)
                .map_err(|error| Failure::Usage(format!("cannot read {path}: {error}")))?;
            read(Box::new(file), path)
        }
        None if data == "-" => read(Box::new(std::io::stdin()), "standard input"),
        None => Ok(data.as_bytes().to_vec()),
    }
}

/// A script gets every byte, a terminal nothing that steers it.
fn write(body: &[u8]) {
    let mut out = std::io::stdout();
    if !out.is_terminal() {
        let _ = out.write_all(body).and_then(|()| out.flush());
        return;
    }
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => output::json(&value),
        Err(_) if body.is_empty() => {}
        Err(_) => {
            let text = String::from_utf8_lossy(body);
            output::say(output::plain_lines(text.trim_end()));
        }
    }
}
