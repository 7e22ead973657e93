//! One row per bad value: the text, and what the message must say.

use super::*;

#[rustfmt::skip]
const BAD: &[(&str, &str)] = &[
    // [server]
    ("[server]\nlisten = '6767'", "server.listen (line 2): \"6767\" is not an address and port"),
    ("[server]\nlisten = 'localhost'", "server.listen"),
    ("[server]\nlisten = ''", "server.listen (line 2): must not be empty"),
    ("[server]\nlisten = 6767", "must be a text in quotes, not an integer"),
    ("[server]\nlisten = '127.0.0.1:99999'", "server.listen"),
    ("[server]\nlisten = '0.0.0.0:6767'", "everybody who reaches 0.0.0.0:6767 is an admin"),
    ("[server]\nlisten = '[::]:6767'", "everybody who reaches"),
    ("[server]\npublic_url = 'https://auth.example.com'", "authentication is off"),
    ("[server]\npublic_url = 'auth.example.com'", "must start with https://"),
    ("[server]\npublic_url = 'ftp://a'", "must start with https://"),
    ("[server]\npublic_url = 'https://a.example/auth'", "without path or query"),
    ("[server]\npublic_url = 'https://a.example?x=1'", "without path or query"),
    ("[server]\npublic_url = 'https://me:pw@a.example'", "user name or password"),
    ("[server]\npublic_url = 'https://a.example:port'", "valid host"),
    ("[server]\npublic_url = 'https://'", "valid host"),
    ("[server]\ndata_dir = ''", "server.data_dir (line 2): must not be empty"),
    ("[server]\ndata_dir = \"a\\u0000b\"", "zero byte"),
    ("[server]\nmax_connections = 0", "must be between 1 and 1000000"),
    ("[server]\nmax_connections = -5", "must be between 1 and 1000000"),
    ("[server]\nmax_connections = '10'", "must be a whole number"),
    ("[server]\nmax_connections = 1.5", "must be a whole number"),
    ("[server]\nmax_connections = 99999999999999999999999", "server.max_connections"),
    ("[server]\nheader_timeout = 10", "needs a unit"),
    ("[server]\nheader_timeout = '10'", "is not a length of time"),
    ("[server]\nheader_timeout = '0s'", "must be between 1s and 1h"),
    ("[server]\nbody_timeout = '2h'", "must be between 1s and 1h"),
    ("[server]\nmax_body = '1MB'", "is not a size"),
    ("[server]\nmax_body = 1048576", "needs a unit"),
    ("[server]\nmax_body = '1GiB'", "must be between 4KiB and 64MiB"),
    ("[server]\nmax_body = '99999999999999999999GiB'", "is not a size"),
    ("[server]\ntrusted_proxies = '10.0.0.0/8'", "must be a list of texts"),
    ("[server]\ntrusted_proxies = ['0.0.0.0/0']", "is every address there is"),
    ("[server]\ntrusted_proxies = ['::/0']", "is every address there is"),
    ("[server]\ntrusted_proxies = ['::ffff:0.0.0.0/96']", "is every address there is"),
    ("[server]\ntrusted_proxies = ['::ffff:0.0.0.0/95']", "bits set after its prefix"),
    ("[server]\ntrusted_proxies = ['10.0.0.0/33']", "prefix length of 0 to 32"),
    ("[server]\ntrusted_proxies = ['10.0.0.0/']", "prefix length"),
    ("[server]\ntrusted_proxies = ['10.0.0.1/8']", "bits set after its prefix"),
    ("[server]\ntrusted_proxies = ['proxy']", "trusted_proxies[0] (line 2): \"proxy\" is not an address block"),
    ("[server]\ntrusted_proxies = [1]", "trusted_proxies[0]"),
    ("[server]\nlog_format = 'jsn'", "did you mean `json`?"),
    ("[server]\nlog_level = 'loud'", "must be \"error\" or"),
    ("server = 1", "must be a table, not an integer"),
    // [tokens]
    ("[tokens]\naccess_ttl = '1s'", "must be between"),
    ("[tokens]\naccess_ttl = '-1h'", "is not a length of time"),
    ("[tokens]\nalgorithm = 'none'", "must be \"HS256\""),
    ("[tokens]\nalgorithm = 'RS256'", "must be \"HS256\""),
    ("[tokens]\naudience = ' '", "must not be empty"),
    ("[tokens]\nsecret = ''", "tokens.secret (line 2): must not be empty"),
    ("[tokens]\nsecret = 'hunter2'", "64 hexadecimal digits"),
    ("[tokens]\nsecret = '0000000000000000000000000000000000000000000000000000000000000000'", "tokens.secret (line 2): the signing secret is a pattern"),
    ("[tokens]\nsecret = '00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff'", "is a pattern"),
    ("[tokens]\nsecret = 42", "must be a text in quotes"),
    ("[tokens]\nsecret_file = '/nonexistent/key'", "cannot read /nonexistent/key"),
    ("[tokens]\nsecret_file = '/'", "is not a regular file"),
    ("[tokens]\nsecret = 'x'\nsecret_file = 'y'", "both given; keep one"),
    ("[tokens]\napi_allow_unlimited = 'yes'", "must be true or false, without quotes"),
    ("[tokens]\nrefreshed_ttl = '20d'\ngrant_max_lifetime = '10d'\n[auth]\nbackends=['a']\n[backend.a]\nplugin='a'", "is longer than tokens.grant_max_lifetime"),
    // [passwords], [throttle]
    ("[passwords]\nmemory = '1MiB'", "must be between 7MiB and 1GiB"),
    ("[passwords]\niterations = 0", "must be between 1 and 32"),
    ("[passwords]\nqueue = 0", "must be between"),
    ("[throttle]\naccount_wait = '1ms'", "must be between"),
    ("[throttle]\naccount_failures = 0", "must be between"),
    // [auth], [backend.*]
    ("[auth]\nbackends = 'accounts'", "must be a list of texts"),
    ("[auth]\nbackends = ['corp']", "there is no backend \"corp\"; add a [backend.corp] table"),
    ("[auth]\nbackends = ['acounts']\n[backend.accounts]\nplugin = 'accounts'", "did you mean `accounts`?"),
    ("[auth]\nbackends = ['a', 'a']\n[backend.a]\nplugin = 'x'", "\"a\" is named twice"),
    ("[auth]\nallow_no_auth_on_network = 1", "must be true or false"),
    ("[backend.a]\ntitle = 'x'", "backend.a.plugin: is required"),
    ("[backend.a]\nplugin = '../../evil'", "is not a plugin's name"),
    ("[backend.a]\nplugin = 'a.so'", "is not a plugin's name"),
    ("[backend.a]\nplugin = 'a'\nsha256 = 'abc'", "is not 64 hexadecimal digits"),
    ("[backend.a]\nplugin = 'a'\naccounts = 'merge'", "must be \"create\" or \"link\" or \"existing\""),
    ("[backend.a]\nplugin = 'a'\ntimeout = '10m'", "must be between"),
    ("[backend.a]\nplugin = 'a'\nconcurrency = 0", "must be between"),
    ("[backend.a]\nplugin = 'a'\nrequired = 'no'", "must be true or false"),
    ("[backend.a]\nplugin = 'a'\nown = inf", "holds a number out of range"),
    ("[backend.none]\nplugin = 'a'", "is reserved"),
    ("[backend.'Corp SSO']\nplugin = 'a'", "starts with a letter"),
    ("backend.a = 1", "backend.a (line 1): must be a table"),
    ("[auth]\nbackends = ['h']\n[backend.h]\nplugin = 'header'", "server.trusted_proxies: is required"),
    // [accounts], [[agent]], [sharing]
    ("[accounts]\nregistration = 'everyone'", "must be \"invite\" or \"open\" or \"closed\""),
    ("[accounts]\nadmins = ['Local']", "is reserved"),
    ("[accounts]\nadmins = ['']", "accounts.admins[0]"),
    ("[accounts]\nadmins = ['Not A Name']", "cannot be the name of an account"),
    ("[accounts]\nadmin_list_file = '/nonexistent/list'", "accounts.admin_list_file (line 2): cannot read /nonexistent/list"),
    ("[[agent]]\ndescription = 'x'", "agent[0].name: is required"),
    ("[[agent]]\nname = 'a'\n[[agent]]\nname = 'a'", "agent[1].name (line 4): \"a\" is the name of two agents"),
    ("[agent]\nname = 'a'", "must be written `[[agent]]`"),
    ("agent = [1]", "agent[0] (line 1): must be a table"),
    ("[sharing]\nmode = 'maybe'", "must be \"on\" or \"off\""),
    // unknown keys
    ("[servr]\nlisten = ''", "servr (line 1): no such table or key; did you mean `server`?"),
    ("[server]\nlissten = ''", "no such key in [server]; did you mean `listen`?"),
    ("[server]\naccess_ttl = '8h'", "`access_ttl` belongs in [tokens]"),
    ("[tokens.hs256]\nx = 1", "no such key in [tokens]"),
    ("zzz = 1", "zzz (line 1): no such table or key"),
    // TOML itself
    ("[server", "TOML (line 1)"),
    ("a = 1\na = 2", "duplicate key"),
    ("[server]\nlisten = 127.0.0.1", "TOML (line 2)"),
];

