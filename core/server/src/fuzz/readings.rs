//! How else a path could be read: by a proxy in front, a framework behind, or a careless router.

/// Every reading of `path` that some program is known to have.
pub(crate) fn readings(path: &str) -> Vec<String> {
    let once = decoded(path);
    let twice = decoded(&once);
    let mut readings = vec![path.to_owned(), once, twice];
    for change in [slashes, without_parameters, up_to_the_end, without_dots] {
        let changed: Vec<_> = readings.iter().map(|path| change(path)).collect();
        readings.extend(changed);
    }
    readings.sort_unstable();
    readings.dedup();
    readings
}

/// Percent-encoding undone, where what comes out is text.
fn decoded(path: &str) -> String {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after
            .get(..2)
            .and_then(|code| std::str::from_utf8(code).ok());
        let code = code.filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()));
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(code) if byte == b'%' => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Backslashes are slashes, and several slashes are one.
fn slashes(path: &str) -> String {
    let mut path = path.replace('\\', "/");
    while path.contains("//") {
        path = path.replace("//", "/");
    }
    path
}

/// What stands behind a semicolon is a parameter (RFC 3986 section 3.3, servlets).
fn without_parameters(path: &str) -> String {
    let parts = path
        .split('/')
        .map(|part| part.split(';').next().unwrap_or_default());
    parts.collect::<Vec<_>>().join("/")
}

/// A question mark, a hash and a zero byte end it.
fn up_to_the_end(path: &str) -> String {
    path.split(['?', '#', '\0'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for part in path.split('/').skip(1) {
        match part {
            "." => {}
            ".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    format!("/{}", kept.join("/"))
}
