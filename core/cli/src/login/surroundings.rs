//! What this terminal has: a browser, a person.

use std::io::IsTerminal;

/// Whether a browser opened here would be seen by whoever sits at the terminal.
pub(super) fn has_browser() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    decide(is_set, cfg!(any(target_os = "macos", windows)))
}

fn decide(is_set: impl Fn(&'static str) -> bool, has_desktop: bool) -> bool {
    // Over SSH the browser would open on the other machine, forwarded display or not.
    let is_remote = ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"]
        .into_iter()
        .any(&is_set);
    let has_display = ["BROWSER", "DISPLAY", "WAYLAND_DISPLAY"]
        .into_iter()
        .any(&is_set);
    !is_remote && (has_desktop || has_display)
}

/// Whether somebody is there to be asked.
pub(super) fn has_person() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_opens_only_where_the_person_sits() {
        for (set, has_browser) in [
            (&[][..], false),
            (&["DISPLAY"], true),
            (&["WAYLAND_DISPLAY"], true),
            (&["BROWSER"], true),
            (&["DISPLAY", "SSH_CONNECTION"], false),
            (&["BROWSER", "SSH_TTY"], false),
        ] {
            let is_set = |name: &'static str| set.contains(&name);
            assert_eq!(decide(is_set, false), has_browser, "{set:?}");
        }
        assert!(decide(|_| false, true));
        assert!(!decide(|name| name == "SSH_CONNECTION", true));
    }
}
