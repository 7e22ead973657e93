#![allow(clippy::unwrap_used)]

use super::*;
use crate::store::{Options, Store};

const T0: Timestamp = Timestamp::from_seconds(1_700_000_000);

struct House {
    store: Store,
    _dir: tempfile::TempDir,
}

fn viewer(uid: Uid) -> Viewer {
    Viewer {
        uid,
        is_admin: false,
        sees_public: true,
    }
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(dir.path(), &Options::default()).unwrap(),
            _dir: dir,
        }
    }

    fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, SessionError> + Send + 'static,
    ) -> Result<T, SessionError> {
        self.store.write_blocking(work)
    }

    fn session(&self, owner: Uid, seconds: u64) -> SessionId {
        let session = Session {
            id: SessionId::random(),
            owner,
            agent: AgentId::from_bytes([1; 16]),
            agent_name: "reviewer".into(),
            title: Some(format!("Title {seconds}")),
            labels: BTreeMap::new(),
            reasoning_effort: None,
            model_override: None,
            workspace: None,
            parent: None,
            external_id: None,
            archived: false,
            created_at: T0.plus_seconds(seconds),
            updated_at: T0.plus_seconds(seconds),
        };
        let id = session.id;
        self.write(move |tx| Ok(create(tx, session)?)).unwrap();
        id
    }

    fn share(
        &self,
        owner: Uid,
        id: SessionId,
        with: Uid,
        level: Level,
    ) -> Result<(), SessionError> {
        self.write(move |tx| share(tx, &viewer(owner), &id, Grantee::Account(with), level))
    }

    fn list(&self, who: Uid, edit: impl FnOnce(&mut Query)) -> (Vec<SessionId>, bool) {
        let mut query = Query {
            limit: 20,
            after: None,
            before: None,
            sort_by: SortBy::CreatedAt,
            direction: Direction::Descending,
            filter: Filter::default(),
        };
        edit(&mut query);
        let page = list(&self.store.reader(), &viewer(who), &query).unwrap();
        (
            page.rows
                .into_iter()
                .map(|(session, _)| session.id)
                .collect(),
            page.has_more,
        )
    }
}

#[test]
fn pages_follow_each_other_both_ways_and_hold_what_is_shared() {
    let house = House::new();
    let (alice, bob) = (Uid::random(), Uid::random());
    let mut ids: Vec<_> = (0..6)
        .map(|i| house.session(if i == 2 { bob } else { alice }, i))
        .collect();
    house.share(bob, ids[2], alice, Level::Read).unwrap();
    for sort_by in [SortBy::CreatedAt, SortBy::UpdatedAt] {
        ids.sort_by_key(|id| {
            PLACES
                .get(&house.store.reader(), id)
                .unwrap()
                .unwrap()
                .created_at
        });
        assert_eq!(
            house.list(alice, |q| (q.sort_by, q.direction) =
                (sort_by, Direction::Ascending)),
            (ids.clone(), false)
        );
        ids.reverse();
        assert_eq!(
            house.list(alice, |q| (q.sort_by, q.limit) = (sort_by, 2)),
            (ids[..2].to_vec(), true)
        );
        let after = Some(ids[1]);
        assert_eq!(
            house
                .list(alice, |q| (q.sort_by, q.limit, q.after) =
                    (sort_by, 3, after))
                .0,
            ids[2..5]
        );
        let before = Some(ids[4]);
        assert_eq!(
            house.list(alice, |q| (q.sort_by, q.limit, q.before) =
                (sort_by, 2, before)),
            (ids[2..4].to_vec(), true)
        );
        let between = (Some(ids[0]), Some(ids[3]));
        assert_eq!(
            house
                .list(alice, |q| (q.sort_by, (q.after, q.before)) =
                    (sort_by, between))
                .0,
            ids[1..3]
        );
    }
}

#[test]
fn a_cursor_one_may_not_see_is_an_empty_page() {
    let house = House::new();
    let (alice, bob) = (Uid::random(), Uid::random());
    house.session(alice, 1);
    let hidden = Some(house.session(bob, 2));
    assert_eq!(house.list(alice, |q| q.after = hidden).0, []);
    assert_eq!(
        house.list(alice, |q| q.after = Some(SessionId::random())).0,
        []
    );
}

#[test]
fn a_change_moves_a_session_up_and_archiving_takes_it_out() {
    let house = House::new();
    let alice = Uid::random();
    let (old, new) = (house.session(alice, 1), house.session(alice, 2));
    let touch = Change {
        title: Some("touched".into()),
        ..Change::default()
    };
    house
        .write(move |tx| change(tx, &viewer(alice), &old, touch, T0.plus_seconds(9)))
        .unwrap();
    assert_eq!(
        house.list(alice, |q| q.sort_by = SortBy::UpdatedAt).0,
        [old, new]
    );
    assert_eq!(
        house
            .list(alice, |q| q.filter.search = Some("TOUCH".into()))
            .0,
        [old]
    );
    let archive = Change {
        archived: Some(true),
        ..Change::default()
    };
    house
        .write(move |tx| change(tx, &viewer(alice), &old, archive, T0.plus_seconds(10)))
        .unwrap();
    assert_eq!(house.list(alice, |_| {}).0, [new]);
    assert_eq!(
        house.list(alice, |q| q.filter.include_archived = true).0,
        [new, old]
    );
}

