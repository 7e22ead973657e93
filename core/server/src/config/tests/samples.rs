//! The files in `config/` are inputs of these tests, so they cannot rot.

use super::*;

const REFERENCE: &str = include_str!("../../../../../config/omnigent.toml");
const SAMPLES: &[(&str, &str)] = &[
    ("omnigent.toml", REFERENCE),
    (
        "accounts.toml",
        include_str!("../../../../../config/accounts.toml"),
    ),
    (
        "no-auth.toml",
        include_str!("../../../../../config/no-auth.toml"),
    ),
    (
        "header.toml",
        include_str!("../../../../../config/header.toml"),
    ),
    (
        "htpasswd.toml",
        include_str!("../../../../../config/htpasswd.toml"),
    ),
    ("ldap.toml", include_str!("../../../../../config/ldap.toml")),
    ("oidc.toml", include_str!("../../../../../config/oidc.toml")),
];

/// The reference with the keys and tables that are comments in it made real.
fn whole_reference() -> String {
    REFERENCE
        .lines()
        .map(|line| {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            let key = bare.split(" = ").next().unwrap_or_default();
            let is_key = bare.contains(" = ") && !key.contains(' ');
            if is_key || bare.starts_with('[') {
                bare
            } else {
                line
            }
        })
        .map(|line| format!("{line}\n"))
        .collect::<String>()
        .replace("backends = []", "backends = ['accounts']")
}

#[test]
fn the_reference_equals_the_built_in_defaults() {
    assert_eq!(load(REFERENCE).unwrap(), load("").unwrap());
}

#[test]
fn the_reference_names_every_key() {
    let text = whole_reference();
    let env: Env = [("HOME", "/home/someone")].into_iter().collect();
    let sheet = Sheet::new(&text, Path::new("/etc").to_owned(), BTreeMap::new());
    let faults = Config::parse_sheet(&sheet, env::read(&env), &env).unwrap_err();
    for fault in &faults {
        // Only the stand-ins for secrets and files may be at fault.
        let is_stand_in = ["secret", "_file", "otlp_headers"]
            .iter()
            .any(|of| fault.key_path.contains(of));
        assert!(is_stand_in, "{fault}");
    }
    let document = DeTable::parse(&text).unwrap();
    for path in sheet.asked.borrow().iter() {
        let mut at: Option<&toml::de::DeValue<'_>> = None;
        for step in path.split('.') {
            let (name, index) = match step.split_once('[') {
                Some((name, _)) => (name, Some(0)),
                None => (step, None),
            };
            at = match at {
                None => document.get_ref().get(name).map(toml::Spanned::get_ref),
                Some(value) => value.get(name).map(toml::Spanned::get_ref),
            };
            if let Some(index) = index {
                at = at
                    .and_then(|value| value.get(index))
                    .map(toml::Spanned::get_ref);
            }
            assert!(at.is_some(), "config/omnigent.toml does not name {path}");
        }
    }
}

#[test]
fn every_key_of_the_reference_has_its_sentence() {
    let lines: Vec<&str> = REFERENCE.lines().collect();
    for pair in lines.windows(2) {
        let bare = pair[1].strip_prefix("# ").unwrap_or(pair[1]);
        let is_key = bare
            .split_once(" = ")
            .is_some_and(|(key, _)| !key.contains(' '));
        if is_key {
            let sentence = pair[0].starts_with("# ") && pair[0].ends_with('.');
            assert!(sentence, "{bare}: no sentence above it");
        }
    }
}

#[test]
fn every_sample_loads() {
    for (name, text) in SAMPLES {
        let config = load(text).unwrap_or_else(|faults| panic!("{name}: {faults:#?}"));
        assert!(config.warnings.is_empty(), "{name}");
    }
    assert_eq!(
        load(SAMPLES[1].1).unwrap().auth.backends[0].plugin,
        "accounts"
    );
    assert!(load(SAMPLES[2].1).unwrap().is_no_auth());
}

/// Except in a backend's table, whose unknown keys are its plugin's to refuse.
#[test]
fn a_bogus_key_at_any_level_of_any_sample_is_refused() {
    for (name, text) in SAMPLES
        .iter()
        .copied()
        .chain([("whole", &*whole_reference())])
    {
        let mut places = vec![0];
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            at += line.len();
            if line.starts_with('[') && !line.starts_with("[backend.") {
                places.push(at);
            }
        }
        assert!(places.len() > 3, "{name}");
        for place in places {
            let bogus = format!("{}bogus_key_zz = 1\n{}", &text[..place], &text[place..]);
            let faults = load(&bogus).expect_err(name);
            let refused = |fault: &Problem| fault.key_path.ends_with("bogus_key_zz");
            assert!(faults.iter().any(refused), "{name} at {place}: {faults:#?}");
            let bogus = format!("{}bogus_key_zz.x.y = 1\n{}", &text[..place], &text[place..]);
            assert!(load(&bogus).is_err(), "{name} at {place}");
        }
        let bogus = format!("{text}\n[bogus_table_zz]\nx = 1\n");
        assert!(load(&bogus).is_err(), "{name}");
    }
}
