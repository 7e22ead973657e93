//! Conversations: nobody gets in by anything but their own credential.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use omnigent_plugin::{Answer, Form, LoginRequest, State, Step};
use serde_json::json;

use super::{
    super::{CallError, Instance},
    Known, PUBLIC_URL, Report, fault, hostile_texts,
};

/// What the pages put beside the fields of a form.
const TAKEN: [&str; 6] = [
    "conversation",
    "backend",
    "return_to",
    "ticket",
    "invite",
    "csrf_token",
];

/// What a redirect has to carry back.
const RETURN_STATE: &str = "conformance-return-state-0123456789";

pub(super) async fn cases(report: &mut Report, backend: &Instance, known: Option<&Known>) {
    backend.ease();
    let first = backend.begin(&request()).await;
    let step = match &first {
        Ok(step) => step,
        Err(error) => {
            let name = "a sign-in begins";
            match fault(error) {
                Some(fault) => report.note(name, Err(fault)),
                None => report.skip(name, error),
            }
            return;
        }
    };
    report.note("a sign-in begins", begins(step));
    match step {
        Step::Ask { form, .. } => report.note("it asks what can be answered", asks(form)),
        Step::Redirect { url, .. } => {
            report.note(
                "it redirects to the web, with the return state",
                redirects(url),
            );
        }
        _ => {}
    }
    report.note(
        "no hostile answer gets in or breaks it",
        hostile(backend, step).await,
    );
    report.note(
        "a state it never gave gets nobody in",
        foreign_states(backend).await,
    );
    report.note(
        "what comes back from a redirect gets nobody in by itself",
        callbacks(backend, step).await,
    );
    report.note(
        "forty sign-ins at once are all answered",
        at_once(backend).await,
    );
    match (known, step) {
        (Some(known), Step::Ask { form, .. }) if form.is_password() => {
            people(report, backend, known).await;
        }
        (Some(_), _) => report.skip("the right password gets in", "it does not ask for one"),
        (None, _) => report.skip(
            "the right password gets in",
            "nobody to try it with (--username)",
        ),
    }
}

fn request() -> LoginRequest {
    LoginRequest {
        client_address: "192.0.2.7".into(),
        user_agent: "conformance".into(),
        callback_url: format!("{PUBLIC_URL}/auth/callback"),
        return_state: RETURN_STATE.into(),
        ..LoginRequest::default()
    }
}

fn begins(step: &Step) -> Result<(), String> {
    match step {
        Step::Accept(identity) => Err(format!("it lets in {:?} unasked", identity.subject)),
        Step::Ask { .. } | Step::Redirect { .. } => Ok(()),
        Step::Denied { reason, .. } => Err(format!("it denies everybody: {reason}")),
        Step::NotMine => Err("it is nobody's: a sign-in cannot begin with NotMine".into()),
    }
}

fn asks(form: &Form) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for field in &form.fields {
        let name = field.name.as_str();
        if name.is_empty()
            || !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
        {
            return Err(format!("a field is called {name:?}"));
        }
        if TAKEN.contains(&name) {
            return Err(format!("the pages use the name {name:?} themselves"));
        }
        if !names.insert(name) {
            return Err(format!("two fields are called {name:?}"));
        }
        if field.label.trim().is_empty() {
            return Err(format!("the field {name:?} has no label"));
        }
    }
    if names.is_empty() {
        return Err("the form has no field".into());
    }
    Ok(())
}

fn redirects(url: &str) -> Result<(), String> {
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(format!(
            "it redirects to {:?}",
            url.chars().take(60).collect::<String>()
        ));
    }
    let carries = url.contains(RETURN_STATE);
    carries
        .then_some(())
        .ok_or_else(|| "the URL does not carry return_state".to_owned())
}

/// Fails when `outcome` lets somebody in, or is a fault.
fn stays_out(outcome: Result<Step, CallError>, how: &str) -> Result<(), String> {
    match outcome {
        Ok(Step::Accept(identity)) => Err(format!("{how} gets in as {:?}", identity.subject)),
        Ok(_) => Ok(()),
        Err(error) => fault(&error).map_or(Ok(()), |fault| Err(format!("{how}: {fault}"))),
    }
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(24).collect::<String>())
}

