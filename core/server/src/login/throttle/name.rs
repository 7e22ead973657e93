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

/// What RFC 4518 section 2.2 maps to nothing, Unicode's format characters (Cf) and what it calls ignorable
/// by default, as of version 16.
const fn is_unseen(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{1806}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffc}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
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
            "al\u{1806}i\u{6dd}\u{70f}\u{61c}ce",
            "\u{1d173}a\u{3164}li\u{ffa0}c\u{115f}e\u{fff0}",
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
