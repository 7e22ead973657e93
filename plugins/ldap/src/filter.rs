//! The operator's `user_filter`, asked of somebody who is in already.
//!
//! **Invariants:** what an entry says is escaped before it becomes part of a filter: people may write
//! some of it themselves.

use ldap3::{SearchEntry, ldap_escape};

/// What stands for the name.
const NAME: &str = "{username}";

/// The most names of one entry that are tried.
const MOST: usize = 32;

/// An attribute that a filter looks for a name in, and what stands around the name there.
struct Place<'a> {
    attribute: &'a str,
    before: &'a str,
    after: &'a str,
}

impl Place<'_> {
    /// The name that was given, if it is this value that was found.
    fn name<'a>(&self, value: &'a str) -> &'a str {
        let end = value.len().saturating_sub(self.after.len());
        let is =
            |text: Option<&str>, same| text.is_some_and(|text| text.eq_ignore_ascii_case(same));
        let is_around =
            is(value.get(..self.before.len()), self.before) && is(value.get(end..), self.after);
        let within = value.get(self.before.len()..end);
        within.filter(|_| is_around).unwrap_or(value)
    }
}

fn places(filter: &str) -> Vec<Place<'_>> {
    let parts: Vec<&str> = filter.split(NAME).collect();
    let around = parts.iter().zip(parts.iter().skip(1));
    around
        .filter_map(|(left, right)| {
            let (described, before) = left.rsplit('(').next()?.split_once('=')?;
            // Without a matching rule or an option (RFC 4515 section 3).
            let attribute = described.split([':', '~', ';', '<', '>']).next()?;
            let after = right.split(')').next()?;
            (!attribute.is_empty()).then_some(Place {
                attribute,
                before,
                after,
            })
        })
        .collect()
}

/// The attributes that a filter looks for a name in: `uid` and `mail` of
/// `(|(uid={username})(mail={username}))`.
pub(crate) fn attributes(filter: &str) -> Vec<&str> {
    let places = places(filter).into_iter();
    places.map(|place| place.attribute).collect()
}

/// What finds the entry if it would be found at a sign-in, by whichever of its names; nothing when it has
/// none.
pub(crate) fn of(filter: &str, entry: &SearchEntry, username_attribute: &str) -> Option<String> {
    let own = Place {
        attribute: username_attribute,
        before: "",
        after: "",
    };
    let mut names: Vec<&str> = Vec::new();
    for place in std::iter::once(own).chain(places(filter)) {
        let same = entry.attrs.iter();
        let same = same.filter(|(name, _)| name.eq_ignore_ascii_case(place.attribute));
        for value in same.flat_map(|(_, values)| values) {
            let name = place.name(value);
            if !name.is_empty() && !names.contains(&name) && names.len() < MOST {
                names.push(name);
            }
        }
    }
    let filtered = |name: &&str| filter.replace(NAME, &ldap_escape(*name));
    let found: String = names.iter().map(filtered).collect();
    match names.len() {
        0 => None,
        1 => Some(found),
        _ => Some(format!("(|{found})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attributes: &[(&str, &[&str])]) -> SearchEntry {
        let texts = |values: &[&str]| values.iter().map(|text| (*text).to_owned()).collect();
        let attrs = attributes.iter();
        SearchEntry {
            dn: "uid=ada,dc=example".into(),
            attrs: attrs
                .map(|(name, values)| ((*name).to_owned(), texts(values)))
                .collect(),
            bin_attrs: Default::default(),
        }
    }

    #[test]
    fn a_filter_tells_where_it_looks_for_the_name() {
        for (filter, found) in [
            ("(&(objectClass=person)(uid={username}))", &["uid"][..]),
            ("(|(uid={username})(mail={username}))", &["uid", "mail"]),
            ("(uid:caseExactMatch:={username})", &["uid"]),
            ("(cn;lang-de={username})", &["cn"]),
            ("(principal={username}@example.org)", &["principal"]),
            ("(={username})", &[]),
        ] {
            assert_eq!(attributes(filter), found, "{filter}");
        }
    }

    #[test]
    fn somebody_is_asked_for_by_every_name_of_theirs_and_by_no_pattern() {
        let ada = entry(&[
            ("UID", &["ada"]),
            ("mail", &["ada@example.org", "*)(uid=*"]),
        ]);
        let of = |filter| of(filter, &ada, "uid");
        assert_eq!(of("(uid={username})").as_deref(), Some("(uid=ada)"));
        assert_eq!(
            of("(&(mail={username})(ou=x))").as_deref(),
            Some(
                "(|(&(mail=ada)(ou=x))(&(mail=ada@example.org)(ou=x))\
                 (&(mail=\\2a\\29\\28uid=\\2a)(ou=x)))"
            )
        );
        let found = of("(mail={username}@EXAMPLE.org)").unwrap_or_default();
        assert!(found.contains("(mail=ada@EXAMPLE.org)"), "{found}");
        let nameless = entry(&[("cn", &["Ada"])]);
        assert_eq!(super::of("(uid={username})", &nameless, "uid"), None);
    }

    #[test]
    fn no_more_names_are_tried_than_are_needed() {
        let many: Vec<String> = (0..500).map(|i| format!("a{i}@example.org")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let found = of("(mail={username})", &entry(&[("mail", &many)]), "uid");
        assert_eq!(found.map(|text| text.matches("mail=").count()), Some(MOST));
    }
}
