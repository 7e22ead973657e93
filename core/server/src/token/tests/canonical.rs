//! Claims read by heart are the claims the general reader reads.

use proptest::prelude::*;

use super::{
    super::{canonical, claims::Wire},
    *,
};

fn own_form(claims: &Claims) -> Vec<u8> {
    serde_json::to_vec(&Wire::of(claims)).unwrap()
}

fn agrees(json: &[u8]) -> bool {
    canonical::read(json).is_none_or(|claims| Claims::parse_any(json) == Ok(claims))
}

#[test]
fn every_kind_of_token_of_ours_is_read_by_heart() {
    let world = World::new();
    let scopes = Scopes::default().with(Scope::Sessions).with(Scope::Admin);
    for at in 0..16 {
        let claims = Claims {
            expires_at: (at & 1 == 0).then(|| NOW.plus_seconds(60)),
            scope: (at & 2 != 0).then_some(scopes),
            grant: (at & 4 != 0).then(GrantId::random),
            client_id: (at & 8 != 0).then(|| "omnigent-cli".into()),
            provider: "caf\u{e9}".into(),
            ..world.claims()
        };
        let json = own_form(&claims);
        assert_eq!(canonical::read(&json).as_ref(), Some(&claims), "{at}");
        assert_eq!(Claims::parse_any(&json), Ok(claims), "{at}");
    }
}

#[test]
fn what_json_spells_otherwise_is_left_to_the_general_reader() {
    let text = String::from_utf8(own_form(&World::new().claims())).unwrap();
    for (ours, other) in [
        ("{\"iss\"", "{ \"iss\""),
        ("\"iss\"", "\"\\u0069ss\""),
        ("\"sub\":\"", "\"sub\":\"\\u0061"),
        ("\"sub\":\"", "\"sub\":\"\u{1}"),
        ("\"iat\":", "\"iat\":0"),
        ("\"iat\":", "\"iat\":-"),
        (",\"nbf\"", ".0,\"nbf\""),
        (",\"nbf\"", "e1,\"nbf\""),
        ("\"iat\":", "\"iat\":99999999999999999999"),
        ("\"uid\":\"", "\"uid\":\"A"),
    ] {
        let changed = text.replacen(ours, other, 1);
        assert_ne!(changed, text);
        assert_eq!(canonical::read(changed.as_bytes()), None, "{changed}");
    }
    assert_eq!(canonical::read(format!("{text} ").as_bytes()), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn changed_bytes_are_read_alike(
        at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..4), cut in 0_usize..4,
    ) {
        let mut json = own_form(&World::new().claims());
        let at = at.index(json.len());
        let end = (at + cut).min(json.len());
        json.splice(at..end, bytes);
        prop_assert!(agrees(&json));
    }

    #[test]
    fn arbitrary_words_are_read_alike(sub in ".*", provider in "\\PC{0,20}", time in any::<u64>()) {
        let json = format!(
            "{{\"iss\":\"i\",\"aud\":\"a\",\"sub\":\"{sub}\",\"uid\":\"{id}\",\"sid\":\"{id}\",\"jti\":\"{id}\",\
             \"iat\":{time},\"nbf\":1,\"provider\":\"{provider}\",\"token_use\":\"api\"}}",
            id = "0123456789abcdef0123456789abcdef",
        );
        prop_assert!(agrees(json.as_bytes()));
    }
}
