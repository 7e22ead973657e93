//! Moments in words.

use std::time::{Duration, SystemTime};

use crate::clock::Timestamp;

/// A moment, as people say it and as machines write it.
pub(in crate::http) struct When {
    /// As people say it, seen from now: "5 minutes ago", "in 3 days".
    pub(in crate::http) words: String,
    /// RFC 3339.
    pub(in crate::http) iso: String,
}

/// The last second that RFC 3339 has a way to write.
const LAST: u64 = 253_402_300_799;

impl When {
    /// `at`, seen from `now`.
    pub(in crate::http) fn new(at: Timestamp, now: Timestamp) -> Self {
        let moment = SystemTime::UNIX_EPOCH + Duration::from_secs(at.seconds().min(LAST));
        let words = if at > now {
            format!("in {}", span(at.millis_since(now).div_ceil(1000)))
        } else {
            match now.millis_since(at) / 1000 {
                0..=44 => "just now".to_owned(),
                seconds => format!("{} ago", span(seconds)),
            }
        };
        Self {
            words,
            iso: humantime::format_rfc3339_seconds(moment).to_string(),
        }
    }
}

/// So many seconds, rounded as people do.
pub(super) fn span(seconds: u64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (365 * 86_400, "year"),
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    // From half a unit on, so that 59 minutes and 50 seconds are an hour, and a bit less than
    // thirty days are thirty.
    let fits = |(unit, _): &(u64, &str)| *unit == 1 || seconds + unit / 60 >= *unit;
    let (unit, name) = UNITS.into_iter().find(fits).unwrap_or((1, "second"));
    let count = ((seconds + unit / 2) / unit).max(1);
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {name}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_said_as_people_do() {
        let now = Timestamp::from_seconds(1_000_000_000);
        let said = |seconds: i64| {
            let at = now.seconds().saturating_add_signed(seconds);
            When::new(Timestamp::from_seconds(at), now).words
        };
        assert_eq!(said(0), "just now");
        assert_eq!(said(-50), "50 seconds ago");
        assert_eq!(said(-60), "1 minute ago");
        assert_eq!(said(-7200), "2 hours ago");
        assert_eq!(said(-3 * 86_400), "3 days ago");
        assert_eq!(said(30 * 86_400 - 5), "in 30 days");
        assert_eq!(said(8 * 3600 - 1), "in 8 hours");
        assert_eq!(said(366 * 86_400), "in 1 year");
        let end = When::new(Timestamp::from_millis(u64::MAX), now);
        assert_eq!(end.iso, "9999-12-31T23:59:59Z");
    }
}
