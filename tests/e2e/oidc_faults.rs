//! An identity provider that does one thing wrong signs nobody in (THREATS section 3), whatever it
//! is; the log says what it was, and the person reads a plain page.

use omnigent_tests::{
    Server,
    browser::{Browser, Page},
    idp::{free_port, relying_on},
    rogue::{FAULTS, Fault, Rogue},
};

/// Without a `kid`, a key that verifies is found among several (oidcc-client-test-kid-absent-multiple-jwks).
const GOOD: [Fault; 4] = [
    Fault::Nothing,
    Fault::JunkBesideTheKey,
    Fault::NewKeyUnderNewId,
    Fault::NoKidAmongSeveral,
];

fn relying(rogue: &Rogue, more: &str) -> Server {
    let keys = format!("timeout_seconds = 1\nallowed_groups = []\n{more}");
    relying_on(&rogue.issuer, free_port(), &keys, "").start()
}

fn sign_in(server: &Server) -> (Browser, Page) {
    let browser = Browser::new();
    let page = browser.open(&format!("{}/auth/login?return_to=/v1/info", server.url));
    (browser, page)
}

fn is_in(browser: &Browser, server: &Server) -> bool {
    browser.cookies(&server.url).contains_key("ap_session")
}

#[test]
fn what_is_right_or_harmless_signs_in() {
    for fault in GOOD {
        let rogue = Rogue::start();
        rogue.set(fault);
        let server = relying(&rogue, "");
        let (browser, page) = sign_in(&server);
        assert!(
            is_in(&browser, &server) && page.status == 200,
            "{fault:?}: {page:?}"
        );
    }
}

