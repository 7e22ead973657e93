//! One spelling of a name, so that another one is no other account (THREATS P2).

use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

/// Longest name that is told apart, in characters: what follows is no name of anybody.
const LONGEST: usize = 256;

/// `name` as it is counted: without what directories overlook too (RFC 4518 section 2), which is
/// spaces, letter case, compatible forms of letters and characters that are not seen, and without
/// accents, which Active Directory overlooks.
pub(super) fn spelling(name: &str) -> String {
    let plain = |name: &str| -> String {
        name.nfkd()
            .filter(|c| !c.is_whitespace() && !c.is_control() && !is_unseen(*c))
            .filter(|c| !is_combining_mark(*c))
            .flat_map(char::to_lowercase)
            .take(LONGEST)
            .collect()
    };
    plain(&plain(name))
}

const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffc}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::spelling;

    #[test]
    fn other_spellings_are_one_name() {
        for name in [
            "Alice",
            " alice\t",
            "ALICE",
            "al ice",
            "ａｌｉｃｅ",
            "ali\u{ad}ce",
            "ali\u{200b}ce",
            "𝐚lice",
            "alice\0",
            "\u{feff}alice",
            "álice",
            "a\u{301}lìçe",
        ] {
            assert_eq!(spelling(name), "alice", "{name:?}");
        }
        assert_eq!(spelling("\u{212a}im"), "kim");
        assert_eq!(spelling("Ångstro\u{308}m"), spelling("a\u{30a}ngström"));
        assert_ne!(
            spelling("alice"),
            spelling("аlice"),
            "a Cyrillic letter is another"
        );
        assert_eq!(spelling(" \t"), "");
        assert_eq!(spelling(&"a".repeat(10_000)).len(), 256);
    }
}
