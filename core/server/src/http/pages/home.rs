//! Where one begins: who one is here and where to go; and signing out.

use std::sync::Arc;

use askama::Template;
use http::{Method, StatusCode};

use super::{
    super::{
        Access, ApiError, Outcome, Principal, Request, Route,
        accounts::end_login,
        cookies,
        redirects::farewell,
        response::{no_store, redirect},
        tokens::tokens_of,
    },
    Link, Shell, render,
    tokens::ends_soon,
};
use crate::app::App;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::GET, "/", Access::Public, home),
        Route::page(Method::POST, "/logout", Access::User, sign_out),
    ]
}

type Tile = (&'static str, &'static str, &'static str);

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    shell: Shell,
    said: String,
    expiring: Option<String>,
    tiles: Vec<Tile>,
}

#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome {
    shell: Shell,
    said: String,
    link: Option<Link>,
}

async fn home(app: Arc<App>, request: Request) -> Outcome {
    let Some(principal) = request.principal() else {
        return welcome(&app, &request);
    };
    let (name, host) = (&principal.account().id, &app.settings.authority);
    let shell = Shell::at(&app, &request, "/", "Home").await?;
    let said = if principal.is_admin() && !app.settings.is_no_auth {
        format!("Signed in to {host} as {name}, an admin.")
    } else {
        format!("Signed in to {host} as {name}.")
    };
    let tiles = tiles(&shell);
    let home = Home {
        expiring: expiring(&app, principal, &request).await?,
        shell,
        said,
        tiles,
    };
    render(StatusCode::OK, &home)
}

fn tiles(shell: &Shell) -> Vec<Tile> {
    let about = |path| match path {
        "/settings/tokens" => "Let a script or program act as you",
        "/settings/logins" => "See where you are signed in, end what you lost",
        "/settings/password" => "Change it",
        "/settings/identities" => "The ways of signing in that lead here",
        "/admin/people" => "Invite, promote, disable, reset",
        "/admin/backends" => "How the ways of signing in are doing",
        _ => "What is in force on this server",
    };
    let places = shell.places().into_iter().flat_map(|(_, places)| places);
    places
        .filter(|(path, _)| *path != "/")
        .map(|(path, name)| (path, name, about(path)))
        .collect()
}

/// Says which tokens end soon.
async fn expiring(
    app: &App,
    principal: &Principal,
    request: &Request,
) -> Result<Option<String>, ApiError> {
    let Some(uid) = principal.person() else {
        return Ok(None);
    };
    let mut tokens = tokens_of(app, uid).await?;
    tokens.retain(|(_, token)| ends_soon(token, request.now));
    Ok(match tokens.as_slice() {
        [] => None,
        [(_, token)] => Some(format!("The token “{}” expires soon.", token.name)),
        tokens => Some(format!("{} of your tokens expire soon.", tokens.len())),
    })
}

fn welcome(app: &App, request: &Request) -> Outcome {
    let host = &app.settings.authority;
    let (said, link) = if app.office.needs_setup() && app.login_url() == Some("/login") {
        let link = Link::new("/setup", "Claim this server");
        ("Nobody has claimed this server yet.".to_owned(), Some(link))
    } else if app.login_url().is_some() {
        let link = Link::new("/auth/login", "Sign in");
        (format!("You are not signed in to {host}."), Some(link))
    } else {
        let said = "You are not signed in. This server is told who you are by a proxy: open it by \
                    the proxy's address.";
        (said.to_owned(), None)
    };
    let welcome = Welcome {
        shell: Shell::card(app, request, "Welcome"),
        said,
        link,
    };
    render(StatusCode::OK, &welcome)
}

/// Signs out of this server, and offers to sign out of where the sign-in came from.
async fn sign_out(app: Arc<App>, request: Request) -> Outcome {
    let elsewhere = farewell(&app, &request).await;
    end_login(&app, &request).await?;
    let mut response = match elsewhere {
        None => no_store(redirect("/")),
        Some(to) => {
            let welcome = Welcome {
                shell: Shell::bare(&app.settings, "Signed out"),
                said: "You may still be signed in where you came from.".to_owned(),
                link: Some(Link::new(&to, "Sign out there, too")),
            };
            render(StatusCode::OK, &welcome)?
        }
    };
    cookies::clear(&mut response, &app.settings);
    Ok(response)
}
