//! The pages on the way in: the chooser, any step a backend asks, claiming, registering, confirming
//! a command line.
//!
//! Does not: run the conversation (`forms`, `redirects` and `cli` do).

use askama::Template;
use http::StatusCode;
use omnigent_plugin::{Field, FieldKind, Form};

use super::{
    super::{ApiError, Outcome, Request},
    PageField, Shell, When, render,
};
use crate::{
    app::App,
    backend::Instance,
    clock::Timestamp,
    config::Registration,
    id::ConversationId,
    login::{Visit, device::Device, ticket::Ticket},
};

/// What a person is to fill in, and how it came to that.
pub(in crate::http) struct Asked<'a> {
    pub(in crate::http) id: ConversationId,
    pub(in crate::http) form: Form,
    pub(in crate::http) backend: Option<&'a str>,
    pub(in crate::http) visit: &'a Visit,
    pub(in crate::http) problem: Option<String>,
    /// What was typed before, for the fields that are no secrets.
    pub(in crate::http) typed: &'a [(String, String)],
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn {
    shell: Shell,
    purpose: String,
    is_degraded: bool,
    message: Option<String>,
    hidden: Vec<(&'static str, String)>,
    fields: Vec<PageField>,
    submit: &'static str,
    others: Option<String>,
}

/// The step as a page.
pub(in crate::http) fn ask(
    app: &App,
    request: &Request,
    status: StatusCode,
    asked: Asked<'_>,
) -> Outcome {
    let visit = asked.visit;
    let kept = |value: &Option<String>| value.clone().unwrap_or_default();
    // All of them always: a backend's own field of such a name is then never taken for ours.
    let hidden = vec![
        ("conversation", asked.id.to_string()),
        ("return_to", kept(&visit.return_to)),
        ("ticket", kept(&visit.ticket)),
        ("invite", kept(&visit.invite)),
        ("backend", asked.backend.unwrap_or_default().to_owned()),
    ];
    let is_password = asked.form.is_password();
    let Form {
        title,
        message,
        fields,
    } = asked.form;
    let mut fields: Vec<_> = fields
        .iter()
        .map(|field| of_step(field, asked.typed))
        .collect();
    // Where typing goes on: the first field that is still empty.
    if let Some(first) = fields.iter_mut().find(|field| field.value.is_empty()) {
        first.autofocus = true;
    }
    let mut interactive = app.backends.interactive();
    let backend = match asked.backend {
        Some(name) => app.backends.get(name),
        None => interactive.next(),
    };
    let has_others = app.backends.interactive().nth(1).is_some();
    let page = SignIn {
        shell: Shell::card(app, request, title.unwrap_or_else(|| "Sign in".to_owned()))
            .troubled(asked.problem),
        purpose: purpose(app, visit),
        is_degraded: backend.is_some_and(Instance::is_degraded),
        message,
        hidden,
        fields,
        submit: if is_password { "Sign in" } else { "Continue" },
        others: has_others.then(|| way(visit, None)),
    };
    render(status, &page)
}

fn purpose(app: &App, visit: &Visit) -> String {
    let host = &app.settings.authority;
    if visit.ticket.is_some() {
        format!("A command line waits for you to sign in to {host}.")
    } else if visit.invite.is_some() {
        format!("You were invited to {host}.")
    } else {
        format!("Continue to {host}")
    }
}

fn of_step(field: &Field, typed: &[(String, String)]) -> PageField {
    /// With more choices than this, they fold.
    const MANY: usize = 6;
    let kind = match field.kind {
        FieldKind::Password => "password",
        FieldKind::Otp => "otp",
        FieldKind::Choice if field.choices.len() > MANY || !field.required => "select",
        FieldKind::Choice => "radio",
        FieldKind::Text | FieldKind::Unknown => "text",
    };
    let is_secret = matches!(kind, "password" | "otp");
    let before = typed
        .iter()
        .find(|(name, _)| *name == field.name && !is_secret);
    PageField {
        name: field.name.clone(),
        label: if field.label.is_empty() {
            field.name.clone()
        } else {
            field.label.clone()
        },
        kind,
        value: before.map_or_else(String::new, |(_, value)| value.clone()),
        autocomplete: match field.kind {
            FieldKind::Otp => "one-time-code".to_owned(),
            _ => field
                .autocomplete
                .clone()
                .unwrap_or_else(|| "off".to_owned()),
        },
        max_length: field.max_length,
        required: field.required,
        choices: field.choices.clone(),
        ..PageField::default()
    }
}

/// A way of signing in.
struct Way {
    to: String,
    title: String,
    is_degraded: bool,
}

#[derive(Template)]
#[template(path = "choose.html")]
struct Choose {
    shell: Shell,
    purpose: String,
    ways: Vec<Way>,
}

/// The ways of signing in, in the operator's order.
pub(in crate::http) fn choose(
    app: &App,
    request: &Request,
    visit: &Visit,
    problem: Option<String>,
) -> Outcome {
    let ways = app.backends.interactive().map(|backend| Way {
        to: way(visit, Some(backend.name())),
        title: backend.title().to_owned(),
        is_degraded: backend.is_degraded(),
    });
    let choose = Choose {
        ways: ways.collect(),
        shell: Shell::card(app, request, "Sign in").troubled(problem),
        purpose: purpose(app, visit),
    };
    render(StatusCode::OK, &choose)
}

/// The link to a backend, or to the chooser, that keeps what the person came for.
fn way(visit: &Visit, backend: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    let kept = [
        ("backend", backend),
        ("return_to", visit.return_to.as_deref()),
        ("ticket", visit.ticket.as_deref()),
        ("invite", visit.invite.as_deref()),
    ];
    for (name, value) in kept {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    if visit.reauth {
        query.append_pair("reauth", "1");
    }
    format!("/auth/login?{}", query.finish())
}

fn name_and_password(username: String) -> [PageField; 2] {
    let is_blank = username.is_empty();
    [
        PageField {
            name: "username".into(),
            label: "Username".into(),
            kind: "text",
            value: username,
            autocomplete: "username".into(),
            hint: "Lower-case letters, digits, dots, dashes; or an e-mail address.",
            max_length: 64,
            required: true,
            autofocus: is_blank,
            ..PageField::default()
        },
        PageField {
            name: "password".into(),
            label: "Password".into(),
            kind: "password",
            autocomplete: "new-password".into(),
            hint: "At least 8 characters, and not one everybody uses.",
            max_length: 1024,
            required: true,
            autofocus: !is_blank,
            ..PageField::default()
        },
    ]
}

fn code(label: &str, name: &str, value: String, hint: &'static str) -> PageField {
    PageField {
        name: name.into(),
        label: label.into(),
        kind: "text",
        value,
        autocomplete: "off".into(),
        hint,
        max_length: 128,
        required: true,
        ..PageField::default()
    }
}

#[derive(Template)]
#[template(path = "setup.html")]
struct SetUp {
    shell: Shell,
    fields: Vec<PageField>,
}

/// Claiming the server.
pub(in crate::http) async fn set_up(
    app: &App,
    request: &Request,
    status: StatusCode,
    problem: Option<String>,
    username: String,
) -> Outcome {
    let mut fields = Vec::from(name_and_password(username));
    let is_here = request.head.is_from_here();
    if app.office.needs_setup_code(is_here).await? {
        let hint = "It is in the file setup-code of the server's data directory; a server that others reach prints it when it starts.";
        fields.push(code("Setup code", "setup_code", String::new(), hint));
    }
    let shell = Shell::card(app, request, "Claim this server").troubled(problem);
    render(status, &SetUp { shell, fields })
}

#[derive(Template)]
#[template(path = "register.html")]
struct Register {
    shell: Shell,
    host: String,
    is_invited: bool,
    invite: String,
    fields: Vec<PageField>,
}

/// Making an account for oneself.
pub(in crate::http) fn register(
    app: &App,
    request: &Request,
    status: StatusCode,
    problem: Option<String>,
    invite: String,
    username: String,
) -> Outcome {
    let is_invited = !invite.is_empty();
    let mut fields = Vec::from(name_and_password(username));
    if !is_invited && app.office.registration == Registration::Invite {
        let hint = "It is at the end of the link you were sent.";
        fields.insert(0, code("Invite", "invite", String::new(), hint));
    }
    let register = Register {
        shell: Shell::card(app, request, "Create an account").troubled(problem),
        host: app.settings.authority.clone(),
        is_invited,
        invite,
        fields,
    };
    render(status, &register)
}

#[derive(Template)]
#[template(path = "onward.html")]
struct Onward<'a> {
    shell: Shell,
    to: &'a str,
    host: &'a str,
}

/// Sends a person who has just filled in a form to another site: a redirect would be held up by
/// our own `form-action`.
pub(in crate::http) fn onward(app: &App, request: &Request, to: &str) -> Outcome {
    if !to.starts_with("https://") && !to.starts_with("http://") {
        return Err(ApiError::unavailable(
            "this way of signing in is unavailable; try again later",
            "the backend sends people to something that is no web address",
        ));
    }
    let host = to.split('/').nth(2).unwrap_or(to);
    let shell = Shell::card(app, request, "One moment");
    render(StatusCode::OK, &Onward { shell, to, host })
}

#[derive(Template)]
#[template(path = "confirm_cli.html")]
struct ConfirmCli<'a> {
    shell: Shell,
    account: &'a str,
    code: &'a str,
    started: When,
    address: &'a str,
    program: &'a str,
    ticket: &'a str,
}