#[test]
fn no_fault_of_a_provider_signs_anybody_in() {
    assert!(FAULTS.len() >= 43, "at least forty faults");
    let faults: Vec<_> = FAULTS
        .iter()
        .filter(|fault| !GOOD.contains(fault))
        .collect();
    let mut told = Vec::new();
    for chunk in faults.chunks(faults.len().div_ceil(4)) {
        let chunk = chunk.to_vec();
        told.push(std::thread::spawn(move || {
            chunk
                .into_iter()
                .filter_map(|fault| trial(*fault).err())
                .collect::<Vec<_>>()
        }));
    }
    let wrong: Vec<_> = told
        .into_iter()
        .flat_map(|told| told.join().expect("a trial"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn trial(fault: Fault) -> Result<(), String> {
    let rogue = Rogue::start();
    rogue.set(fault);
    let server = relying(&rogue, "admin_groups = [\"staff\"]");
    let (browser, page) = sign_in(&server);
    let wrong = |what: &str| {
        Err(format!(
            "{fault:?}: {what}: {} {}\n{}",
            page.status,
            page.text,
            server.log()
        ))
    };
    if is_in(&browser, &server) {
        return wrong("signed in");
    }
    if ![400, 403, 502, 503].contains(&page.status) {
        return wrong("an odd status");
    }
    if !page.text.contains("<h1>Could not sign you in</h1>")
        || page.text.contains("script")
        || page.text.contains("evil")
    {
        return wrong("not a plain page of ours");
    }
    let word = word(fault);
    let is_told = server.says(word);
    if !is_told {
        return wrong(&format!("the log does not say {word:?}"));
    }
    // Nothing of it troubles anybody else, and the provider may do better.
    if server.client().get("/v1/info").status != 200 {
        return wrong("the server suffered");
    }
    Ok(())
}

/// What the log has to say of a fault.
fn word(fault: Fault) -> &'static str {
    use Fault::*;
    match fault {
        Nothing | JunkBesideTheKey | NewKeyUnderNewId | NoKidAmongSeveral => "signed in",
        WrongIssuer | IssuerWithSlash | NoIssuer => "iss",
        WrongAudience | AudienceNearlyOurs | NoAudience | AudienceListWithoutUs => "aud",
        TwoAudiencesNoAzp | WrongAzp => "azp",
        NoNonce | WrongNonce => "nonce",
        NonceOfAnotherType | SubjectAsNumber | EmailAsList => "invalid type",
        ExpiryAsText => "failed to parse",
        Expired => "expired 600 s ago",
        NoExpiry => "missing field `exp`",
        IssuedInTheFuture => "600 s ahead of ours",
        NoIssuedAt => "iat",
        NotYetValid => "does not hold yet",
        AlgNone | SignedWithClientSecret | SignedWithPublicKey => "never taken",
        WrongKey | BadSignature | CutSignature | NoSignature => "signature is",
        UnknownKey => "a key the provider does not name",
        WrongAccessTokenHash => "at_hash",
        NoSubject | EmptySubject | LongSubject | TwoSubjects => "sub",
        CriticalHeader => "crit",
        NoIdToken => "holds no id_token",
        IdTokenNoJwt | IdTokenAsNumber | DeepIdToken => "the token answer is wrong",
        OtherSubjectInUserinfo => "about somebody else",
        UserinfoIsHtml => "not JSON",
        UserinfoFails | TokenFails | KeysFail => "answered 500",
        UnverifiedEmail | VerifiedAsText => "`email_verified` is not true",
        NoEmail => "email",
        ReservedName => "reserved name",
        GroupOverage => "group",
        StateDropped | CodeDropped => "no state",
        StateChanged => "another browser",
        WrongIssuerInReturn => "another issuer",
        AccessDenied => "access_denied",
        ErrorWithMarkup => "server_error",
        CodeUsedUp => "invalid_grant",
        TokenIsHtml | TokenIsText | DiscoveryIsHtml | KeysAreHtml => "not JSON",
        TokenRedirects | DiscoveryRedirects => "302: not followed",
        TokenIsHuge | DiscoveryIsHuge => "more than 524288 bytes",
        TokenDrips | TokenHangs | DiscoveryHangs | KeysHang => "did not answer in time",
        TokenBreaksOff => "broke off",
        DiscoveryMissing => "answered 404",
        DiscoveryOfAnother => "they must be the same",
        DiscoveryLacksEndpoints => "missing field `token_endpoint`",
        DiscoveryNamesFiles | DiscoveryNamesPlainHttp => "must be https",
        KeysEmpty | KeysAreSymmetric | KeysAreTooSmall | KeysForEncryption => "no key",
    }
}

/// The OpenID Foundation's test plans for relying parties, by the names of their tests.
#[test]
fn the_foundations_plans_are_among_the_trials() {
    use Fault::*;
    let basic = [
        ("oidcc-client-test", Nothing),
        ("oidcc-client-test-nonce-invalid", WrongNonce),
        ("oidcc-client-test-invalid-iss", WrongIssuer),
        ("oidcc-client-test-missing-sub", NoSubject),
        ("oidcc-client-test-invalid-aud", WrongAudience),
        ("oidcc-client-test-missing-aud", NoAudience),
        ("oidcc-client-test-missing-iat", NoIssuedAt),
        ("oidcc-client-test-kid-absent-single-jwks", Nothing),
        (
            "oidcc-client-test-kid-absent-multiple-jwks",
            NoKidAmongSeveral,
        ),
        ("oidcc-client-test-idtoken-sig-none", AlgNone),
        ("oidcc-client-test-idtoken-sig-rs256", Nothing),
        ("oidcc-client-test-invalid-sig-rs256", BadSignature),
        (
            "oidcc-client-test-userinfo-invalid-sub",
            OtherSubjectInUserinfo,
        ),
        ("oidcc-client-test-scope-userinfo-claims", Nothing),
    ];
    let config = [
        ("oidcc-client-test-discovery-openid-config", Nothing),
        (
            "oidcc-client-test-discovery-jwks-uri-keys",
            JunkBesideTheKey,
        ),
        (
            "oidcc-client-test-discovery-issuer-mismatch",
            DiscoveryOfAnother,
        ),
        (
            "oidcc-client-test-signing-key-rotation-just-before-signing",
            NewKeyUnderNewId,
        ),
        ("oidcc-client-test-signing-key-rotation", NewKeyUnderNewId),
        ("oidcc-client-test-idtoken-sig-none", AlgNone),
    ];
    for (name, fault) in basic.into_iter().chain(config) {
        assert!(FAULTS.contains(&fault), "{name} is tried as {fault:?}");
    }
    assert_eq!(basic.len() + config.len(), 20);
}

#[test]
fn two_hundred_people_at_a_hung_provider_hold_up_nobody_else() {
    let rogue = Rogue::start();
    rogue.set(Fault::DiscoveryHangs);
    let local =
        "[backend.local]\nplugin = \"accounts\"\n[passwords]\nmemory = \"7MiB\"\niterations = 1\n";
    let server = relying_on(
        &rogue.issuer,
        free_port(),
        "timeout_seconds = 30\ntimeout = \"30s\"",
        local,
    )
    .replacing("[\"corp\"]", "[\"corp\", \"local\"]")
    .start();
    let admin = server.claim();
    let url = format!("{}/auth/login?backend=corp", server.url);
    let waiting: Vec<_> = (0..200)
        .map(|_| {
            let url = url.clone();
            std::thread::spawn(move || Browser::new().open(&url).status)
        })
        .collect();
    for _ in 0..50 {
        admin.get("/v1/me").expect(200);
        admin.get("/v1/sessions").expect(200);
    }
    server.login("admin", omnigent_tests::PASSWORD);
    assert!(
        waiting.iter().any(|waiting| !waiting.is_finished()),
        "they are still waiting"
    );
    drop(server);
    for waiting in waiting {
        let _ = waiting.join();
    }
}
