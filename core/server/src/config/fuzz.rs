//! The configuration under fuzzing: any text is taken or refused, and no secret is repeated.

use std::path::Path;

use super::{Config, Env, Overrides, Problem};

/// Stands where a secret should.
const SECRET: &str = "q7Zx-VERY-s3cret-9dKw";

/// A file.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let text = with_secrets(text);
    let load = || {
        let (env, overrides) = (Env::default(), Overrides::default());
        Config::parse(&text, Path::new("/nonexistent"), &env, &overrides)
    };
    let outcome = load();
    check(&outcome, text.lines().count() + 1);
    assert_eq!(outcome, load(), "twice the same");
}

/// An environment: lines `NAME=value`.
pub fn environment(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let pairs = pairs.map(|(name, value)| {
        let is_secret = ["SECRET", "PASSWORD", "TOKEN"]
            .iter()
            .any(|word| name.contains(word));
        (
            name,
            if is_secret && !name.ends_with("_FILE") {
                SECRET
            } else {
                value
            },
        )
    });
    let env: Env = pairs.collect();
    let outcome = Config::parse("", Path::new("/nonexistent"), &env, &Overrides::default());
    check(&outcome, 1);
}

fn check(outcome: &Result<Config, Vec<Problem>>, lines: usize) {
    let problems = match outcome {
        Ok(config) => {
            let shown = format!("{config:?}");
            assert!(!shown.contains(SECRET), "{shown}");
            &config.warnings
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused for nothing");
            problems
        }
    };
    for problem in problems {
        let said = format!("{problem} {problem:?}");
        assert!(!said.contains(SECRET), "{said}");
        assert!(!problem.message.is_empty());
        assert!(
            problem.line.is_none_or(|line| (1..=lines).contains(&line)),
            "{said}"
        );
    }
}

/// The text with our secret as the value of each key that sounds like one.
fn with_secrets(text: &str) -> String {
    if text.contains("\"\"\"") || text.contains("'''") {
        return text.to_owned(); // a line of a text may look like one, and be no secret
    }
    let lines = text.lines().map(|line| match line.split_once('=') {
        Some((key, _)) if matches!(key.trim(), "secret" | "client_secret" | "bind_password") => {
            format!("{key}= \"{SECRET}\"")
        }
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}
