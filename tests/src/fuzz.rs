//! The fuzz targets without a fuzzer: each on its seeds, and on thousands of inputs near them.
//!
//! The same in every run: what fails here fails again. `scripts/fuzz` looks further.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::repository;

/// Inputs near the seeds.
const NEIGHBOURS: usize = 3000;

/// The longest of them, in bytes.
const LONGEST: usize = 4096;

/// What is fuzzed, by name.
pub type Target = (&'static str, fn(&[u8]));

/// Runs each target on the seeds in `tests/fuzz/seeds/<name>` and on their neighbours.
///
/// # Panics
/// When one of them does; the input is left in `target/fuzz/<name>`.
pub fn replay(targets: &[Target]) {
    let is_good = |(name, target): &&Target| {
        let seeds = seeds(name);
        assert!(!seeds.is_empty(), "{name} has no seeds");
        let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
        seeds.iter().all(|seed| holds(name, *target, seed))
            && (0..NEIGHBOURS).all(|_| holds(name, *target, &dice.neighbour(&seeds)))
    };
    let bad: Vec<_> = targets.iter().filter(|target| !is_good(target)).collect();
    let names: Vec<_> = bad.iter().map(|(name, _)| name).collect();
    assert!(names.is_empty(), "{names:?} broke a promise: see above");
}

/// The inputs below `tests/fuzz/seeds/<name>`, in the order of their names.
fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = repository().join("tests/fuzz/seeds").join(name);
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| fs::read(path).expect("a seed");
    paths.iter().map(read).collect()
}

fn holds(name: &str, target: fn(&[u8]), input: &[u8]) -> bool {
    let holds = catch_unwind(AssertUnwindSafe(|| target(input))).is_ok();
    if !holds {
        let folder = repository().join("target/fuzz");
        let _ = fs::create_dir_all(&folder);
        let path = folder.join(name);
        let _ = fs::write(&path, input);
        let text = String::from_utf8_lossy(input);
        eprintln!("{name} failed on {}: {text:?}", path.display());
    }
    holds
}

/// Chance that comes out the same every time (xorshift64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or_default() % end.max(1)
    }

    fn byte(&mut self) -> u8 {
        // What parsers look for, more often than the rest.
        const SPECIAL: &[u8] = b"\0\x01\t\n\r \"%&'+,-./0127:;<=>?@AZ[\\]_az{|}\x7f\x80\xc3\xff";
        match self.below(3) {
            0 => u8::try_from(self.below(256)).unwrap_or_default(),
            _ => SPECIAL[self.below(SPECIAL.len())],
        }
    }

    /// A seed with a few changes.
    fn neighbour(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(input.len() + 1);
            let end = (at + self.below(16)).min(input.len());
            match self.below(7) {
                0 if at < input.len() => input[at] ^= 1 << self.below(8),
                1 if at < input.len() => input[at] = self.byte(),
                2 => input.insert(at, self.byte()),
                3 => drop(input.drain(at..end)),
                4 => {
                    let again = input[at..end].to_vec();
                    drop(input.splice(at..at, again));
                }
                5 => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len() + 1);
                    let until = (from + self.below(40)).min(other.len());
                    drop(input.splice(at..end, other[from..until].iter().copied()));
                }
                _ => input.truncate(at.max(1)),
            }
        }
        input.truncate(LONGEST);
        input
    }
}
