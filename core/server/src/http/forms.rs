//! `/login`, `/setup` and `/register` for browsers: any step a backend asks for, without JavaScript.

use std::sync::Arc;

use http::{Method, StatusCode};
use omnigent_plugin::{Answer, FieldKind, Form};

use super::{
    Access, BodyRule, Fields, Outcome, Request, Route,
    accounts::{denied, join, set_up},
    body::Content,
    cookies,
    pages::{Link, Page, PageField, PageForm, page},
    redirects,
    response::{no_store, redirect},
};
use crate::{
    app::App,
    id::ConversationId,
    login::{Progress, SignedIn, Visit},
};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::POST, "/login", Access::Public, answer).body(BodyRule::Form),
        Route::new(Method::GET, "/setup", Access::Public, setup),
        Route::new(Method::POST, "/setup", Access::Public, do_setup).body(BodyRule::Form),
        Route::new(Method::GET, "/register", Access::Public, register),
        Route::new(Method::POST, "/register", Access::Public, do_register).body(BodyRule::Form),
    ]
}

pub(super) fn query(request: &Request, name: &'static str) -> Option<String> {
    Fields::of_query(request).optional_string(name, 0..=usize::MAX)
}

pub(super) fn field(request: &Request, name: &'static str) -> String {
    Fields::of_body(request)
        .optional_string(name, 0..=usize::MAX)
        .unwrap_or_default()
}

/// Where to go after signing in: a path of ours, or home (THREATS O12).
pub(super) fn return_to(said: Option<String>) -> String {
    let is_ours = |path: &String| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path.len() <= 512
            && path
                .bytes()
                .all(|b| b.is_ascii_graphic() && !b"\\%\"<>".contains(&b))
    };
    said.filter(is_ours).unwrap_or_else(|| "/".to_owned())
}

/// What the person came for, as the form carried it.
fn visit(app: &App, request: &Request) -> Visit {
    let said = |name| Some(field(request, name)).filter(|text| (1..=512).contains(&text.len()));
    Visit {
        return_to: Some(return_to(said("return_to"))),
        ticket: said("ticket"),
        invite: said("invite"),
        ..redirects::visit(app, request)
    }
}

/// The answer to a step.
async fn answer(app: Arc<App>, request: Request) -> Outcome {
    let visit = visit(&app, &request);
    let backend = Some(field(&request, "backend")).filter(|name| !name.is_empty());
    let fields = match &request.content {
        Content::Form(pairs) => pairs.iter().cloned().collect(),
        _ => Default::default(),
    };
    let answer = Answer {
        fields,
        ..Answer::default()
    };
    let username = answer.text("username").to_owned();
    let outcome = match field(&request, "conversation").parse::<ConversationId>() {
        Ok(id) => {
            let guest = request.guest(None);
            app.desk
                .answer(&id, &answer, &visit, guest, request.now)
                .await
        }
        Err(_) => Err(crate::login::SignInError::Expired),
    };
    match outcome {
        Ok(Progress::Redirect(_, url)) => Ok(redirects::away(&app, &visit, &url)),
        Ok(progress) => {
            let ok = StatusCode::OK;
            step(&app, &request, progress, backend, &visit, None, ok).await
        }
        Err(error) => {
            let error = denied(&request, &username, error.into());
            let problem = Some(error.text().to_owned());
            match error.status() {
                status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::GONE) => {
                    redirects::begin(&app, &request, backend, &visit, problem, status).await
                }
                _ => redirects::failed(&request, "Sign in", error),
            }
        }
    }
}

/// Where a sign-in stands, as a page.
pub(super) async fn step(
    app: &App,
    request: &Request,
    progress: Progress,
    backend: Option<String>,
    visit: &Visit,
    problem: Option<String>,
    status: StatusCode,
) -> Outcome {
    let (id, form) = match progress {
        Progress::SignedIn(login) => return redirects::arrive(app, request, &login, visit).await,
        Progress::Redirect(_, url) => return Ok(redirects::away(app, visit, &url)),
        Progress::Ask(id, form) => (id, form),
    };
    let kept = [
        ("return_to", &visit.return_to),
        ("ticket", &visit.ticket),
        ("invite", &visit.invite),
        ("backend", &backend),
    ];
    let mut hidden = vec![("conversation", id.to_string())];
    hidden.extend(
        kept.into_iter()
            .filter_map(|(name, value)| Some((name, value.clone()?))),
    );
    let fields = form.fields.iter().map(of_step).collect();
    let Form { message, .. } = form;
    let form = PageForm {
        action: "/login",
        hidden,
        fields,
        submit: "Sign in",
    };
    let others = app.backends.interactive().nth(1).is_some();
    let shown = Page {
        title: "Sign in",
        problem,
        message,
        forms: vec![form],
        links: others
            .then(|| Link::new("/auth/login", "Sign in another way"))
            .into_iter()
            .collect(),
        ..Page::default()
    };
    page(status, &shown)
}

