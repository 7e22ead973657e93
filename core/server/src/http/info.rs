//! What the server says of itself (CONTRACT section 3).

use std::sync::Arc;

use http::{Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    Access, ApiError, Outcome, Request, Route,
    authenticate::Credential,
    body::{BodyRule, Fields, Shape},
    device,
    ready::readiness,
    response::{json as json_response, ok},
};
use crate::{app::App, backend::Instance};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::now(Method::GET, "/v1/info", Access::Public, info),
        Route::now(Method::GET, "/v1/me", Access::Public, me),
        Route::shaped(Method::GET, "/health", Access::Optional, health),
        Route::now(Method::GET, "/healthz/live", Access::Public, |_, _| {
            Ok(ok(&json!({"status": "ok"})))
        }),
        Route::now(Method::GET, "/healthz/ready", Access::Public, ready),
        Route::now(Method::GET, "/api/version", Access::Public, |_, _| {
            Ok(ok(&json!({"version": VERSION})))
        }),
        Route::now(
            Method::GET,
            "/.well-known/omnigent.json",
            Access::Public,
            manifest,
        ),
        Route::now(
            Method::GET,
            "/.well-known/oauth-authorization-server",
            Access::Public,
            metadata,
        ),
    ]
}

/// The server's version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

fn info(app: &App, _: &Request) -> Outcome {
    let settings = &app.settings;
    let backends: Vec<Value> = app
        .backends
        .iter()
        .map(|backend| {
            json!({
                "name": backend.name(),
                "plugin": backend.plugin(),
                "title": backend.title(),
                "flows": flows(backend),
            })
        })
        .collect();
    Ok(ok(&json!({
        "accounts_enabled": app.backends.iter().any(Instance::is_directory),
        "single_user": settings.is_no_auth,
        "login_url": app.login_url(),
        "needs_setup": app.office.needs_setup(),
        "server_version": VERSION,
        "auth_mode": app.mode(),
        "backends": backends,
        "sharing_mode": settings.sharing_mode,
        "public_sharing_enabled": settings.public_sharing,
        "databricks_features": false,
        "managed_sandboxes_enabled": false,
        "sandbox_provider": null,
        "sandbox_providers": [],
        "smart_routing_enabled": false,
        "smart_routing_sources": {"external": false, "oss": false},
        "features": {"usage_page": false, "harness_install": false},
        "harness_install_enabled": false,
        "installable_harnesses": [],
        "dictation_available": false,
        "branding": {
            "app_name": null,
            "heading": null,
            "logos": {"main": false, "loading": false, "favicon": false},
            "powered_by": null,
        },
    })))
}

fn flows(backend: &Instance) -> Vec<&'static str> {
    let mut flows = Vec::new();
    if backend.can("login") {
        flows.push(if backend.can("redirect") {
            "redirect"
        } else {
            "password"
        });
    }
    if backend.can("identify") {
        flows.push("request");
    }
    flows
}

#[derive(Serialize)]
struct Me<'a> {
    user_id: &'a str,
    is_admin: bool,
}

/// Where the stock command line begins: it picks its flow from the anonymous answer.
fn me(app: &App, request: &Request) -> Outcome {
    if let Credential::Good(principal) = &request.credential {
        let account = principal.account();
        return Ok(ok(&Me {
            user_id: &account.id,
            is_admin: account.is_admin(),
        }));
    }
    if let Credential::Refused(status, text) = &request.credential {
        return Err(ApiError::auth(*status, text));
    }
    match app.login_url() {
        None if matches!(request.credential, Credential::None) => {
            Ok(ok(&json!({"user_id": null, "is_admin": false})))
        }
        login_url => {
            let mut response = json_response(
                StatusCode::UNAUTHORIZED,
                &json!({"user_id": null, "login_url": login_url}),
            );
            if let Err(error) = request.user() {
                error.copy_headers(&mut response);
            }
            Ok(response)
        }
    }
}

struct Health {
    session_id: Option<String>,
}

impl Shape for Health {
    const BODY: BodyRule = BodyRule::None;

    fn read(request: &Request) -> Result<Self, ApiError> {
        let mut fields = Fields::of_query(request);
        let session_id = fields.optional_string("session_id", 0..=256);
        fields.finish()?;
        Ok(Self { session_id })
    }
}

async fn health(_: Arc<App>, _: Request, query: Health) -> Outcome {
    let Some(id) = query.session_id else {
        return Ok(ok(&json!({"status": "ok"})));
    };
    let session =
        json!({"id": id, "runner_online": false, "host_online": false, "host_version": null});
    Ok(ok(&json!({"status": "ok", "session": session})))
}

fn ready(app: &App, request: &Request) -> Outcome {
    Ok(readiness(app, request.door.running.is_draining()))
}

fn manifest(_: &App, _: &Request) -> Outcome {
    Ok(ok(&json!({
        "manifest_version": 1,
        "server_version": VERSION,
        "min_desktop_version": null,
        "ui": {"server_picker": "sidebar"},
    })))
}

/// RFC 8414.
fn metadata(app: &App, _: &Request) -> Outcome {
    let base = &app.settings.base_url;
    let mut grants = vec!["refresh_token"];
    let mut endpoints = json!({});
    if app.login_url().is_some() {
        grants.push(device::GRANT_TYPE);
        let url = format!("{base}/oauth/device/authorize");
        endpoints["device_authorization_endpoint"] = url.into();
    }
    if app.verifier.keyring().has_public() {
        endpoints["jwks_uri"] = format!("{base}/.well-known/jwks.json").into();
    }
    // A configured name that is no URL is of use in tokens only (RFC 8414 section 2).
    let named = Some(&*app.lifetimes.issuer).filter(|name| name.starts_with("http"));
    let mut metadata = json!({
        "issuer": named.unwrap_or(base),
        "token_endpoint": format!("{base}/oauth/token"),
        "revocation_endpoint": format!("{base}/oauth/revoke"),
        "introspection_endpoint": format!("{base}/oauth/introspect"),
        "service_documentation": format!("{base}/openapi.json"),
        "grant_types_supported": grants,
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "introspection_endpoint_auth_methods_supported": ["Bearer"],
        "scopes_supported": ["sessions", "sessions:read", "account", "admin"],
    });
    if let (Some(metadata), Value::Object(endpoints)) = (metadata.as_object_mut(), endpoints) {
        metadata.extend(endpoints);
    }
    Ok(ok(&metadata))
}
