//! WHEN: a date, an RFC 3339 time, or how long.

use jiff::{Timestamp, civil::Date, tz::TimeZone};

use crate::failure::Failure;

/// A time in the past: a date means its beginning, `7d` means seven days ago.
pub fn past(text: &str) -> Result<Timestamp, Failure> {
    past_from(text, now(), &TimeZone::system())
}

/// A time in the past: a date means its end, `7d` means seven days ago.
pub fn past_to_end(text: &str) -> Result<Timestamp, Failure> {
    let zone = TimeZone::system();
    end_of(text, &zone).map_or_else(|| past_from(text, now(), &zone), Ok)
}

/// A time to come: a date means its end, `7d` means in seven days.
pub fn future(text: &str) -> Result<Timestamp, Failure> {
    future_from(text, now(), &TimeZone::system())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the command has one question to the clock, and tests pass a time below"
)]
fn now() -> Timestamp {
    Timestamp::try_from(std::time::SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Now, in Unix seconds.
pub fn seconds() -> i64 {
    now().as_second()
}

/// Now, as a name for a folder.
pub fn stamp() -> String {
    now().strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// A time with its date, in this host's zone.
pub fn local(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or_default();
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn future_from(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Failure> {
    if let Ok(duration) = humantime::parse_duration(text)
        && let Ok(time) = now.checked_add(duration)
    {
        return Ok(time);
    }
    end_of(text, zone).map_or_else(|| point(text), Ok)
}

/// The end of a date.
fn end_of(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let date = text.parse::<Date>().ok().filter(|_| text.len() == 10)?;
    Some(date.tomorrow().and_then(|day| day.to_zoned(zone.clone())).ok()?.timestamp())
}

fn past_from(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, Failure> {
    if let Ok(duration) = humantime::parse_duration(text)
        && let Ok(time) = now.checked_sub(duration)
    {
        return Ok(time);
    }
    if let Ok(date) = text.parse::<Date>()
        && text.len() == 10
        && let Ok(start) = date.to_zoned(zone.clone())
    {
        return Ok(start.timestamp());
    }
    point(text)
}

fn point(text: &str) -> Result<Timestamp, Failure> {
    text.parse().map_err(|_| {
        Failure::usage(format!(
            "\"{}\" is no time: write a date (2027-01-31), an RFC 3339 time (2027-01-31T12:00:00Z), or 7d",
            crate::output::clean(text)
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_times_and_durations_are_understood() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let past = |text| past_from(text, now, &TimeZone::UTC).map(Timestamp::as_second).ok();
        assert_eq!(past("7d"), Some(1_000_000 - 7 * 86_400));
        assert_eq!(past("30m"), Some(1_000_000 - 1800));
        assert_eq!(past("1970-01-02"), Some(86_400));
        assert_eq!(past("1970-01-02T00:00:01Z"), Some(86_401));
        assert_eq!(past("yesterday"), None);
        assert_eq!(past(""), None);
    }

    #[test]
    fn a_date_to_come_lasts_to_its_end() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let future = |text| future_from(text, now, &TimeZone::UTC).map(Timestamp::as_second).ok();
        assert_eq!(future("7d"), Some(1_000_000 + 7 * 86_400));
        assert_eq!(future("1970-01-02"), Some(2 * 86_400));
        assert_eq!(future("1970-01-02T00:00:01Z"), Some(86_401));
        assert_eq!(future("tomorrow"), None);
    }
}
