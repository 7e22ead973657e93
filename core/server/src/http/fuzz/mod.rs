//! Requests under fuzzing: headers, paths, bodies.

mod address;
mod balancer;
mod body;
mod paths;

pub use address::forwarded;
pub use balancer::proxied;
pub use body::{body, json};
pub use paths::{path, return_to};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::cookies::{self, Found};

/// Lines of a header, as hyper lets them through.
fn lines(name: &HeaderName, data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let lines = data.split(|byte| *byte == b'\n');
    for line in lines
        .filter_map(|line| HeaderValue::from_bytes(line).ok())
        .take(64)
    {
        headers.append(name, line);
    }
    headers
}

/// Cookie lines. A cookie is found if, and only if, it is there once in all of them.
pub fn cookie(data: &[u8]) {
    for name in ["ap_session", "__Host-ap_session"] {
        let headers = lines(&header::COOKIE, data);
        let all = headers.get_all(header::COOKIE).iter();
        let all: Vec<_> = all.map(HeaderValue::as_bytes).collect();
        let all = all.join(&b';');
        let prefix = format!("{name}=");
        let pairs = all.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let values: Vec<_> = pairs
            .filter_map(|pair| pair.strip_prefix(prefix.as_bytes()))
            .collect();
        let expected = match values[..] {
            [] => Found::None,
            [one] => Found::One(one),
            _ => Found::Several,
        };
        assert_eq!(cookies::find(&headers, name), expected);
    }
}
