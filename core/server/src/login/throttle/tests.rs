#![allow(clippy::unwrap_used)]
use super::*;
use crate::store::{Options, Store};

const LIMITS: Limits = Limits {
    pair: Rule {
        free: 3,
        wait_millis: 60_000,
    },
    network: Rule {
        free: 6,
        wait_millis: 60_000,
    },
    account: Rule {
        free: 8,
        wait_millis: 60_000,
    },
    row: Row {
        limit: 100,
        pause_millis: 86_400_000,
    },
    begin: Rule {
        free: 5,
        wait_millis: 1000,
    },
    register: Rule {
        free: 2,
        wait_millis: 60_000,
    },
    write: Rule {
        free: 50,
        wait_millis: 20,
    },
    max_entries: 1000,
};
const T0: Timestamp = Timestamp::from_seconds(1_000_000);

fn throttle(limits: Limits) -> Arc<Throttle> {
    Arc::new(Throttle::new(limits, Arc::new(Hasher::new(&[7; 32]))))
}

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// An address in a wider network of its own.
fn far(i: u16) -> IpAddr {
    let [a, b] = i.to_be_bytes();
    IpAddr::from([20, a, b, 1])
}

fn guess(name: &str, address: IpAddr) -> Guess<'_> {
    Guess {
        class: Class::SignIn,
        name,
        backend: "local",
        is_shared: false,
        address,
        device: None,
    }
}

fn by_device(name: &str, address: IpAddr) -> Guess<'_> {
    Guess {
        device: Some([1; 16]),
        ..guess(name, address)
    }
}

fn may(throttle: &Arc<Throttle>, guess: &Guess<'_>, now: Timestamp) -> bool {
    throttle.attempt(guess, now).map(Attempt::withdrawn).is_ok()
}

fn fail(throttle: &Arc<Throttle>, name: &str, from: IpAddr, times: usize) {
    for _ in 0..times {
        throttle.attempt(&guess(name, from), T0).unwrap().failed();
    }
}

#[test]
fn a_pair_waits_longer_each_time_and_is_let_in_after_it() {
    let throttle = throttle(LIMITS);
    fail(&throttle, "alice", ip(1), 3);
    let mut now = T0;
    for seconds in [1, 2, 4, 8, 16, 32] {
        let refused = throttle.attempt(&guess("alice", ip(1)), now).unwrap_err();
        assert_eq!(refused.retry_after_seconds, seconds);
        now = now.plus_seconds(seconds);
        throttle
            .attempt(&guess("alice", ip(1)), now)
            .unwrap()
            .failed();
    }
    let refused = throttle.attempt(&guess("alice", ip(1)), now).unwrap_err();
    assert!(refused.retry_after_seconds <= 60, "{refused:?}");
}

#[test]
fn another_spelling_of_the_name_is_the_same_account() {
    let throttle = throttle(LIMITS);
    fail(&throttle, "alice", ip(1), 1);
    fail(&throttle, "ALICE", ip(1), 1);
    fail(&throttle, " ａlice\t", ip(1), 1);
    assert!(!may(&throttle, &guess("aLiCe", ip(1)), T0));
}

#[test]
fn many_names_from_one_network_are_held_up() {
    let throttle = throttle(LIMITS);
    for i in 0..6 {
        fail(&throttle, &format!("user{i}"), ip(1), 1);
    }
    assert!(!may(&throttle, &guess("somebody-else", ip(1)), T0));
    assert!(may(&throttle, &guess("somebody-else", ip(2)), T0));
}

#[test]
fn many_networks_of_one_block_are_held_up_together() {
    for (address, elsewhere) in [
        ("10.0.0.%", "10.0.1.1"),
        ("2001:db8:1:%::1", "2001:db8:2:1::1"),
    ] {
        let throttle = throttle(LIMITS);
        for i in 0..24 {
            let from: IpAddr = address.replace('%', &i.to_string()).parse().unwrap();
            fail(&throttle, &format!("user{i}"), from, 1);
        }
        let from = address.replace('%', "99").parse().unwrap();
        assert!(!may(&throttle, &guess("x", from), T0), "{address}");
        assert!(may(&throttle, &guess("x", elsewhere.parse().unwrap()), T0));
    }
}

