//! The users file of pam_oath (oath-toolkit, liboath/usersfile.c): a line a secret, in fields apart by white space:
//! type, user, PIN, key in hexadecimal, counter, last code, its time. One line is judged without regard to the others.

use super::{Found, Line, key, used_before};
use crate::{
    clock::Timestamp,
    factor::{
        Counted, Kind,
        code::Code,
        totp::{self, Algorithm, Drift, Generator, Parameters, Window},
    },
    secret::Secret,
    tokens::{self, Fault},
};

/// The largest file, in bytes.
pub const MAX_FILE: usize = 4 << 20;
/// As many lines are read of one file.
pub const MAX_LINES: usize = 100_000;

/// Type, user, PIN, key, counter, last code, its time.
const FIELDS: usize = 7;

/// Reads a file: every line that is not empty, and no comment (`#`).
///
/// The caller wipes `text`.
///
/// # Errors
///
/// When it is no such file at all.
pub fn read(text: &[u8], now: Timestamp) -> Result<Vec<Line>, Fault> {
    let whole = |sentence: String| Fault { place: "the file".to_owned(), sentence };
    if text.len() > MAX_FILE {
        return Err(whole(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    if text.contains(&0) {
        return Err(whole("there are NUL bytes in it: it is no users file of pam_oath".to_owned()));
    }
    let said = |line: &&[u8]| !line.is_empty() && !line.starts_with(b"#");
    let lines: Vec<Line> = (1..)
        .zip(text.split(|byte| *byte == b'\n'))
        .map(|(number, line)| (number, line.trim_ascii()))
        .filter(|(_, line)| said(line))
        .take(MAX_LINES + 1)
        .map(|(number, line)| read_line(number, line, now))
        .collect();
    if lines.len() > MAX_LINES {
        return Err(whole(format!("it has more than {MAX_LINES} lines: split it")));
    }
    if lines.is_empty() {
        return Err(whole("there is no secret in it".to_owned()));
    }
    Ok(lines)
}

fn read_line(number: usize, line: &[u8], now: Timestamp) -> Line {
    let Ok(line) = str::from_utf8(line) else {
        let found = Err("this is no text in UTF-8".to_owned());
        return Line { number, user: String::new(), found };
    };
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let kind = fields.first().and_then(|kind| kind_of(kind));
    // Where the type is none, the second field may be anything, a key too.
    let user = kind.and(fields.get(1)).map(|user| (*user).to_owned()).unwrap_or_default();
    let found = match kind {
        None => Err("the type is none of HOTP, HOTP/E, HOTP/T30 and HOTP/T60, with 6 to 8 digits".to_owned()),
        Some(kind) => secret(kind, &fields, now),
    };
    Line { number, user, found }
}

/// Kind, digits, step.
fn kind_of(name: &str) -> Option<(Kind, u8, u8)> {
    let mut parts = name.split('/');
    let (scheme, variant, digits) = (parts.next()?, parts.next(), parts.next());
    let (kind, period) = match variant {
        None | Some("E") => (Kind::Hotp, 30),
        Some("T30") => (Kind::Totp, 30),
        Some("T60") => (Kind::Totp, 60),
        Some(_) => return None,
    };
    let digits = match digits {
        None | Some("6") => 6,
        Some("7") => 7,
        Some("8") => 8,
        Some(_) => return None,
    };
    (scheme == "HOTP" && parts.next().is_none()).then_some((kind, digits, period))
}

fn secret((kind, digits, period): (Kind, u8, u8), fields: &[&str], now: Timestamp) -> Result<Found, String> {
    if fields.len() > FIELDS {
        return Err(format!("there are more than {FIELDS} fields"));
    }
    let [_, _, pin, hexadecimal, rest @ ..] = fields else {
        return Err("there is no key: a line has type, user, PIN and key".to_owned());
    };
    if !matches!(*pin, "-" | "+") {
        return Err(
            "it has a PIN, which nothing here would ask for: enroll this user anew, or write + there \
                    if the login password is asked as well"
                .to_owned(),
        );
    }
    let key_bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hexadecimal.as_bytes()).map(Secret::new);
    let (key, short) = key(key_bytes.map_err(|_| "the key is not hexadecimal".to_owned())?)?;
    let parameters = Parameters { algorithm: Algorithm::Sha1, digits, period };
    let last = rest.get(1).map(|code| Code::parse(code)).transpose();
    let last = last.map_err(|_| "the last code is no code".to_owned())?;
    let last_step = match (kind, last) {
        // With time this field means nothing, there either.
        (Kind::Totp, None) => None,
        (Kind::Totp, Some(code)) => step_of(&key, parameters, &code, now),
        (Kind::Hotp, last) => {
            let said = rest.first().map(|counter| tokens::number("counter", counter)).transpose()?;
            let counter = tokens::counter(said)?;
            // The counter of the last code, once there is one; before that the next.
            if last.is_some() { Some(counter) } else { used_before(counter) }
        }
    };
    let notes = short.into_iter().collect();
    Ok(Found { kind, parameters, key, counted: Counted { last_step, ..Counted::default() }, notes })
}

/// The step of a code that was used, as far as a login or a resynchronisation looks; beyond it the code is of no use. Its
/// time, in a zone that nobody wrote down, is not needed.
fn step_of(key: &Secret<Vec<u8>>, parameters: Parameters, code: &Code, now: Timestamp) -> Option<i64> {
    let reach = totp::RESYNC + 1;
    let window = Window { back: reach, ahead: reach };
    Generator::new(key, parameters).find(code, now, window, Drift::default()).map(|found| found.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4226.
    const KEY: &str = "3132333435363738393031323334353637383930";
    /// A time of RFC 6238, and its code.
    const NOW: Timestamp = Timestamp::from_secs(1_111_111_109);
    const CODE: &str = "07081804";
    const STEP: i64 = 37_037_036;

    fn one(line: &str) -> Line {
        let mut lines = read(line.as_bytes(), NOW).unwrap_or_else(|fault| panic!("{fault}"));
        assert_eq!(lines.len(), 1, "{line}");
        lines.remove(0)
    }

    fn found(line: &str) -> Found {
        one(line).found.unwrap_or_else(|why| panic!("{line}: {why}"))
    }

    fn refused(line: &str) -> String {
        one(line).found.err().expect("a fault")
    }

    #[test]
    fn every_type_is_known() {
        let of = |kind: &str| {
            let found = found(&format!("{kind} alice - {KEY}"));
            (found.kind, found.parameters.digits, found.parameters.period)
        };
        for (kind, expected) in [
            ("HOTP", (Kind::Hotp, 6, 30)),
            ("HOTP/E", (Kind::Hotp, 6, 30)),
            ("HOTP/E/7", (Kind::Hotp, 7, 30)),
            ("HOTP/E/8", (Kind::Hotp, 8, 30)),
            ("HOTP/T30", (Kind::Totp, 6, 30)),
            ("HOTP/T30/7", (Kind::Totp, 7, 30)),
            ("HOTP/T60/8", (Kind::Totp, 8, 60)),
        ] {
            assert_eq!(of(kind), expected, "{kind}");
        }
        for kind in ["hotp", "TOTP", "HOTP/T15", "HOTP/E/5", "HOTP/E/9", "HOTP/E/6/x", "HOTP/", KEY] {
            let line = one(&format!("{kind} {KEY} - {KEY}"));
            assert!(line.user.is_empty() && line.found.err().unwrap().starts_with("the type"), "{kind}");
        }
    }

    #[test]
    fn a_counter_is_the_next_until_a_code_was_used() {
        let last = |rest: &str| found(&format!("HOTP\talice\t+\t{KEY}\t{rest}")).counted.last_step;
        assert_eq!([last(""), last("0"), last("7")], [None, None, Some(6)]);
        assert_eq!(last("7 162583 2026-11-22T10:00:00L"), Some(7));
        assert_eq!(last("0 755224 2026-11-22T10:00:00L"), Some(0));
        for (rest, why) in [
            ("x", "the counter is no whole number"),
            ("-1", "the counter is 0 to"),
            ("18446744073709551615", "the counter is no whole number"),
            ("7 x", "the last code is no code"),
            ("7 162583 2026-11-22T10:00:00L more", "there are more than 7 fields"),
        ] {
            let said = refused(&format!("HOTP alice - {KEY} {rest}"));
            assert!(said.starts_with(why), "{rest}: {said}");
        }
    }

    #[test]
    fn the_last_code_of_time_is_used_if_it_could_be_used_again() {
        let last = |code: &str, seconds: i64| {
            let line = format!("HOTP/T30/8 alice - {KEY} 3 {code} 2005-03-18T01:58:29L");
            let mut lines = read(line.as_bytes(), Timestamp::from_secs(1_111_111_109 + seconds)).unwrap();
            lines.remove(0).found.unwrap_or_else(|why| panic!("{why}")).counted.last_step
        };
        assert_eq!([last(CODE, 0), last(CODE, 60), last(CODE, -600)], [Some(STEP); 3]);
        assert_eq!([last(CODE, 3600), last("00000000", 0)], [None; 2]);
    }

    #[test]
    fn what_cannot_be_taken_over_says_why_and_shows_nothing() {
        for (line, why) in [
            (format!("HOTP alice 1234 {KEY}"), "it has a PIN"),
            ("HOTP".to_owned(), "there is no key"),
            ("HOTP alice -".to_owned(), "there is no key"),
            ("HOTP alice - 31323".to_owned(), "the key is not hexadecimal"),
            ("HOTP alice - GEZDGNBV".to_owned(), "the key is not hexadecimal"),
            ("HOTP alice - 00".to_owned(), "the secret has 8 bits"),
            (format!("HOTP alice - {}", "00".repeat(20)), "the secret is one byte"),
            (format!("HOTP alice - {}", KEY.repeat(10)), "the secret has 1600 bits"),
        ] {
            let said = refused(&line);
            assert!(said.starts_with(why) && !said.contains("1234"), "{line}: {said}");
        }
        assert!(found("HOTP alice - 31323334353637383930").notes[0].contains("80 bits"));
    }

    #[test]
    fn lines_are_judged_one_by_one() {
        let text = format!(
            "# tokens of J\u{f6}rg\n\nHOTP alice - {KEY}\r\nHOTP bob 1 {KEY}\n  HOTP/T30 alice + {KEY}  \nrubbish\n"
        );
        let mut bytes = text.into_bytes();
        bytes.extend(b"HOTP \xff\xfe - 00\n# \xff\n");
        let lines = read(&bytes, NOW).unwrap();
        let told: Vec<_> =
            lines.iter().map(|line| (line.number, line.user.as_str(), line.found.is_ok())).collect();
        let expected =
            [(3, "alice", true), (4, "bob", false), (5, "alice", true), (6, "", false), (7, "", false)];
        assert_eq!(told, expected);
    }

    #[test]
    fn what_is_no_such_file_is_refused_whole() {
        let refused = |text: &[u8]| read(text, NOW).err().expect("a fault").to_string();
        assert_eq!(refused(b""), "the file: there is no secret in it");
        assert_eq!(refused(b"# nothing\n\n"), "the file: there is no secret in it");
        assert!(refused(b"\x7fELF\x02\x01\x01\0").contains("NUL bytes"));
        assert_eq!(refused(&vec![b'x'; MAX_FILE + 1]), "the file: it is larger than 4 MiB");
        assert!(refused("x\n".repeat(MAX_LINES + 1).as_bytes()).contains("more than 100000 lines"));
    }
}
