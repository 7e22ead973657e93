//! kill -9 and two processes.

use std::collections::BTreeMap;

use omnigent_server::{
    id::random_bytes,
    store::{OpenError, Options, Store},
};

use crate::child::{assert_none_lost, start};

#[test]
fn kills_lose_no_acknowledged_write_and_leave_none_half_there() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut acked = BTreeMap::new();
    for _ in 0..omnigent_tests::kills(50) {
        let mut child = start(&data, None, None);
        assert_none_lost(&acked, &child.opening().unwrap());
        let [a, b] = random_bytes::<2>();
        child.kill_after(usize::from(a) + usize::from(b % 4) * 100, &mut acked);
    }
    assert_none_lost(&acked, &start(&data, Some(0), None).opening().unwrap());
    assert!(
        acked.values().sum::<u64>() > 1000,
        "hardly anything was written: {acked:?}"
    );
}

#[test]
fn second_process_is_refused_while_the_first_lives_and_not_after() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut first = start(&data, None, None);
    first.opening().unwrap();
    let refusal = Store::open(&data, &Options::default()).unwrap_err();
    assert_eq!(refusal, OpenError::Locked(data.clone()));
    let why = start(&data, Some(0), None).opening().unwrap_err();
    assert!(why.contains("another omnigent server is using"), "{why}");
    first.kill_after(10, &mut BTreeMap::new());
    start(&data, Some(0), None).opening().unwrap();
}