#[test]
fn addresses_of_one_ipv6_network_are_one() {
    let throttle = throttle(LIMITS);
    for i in 0..3 {
        let from = format!("2001:db8::{i}").parse().unwrap();
        fail(&throttle, "alice", from, 1);
    }
    let may = |from: &str| may(&throttle, &guess("alice", from.parse().unwrap()), T0);
    assert!(!may("2001:db8::99"));
    assert!(may("2001:db8:0:1::99"));
}

#[test]
fn a_mapped_ipv4_address_is_the_same_network() {
    let throttle = throttle(LIMITS);
    fail(&throttle, "alice", ip(1), 3);
    let mapped = "::ffff:10.0.0.1".parse().unwrap();
    assert!(!may(&throttle, &guess("alice", mapped), T0));
}

#[test]
fn a_success_earns_nothing_for_the_same_name_at_another_backend() {
    let throttle = throttle(LIMITS);
    let at = |backend: &'static str, from| Guess {
        backend,
        is_shared: true,
        ..guess("alice", from)
    };
    let succeed = |guess: &Guess<'_>| throttle.attempt(guess, T0).unwrap().succeeded();
    // Her own guesses at it are not forgotten.
    let mut wrong = 0;
    while let Ok(attempt) = throttle.attempt(&at("local", ip(1)), T0) {
        attempt.failed();
        wrong += 1;
        succeed(&at("file", ip(1)));
    }
    assert_eq!(wrong, LIMITS.pair.free);
    // A network that is known for the one is not known for the other, nor for another spelling.
    succeed(&at("file", far(1)));
    throttle.note_known("local", "\u{e1}lice", far(1), T0);
    for i in 100..200 {
        if let Ok(attempt) = throttle.attempt(&at("local", far(i)), T0) {
            attempt.failed();
        }
    }
    assert!(may(&throttle, &at("file", far(1)), T0));
    assert!(!may(&throttle, &at("local", far(1)), T0));
}

#[test]
fn ones_own_success_buys_no_guesses_at_another_account() {
    let throttle = throttle(LIMITS);
    for _ in 0..3 {
        fail(&throttle, "victim", ip(1), 1);
        let own = throttle.attempt(&guess("attacker", ip(1)), T0).unwrap();
        own.succeeded();
    }
    assert!(!may(&throttle, &guess("victim", ip(1)), T0));
}

#[test]
fn an_account_attacked_from_everywhere_is_held_up_except_where_its_owner_signs_in() {
    let throttle = throttle(LIMITS);
    throttle
        .attempt(&guess("alice", ip(200)), T0)
        .unwrap()
        .succeeded();
    for i in 0..4 {
        fail(&throttle, "alice", far(i), 2);
    }
    assert!(
        !may(&throttle, &guess("alice", far(99)), T0),
        "a new network"
    );
    assert!(may(&throttle, &guess("alice", ip(200)), T0), "the owner's");
    assert!(
        may(&throttle, &by_device("alice", far(99)), T0),
        "the owner's device, wherever it is"
    );
}

#[test]
fn a_familiar_device_has_a_count_of_its_own() {
    let throttle = throttle(LIMITS);
    for i in 0..6 {
        fail(&throttle, &format!("user{i}"), ip(1), 1);
    }
    assert!(!may(&throttle, &guess("alice", ip(1)), T0));
    for _ in 0..3 {
        let own = by_device("alice", ip(1));
        throttle.attempt(&own, T0).unwrap().failed();
    }
    assert!(!may(&throttle, &by_device("alice", far(1)), T0), "used up");
    assert!(
        may(&throttle, &guess("alice", far(1)), T0),
        "and no stranger pays for it"
    );
    let own = by_device("alice", ip(1));
    throttle
        .attempt(&own, T0.plus_seconds(1))
        .unwrap()
        .succeeded();
    assert!(may(&throttle, &own, T0.plus_seconds(1)));
}

