//! The child: opens the store, tells what it finds, and writes until it is killed.
//!
//! Every transaction of writer `w` number `n` puts `(w, n)` into two tables, deletes number
//! `n - KEEP` from both and sets the writer's counter to `n`. So from the counter alone follows
//! what must be there and what must not, and half a transaction shows.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Lines},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use omnigent_server::store::{Options, Order, Reader, Store, StoreError, Table, Tx};

pub const WRITERS: u8 = 6;
const KEEP: u64 = 300;

const COUNTERS: Table<u8, u64> = Table::new(1, "counters");
const LEFT: Table<(u8, u64), u64> = Table::new(5, "left");
const RIGHT: Table<(u8, u64), Vec<u8>> = Table::new(20, "right");

/// What a child says.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// The store did not open.
    Refused(String),
    /// It opened, and this writer's records are whole up to this number.
    Found(u8, u64),
    /// All was found; writing begins.
    Ready,
    /// Acknowledged.
    Acked(u8, u64),
    /// A write failed, and reads still answer.
    Stopped(String),
}

/// A running child.
pub struct Running {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Starts a child on `dir`; with `limit`, each writer stops after so many writes.
pub fn start(dir: &Path, limit: Option<u64>, preload: Option<&Path>) -> Running {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["child::child", "--exact", "--nocapture"]);
    command
        .env("STORE_CHILD", dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(limit) = limit {
        command.env("STORE_LIMIT", limit.to_string());
    }
    if let Some(library) = preload {
        command.env("LD_PRELOAD", library);
    }
    let mut process = command.spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    Running { process, lines }
}

impl Running {
    /// The next thing it says; nothing once it is gone.
    pub fn next(&mut self) -> Option<Said> {
        loop {
            let line = self.lines.next()?.ok()?;
            let mut words = line.splitn(3, ' ');
            let kind = words.next();
            let mut number = || words.next().and_then(|word| word.parse().ok());
            return Some(match kind {
                Some("refused") => Said::Refused(line["refused ".len()..].to_owned()),
                Some("stopped") => Said::Stopped(line["stopped ".len()..].to_owned()),
                Some("ready") => Said::Ready,
                // A line cut off by the kill acknowledges nothing.
                Some(kind @ ("found" | "ack")) => match (number(), number()) {
                    (Some(writer), Some(to)) if kind == "ack" => Said::Acked(writer as u8, to),
                    (Some(writer), Some(to)) => Said::Found(writer as u8, to),
                    _ => continue,
                },
                _ => continue,
            });
        }
    }

    /// Everything up to `Ready` or the end: the counters found, or the refusal.
    pub fn opening(&mut self) -> Result<BTreeMap<u8, u64>, String> {
        let mut found = BTreeMap::new();
        loop {
            match self.next() {
                Some(Said::Found(writer, to)) => drop(found.insert(writer, to)),
                Some(Said::Ready) => return Ok(found),
                Some(Said::Refused(why)) => return Err(why),
                other => panic!("the child died or lost records: {other:?} after {found:?}"),
            }
        }
    }

    /// Reads `count` acknowledgements, kills, and reads those that were still under way.
    pub fn kill_after(mut self, count: usize, acked: &mut BTreeMap<u8, u64>) {
        let mut seen = 0;
        let mut killed = false;
        loop {
            if seen >= count && !killed {
                self.process.kill().unwrap();
                killed = true;
            }
            match self.next() {
                Some(Said::Acked(writer, to)) => {
                    seen += 1;
                    acked.insert(writer, to);
                }
                None => break,
                other => panic!("unexpected: {other:?}"),
            }
        }
        self.process.wait().unwrap();
    }
}

/// Every acknowledged write must have been found.
pub fn assert_none_lost(acked: &BTreeMap<u8, u64>, found: &BTreeMap<u8, u64>) {
    for (writer, to) in acked {
        let kept = found.get(writer).copied().unwrap_or(0);
        assert!(
            kept >= *to,
            "writer {writer}: {to} was acknowledged, {kept} is there"
        );
    }
}

/// Not a test: what the children of the others run. Without its variable it does nothing.
#[test]
fn child() {
    let Some(dir) = std::env::var_os("STORE_CHILD") else {
        return;
    };
    println!();
    let store = match Store::open(Path::new(&dir), &Options::default()) {
        Ok(store) => store,
        Err(refusal) => return println!("refused {refusal}"),
    };
    let counters = match whole(&store.reader()) {
        Ok(counters) => counters,
        Err(error) => return println!("refused {error}"),
    };
    for (writer, to) in &counters {
        println!("found {writer} {to}");
    }
    println!("ready");
    let limit = std::env::var("STORE_LIMIT").map_or(u64::MAX, |limit| limit.parse().unwrap());
    let write = |writer: u8| {
        let from = counters.get(&writer).copied().unwrap_or(0);
        for number in (from + 1..=u64::MAX).take(limit as usize) {
            if let Err(error) = store.write_blocking(move |tx| step(tx, writer, number)) {
                COUNTERS.get(&store.reader(), &writer).unwrap();
                return println!("stopped {error}");
            }
            println!("ack {writer} {number}");
        }
    };
    std::thread::scope(|scope| {
        (0..WRITERS).for_each(|writer| drop(scope.spawn(move || write(writer))))
    });
}

fn step(tx: &mut Tx<'_>, writer: u8, number: u64) -> Result<(), StoreError> {
    tx.mark_initialised();
    COUNTERS.put(tx, &writer, &number)?;
    LEFT.put(tx, &(writer, number), &number)?;
    RIGHT.put(tx, &(writer, number), &payload(number))?;
    if let Some(old) = number.checked_sub(KEEP) {
        LEFT.delete(tx, &(writer, old))?;
        RIGHT.delete(tx, &(writer, old))?;
    }
    Ok(())
}

fn payload(number: u64) -> Vec<u8> {
    number.to_le_bytes().repeat(1 + (number % 97) as usize)
}

/// The counters, once all that they promise was found and nothing else.
fn whole(reader: &Reader) -> Result<BTreeMap<u8, u64>, StoreError> {
    let mut counters = BTreeMap::new();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for entry in COUNTERS.scan(reader, &[], None, Order::Ascending) {
        let (key, to) = entry?;
        counters.insert(key[0], to);
        for number in to.saturating_sub(KEEP - 1).max(1)..=to {
            left.push((LEFT.key(&(key[0], number)), number));
            right.push((RIGHT.key(&(key[0], number)), payload(number)));
        }
    }
    let all_left = LEFT
        .scan(reader, &[], None, Order::Ascending)
        .collect::<Result<Vec<_>, _>>()?;
    let all_right = RIGHT
        .scan(reader, &[], None, Order::Ascending)
        .collect::<Result<Vec<_>, _>>()?;
    assert_eq!(all_left, left);
    assert_eq!(all_right, right);
    Ok(counters)
}
