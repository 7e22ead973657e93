//! Listing: a page costs the page.

use std::cmp::Ordering;

use super::{
    BY_UPDATE, Level, PERMISSIONS, PLACES, Place, SESSIONS, SHARED_WITH, Session, Viewer, level,
    share::Grantee,
};
use crate::{
    clock::Timestamp,
    id::{AgentId, SessionId},
    store::{Key, Order, Read, StoreError},
};

/// What a listing is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// When sessions were made.
    #[default]
    CreatedAt,
    /// When they were last changed.
    UpdatedAt,
}

/// Which way a listing goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Oldest first.
    Ascending,
    /// Newest first.
    #[default]
    Descending,
}

/// Which sessions are listed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// Of an agent so called.
    pub agent_name: Option<String>,
    /// With this in the title, in any letter case.
    pub search: Option<String>,
    /// Also those put away.
    pub include_archived: bool,
    /// None at all: a kind that does not exist here was asked for.
    pub nothing: bool,
}

/// A page that is wanted.
#[derive(Clone, Debug)]
pub struct Query {
    /// Rows at most.
    pub limit: usize,
    /// Only what comes after this session.
    pub after: Option<SessionId>,
    /// Only what comes before this session: the last rows of it.
    pub before: Option<SessionId>,
    /// Sorted by.
    pub sort_by: SortBy,
    /// Which way.
    pub direction: Direction,
    /// Which ones.
    pub filter: Filter,
}

/// A page.
#[derive(Debug, Default)]
pub struct Page {
    /// The sessions, with what the viewer may do with each.
    pub rows: Vec<(Session, Level)>,
    /// Whether there are more beyond.
    pub has_more: bool,
}

type Spot = (Timestamp, SessionId);
type Walk<'r> = Box<dyn Iterator<Item = Result<(Spot, Session, Level), StoreError>> + 'r>;

/// One's own sessions and those shared with one.
///
/// # Errors
/// Only of the store. An unknown cursor is an empty page.
pub fn list<R: Read>(from: &R, viewer: &Viewer, query: &Query) -> Result<Page, StoreError> {
    if query.filter.nothing {
        return Ok(Page::default());
    }
    let mut cursors = [None, None];
    for (spot, id) in cursors.iter_mut().zip([query.after, query.before]) {
        if let Some(id) = id {
            match spot_of(from, viewer, &id, query.sort_by)? {
                Some(found) => *spot = Some(found),
                None => return Ok(Page::default()),
            }
        }
    }
    let [after, before] = cursors;
    let forwards = match query.direction {
        Direction::Ascending => Order::Ascending,
        Direction::Descending => Order::Descending,
    };
    let backwards = match forwards {
        Order::Ascending => Order::Descending,
        Order::Descending => Order::Ascending,
    };
    // The rows before a cursor are the nearest ones: walked away from it, and turned round.
    let is_turned = before.is_some() && after.is_none();
    let (order, start) = if is_turned {
        (backwards, before)
    } else {
        (forwards, after)
    };
    let mut page = Page::default();
    for entry in walk(from, viewer, query.sort_by, order, start) {
        let (spot, session, level) = entry?;
        if !is_turned && Some(spot) == before {
            break;
        }
        if !query.filter.admits(&session) {
            continue;
        }
        if page.rows.len() == query.limit {
            page.has_more = true;
            break;
        }
        page.rows.push((session, level));
    }
    if is_turned {
        page.rows.reverse();
    }
    Ok(page)
}

impl Filter {
    fn admits(&self, session: &Session) -> bool {
        let finds = |needle: &String| {
            let title = session.title.as_deref().unwrap_or_default();
            title.to_lowercase().contains(&needle.to_lowercase())
        };
        (self.include_archived || !session.archived)
            && self.agent.is_none_or(|agent| agent == session.agent)
            && self
                .agent_name
                .as_ref()
                .is_none_or(|name| *name == session.agent_name)
            && self.search.as_ref().is_none_or(finds)
    }
}

fn spot_of(
    from: &impl Read,
    viewer: &Viewer,
    id: &SessionId,
    sort_by: SortBy,
) -> Result<Option<Spot>, StoreError> {
    let Some(place) = PLACES.get(from, id)? else {
        return Ok(None);
    };
    if level(from, viewer, id, &place)?.is_none() {
        return Ok(None);
    }
    Ok(match sort_by {
        SortBy::CreatedAt => Some((place.created_at, *id)),
        SortBy::UpdatedAt => record(from, &place, id)?.map(|session| (session.updated_at, *id)),
    })
}

fn record(from: &impl Read, place: &Place, id: &SessionId) -> Result<Option<Session>, StoreError> {
    SESSIONS.get(from, &(place.owner, place.created_at, *id))
}

