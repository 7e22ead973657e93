//! Admin → Backends: how each is doing, and why one is not there.

use std::sync::Arc;

use askama::Template;
use futures_util::future::join_all;
use http::{Method, StatusCode};

use super::{
    super::{Access, Outcome, Request, Route},
    Shell,
    error::sentence,
    render,
};
use crate::{app::App, backend::Instance};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::page(Method::GET, PLACE, Access::Admin, list)]
}

const PLACE: &str = "/admin/backends";

struct Row {
    title: String,
    name: String,
    plugin: String,
    about: String,
    is_loaded: bool,
    trouble: Option<String>,
}

#[derive(Template)]
#[template(path = "backends.html")]
struct List {
    shell: Shell,
    backends: Vec<Row>,
}

async fn list(app: Arc<App>, request: Request) -> Outcome {
    let mut backends = join_all(app.backends.iter().map(ask)).await;
    backends.extend(app.backends.failures().iter().map(|failure| Row {
        title: failure.name.clone(),
        name: failure.name.clone(),
        plugin: failure.file.display().to_string(),
        about: String::new(),
        is_loaded: false,
        trouble: Some(sentence(&failure.error.to_string())),
    }));
    let list = List {
        shell: Shell::at(&app, &request, PLACE, "Backends").await?,
        backends,
    };
    render(StatusCode::OK, &list)
}

/// Asks a backend how it is: at most as long as a call into it may take.
async fn ask(backend: &Instance) -> Row {
    let manifest = backend.manifest();
    let can = |capability, words| backend.can(capability).then_some(words);
    let about = [
        can("redirect", "sends people elsewhere to sign in"),
        can("identify", "reads who a request is from"),
        can("directory", "keeps passwords"),
    ];
    let about: Vec<_> = about.into_iter().flatten().collect();
    Row {
        title: backend.title().to_owned(),
        name: backend.name().to_owned(),
        plugin: format!("{} {}", manifest.name, manifest.version),
        about: about.join(", "),
        is_loaded: true,
        trouble: match backend.health().await {
            Ok(()) if backend.is_degraded() => {
                Some("It was in trouble a moment ago and answers again.".to_owned())
            }
            Ok(()) => None,
            Err(error) => Some(sentence(&error.to_string())),
        },
    }
}
