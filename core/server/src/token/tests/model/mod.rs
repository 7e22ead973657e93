//! The token store against a simple model: whatever happens in whatever order, every token ever
//! issued counts exactly if the model says so. A few seconds in CI; `PROPTEST_CASES` makes it long
//! (docs/operations.md, Testing).
//!
//! What happens is drawn at random: signing in and out, refreshing (with stale tokens too), API
//! tokens made, rotated and revoked, accounts disabled, enabled, deleted and made anew under the
//! same name, keys rotated and retired, time passing with all the upkeep that goes with it,
//! restarts, and crashes: the server of before is left standing and its data is opened as it lies.

mod expected;
mod real;

use proptest::prelude::*;

use self::{expected::Model, real::Server};
use super::*;

/// Something that happens. Numbers pick among what there is.
#[derive(Clone, Debug)]
enum Event {
    Create,
    SignIn { account: usize, client: Client },
    SignOut { stay: usize },
    SignOutEverywhere { account: usize },
    Refresh { grant: usize, back: usize },
    MakeToken { account: usize, days: Option<u64> },
    RotateToken { token: usize, overlap: u64 },
    RevokeToken { token: usize },
    Disable { account: usize },
    Enable { account: usize },
    Delete { account: usize },
    RotateKey { algorithm: Algorithm },
    RetireKey { key: usize },
    Pass { seconds: u64 },
    Restart,
    Crash,
}

/// Who signs in.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Client {
    /// A browser, which cannot refresh.
    Browser,
    /// A client whose refresh tokens rotate.
    App,
    /// The command line, whose refresh token stays.
    Cli,
}

fn event() -> impl Strategy<Value = Event> {
    let some = || 0..1000_usize;
    let client = prop_oneof![Just(Client::Browser), Just(Client::App), Just(Client::Cli)];
    let seconds = prop_oneof![
        0..40_u64,
        100..4000_u64,
        8 * 3600..10 * 3600_u64,
        86_400..40 * 86_400_u64
    ];
    let overlap = prop_oneof![Just(0), 1..100_000_u64];
    let algorithm = proptest::sample::select(Algorithm::ALL.to_vec());
    prop_oneof![
        1 => Just(Event::Create),
        4 => (some(), client).prop_map(|(account, client)| Event::SignIn { account, client }),
        2 => some().prop_map(|stay| Event::SignOut { stay }),
        1 => some().prop_map(|account| Event::SignOutEverywhere { account }),
        6 => (some(), 0..4_usize).prop_map(|(grant, back)| Event::Refresh { grant, back }),
        3 => (some(), prop::option::of(1..60_u64))
            .prop_map(|(account, days)| Event::MakeToken { account, days }),
        2 => (some(), overlap).prop_map(|(token, overlap)| Event::RotateToken { token, overlap }),
        1 => some().prop_map(|token| Event::RevokeToken { token }),
        1 => some().prop_map(|account| Event::Disable { account }),
        1 => some().prop_map(|account| Event::Enable { account }),
        1 => some().prop_map(|account| Event::Delete { account }),
        2 => algorithm.prop_map(|algorithm| Event::RotateKey { algorithm }),
        1 => some().prop_map(|key| Event::RetireKey { key }),
        5 => seconds.prop_map(|seconds| Event::Pass { seconds }),
        1 => Just(Event::Restart),
        1 => Just(Event::Crash),
    ]
}

/// As many as `PROPTEST_CASES` says, or few.
fn config() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(12),
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_token_counts_exactly_if_the_model_says_so(
        events in prop::collection::vec(event(), 1..60)
    ) {
        let (mut server, mut model) = (Server::new(), Model::default());
        for event in [Event::Create, Event::Create].into_iter().chain(events) {
            model.happen(&mut server, &event);
            model.compare(&server, &event);
        }
    }
}

/// What the drawing may take long to hit upon, said out loud.
#[test]
fn the_worst_in_a_row() {
    let (mut server, mut model) = (Server::new(), Model::default());
    let sign_in = |client| Event::SignIn { account: 0, client };
    for event in [
        Event::Create,
        sign_in(Client::App),
        sign_in(Client::Cli),
        sign_in(Client::Browser),
        Event::MakeToken {
            account: 0,
            days: Some(40),
        },
        Event::MakeToken {
            account: 0,
            days: None,
        },
        Event::RotateKey {
            algorithm: Algorithm::EdDsa,
        },
        Event::Refresh { grant: 0, back: 0 },
        Event::Refresh { grant: 1, back: 0 },
        Event::Crash,
        Event::Pass { seconds: 29 },
        Event::Refresh { grant: 0, back: 1 },
        Event::RotateToken {
            token: 0,
            overlap: 3600,
        },
        Event::RotateKey {
            algorithm: Algorithm::Es256,
        },
        Event::Pass { seconds: 9 * 3600 },
        Event::Restart,
        Event::Refresh { grant: 0, back: 0 },
        Event::Pass { seconds: 31 },
        Event::Refresh { grant: 0, back: 1 },
        Event::Crash,
        Event::Refresh { grant: 0, back: 0 },
        Event::Disable { account: 0 },
        Event::Restart,
        Event::Enable { account: 0 },
        Event::Pass {
            seconds: 39 * 86_400,
        },
        Event::RotateToken {
            token: 0,
            overlap: 0,
        },
        Event::RetireKey { key: 0 },
        Event::Crash,
        Event::Delete { account: 0 },
        Event::Create,
        Event::Crash,
        sign_in(Client::Browser),
    ] {
        model.happen(&mut server, &event);
        model.compare(&server, &event);
    }
}