async fn hostile(backend: &Instance, step: &Step) -> Result<(), String> {
    let (state, names) = match step {
        Step::Ask { form, state } => (state, form.fields.iter().map(|f| f.name.clone()).collect()),
        Step::Redirect { state, .. } => (state, vec!["username".to_owned(), "password".to_owned()]),
        _ => return Ok(()),
    };
    stays_out(
        backend.resume(state, &Answer::default()).await,
        "an empty answer",
    )?;
    for text in hostile_texts() {
        backend.ease();
        let fields: BTreeMap<_, _> = names
            .iter()
            .map(|name| (name.clone(), text.clone()))
            .collect();
        let answer = Answer {
            fields,
            ..Answer::default()
        };
        stays_out(backend.resume(state, &answer).await, &shown(&text))?;
    }
    Ok(())
}

async fn foreign_states(backend: &Instance) -> Result<(), String> {
    let answer = Answer::password("admin", "conformance");
    for value in [
        json!(null),
        json!(7),
        json!("admin"),
        json!({"subject": "admin"}),
        json!([["admin"]]),
    ] {
        backend.ease();
        let Ok(state) = State::new(&value) else {
            continue;
        };
        let outcome = backend.resume(&state, &answer).await;
        // "This is not a state of mine" is a fault of the caller, and an error is a good answer.
        match outcome {
            Err(CallError::Backend(error)) if !error.to_string().contains("panicked") => {}
            outcome => stays_out(outcome, &format!("the state {value}"))?,
        }
    }
    Ok(())
}

async fn callbacks(backend: &Instance, step: &Step) -> Result<(), String> {
    let (Step::Ask { state, .. } | Step::Redirect { state, .. }) = step else {
        return Ok(());
    };
    for (name, value) in [
        ("code", "stolen"),
        ("id_token", "e30.e30."),
        ("error", "access_denied"),
        ("user", "admin"),
    ] {
        backend.ease();
        let callback = [
            (name.to_owned(), value.to_owned()),
            ("state".to_owned(), RETURN_STATE.to_owned()),
        ];
        let answer = Answer {
            callback: callback.into(),
            ..Answer::default()
        };
        stays_out(
            backend.resume(state, &answer).await,
            &format!("the query {name}={value}"),
        )?;
    }
    Ok(())
}

async fn at_once(backend: &Instance) -> Result<(), String> {
    backend.ease();
    let begun = (0..40).map(|_| async { backend.begin(&request()).await });
    for outcome in join_all(begun).await {
        match outcome {
            Ok(Step::Ask { .. } | Step::Redirect { .. }) => {}
            Err(error) if error.is_busy() || fault(&error).is_none() => {}
            other => return Err(format!("{other:?}")),
        }
    }
    Ok(())
}

async fn people(report: &mut Report, backend: &Instance, known: &Known) {
    let name = known.username.as_str();
    let password = known.password.expose();
    report.note(
        "the right password gets in",
        gets_in(backend, name, password).await,
    );
    let mut outcome = Ok(());
    for wrong in near(password) {
        backend.ease();
        let how = format!(
            "a password that is nearly right ({} characters)",
            wrong.chars().count()
        );
        if let Ok(Step::Ask { state, .. }) = backend.begin(&request()).await {
            let tried = backend
                .resume(&state, &Answer::password(name, &wrong))
                .await;
            outcome = outcome.and_then(|()| stays_out(tried, &how));
        }
    }
    report.note("no password but the right one gets in", outcome);
    report.note(
        "an unknown name is denied or not its own",
        unknown(backend, password).await,
    );
}

async fn gets_in(backend: &Instance, name: &str, password: &str) -> Result<(), String> {
    backend.ease();
    let Ok(Step::Ask { state, .. }) = backend.begin(&request()).await else {
        return Err("it does not ask".into());
    };
    match backend
        .resume(&state, &Answer::password(name, password))
        .await
    {
        Ok(Step::Accept(identity)) if !identity.subject.is_empty() => Ok(()),
        Ok(Step::Accept(_)) => Err("the identity has no subject".into()),
        Ok(Step::Ask { .. } | Step::Redirect { .. }) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

async fn unknown(backend: &Instance, password: &str) -> Result<(), String> {
    backend.ease();
    let Ok(Step::Ask { state, .. }) = backend.begin(&request()).await else {
        return Err("it does not ask".into());
    };
    let answer = Answer::password("conformance-nobody-7f3a", password);
    match backend.resume(&state, &answer).await {
        Ok(Step::Denied { .. } | Step::NotMine) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Passwords that careless hashing, trimming or folding takes for the same.
fn near(password: &str) -> Vec<String> {
    let mut near = vec![
        String::new(),
        format!("{password} "),
        format!(" {password}"),
        format!("{password}\0"),
        format!("{password}x"),
        password.to_uppercase(),
        password.to_lowercase(),
    ];
    let mut short: Vec<char> = password.chars().collect();
    short.pop();
    near.push(short.into_iter().collect());
    near.retain(|other| other != password);
    near
}
