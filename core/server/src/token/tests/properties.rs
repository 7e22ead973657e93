//! Whatever the bytes are: no panic, and no yes.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(world().verify(&bytes).is_err());
    }

    #[test]
    fn arbitrary_texts_of_the_alphabet_are_refused(text in "[A-Za-z0-9_=.-]{0,600}") {
        prop_assert!(world().verify(&text).is_err());
    }

    #[test]
    fn arbitrary_segments_are_refused(header in any::<Vec<u8>>(), body in any::<Vec<u8>>(), tag: [u8; 32]) {
        let [header, body] = [header, body].map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let token = format!("{header}.{body}.{}", URL_SAFE_NO_PAD.encode(tag));
        prop_assert!(world().verify(token).is_err());
    }

    #[test]
    fn arbitrary_signed_claims_are_refused(body in any::<Vec<u8>>()) {
        let world = world();
        let token = world.forge_header(&world.header().to_string(), &body);
        prop_assert!(world.verify(token).is_err());
    }

    #[test]
    fn arbitrary_signed_headers_are_refused(header in ".*") {
        let world = world();
        let token = world.forge_header(&header, world.json().to_string().as_bytes());
        prop_assert!(world.verify(token).is_err());
    }

    #[test]
    fn signed_claims_with_changed_bytes_never_panic(at in any::<prop::sample::Index>(), byte: u8) {
        let world = world();
        let mut body = world.json().to_string().into_bytes();
        let at = at.index(body.len());
        body[at] = byte;
        // May count when only an id or the provider has changed; never as somebody else.
        if let Ok(verified) = world.verify(world.forge_header(&world.header().to_string(), &body)) {
            prop_assert_eq!(verified.account().uid, world.alice);
        }
    }

    #[test]
    fn inserted_removed_and_swapped_bytes_are_refused(
        at in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), byte: u8,
    ) {
        let world = world();
        let good = world.token().into_bytes();
        let (at, other) = (at.index(good.len()), other.index(good.len()));
        let mut inserted = good.clone();
        inserted.insert(at, byte);
        prop_assert!(world.verify(inserted).is_err());
        let mut removed = good.clone();
        removed.remove(at);
        prop_assert!(world.verify(removed).is_err());
        let mut swapped = good.clone();
        swapped.swap(at, other);
        prop_assert_eq!(world.verify(&swapped).is_ok(), swapped == good);
        prop_assert!(world.verify(&good[..at]).is_err());
    }

    #[test]
    fn claims_survive_signing(
        sub in "[a-z0-9]{1,60}", provider in "\\PC{1,40}", client in prop::option::of(".*"),
        life in 1_u64..1_000_000_000, scope in 0_u8..16, api: bool, grant: bool,
    ) {
        prop_assume!(sub != "local");
        let world = world();
        world.accounts.insert(AccountState::new(world.alice, &sub, false, false));
        let all = [Scope::Sessions, Scope::SessionsRead, Scope::Account, Scope::Admin];
        let chosen = (0..4).filter(|bit| scope & 1 << bit != 0);
        let scopes = chosen.fold(Scopes::default(), |scopes, bit| scopes.with(all[bit]));
        let claims = Claims {
            subject: sub.into(),
            provider: provider.into(),
            client_id: client.map(Into::into),
            expires_at: Some(NOW.plus_seconds(life)),
            scope: (!scopes.is_empty()).then_some(scopes),
            token_use: if api { TokenUse::Api } else { TokenUse::Access },
            grant: grant.then(GrantId::random),
            ..world.claims()
        };
        let verified = world.verify(world.sign(&claims)).unwrap();
        prop_assert_eq!(&world.verifier.claims(&verified), &claims);
    }
}

#[test]
fn any_changed_byte_is_refused() {
    let world = World::new();
    let good = world.token();
    for at in 0..good.len() {
        for flip in 1..=255 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= flip;
            assert!(world.verify(&bytes).is_err(), "byte {at} ^ {flip}");
        }
    }
    assert!(world.verify(&good).is_ok());
}

#[test]
fn any_changed_byte_of_a_cached_token_is_refused() {
    let world = World::new();
    let good = world.token();
    world.accept_twice(&good);
    for at in 0..good.len() {
        let mut bytes = good.clone().into_bytes();
        bytes[at] ^= 1;
        assert!(world.verify(&bytes).is_err(), "byte {at}");
    }
    assert_eq!(world.verifier.cached(), 1);
}

#[test]
fn any_prefix_is_refused() {
    let world = World::new();
    let good = world.token();
    assert!(world.verify(&good).is_ok());
    for end in 0..good.len() {
        assert!(world.verify(&good[..end]).is_err());
        assert!(world.verify(&good[end + 1..]).is_err());
    }
}

fn world() -> World {
    World::new()
}
