//! The style sheet, the script and the icon, embedded in the binary.

use http::{HeaderValue, Method, StatusCode, header};

use super::super::{Access, Outcome, Route, response::body};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::now(Method::GET, "/assets/style.css", Access::Public, |_, _| {
            asset("text/css; charset=utf-8", STYLE)
        }),
        Route::now(Method::GET, "/assets/page.js", Access::Public, |_, _| {
            let script = include_str!("../../../templates/page.js");
            asset("text/javascript; charset=utf-8", script)
        }),
        Route::now(Method::GET, "/assets/icon.svg", Access::Public, |_, _| {
            let icon = include_str!("../../../templates/icon.svg");
            asset("image/svg+xml", icon)
        }),
    ]
}

const STYLE: &str = include_str!("../../../templates/style.css");

/// Changes when the style does, so that nobody sees a new page in an old style (FNV-1a).
pub(super) const STYLE_VERSION: u32 = {
    let (bytes, mut hash, mut i) = (STYLE.as_bytes(), 0x811c_9dc5_u32, 0);
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    hash
};

fn asset(content_type: &'static str, text: &'static str) -> Outcome {
    let mut response = body(StatusCode::OK, content_type, text);
    let headers = response.headers_mut();
    let hour = HeaderValue::from_static("public, max-age=3600");
    headers.insert(header::CACHE_CONTROL, hour);
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    Ok(response)
}
