use proptest::prelude::*;

use super::*;

/// Fragments that get past the tokenizer far more often than plain noise does.
fn fragment() -> impl Strategy<Value = String> {
    let words = [
        "[server]\n",
        "[[agent]]\n",
        "[backend.a]\n",
        "[backend]\n",
        "[auth]\n",
        "[tokens]\n",
        "listen = ",
        "secret = ",
        "backends = ",
        "plugin = ",
        "access_ttl = ",
        "memory = ",
        "'8h'\n",
        "\"127.0.0.1:0\"\n",
        "['a']\n",
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        "\n",
        "1e999\n",
        "0x_\n",
        "-9223372036854775809\n",
        "1979-05-27\n",
        "inf\n",
        "\"\"\"",
        "\u{0}",
        "ü",
    ];
    prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_accepted_or_refused(parts in prop::collection::vec(fragment(), 0..24)) {
        let _ = load(&parts.concat());
    }

    #[test]
    fn any_value_of_any_key_is_accepted_or_refused(
        value in prop_oneof![any::<String>(), "[0-9]{1,30}[a-zA-Zµ ]{0,4}", "[0-9a-f:./]{0,40}"]
    ) {
        let quoted = format!("{value:?}").replace("\\u{", "\\U{");
        for key in ["server.listen", "server.public_url", "server.trusted_proxies",
                    "tokens.access_ttl", "passwords.memory", "backend.a.sha256"] {
            let _ = load(&format!("{key} = {quoted}"));
            let _ = load(&format!("{key} = [{quoted}]"));
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    for bytes in [&b"\xff\xfe"[..], b"a = \"\xc3\""] {
        std::fs::write(&path, bytes).unwrap();
        let faults = Config::load(Some(&path), &Env::default(), &Overrides::default());
        assert!(faults.unwrap_err()[0].message.contains("UTF-8"));
    }
    let faults = Config::load(Some(dir.path()), &Env::default(), &Overrides::default());
    assert!(faults.unwrap_err()[0].message.contains("cannot be read"));
}

#[test]
fn deep_nesting_is_refused() {
    for text in [
        format!("a = {}", "[".repeat(200_000)),
        format!("a = {}1{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("a = {}", "{a=".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(200_000)),
        format!("[{}a]", "a.".repeat(200_000)),
        format!("[backend.x]\nplugin = 'x'\n{}a = 1", "a.".repeat(200_000)),
    ] {
        assert!(load(&text).is_err());
    }
}
