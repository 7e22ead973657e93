//! Admin → Configuration: what is in force, without its secrets.

use std::sync::Arc;

use askama::Template;
use http::{Method, StatusCode};

use super::{
    super::{Access, Outcome, Request, Route},
    Shell, render,
};
use crate::app::App;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::page(Method::GET, PLACE, Access::Admin, show)]
}

const PLACE: &str = "/admin/config";

#[derive(Template)]
#[template(path = "config.html")]
struct Sheet {
    shell: Shell,
    warnings: Vec<String>,
    tables: Vec<(String, Vec<(String, String)>)>,
}

async fn show(app: Arc<App>, request: Request) -> Outcome {
    let sheet = Sheet {
        shell: Shell::at(&app, &request, PLACE, "Configuration").await?,
        warnings: app
            .config
            .warnings
            .iter()
            .map(ToString::to_string)
            .collect(),
        tables: app.config.shown(),
    };
    render(StatusCode::OK, &sheet)
}
