//! More about a person from the userinfo endpoint (OpenID Connect Core 1.0 section 5.3).

use http::{StatusCode, header};
use url::Url;

use crate::{
    http::{Failure, Http, get},
    json::{self, Object},
};

/// What it says of `subject`, or why that is not believed.
///
/// # Errors
/// When the endpoint does not answer.
pub(crate) async fn fetch(
    http: &Http,
    url: &Url,
    access_token: &str,
    subject: &str,
) -> Result<Result<Object, String>, Failure> {
    let answer = http.send(get(url, Some(access_token))?).await?;
    let kind = answer.headers().get(header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    Ok(read(answer.status(), kind, answer.body(), subject))
}

/// A signed answer (`application/jwt`) is not asked for, and not read. What is not of the same
/// `sub` is somebody else's (section 5.3.2).
pub(crate) fn read(
    status: StatusCode,
    kind: &str,
    body: &[u8],
    subject: &str,
) -> Result<Object, String> {
    if status != StatusCode::OK {
        return Err(format!(
            "the userinfo endpoint answered {}",
            status.as_u16()
        ));
    }
    if kind.to_ascii_lowercase().starts_with("application/jwt") {
        let remedy = "have it answer JSON, or set `userinfo = false`";
        return Err(format!(
            "the userinfo endpoint answered with a token: {remedy}"
        ));
    }
    let claims = json::object(body).map_err(|why| format!("the userinfo answer is {why}"))?;
    match json::text(&claims, "sub")? {
        Some(sub) if sub == subject => Ok(claims),
        Some(_) => Err("the userinfo answer is about somebody else (`sub`)".into()),
        None => Err("the userinfo answer does not say about whom it is (`sub`)".into()),
    }
}