#[test]
fn a_hundred_failures_in_a_row_pause_strangers_for_a_day_and_nobody_else() {
    let throttle = throttle(Limits {
        account: Rule {
            free: 1000,
            wait_millis: 60_000,
        },
        ..LIMITS
    });
    for i in 0..99 {
        fail(&throttle, "alice", far(i), 1);
    }
    assert!(may(&throttle, &guess("alice", far(500)), T0));
    fail(&throttle, "alice", far(99), 1);
    let refused = throttle.attempt(&guess("alice", far(500)), T0).unwrap_err();
    assert_eq!(refused.retry_after_seconds, 86_400);
    assert!(may(&throttle, &by_device("alice", far(500)), T0));
    assert!(may(&throttle, &guess("bob", far(500)), T0));
    let next_day = T0.plus_seconds(86_400);
    assert!(may(&throttle, &guess("alice", far(500)), next_day));
}

#[test]
fn unknown_names_wait_like_known_ones() {
    let throttle = throttle(LIMITS);
    throttle
        .attempt(&guess("alice", far(9)), T0)
        .unwrap()
        .succeeded();
    for name in ["alice", "nobody"] {
        let waits: Vec<_> = (0..8)
            .map(|_| match throttle.attempt(&guess(name, ip(1)), T0) {
                Ok(attempt) => {
                    attempt.failed();
                    0
                }
                Err(refused) => refused.retry_after_seconds,
            })
            .collect();
        assert_eq!(waits, [0, 0, 0, 1, 1, 1, 1, 1], "{name}");
    }
}

#[test]
fn parallel_guesses_do_not_overtake_the_count() {
    let throttle = throttle(LIMITS);
    let admitted = std::thread::scope(|scope| {
        let guesses: Vec<_> = (0..50)
            .map(|_| scope.spawn(|| throttle.attempt(&guess("alice", ip(1)), T0).ok()))
            .collect();
        let attempts: Vec<_> = guesses
            .into_iter()
            .filter_map(|guess| guess.join().ok().flatten())
            .collect();
        attempts.len()
    });
    assert_eq!(admitted, 3);
}

#[test]
fn an_attempt_whose_client_goes_away_is_a_failure() {
    let throttle = throttle(LIMITS);
    for _ in 0..3 {
        drop(throttle.attempt(&guess("alice", ip(1)), T0).unwrap());
    }
    let refused = throttle.attempt(&guess("alice", ip(1)), T0).unwrap_err();
    assert_eq!(refused.retry_after_seconds, 1);
    assert_eq!(throttle.held(T0).held[0].failures, Some(3));
}

/// So many guesses at alice's password at once, from where she signed in before: how many were
/// looked at, when this is how each comes out.
async fn side_by_side(many: usize, come_out: fn(Attempt)) -> usize {
    let throttle = throttle(LIMITS);
    throttle
        .attempt(&guess("alice", ip(1)), T0)
        .unwrap()
        .succeeded();
    let one = || async {
        let alice = guess("alice", ip(1));
        let attempt = throttle.attempt_in_turn(&alice, T0).await.ok()?;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        come_out(attempt);
        Some(())
    };
    let all = futures_util::future::join_all((0..many).map(|_| one())).await;
    all.into_iter().flatten().count()
}

#[tokio::test(start_paused = true)]
async fn an_account_is_signed_in_to_side_by_side_where_it_was_before() {
    assert_eq!(side_by_side(60, Attempt::succeeded).await, 60);
}

