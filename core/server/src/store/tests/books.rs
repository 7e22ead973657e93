//! The books always say what lies there.

use proptest::prelude::*;

use super::*;
use crate::store::{
    ledger::{Ledger, Tally, bucket},
    record::Sound,
};

/// Reads everything and holds it against the books.
fn assert_balanced(store: &Store) {
    let engine = &store.reader().engine.engine;
    let all = |range| {
        let mut entries = Vec::new();
        let look = |key: &[u8], bytes: &[u8]| {
            entries.push((key.to_vec(), bytes.to_vec()));
            true
        };
        engine.scan(range, look).unwrap();
        entries
    };
    let ledger = Ledger::load(all(vec![0]..vec![1]).into_iter())
        .unwrap()
        .unwrap();
    let mut tallies = std::collections::BTreeMap::<u16, Tally>::new();
    for (key, bytes) in all(vec![1]..vec![255]) {
        tallies
            .entry(bucket(&key))
            .or_default()
            .add(Sound::check(&key, &bytes).unwrap().sum);
    }
    let kept: std::collections::BTreeMap<_, _> = ledger
        .tallies
        .iter()
        .map(|(id, tally)| (*id, tally.0))
        .collect();
    assert_eq!(kept, tallies);
    assert_eq!(
        ledger.mark.count,
        tallies.values().map(|tally| tally.count).sum::<u64>()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_run_of_transactions_leaves_the_books_balanced_and_the_model_right(
        steps in prop::collection::vec(prop::collection::vec((0_u8..6, 0_u64..4, 0_u64..3, any::<bool>()), 1..6), 1..12),
        refused in any::<u16>(),
    ) {
        let Fixture { store, dir: _dir } = fixture();
        let mut model = std::collections::BTreeMap::new();
        for (place, step) in steps.into_iter().enumerate() {
            let refuse = refused >> (place % 16) & 1 == 1;
            let changes = step.clone();
            let done = store.write_blocking(move |tx| {
                for (owner, number, value, delete) in changes {
                    if delete {
                        NUMBERS.delete(tx, &(owner, number))?;
                    } else {
                        NUMBERS.put(tx, &(owner, number), &value)?;
                    }
                }
                if refuse { Err(StoreError::Busy) } else { Ok(()) }
            });
            prop_assert_eq!(done.is_err(), refuse);
            for (owner, number, value, delete) in step.into_iter().filter(|_| !refuse) {
                let key = NUMBERS.key(&(owner, number));
                if delete { model.remove(&key); } else { model.insert(key, value); }
            }
        }
        assert_balanced(&store);
        let stored: Result<std::collections::BTreeMap<_, _>, _> =
            NUMBERS.scan(&store.reader(), b"", None, Order::Ascending).collect();
        prop_assert_eq!(stored.unwrap(), model);
    }
}
