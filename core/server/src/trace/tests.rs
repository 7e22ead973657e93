#![allow(clippy::unwrap_used)]

use std::{
    sync::{Arc, atomic::AtomicUsize},
    time::Instant,
};

use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::{
    Answer, Arrived, Ended, MOST_OF_ONE, Parent, Started, Trace, Tracer, Work, spans, threshold,
};
use crate::{
    id::{RequestId, TraceId},
    metrics::Meters,
};

const SECOND: u64 = 1_000_000_000;

/// One that nobody sends for.
fn tracer(ratio: f64, most: usize) -> (Arc<Tracer>, UnboundedReceiver<Ended>) {
    let (queue, ended) = mpsc::unbounded_channel();
    let tracer = Tracer {
        threshold: threshold(ratio),
        most,
        queue,
        flushes: mpsc::channel(1).0,
        held: Arc::new(AtomicUsize::new(0)),
        meters: Arc::new(Meters::new([])),
    };
    (Arc::new(tracer), ended)
}

fn arrived(parent: Option<Parent>, is_trusted: bool) -> Arrived {
    Arrived {
        request: RequestId::random(),
        began: Instant::now(),
        now: SECOND,
        parent,
        is_trusted,
    }
}

fn parent(is_sampled: bool) -> Option<Parent> {
    Some(Parent {
        trace: TraceId::from_bytes([7; 16]),
        span: [9; 8],
        is_sampled,
    })
}

const OK: Answer = Answer {
    method: Some("GET"),
    route: Some("/v1/me"),
    status: 200,
    version: "1.1",
    is_secure: true,
};

const WRITTEN: Work = Work::Write { is_committed: true };

fn dropped(tracer: &Tracer) -> u64 {
    let mut readings = tracer.meters.spans.readings();
    readings.find(|(word, _)| *word == "dropped").unwrap().1
}

#[test]
fn as_many_traces_are_kept_as_the_ratio_says() {
    for (ratio, least, most) in [(0.0, 0, 0), (0.25, 800, 1_200), (1.0, 4_000, 4_000)] {
        let (tracer, _ended) = tracer(ratio, 10);
        let kept = (0..4_000).filter(|_| tracer.begin(&arrived(None, false)).is_some());
        let kept = kept.count();
        assert!((least..=most).contains(&kept), "{ratio}: {kept}");
    }
    // To the last bit, as others that sample by the same ratio.
    let (tracer, _ended) = tracer(0.5, 10);
    let id = |last: u64| TraceId::from_bytes(u128::from(last).to_be_bytes());
    assert!(tracer.keeps(id(u64::MAX >> 1)));
    assert!(!tracer.keeps(id((u64::MAX >> 1) + 1)));
}

#[test]
fn a_trusted_parent_decides_and_a_stranger_does_not() {
    let (never, _ended) = tracer(0.0, 10);
    let (always, mut ended) = tracer(1.0, 10);
    let begin = |tracer: &Arc<Tracer>, is_sampled, is_trusted| {
        tracer.begin(&arrived(parent(is_sampled), is_trusted))
    };
    assert!(begin(&never, true, true).is_some());
    assert!(begin(&never, true, false).is_none());
    assert!(begin(&always, false, true).is_none());
    let trace = begin(&always, false, false).unwrap();
    assert_ne!(trace.id().as_bytes(), &[7; 16]);
    trace.end(OK);
    let stranger = ended.try_recv().unwrap();
    assert_eq!((stranger.parent, stranger.link), (None, parent(false)));
    begin(&always, true, true).unwrap().end(OK);
    let trusted = ended.try_recv().unwrap();
    assert_eq!((trusted.parent, trusted.link), (parent(true), None));
    assert_eq!(trusted.trace.as_bytes(), &[7; 16]);
}

#[test]
fn no_more_spans_are_held_than_may_be() {
    let (tracer, mut ended) = tracer(1.0, 7);
    for _ in 0..5 {
        let trace = tracer.begin(&arrived(None, false)).unwrap();
        Trace::during(Some(&trace), || {
            Started::now().unwrap().end(WRITTEN);
            Started::now().unwrap().end(WRITTEN);
        });
        trace.end(OK);
    }
    let held: Vec<_> = std::iter::from_fn(|| ended.try_recv().ok()).collect();
    assert_eq!(held.iter().map(spans).sum::<usize>(), 6);
    assert_eq!(dropped(&tracer), 9);
}

#[test]
fn a_request_has_so_many_spans_and_none_after_its_answer() {
    let (tracer, mut ended) = tracer(1.0, 1_000);
    let trace = tracer.begin(&arrived(None, false)).unwrap();
    let late = Trace::during(Some(&trace), || {
        for _ in 0..MOST_OF_ONE + 3 {
            Started::now().unwrap().end(WRITTEN);
        }
        Started::now().unwrap()
    });
    assert!(Started::now().is_none(), "only while it is worked for");
    trace.end(OK);
    late.end(WRITTEN);
    trace.end(OK);
    let request = ended.try_recv().unwrap();
    assert!(ended.try_recv().is_err(), "answered once");
    assert_eq!(request.children.len(), MOST_OF_ONE);
    assert_eq!(dropped(&tracer), 4);
    for child in &request.children {
        assert!(request.start <= child.start && child.end <= request.end);
    }
    let mut ids: Vec<_> = (0..=MOST_OF_ONE).map(|place| request.span(place)).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), MOST_OF_ONE + 1);
}