/// Asks the person whether it was they who started the command line. `form_token` is of the login
/// that will answer, which may have begun with this very request.
pub(in crate::http) fn confirm_cli(
    app: &App,
    form_token: String,
    account: &str,
    code: &str,
    ticket: &Ticket,
    now: Timestamp,
) -> Outcome {
    let page = ConfirmCli {
        shell: Shell {
            form_token,
            ..Shell::bare(&app.settings, "Confirm sign-in")
        },
        account,
        code: &ticket.user_code,
        started: When::new(ticket.created_at, now),
        address: &ticket.address,
        program: named(&ticket.user_agent),
        ticket: code,
    };
    render(StatusCode::OK, &page)
}

#[derive(Template)]
#[template(path = "confirm_device.html")]
struct ConfirmDevice<'a> {
    shell: Shell,
    account: &'a str,
    client: &'a str,
    code: &'a str,
    started: When,
    address: &'a str,
    program: &'a str,
}

/// Asks whether a device may act for the person (RFC 8628 section 3.3).
pub(in crate::http) fn confirm_device(
    app: &App,
    account: &str,
    code: &str,
    device: &Device,
    now: Timestamp,
) -> Outcome {
    let page = ConfirmDevice {
        shell: Shell::bare(&app.settings, "Connect a device"),
        account,
        client: device.client(),
        code,
        started: When::new(device.created_at, now),
        address: &device.address,
        program: named(&device.user_agent),
    };
    render(StatusCode::OK, &page)
}

/// What a program calls itself, in words.
const fn named(user_agent: &str) -> &str {
    if user_agent.is_empty() {
        "a program that gives no name"
    } else {
        user_agent
    }
}
