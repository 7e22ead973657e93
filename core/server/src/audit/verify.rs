//! The proof of the chain, link by link.
//!
//! **Invariant:** what is missing, altered, added or put elsewhere is named by the number of the
//! first entry that does not fit; an entry that is pruned while it is looked at is no fault.

use serde::Serialize;

use super::trail::{ENTRIES, Ends, Seq, ends, hash, rfc3339};
use crate::{
    store::{Read, StoreError},
    token::hash::Hasher,
};

/// What a look at a part of the chain came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The first entry that was looked at.
    pub first: u64,
    /// The last one; less than `first` when there was none.
    pub last: u64,
    /// The hash of the last one.
    pub hash: String,
    /// Where to go on; nothing when the end was reached and the seal looked at.
    pub next: Option<u64>,
    /// What does not fit: then nothing after it was looked at.
    pub fault: Option<Fault>,
}

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The entry.
    pub seq: u64,
    /// What is wrong with it.
    pub what: &'static str,
}

/// Looks at up to `limit` entries from number `from` on, or from the oldest. A look that begins in
/// the middle takes the hash of the entry before as it is: an earlier look has proven it.
///
/// # Errors
/// Only of the store.
pub fn verify(
    reader: &impl Read,
    hasher: &Hasher,
    from: Option<u64>,
    limit: u64,
) -> Result<Checked, StoreError> {
    let mut checked = Checked {
        first: from.unwrap_or(1),
        last: 0,
        hash: hex::encode([0; 32]),
        next: None,
        fault: None,
    };
    let Some(mut known) = ends(reader)? else {
        if ENTRIES.contains(reader, &Seq(1))? {
            checked.fault = fault(1, "there are entries, and nothing says where they end");
        }
        return Ok(checked);
    };
    let mut seq = from.unwrap_or(known.first).max(known.first);
    checked.first = seq;
    let mut prev = match before(reader, &known, seq)? {
        Some(prev) => prev,
        None => {
            checked.fault = fault(seq.saturating_sub(1), "it is missing");
            return Ok(checked);
        }
    };
    let end = known.next.min(seq.saturating_add(limit));
    while seq < end {
        let Some(link) = ENTRIES.get(reader, &Seq(seq))? else {
            // It may have been pruned since.
            known = ends(reader)?.unwrap_or(known);
            if seq < known.first {
                (seq, prev) = (known.first, known.anchor);
                continue;
            }
            checked.fault = fault(seq, "it is missing");
            return Ok(checked);
        };
        let begins = format!("{{\"seq\":{seq},\"at\":\"{}\",", rfc3339(link.at));
        let ends = format!(",\"prev\":\"{}\"}}", hex::encode(prev));
        let what = if hash(&link.body) != link.hash {
            Some("its text is not the one it was written with")
        } else if !link.body.starts_with(&begins) {
            Some("it is not the entry of this number and time")
        } else if !link.body.ends_with(&ends) {
            Some("it does not follow from the one before it")
        } else {
            None
        };
        if let Some(what) = what {
            checked.fault = fault(seq, what);
            return Ok(checked);
        }
        (checked.last, prev) = (seq, link.hash);
        seq += 1;
    }
    checked.hash = hex::encode(prev);
    if seq < known.next {
        checked.next = Some(seq);
    } else {
        checked.fault = at_the_end(reader, hasher, &known, &prev)?;
    }
    Ok(checked)
}

/// The hash that entry `seq` follows from.
fn before(reader: &impl Read, ends: &Ends, seq: u64) -> Result<Option<[u8; 32]>, StoreError> {
    if seq == ends.first {
        return Ok(Some(ends.anchor));
    }
    let link = ENTRIES.get(reader, &Seq(seq.saturating_sub(1)))?;
    Ok(link.map(|link| link.hash))
}

/// Whether the chain ends where the seal says.
fn at_the_end(
    reader: &impl Read,
    hasher: &Hasher,
    ends: &Ends,
    last: &[u8; 32],
) -> Result<Option<Fault>, StoreError> {
    let end = ends.next.saturating_sub(1);
    if *last != ends.head {
        return Ok(fault(end, "it is not the last one that was written"));
    }
    if !ends.is_sealed(hasher) {
        return Ok(fault(end, "the seal of the chain's ends is not ours"));
    }
    if let Some(doubt) = ends.doubt {
        return Ok(fault(
            doubt,
            "when it was written, the seal of the chain's ends was not ours",
        ));
    }
    // An entry past the end: the ends were put back to what they once were. Or it has just come.
    let is_beyond = ENTRIES.contains(reader, &Seq(ends.next))?;
    let is_still_so = super::trail::ends(reader)?.is_some_and(|now| now.next == ends.next);
    Ok(if is_beyond && is_still_so {
        fault(ends.next, "it is past the end of the chain")
    } else {
        None
    })
}

#[allow(clippy::unnecessary_wraps, reason = "what it is stored as")]
const fn fault(seq: u64, what: &'static str) -> Option<Fault> {
    Some(Fault { seq, what })
}