#[tokio::test(start_paused = true)]
async fn side_by_side_no_more_is_guessed_than_one_after_the_other() {
    assert_eq!(side_by_side(60, Attempt::failed).await, 3);
    assert_eq!(side_by_side(60, drop).await, 3, "nor by going away");
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_others_that_never_come_out_is_told_in_the_end() {
    let throttle = throttle(LIMITS);
    let alice = guess("alice", ip(1));
    throttle.attempt(&alice, T0).unwrap().succeeded();
    let attempts: Vec<_> = (0..3)
        .map(|_| throttle.attempt(&alice, T0).unwrap())
        .collect();
    let refused = throttle.attempt_in_turn(&alice, T0).await.unwrap_err();
    assert_eq!(refused.retry_after_seconds, 1);
    attempts.into_iter().for_each(Attempt::withdrawn);
    assert!(may(&throttle, &alice, T0));
}

#[test]
fn successes_and_what_is_taken_back_never_add_up_to_a_refusal() {
    let throttle = throttle(LIMITS);
    for _ in 0..100 {
        let attempt = |name| throttle.attempt(&guess(name, ip(1)), T0).unwrap();
        attempt("alice").succeeded();
        attempt("bob").withdrawn();
    }
}

#[test]
fn codes_and_passwords_are_counted_apart() {
    let throttle = throttle(LIMITS);
    let code = Guess {
        class: Class::Code,
        ..guess("alice", ip(1))
    };
    fail(&throttle, "alice", ip(1), 3);
    for _ in 0..3 {
        throttle.attempt(&code, T0).unwrap().failed();
    }
    assert!(!may(&throttle, &code, T0));
    let nobodys = Guess { name: "", ..code };
    for _ in 0..3 {
        throttle.attempt(&nobodys, T0).unwrap().failed();
    }
    assert!(!may(&throttle, &nobodys, T0), "the network's are used up");
    assert!(may(&throttle, &guess("bob", ip(1)), T0));
}

#[test]
fn a_network_makes_only_so_much_of_anything() {
    let throttle = throttle(LIMITS);
    let take = |rate, from, now| throttle.take(rate, from, now).is_ok();
    assert!((0..5).all(|_| take(Rate::Begin, ip(1), T0)));
    assert!(!take(Rate::Begin, ip(1), T0) && take(Rate::Begin, ip(2), T0));
    assert!(take(Rate::Register, ip(1), T0), "each has its own");
    assert!(take(Rate::Begin, ip(1), T0.plus_seconds(1)));
    let held = throttle.held(T0).held;
    assert_eq!((held[0].class, held[0].scope), ("begin", "network"));
    let block = |i: u8| throttle.take(Rate::Register, IpAddr::from([30, 0, 0, i]), T0);
    assert!((0..8).all(|i| block(i).is_ok()) && block(9).is_err());
}

#[test]
fn a_spray_of_addresses_neither_grows_memory_nor_frees_an_attacker() {
    let throttle = throttle(LIMITS);
    throttle
        .attempt(&guess("owner", ip(9)), T0)
        .unwrap()
        .succeeded();
    fail(&throttle, "alice", ip(1), 3);
    let mut most = 0;
    for i in 0..100_000_u32 {
        let from = IpAddr::from(std::net::Ipv6Addr::from(
            0x2001_0db8 << 96 | u128::from(i) << 80,
        ));
        let name = format!("n{i}");
        throttle.attempt(&guess(&name, from), T0).unwrap().failed();
        if i % 10_000 == 9999 {
            most = most.max(throttle.held(T0).bytes);
        }
    }
    // Four tables of 1000 keys, and 1000 accounts' known networks.
    assert!(most <= 4 * 1000 * 50 + 1000 * 80, "{most} bytes");
    assert!(!may(&throttle, &guess("alice", ip(1)), T0));
    for i in 0..8 {
        fail(&throttle, "owner", far(i), 1);
    }
    assert!(may(&throttle, &guess("owner", ip(9)), T0), "still known");
}

#[test]
fn an_operator_sees_who_waits_and_lets_them_go() {
    let throttle = throttle(LIMITS);
    fail(&throttle, "Alice", ip(1), 3);
    fail(&throttle, "bob", ip(1), 3);
    let held = throttle.held(T0);
    let rows: Vec<_> = held
        .held
        .iter()
        .map(|key| (key.scope, key.account.as_deref(), key.network.as_deref()))
        .collect();
    assert_eq!(
        rows,
        [
            ("network", None, Some("10.0.0.1")),
            ("pair", Some("alice"), Some("10.0.0.1")),
            ("pair", Some("bob"), Some("10.0.0.1")),
        ]
    );
    assert_eq!(throttle.clear(&Which::Account("ALICE".into()), T0), 2);
    assert!(!may(&throttle, &guess("alice", ip(1)), T0), "its network's");
    assert!(throttle.clear(&Which::Network(Network::of(ip(1))), T0) >= 2);
    assert!(may(&throttle, &guess("alice", ip(1)), T0));
    assert!(may(&throttle, &guess("bob", ip(1)), T0));
    for i in 10..34 {
        fail(&throttle, &format!("user{i}"), ip(i), 1);
    }
    assert!(!may(&throttle, &guess("bob", ip(50)), T0), "the block's");
    throttle.clear(&Which::Network(Network::of(ip(99))), T0);
    assert!(may(&throttle, &guess("bob", ip(50)), T0));
    fail(&throttle, "bob", ip(2), 3);
    throttle.clear(&Which::All, T0);
    assert!(throttle.held(T0).held.is_empty());
    assert!(may(&throttle, &guess("bob", ip(2)), T0));
}

#[test]
fn who_waits_is_forgotten_with_the_wait() {
    let throttle = throttle(LIMITS);
    fail(&throttle, "alice", ip(1), 3);
    assert_eq!(throttle.held(T0).held.len(), 1);
    let later = T0.plus_seconds(180);
    let held = throttle.held(later);
    assert!(held.held.is_empty());
    assert_eq!(held.tracked["pairs"], 0);
    fail(&throttle, "bob", ip(2), 3);
    let in_time = T0.plus_seconds(1);
    let right = throttle.attempt(&guess("bob", ip(2)), in_time);
    right.unwrap().succeeded();
    assert!(throttle.held(T0).held.is_empty(), "nor with a success");
}

#[test]
fn other_limits_hold_from_then_on_and_what_was_counted_stays() {
    let throttle = throttle(LIMITS);
    fail(&throttle, "alice", ip(1), 3);
    throttle.set_limits(Limits {
        pair: Rule {
            free: 5,
            ..LIMITS.pair
        },
        ..LIMITS
    });
    let later = T0.plus_seconds(1);
    for _ in 0..2 {
        let attempt = throttle.attempt(&guess("alice", ip(1)), later);
        attempt.unwrap().failed();
    }
    assert!(!may(&throttle, &guess("alice", ip(1)), later));
}

#[test]
fn what_strangers_wait_for_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store"), &Options::default()).unwrap();
    let before = throttle(LIMITS);
    for i in 0..8 {
        fail(&before, "alice", far(i), 1);
    }
    fail(&before, "bob", far(1), 1);
    let changes = before.changes(T0);
    assert_eq!(changes.len(), 1, "only whom strangers wait for");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.unwrap();
    let write = |changes: Vec<_>| {
        let written = store.write(move |tx| save(tx, &changes));
        runtime.block_on(written).unwrap();
    };
    write(changes);
    let after = throttle(LIMITS);
    after.restore(&store.reader(), T0).unwrap();
    assert!(!may(&after, &guess("alice", far(50)), T0));
    assert!(may(&after, &guess("bob", far(50)), T0));
    let changes = after.changes(T0.plus_seconds(86_400));
    assert!(changes.iter().all(|(_, saved)| saved.is_none()));
    write(changes);
    let last = throttle(LIMITS);
    last.restore(&store.reader(), T0).unwrap();
    assert!(may(&last, &guess("alice", far(50)), T0));
}