#[test]
fn strangers_meet_nothing_in_every_verb() {
    let house = House::new();
    let (alice, eve) = (Uid::random(), Uid::random());
    let id = house.session(alice, 1);
    let eve_sees = viewer(eve);
    assert!(matches!(
        get(&house.store.reader(), &eve_sees, &id),
        Err(SessionError::NotFound)
    ));
    assert!(matches!(
        permissions(&house.store.reader(), &eve_sees, &id),
        Err(SessionError::NotFound)
    ));
    let refused =
        house.write(move |tx| change(tx, &eve_sees, &id, Change::default(), T0).map(drop));
    assert!(matches!(refused, Err(SessionError::NotFound)));
    let refused = house.write(move |tx| delete(tx, &eve_sees, &id));
    assert!(matches!(refused, Err(SessionError::NotFound)));
    assert!(matches!(
        house.share(eve, id, eve, Level::Manage),
        Err(SessionError::NotFound)
    ));
    let refused = house.write(move |tx| unshare(tx, &eve_sees, &id, Grantee::Account(eve)));
    assert!(matches!(refused, Err(SessionError::NotFound)));
}

#[test]
fn each_level_does_what_it_says_and_no_more() {
    let house = House::new();
    let (alice, bob, carol) = (Uid::random(), Uid::random(), Uid::random());
    let id = house.session(alice, 1);
    for (level, edits, shares) in [
        (Level::Read, false, false),
        (Level::Edit, true, false),
        (Level::Manage, true, true),
    ] {
        house.share(alice, id, bob, level).unwrap();
        let edit = Change {
            title: Some("x".into()),
            ..Change::default()
        };
        assert_eq!(
            house
                .write(move |tx| change(tx, &viewer(bob), &id, edit, T0))
                .is_ok(),
            edits
        );
        let archive = Change {
            archived: Some(true),
            ..Change::default()
        };
        assert!(
            house
                .write(move |tx| change(tx, &viewer(bob), &id, archive, T0))
                .is_err()
        );
        assert_eq!(house.share(bob, id, carol, Level::Read).is_ok(), shares);
        assert!(house.share(bob, id, bob, Level::Manage).is_err());
        assert!(house.share(bob, id, alice, Level::Read).is_err());
        assert!(
            house
                .write(move |tx| delete(tx, &viewer(bob), &id))
                .is_err()
        );
        assert!(
            house
                .write(move |tx| unshare(tx, &viewer(bob), &id, Grantee::Account(alice)))
                .is_err()
        );
    }
    house
        .write(move |tx| unshare(tx, &viewer(bob), &id, Grantee::Account(bob)))
        .unwrap();
    assert!(matches!(
        get(&house.store.reader(), &viewer(bob), &id),
        Err(SessionError::NotFound)
    ));
}

#[test]
fn everybody_reads_what_is_public_and_changes_nothing() {
    let house = House::new();
    let (alice, eve) = (Uid::random(), Uid::random());
    let id = house.session(alice, 1);
    let public =
        |level| house.write(move |tx| share(tx, &viewer(alice), &id, Grantee::Public, level));
    assert!(matches!(public(Level::Edit), Err(SessionError::Invalid(_))));
    public(Level::Read).unwrap();
    assert_eq!(
        get(&house.store.reader(), &viewer(eve), &id).unwrap().1,
        Level::Read
    );
    let refused =
        house.write(move |tx| change(tx, &viewer(eve), &id, Change::default(), T0).map(drop));
    assert!(matches!(refused, Err(SessionError::Forbidden(_))));
    let hidden = Viewer {
        sees_public: false,
        ..viewer(eve)
    };
    assert!(matches!(
        get(&house.store.reader(), &hidden, &id),
        Err(SessionError::NotFound)
    ));
}

#[test]
fn a_deleted_session_leaves_nothing_behind() {
    let house = House::new();
    let (alice, bob) = (Uid::random(), Uid::random());
    let id = house.session(alice, 1);
    house.share(alice, id, bob, Level::Edit).unwrap();
    house
        .write(move |tx| delete(tx, &viewer(alice), &id))
        .unwrap();
    let reader = house.store.reader();
    assert_eq!(
        SESSIONS.scan(&reader, &[], None, Order::Ascending).count(),
        0
    );
    assert_eq!(PLACES.scan(&reader, &[], None, Order::Ascending).count(), 0);
    assert_eq!(
        BY_UPDATE.scan(&reader, &[], None, Order::Ascending).count(),
        0
    );
    assert_eq!(
        SHARED_WITH
            .scan(&reader, &[], None, Order::Ascending)
            .count(),
        0
    );
    assert_eq!(
        PERMISSIONS
            .scan(&reader, &[], None, Order::Ascending)
            .count(),
        0
    );
}

#[test]
fn an_admin_reads_by_id_and_does_not_write() {
    let house = House::new();
    let id = house.session(Uid::random(), 1);
    let admin = Viewer {
        is_admin: true,
        ..viewer(Uid::random())
    };
    assert_eq!(
        get(&house.store.reader(), &admin, &id).unwrap().1,
        Level::Read
    );
    let refused = house.write(move |tx| delete(tx, &admin, &id));
    assert!(matches!(refused, Err(SessionError::Forbidden(_))));
}

#[test]
fn sessions_of_one_millisecond_are_in_the_order_they_were_made() {
    let house = House::new();
    let owner = Uid::from_bytes([7; 16]);
    let mut made: Vec<_> = (0..20).map(|_| house.session(owner, 5)).collect();
    // A clock that was set back is right: what it says is not moved by more than a second.
    let earlier = house.session(owner, 3);
    made.reverse();
    made.push(earlier);
    let listed: Vec<_> = SESSIONS
        .scan(
            &house.store.reader(),
            owner.as_bytes(),
            None,
            Order::Descending,
        )
        .map(|entry| entry.unwrap().1.id)
        .collect();
    assert_eq!(listed, made);
}
