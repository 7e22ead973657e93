//! Requests by route: how many, how they were answered, how long they took.
//!
//! This is on the way of every bearer request, so each thread adds to numbers of its own.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    counter::{Counter, SHARDS, shard},
    histogram::{Reading, TIMES, bucket_of, nanos},
};

/// The place of requests that no route answers.
pub const UNMATCHED: u16 = u16::MAX;

/// Classes of status: 1xx to 5xx.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// RFC 6585 section 4.
const TOO_MANY_REQUESTS: u16 = 429;

/// One route as one thread saw it.
#[derive(Debug)]
#[repr(align(64))]
struct Cell {
    classes: [AtomicU64; CLASSES.len()],
    buckets: [AtomicU64; TIMES.len() + 1],
    nanos: AtomicU64,
}

impl Cell {
    const fn new() -> Self {
        Self {
            classes: [const { AtomicU64::new(0) }; CLASSES.len()],
            buckets: [const { AtomicU64::new(0) }; TIMES.len() + 1],
            nanos: AtomicU64::new(0),
        }
    }
}

/// The requests answered so far.
#[derive(Debug)]
pub struct Requests {
    /// Method and path of each route; the last one stands for all that match none.
    routes: Box<[(String, &'static str)]>,
    /// The routes as each thread saw them, from its first request on.
    shards: [OnceLock<Box<[Cell]>>; SHARDS],
    throttled: Counter,
}

/// A route's requests.
pub(super) struct OfRoute<'r> {
    pub(super) method: &'r str,
    pub(super) path: &'static str,
    /// How many were answered with a status of each class, where there were any.
    pub(super) classes: Vec<(&'static str, u64)>,
    pub(super) times: Reading,
}

impl Requests {
    pub(super) fn new(routes: impl IntoIterator<Item = (String, &'static str)>) -> Self {
        let others = ("other".to_owned(), "unmatched");
        let routes: Box<[_]> = routes.into_iter().chain([others]).collect();
        Self {
            shards: [const { OnceLock::new() }; SHARDS],
            routes,
            throttled: Counter::default(),
        }
    }

    /// A request to the route in this place of the table was answered with `status`.
    pub fn note(&self, route: u16, status: u16, took: Duration) {
        let Some(cells) = self.shards.get(shard()) else {
            return;
        };
        let cells = cells.get_or_init(|| self.routes.iter().map(|_| Cell::new()).collect());
        let Some(cell) = cells.get(usize::from(route)).or_else(|| cells.last()) else {
            return;
        };
        let nanos = nanos(took);
        let class = usize::from(status / 100).wrapping_sub(1);
        let bucket = bucket_of(nanos);
        if let (Some(class), Some(bucket)) = (cell.classes.get(class), cell.buckets.get(bucket)) {
            class.fetch_add(1, Ordering::Relaxed);
            bucket.fetch_add(1, Ordering::Relaxed);
            cell.nanos.fetch_add(nanos, Ordering::Relaxed);
        }
        if status == TOO_MANY_REQUESTS {
            self.throttled.add_one();
        }
    }

    /// The path of the route in this place of the table, as it is written there.
    pub fn path(&self, route: u16) -> Option<&'static str> {
        let (_, routes) = self.routes.split_last()?;
        routes.get(usize::from(route)).map(|(_, path)| *path)
    }

    /// Requests answered with 429.
    pub(super) fn throttled(&self) -> u64 {
        self.throttled.count()
    }

    /// Every route that has answered something.
    pub(super) fn readings<'r>(&'r self) -> Vec<OfRoute<'r>> {
        let routes = self.routes.iter().enumerate();
        let reading = |(place, (method, path)): (usize, &'r (String, &'static str))| {
            let cells: Vec<&Cell> = self
                .shards
                .iter()
                .filter_map(|cells| cells.get()?.get(place))
                .collect();
            let sum = |number: &dyn Fn(&Cell) -> &AtomicU64| -> u64 {
                let numbers = cells.iter().map(|cell| number(cell));
                numbers.map(|number| number.load(Ordering::Relaxed)).sum()
            };
            let classes = CLASSES.iter().enumerate();
            let classes: Vec<_> = classes
                .map(|(i, class)| (*class, sum(&|cell| &cell.classes[i])))
                .filter(|(_, count)| *count > 0)
                .collect();
            let counts = (0..=TIMES.len()).map(|i| sum(&|cell| &cell.buckets[i]));
            let times = Reading::new(TIMES, counts, sum(&|cell| &cell.nanos));
            (!classes.is_empty()).then(|| OfRoute {
                method,
                path,
                classes,
                times,
            })
        };
        routes.filter_map(reading).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Requests {
        Requests::new([("GET".to_owned(), "/a"), ("POST".to_owned(), "/b/{id}")])
    }

    #[test]
    fn each_route_has_its_own_numbers() {
        let requests = some();
        requests.note(0, 200, Duration::from_micros(50));
        requests.note(1, 503, Duration::from_millis(3));
        requests.note(1, 404, Duration::from_millis(3));
        let readings = requests.readings();
        assert_eq!(readings.len(), 2);
        assert_eq!((readings[0].method, readings[0].path), ("GET", "/a"));
        assert_eq!(readings[0].classes, [("2xx", 1)]);
        assert_eq!(readings[1].classes, [("4xx", 1), ("5xx", 1)]);
        assert_eq!(readings[1].times.count, 2);
    }

    #[test]
    fn whatever_matches_nothing_is_one_series() {
        let requests = some();
        for route in [2, 3, 500, UNMATCHED] {
            requests.note(route, 404, Duration::ZERO);
        }
        let readings = requests.readings();
        assert_eq!(readings.len(), 1);
        assert_eq!(readings[0].path, "unmatched");
        assert_eq!(readings[0].classes, [("4xx", 4)]);
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let requests = some();
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    (0..1000).for_each(|_| requests.note(0, 429, Duration::from_nanos(1)));
                });
            }
        });
        assert_eq!(requests.readings()[0].times.count, 16_000);
        assert_eq!(requests.throttled(), 16_000);
    }

    #[test]
    fn a_status_that_is_none_is_not_counted() {
        let requests = some();
        for status in [0, 99, 600, 65535] {
            requests.note(0, status, Duration::ZERO);
        }
        assert!(requests.readings().is_empty());
    }
}