/// Everything the viewer sees, in order, from past `start`.
fn walk<'r, R: Read>(
    from: &'r R,
    viewer: &Viewer,
    sort_by: SortBy,
    order: Order,
    start: Option<Spot>,
) -> Walk<'r> {
    let own = own(from, viewer, sort_by, order, start);
    let shared = match sort_by {
        SortBy::CreatedAt => shared(from, viewer, order, start),
        SortBy::UpdatedAt => shared_by_update(from, viewer, order, start),
    };
    merge(own, shared, order)
}

fn start_key(viewer: &Viewer, start: Option<Spot>) -> Option<Vec<u8>> {
    start.map(|(at, id)| {
        let mut key = Vec::with_capacity(40);
        (viewer.uid, at, id).encode(&mut key);
        key
    })
}

fn own<'r, R: Read>(
    from: &'r R,
    viewer: &Viewer,
    sort_by: SortBy,
    order: Order,
    start: Option<Spot>,
) -> Walk<'r> {
    let (prefix, start) = (*viewer.uid.as_bytes(), start_key(viewer, start));
    match sort_by {
        SortBy::CreatedAt => Box::new(SESSIONS.scan(from, &prefix, start.as_deref(), order).map(
            |entry| {
                let (_, session) = entry?;
                Ok(((session.created_at, session.id), session, Level::Owner))
            },
        )),
        SortBy::UpdatedAt => {
            let uid = viewer.uid;
            Box::new(
                BY_UPDATE
                    .scan(from, &prefix, start.as_deref(), order)
                    .filter_map(move |entry| {
                        let found = entry.and_then(|(key, ())| {
                            let (at, id) = spot(&key).ok_or_else(|| BY_UPDATE.corrupt(&key))?;
                            let place = PLACES.get(from, &id)?.filter(|place| place.owner == uid);
                            let session = place
                                .map(|place| record(from, &place, &id))
                                .transpose()?
                                .flatten();
                            Ok(session.map(|session| ((at, id), session, Level::Owner)))
                        });
                        found.transpose()
                    }),
            )
        }
    }
}

fn shared<'r, R: Read>(
    from: &'r R,
    viewer: &Viewer,
    order: Order,
    start: Option<Spot>,
) -> Walk<'r> {
    let (uid, start) = (viewer.uid, start_key(viewer, start));
    Box::new(
        SHARED_WITH
            .scan(from, uid.as_bytes(), start.as_deref(), order)
            .filter_map(move |entry| {
                let found = entry.and_then(|(key, place)| {
                    let (at, id) = spot(&key).ok_or_else(|| SHARED_WITH.corrupt(&key))?;
                    let level = PERMISSIONS
                        .get(from, &(id, Grantee::Account(uid)))?
                        .and_then(Level::from_number);
                    let session = record(from, &place, &id)?;
                    Ok(session
                        .zip(level)
                        .map(|(session, level)| ((at, id), session, level)))
                });
                found.transpose()
            }),
    )
}

/// What is shared has no index by update: there is little of it.
fn shared_by_update<'r, R: Read>(
    from: &'r R,
    viewer: &Viewer,
    order: Order,
    start: Option<Spot>,
) -> Walk<'r> {
    let all = shared(from, viewer, Order::Ascending, None).map(|entry| {
        let (_, session, level) = entry?;
        Ok(((session.updated_at, session.id), session, level))
    });
    let mut all = match all.collect::<Result<Vec<_>, StoreError>>() {
        Ok(all) => all,
        Err(error) => return Box::new(std::iter::once(Err(error))),
    };
    all.retain(|(spot, ..)| start.is_none_or(|start| comes_first(&start, spot, order)));
    all.sort_by(|(a, ..), (b, ..)| {
        if comes_first(a, b, order) {
            Ordering::Less
        } else {
            Ordering::Greater
        }
    });
    Box::new(all.into_iter().map(Ok))
}

fn merge<'r>(one: Walk<'r>, other: Walk<'r>, order: Order) -> Walk<'r> {
    let (mut one, mut other) = (one.peekable(), other.peekable());
    Box::new(std::iter::from_fn(move || {
        match (one.peek(), other.peek()) {
            (Some(Ok((a, ..))), Some(Ok((b, ..)))) if comes_first(b, a, order) => other.next(),
            (None, _) | (_, Some(Err(_))) => other.next(),
            _ => one.next(),
        }
    }))
}

fn comes_first(a: &Spot, b: &Spot, order: Order) -> bool {
    match order {
        Order::Ascending => a < b,
        Order::Descending => a > b,
    }
}

/// Time and id in a key of (account, time, id).
fn spot(key: &[u8]) -> Option<Spot> {
    let at = key.get(16..24)?.try_into().ok()?;
    let id = key.get(24..40)?.try_into().ok()?;
    Some((
        Timestamp::from_millis(u64::from_be_bytes(at)),
        SessionId::from_bytes(id),
    ))
}
