//! Times in print: UTC, so that two who compare what they see speak of the same.

use chat_core::Timestamp;

/// `2026-11-24T05:47:57.123Z` (RFC 3339).
pub(crate) fn rfc3339(time: Timestamp) -> String {
    let (year, month, day) = date(time.0 / 86_400_000);
    let (hour, minute, second) = clock(time);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", time.0 % 1000)
}

/// `2026-11-24 05:47`.
pub(crate) fn minute(time: Timestamp) -> String {
    let (year, month, day) = date(time.0 / 86_400_000);
    let (hour, minute, _) = clock(time);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

fn clock(time: Timestamp) -> (u64, u64, u64) {
    let second = time.0 / 1000 % 86_400;
    (second / 3600, second / 60 % 60, second % 60)
}

/// The civil date of a day since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`, for days that are not negative).
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339_has_them() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(rfc3339(Timestamp(milliseconds)), text);
        }
        assert_eq!(minute(Timestamp(1_700_000_000_123)), "2023-11-14 22:13");
    }

    #[test]
    fn the_last_time_that_can_be_told_is_written_too() {
        assert!(rfc3339(Timestamp(u64::MAX)).ends_with('Z'));
    }
}