#[test]
fn every_bad_value_is_refused_by_name() {
    for (text, says) in BAD {
        let faults = faults(text);
        assert!(
            faults.iter().any(|fault| fault.contains(says)),
            "{text:?} should say {says:?}, says {faults:#?}"
        );
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let faults =
        faults("[server]\nlisten = 1\nx = 2\n[tokens]\naccess_ttl = 8\n[auth]\nbackends = ['b']");
    assert_eq!(faults.len(), 4, "{faults:#?}");
    for (fault, line) in faults.iter().zip(["line 2", "line 3", "line 5", "line 7"]) {
        assert!(fault.contains(line), "{fault}");
    }
}

#[test]
fn no_fault_repeats_a_secret() {
    for text in [
        "[tokens]\nsecret = 'hunter2'",
        "[tokens]\nsecret = hunter2",
        "[tokens]\nsecret = 'hunter2",
        "[tokens]\nsecret = 'hunter2'\nsecret_file = 'x'",
        "[device]\nclient_secret = ['hunter2']",
        "[backend.a]\nplugin = 'x'\nclient_secret = 'hunter2'\nbad = nan",
        "[backend]\na = 'hunter2'",
        "[server]\npublic_url = 'https://me:hunter2@a.example'",
        // Behind a syntax error the secret is read as something else.
        "[server]\ntrusted_proxies = ['10.0.0.0/8]\n[tokens]\nsecret = 'hunter2'\n",
        "[server]\ntrusted_proxies = [\"10.0.0.0/8]\nsecret = \"hunter2\"\n",
        "[server]\ntrusted_proxies = [\n[tokens]\nsecret = 'hunter2'\n",
        "[server]\nlisten = \"\"\"x\n[tokens]\nsecret = 'hunter2'\n",
        "[server]\nlisten = '''x\n[tokens]\nsecret = 'hunter2'\n",
        "[server]\nlisten = 'x' secret = 'hunter2'\n",
        "[server]\nlog_level = {\nsecret = 'hunter2'\n",
        "[server\nsecret = 'hunter2'\n",
        "[server]\nlisten = \nsecret = 'hunter2'\n",
    ] {
        let faults = format!("{:?}", load(text).unwrap_err());
        assert!(!faults.contains("hunter2"), "{faults}");
    }
}

#[test]
fn no_auth_on_the_network_takes_a_clear_word() {
    let text = "[server]\nlisten = '0.0.0.0:1'\n[auth]\nallow_no_auth_on_network = true";
    assert!(load(text).unwrap().is_no_auth());
}

#[test]
fn options_are_checked_like_the_file() {
    let listen = |text: &str| Overrides {
        listen: Some(text.into()),
        ..Overrides::default()
    };
    let fault = load_under("", [], &listen("0.0.0.0:1")).unwrap_err();
    assert!(fault[0].to_string().contains("is an admin"));
    let fault = load_under("", [], &listen("nonsense")).unwrap_err();
    assert_eq!(fault[0].key_path, "--listen");
    let config = load_under(
        "[server]\nlisten = '127.0.0.1:1'",
        [],
        &listen("127.0.0.1:2"),
    );
    assert_eq!(config.unwrap().server.listen.port(), 2);
}
