//! Whatever a backend asks is a page: no backend has one of its own.

use omnigent_tests::{ServerBuilder, browser::Browser, workshop};

#[test]
fn every_field_of_every_step_is_rendered_and_answered() {
    let folder = workshop::built();
    let server = ServerBuilder::accounts()
        .replacing(
            "backends = [\"local\"]",
            "backends = [\"local\", \"badge\"]",
        )
        .also(&format!(
            "[backend.badge]\nplugin = \"asking\"\npath = \"{}/libomnigent_auth_asking.so\"\n\
             accounts = \"create\"",
            folder.display()
        ))
        .start();
    server.claim();
    let browser = Browser::new();
    let chooser = browser.open(&format!("{}/login?return_to=/v1/me", server.url));
    assert!(
        chooser.text.contains("backend=badge&#38;return_to="),
        "{chooser:?}"
    );
    let first = format!("{}/auth/login?backend=badge&return_to=/v1/me", server.url);
    let page = browser.open(&first);
    for part in [
        "<h1>Badge &#38; door</h1>",
        "Hold your &#60;badge&#62; to the reader.",
        "<label for=\"f-username\">Badge number</label>",
        "autocomplete=\"username\"",
        "<label for=\"f-pin\">pin</label>",
        "type=\"password\"",
        "maxlength=\"12\"",
        "<legend>Site</legend>",
        "<input type=\"radio\" name=\"site\" value=\"South\" required>",
        "<option>Deutsch</option>",
        "(optional)",
        ">Continue</button>",
        "Sign in another way",
    ] {
        assert!(page.text.contains(part), "{part}\n{}", page.text);
    }
    let wrong = browser.submit(
        &page,
        &[
            ("username", "b-7"),
            ("pin", "0000"),
            ("site", "North"),
            ("ticket", "P1"),
        ],
    );
    assert_eq!(wrong.status, 401);
    assert!(wrong.text.contains("value=\"b-7\"") && !wrong.text.contains("0000"));
    assert!(
        wrong.text.contains("value=\"North\" checked"),
        "{}",
        wrong.text
    );
    let second = browser.submit(
        &wrong,
        &[("username", "b-7"), ("pin", "2468"), ("site", "North")],
    );
    assert!(
        second.text.contains("We sent you a code.")
            && second.text.contains("autocomplete=\"one-time-code\""),
        "{second:?}"
    );
    let refused = browser.submit(&second, &[("code", "000000")]);
    assert_eq!(refused.status, 403);
    assert!(
        refused.text.contains("This code is not right."),
        "{refused:?}"
    );
    let second = browser.submit(
        &refused,
        &[("username", "b-7"), ("pin", "2468"), ("site", "North")],
    );
    let me = browser.submit(&second, &[("code", "123456")]);
    assert!(
        me.url.ends_with("/v1/me") && me.text.contains("b-7"),
        "{me:?}"
    );
}
