#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;

fn load(text: &str) -> Result<Config, Vec<Problem>> {
    load_with(text, [])
}

fn load_with<const N: usize>(
    text: &str,
    variables: [(&str, &str); N],
) -> Result<Config, Vec<Problem>> {
    let env: Env = [("HOME", "/home/someone")]
        .into_iter()
        .chain(variables)
        .collect();
    Config::parse(
        text,
        Path::new("/etc/omnigent"),
        &env,
        &Overrides::default(),
    )
}

#[test]
fn nothing_at_all_is_no_auth_on_loopback() {
    let config = load("").unwrap();
    assert!(config.is_no_auth());
    assert!(config.server.listen.ip().is_loopback());
    assert!(config.warnings.is_empty());
}
