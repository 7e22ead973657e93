//! What a request says of the trace it is part of: the `traceparent` header (W3C Trace Context,
//! section 3.2).
//!
//! **Invariant:** what does not have exactly the form is nothing at all.

use crate::id::TraceId;

/// The span that a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    /// Its trace.
    pub trace: TraceId,
    /// Itself.
    pub span: [u8; 8],
    /// Whether its trace is kept there.
    pub is_sampled: bool,
}

/// `00-<trace id>-<parent id>-<flags>`
const LENGTH: usize = 55;

impl Parent {
    /// Reads a `traceparent`. A later version is read as far as this one goes, as the
    /// specification asks for.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (known, rest) = text.split_at_checked(LENGTH)?;
        let version = number::<1>(&known[..2])?;
        let is_whole = match version {
            [0] => rest.is_empty(),
            [0xff] => false,
            _ => rest.is_empty() || (rest[0] == b'-' && rest.iter().all(u8::is_ascii_graphic)),
        };
        let has_dashes = [2, 35, 52].iter().all(|at| known[*at] == b'-');
        let trace = number::<16>(&known[3..35])?;
        let span = number::<8>(&known[36..52])?;
        let [flags] = number::<1>(&known[53..])?;
        let is_good = is_whole && has_dashes && trace != [0; 16] && span != [0; 8];
        is_good.then_some(Self {
            trace: TraceId::from_bytes(trace),
            span,
            is_sampled: flags & 1 == 1,
        })
    }
}

/// Lower-case hexadecimal digits.
fn number<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_specification_is_read() {
        let parent = Parent::parse(GOOD.as_bytes());
        let shown = parent.map(|p| (p.trace.to_string(), hex::encode(p.span), p.is_sampled));
        let expected = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", true);
        assert_eq!(
            shown,
            Some((expected.0.to_owned(), expected.1.to_owned(), expected.2))
        );
        for (flags, is_sampled) in [("00", false), ("02", false), ("03", true), ("ff", true)] {
            let text = format!("{}{flags}", &GOOD[..53]);
            let parent = Parent::parse(text.as_bytes());
            assert_eq!(parent.map(|p| p.is_sampled), Some(is_sampled), "{flags}");
        }
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = format!("cc{}", &GOOD[2..]);
        for text in [
            later.clone(),
            format!("{later}-"),
            format!("{later}-what-comes"),
        ] {
            assert!(Parent::parse(text.as_bytes()).is_some(), "{text}");
        }
        assert!(Parent::parse(format!("{later}.x").as_bytes()).is_none());
    }

    #[test]
    fn what_has_another_form_is_nothing() {
        let zero_trace = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        let zero_span = "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01";
        let mut bad = vec![
            String::new(),
            GOOD[..54].to_owned(),
            format!("{GOOD}-"),
            format!("{GOOD}0"),
            format!(" {GOOD}"),
            format!("{GOOD} "),
            format!("ff{}", &GOOD[2..]),
            format!("0x{}", &GOOD[2..]),
            GOOD.to_uppercase(),
            GOOD.replace('-', "_"),
            GOOD.replace('4', "g"),
            zero_trace.to_owned(),
            zero_span.to_owned(),
        ];
        bad.push(GOOD.replace("00-4b", "00-\u{e9}"));
        for text in bad {
            assert_eq!(Parent::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = Parent::parse(&text);
        }

        #[test]
        fn what_is_read_is_what_is_there(text in "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}") {
            if let Some(parent) = Parent::parse(text.as_bytes()) {
                let middle = format!("-{}-{}-", parent.trace, hex::encode(parent.span));
                prop_assert_eq!(&text[2..53], middle);
            }
        }
    }
}
