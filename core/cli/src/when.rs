//! Times, as people say them.

/// An instant in UTC, to the minute: `2026-11-27 06:31`.
pub(crate) fn at(seconds: f64) -> String {
    if !seconds.is_finite() || !(0.0..253_402_300_800.0).contains(&seconds) {
        return "?".to_owned();
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in range, as checked above"
    )]
    let seconds = seconds as u64;
    let (hour, minute) = (seconds % 86_400 / 3600, seconds % 3600 / 60);
    format!("{} {hour:02}:{minute:02}", day(seconds))
}

/// The UTC day of a moment in seconds: `2026-05-01`.
pub(crate) fn day(seconds: u64) -> String {
    // Civil from days: Howard Hinnant, "chrono-compatible low-level date algorithms".
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// How far off something is: `in 5 hours`, `3 days ago`.
pub(crate) fn lasting(left: f64) -> String {
    if !left.is_finite() {
        return "never".to_owned();
    }
    let length = left.abs();
    let (count, unit) = match length {
        l if l < 120.0 => (l, "second"),
        l if l < 7200.0 => (l / 60.0, "minute"),
        l if l < 172_800.0 => (l / 3600.0, "hour"),
        l => (l / 86_400.0, "day"),
    };
    let count = count.floor();
    let plural = if (count - 1.0).abs() < 0.5 { "" } else { "s" };
    if left < 0.0 {
        format!("{count} {unit}{plural} ago")
    } else {
        format!("in {count} {unit}{plural}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_the_calendars() {
        for (seconds, shown) in [
            (0, "1970-01-01"),
            (951_782_400, "2000-02-29"),
            (1_709_251_199, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (4_102_444_800, "2100-01-01"),
        ] {
            assert_eq!(day(seconds), shown);
        }
    }

    #[test]
    fn an_instant_is_a_date() {
        for (seconds, text) in [
            (0.0, "1970-01-01 00:00"),
            (951_782_400.0, "2000-02-29 00:00"),
            (1_795_761_060.5, "2026-11-27 06:31"),
            (f64::NAN, "?"),
            (-1.0, "?"),
        ] {
            assert_eq!(at(seconds), text);
        }
    }

    #[test]
    fn a_distance_is_a_phrase() {
        for (left, text) in [
            (1.0, "in 1 second"),
            (3600.0, "in 60 minutes"),
            (-7200.0, "2 hours ago"),
            (30.0 * 86_400.0, "in 30 days"),
        ] {
            assert_eq!(lasting(left), text);
        }
    }
}