fn of_step(field: &omnigent_plugin::Field) -> PageField {
    PageField {
        name: field.name.clone(),
        label: field.label.clone(),
        kind: if field.kind == FieldKind::Password {
            "password"
        } else {
            "text"
        },
        autocomplete: match field.kind {
            FieldKind::Otp => "one-time-code".to_owned(),
            _ => field
                .autocomplete
                .clone()
                .unwrap_or_else(|| "off".to_owned()),
        },
        max_length: field.max_length,
        required: field.required,
        ..PageField::default()
    }
}

fn enter(app: &App, login: &SignedIn, to: &str) -> super::Response {
    let mut response = no_store(redirect(to));
    cookies::set(&mut response, &app.settings, &login.token, login.expires_in);
    response
}

fn name_and_password(username: String) -> [PageField; 2] {
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
        },
        PageField {
            name: "password".into(),
            label: "Password".into(),
            kind: "password",
            autocomplete: "new-password".into(),
            hint: "At least 8 characters, and not one everybody uses.",
            max_length: 1024,
            required: true,
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
    }
}

fn setup_page(app: &App, status: StatusCode, problem: Option<String>, username: String) -> Outcome {
    if !app.office.needs_setup() {
        return Ok(redirect("/login"));
    }
    let mut fields = Vec::from(name_and_password(username));
    if app.office.needs_setup_code() {
        let hint = "The server printed it when it started; it is also in the file setup-code of its data directory.";
        fields.push(code("Setup code", "setup_code", String::new(), hint));
    }
    let form = PageForm {
        action: "/setup",
        hidden: Vec::new(),
        fields,
        submit: "Claim this server",
    };
    let message = Some(
        "Nobody has claimed this server yet. Choose the name and password of its first admin."
            .to_owned(),
    );
    page(
        status,
        &Page {
            title: "Claim this server",
            problem,
            message,
            forms: vec![form],
            ..Page::default()
        },
    )
}

async fn setup(app: Arc<App>, _: Request) -> Outcome {
    setup_page(&app, StatusCode::OK, None, String::new())
}

async fn do_setup(app: Arc<App>, request: Request) -> Outcome {
    let (username, password) = (field(&request, "username"), field(&request, "password"));
    let code = field(&request, "setup_code");
    match set_up(&app, &request, &username, &password, Some(&code)).await {
        Ok(login) => Ok(enter(&app, &login, "/")),
        Err(error) => setup_page(
            &app,
            error.status(),
            Some(error.text().to_owned()),
            username,
        ),
    }
}

fn register_page(
    status: StatusCode,
    problem: Option<String>,
    invite: String,
    username: String,
) -> Outcome {
    let mut fields = Vec::from(name_and_password(username));
    fields.insert(
        0,
        code("Invite", "invite", invite, "From the link you were sent."),
    );
    let form = PageForm {
        action: "/register",
        hidden: Vec::new(),
        fields,
        submit: "Create account",
    };
    let links = vec![Link::new("/login", "I have an account")];
    page(
        status,
        &Page {
            title: "Create an account",
            problem,
            forms: vec![form],
            links,
            ..Page::default()
        },
    )
}

async fn register(_: Arc<App>, request: Request) -> Outcome {
    register_page(
        StatusCode::OK,
        None,
        query(&request, "invite").unwrap_or_default(),
        String::new(),
    )
}

async fn do_register(app: Arc<App>, request: Request) -> Outcome {
    let (username, password) = (field(&request, "username"), field(&request, "password"));
    let invite = field(&request, "invite");
    let said = Some(invite.clone()).filter(|invite| !invite.is_empty());
    match join(&app, &request, said, &username, &password).await {
        Ok(login) => Ok(enter(&app, &login, "/")),
        Err(error) => register_page(
            error.status(),
            Some(error.text().to_owned()),
            invite,
            username,
        ),
    }
}
