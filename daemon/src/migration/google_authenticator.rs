//! The file of google-authenticator (libpam-google-authenticator, FILEFORMAT): the key in Base32 on the first line, then
//! options, each `" NAME value`, then scratch codes. Where an option stands twice the first counts, as there.

use super::{Found, key, used_before};
use crate::{
    clock::Timestamp,
    factor::{
        Counted, Kind,
        totp::{Algorithm, Parameters},
    },
    secret::Secret,
    tokens::{self, FARTHEST_DRIFT, Fault},
};

/// The largest file, in bytes: what pam_google_authenticator reads.
pub const MAX_FILE: usize = 64 << 10;

/// How long its codes are.
const DIGITS: u8 = 6;
/// How far ahead of its clock a step may have been used: half of its largest window.
const FARTHEST_USED: i64 = 50;

/// Reads a file.
///
/// The caller wipes `text`.
///
/// # Errors
///
/// The first fault.
pub fn read(text: &[u8], now: Timestamp) -> Result<Found, Fault> {
    if text.len() > MAX_FILE {
        let sentence = format!("it is larger than {} KiB", MAX_FILE >> 10);
        return Err(Fault { place: "the file".to_owned(), sentence });
    }
    let mut lines = (1..).zip(text.split(|byte| *byte == b'\n'));
    let (_, first) = lines.next().unwrap_or_default();
    let (key, short) = base32(first).and_then(key).map_err(|sentence| at(1, sentence))?;
    let mut options = Options::default();
    for (number, line) in lines {
        options.read(number, line).map_err(|sentence| at(number, sentence))?;
    }
    let (kind, period, counted) = options.mode(now)?;
    let mut notes = options.notes();
    notes.extend(short);
    let parameters = Parameters { algorithm: Algorithm::Sha1, digits: DIGITS, period };
    Ok(Found { kind, parameters, key, counted, notes })
}

fn at(line: usize, sentence: impl Into<String>) -> Fault {
    Fault { place: format!("line {line}"), sentence: sentence.into() }
}

/// Base32 as people type it: spaces and hyphens mean nothing, 0, 1 and 8 are O, L and B; bits that fill no byte are dropped.
fn base32(line: &[u8]) -> Result<Secret<Vec<u8>>, String> {
    let mut key = Secret::new(Vec::with_capacity(line.len()));
    let (mut buffer, mut bits) = (0_u32, 0_u32);
    for byte in line.trim_ascii().iter().filter(|byte| !matches!(byte, b' ' | b'\t' | b'-' | b'=')) {
        let digit = match byte.to_ascii_uppercase() {
            b'0' => b'O' - b'A',
            b'1' => b'L' - b'A',
            b'8' => b'B' - b'A',
            letter @ b'A'..=b'Z' => letter - b'A',
            figure @ b'2'..=b'7' => figure - b'2' + 26,
            _ => return Err("this is no key in Base32".to_owned()),
        };
        buffer = (buffer << 5 | u32::from(digit)) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            let [.., byte] = (buffer >> bits).to_be_bytes();
            key.expose_mut().push(byte);
        }
    }
    Ok(key)
}

/// What a file says besides its key; values with the line that they are from.
#[derive(Default)]
struct Options {
    totp: bool,
    counter: Option<i64>,
    step_size: Option<(usize, i64)>,
    skew: Option<(usize, i64)>,
    /// The latest.
    used: Option<(usize, i64)>,
    scratch_codes: usize,
    window: bool,
    rate_limit: bool,
    trusted_hosts: bool,
    unknown: Option<usize>,
}

impl Options {
    fn read(&mut self, number: usize, line: &[u8]) -> Result<(), String> {
        let line = line.trim_ascii_end();
        if line.is_empty() {
            return Ok(());
        }
        let Some(option) = line.strip_prefix(b"\" ") else {
            if line.len() != 8 || !line.iter().all(u8::is_ascii_digit) || line.first() == Some(&b'0') {
                return Err("this is neither an option nor a scratch code".to_owned());
            }
            self.scratch_codes += 1;
            return Ok(());
        };
        let option = str::from_utf8(option).map_err(|_| "this is no text in UTF-8".to_owned())?;
        let mut words = option.split_ascii_whitespace();
        let (name, mut values) = (words.next().unwrap_or_default(), words);
        let mut value = |what: &str| tokens::number(what, values.next().unwrap_or_default());
        match name {
            "TOTP_AUTH" => self.totp = true,
            "HOTP_COUNTER" if self.counter.is_none() => {
                self.counter = Some(tokens::counter(Some(value("counter")?))?);
            }
            "STEP_SIZE" if self.step_size.is_none() => self.step_size = Some((number, value("step size")?)),
            "TIME_SKEW" if self.skew.is_none() => self.skew = Some((number, value("time skew")?)),
            "DISALLOW_REUSE" => {
                for step in values {
                    let step = tokens::number("step", step)?;
                    self.used = self.used.filter(|(_, latest)| *latest >= step).or(Some((number, step)));
                }
            }
            "OTP_DISABLED" => return Err("codes are switched off for this user there".to_owned()),
            "WINDOW_SIZE" => self.window = true,
            "RATE_LIMIT" => self.rate_limit = true,
            // What a search for the skew has come to; and what stood twice.
            "RESETTING_TIME_SKEW" | "HOTP_COUNTER" | "STEP_SIZE" | "TIME_SKEW" => {}
            last if last.strip_prefix("LAST").is_some_and(|n| n.len() == 1) => self.trusted_hosts = true,
            _ => self.unknown = self.unknown.or(Some(number)),
        }
        Ok(())
    }

    /// How it counts, the step, and how far it has come. A counter wins over time, as there.
    fn mode(&self, now: Timestamp) -> Result<(Kind, u8, Counted), Fault> {
        if let Some(next) = self.counter.filter(|next| *next > 0) {
            return Ok((Kind::Hotp, 30, Counted { last_step: used_before(next), ..Counted::default() }));
        }
        if !self.totp {
            let sentence = "it says neither TOTP_AUTH nor HOTP_COUNTER: no code is right there";
            return Err(Fault { place: "the file".to_owned(), sentence: sentence.to_owned() });
        }
        let (line, said) = self.step_size.unwrap_or((0, 30));
        let period = tokens::period(Some(said)).map_err(|sentence| at(line, sentence))?;
        let drift = match self.skew {
            Some((line, skew)) if !(-FARTHEST_DRIFT..=FARTHEST_DRIFT).contains(&skew) => {
                let sentence = format!(
                    "the clock of the app is more than {FARTHEST_DRIFT} steps off: set it right, and take TIME_SKEW out"
                );
                return Err(at(line, sentence));
            }
            skew => skew.map_or(0, |(_, skew)| skew),
        };
        if let Some((line, used)) = self.used {
            // Codes would be refused until then.
            if used > now.secs().div_euclid(i64::from(period)) + drift + FARTHEST_USED {
                let sentence = "a step counts as used that is far ahead: its clock was wrong; take it out of DISALLOW_REUSE";
                return Err(at(line, sentence));
            }
        }
        Ok((
            Kind::Totp,
            period,
            Counted { last_step: self.used.map(|(_, step)| step), drift, ..Counted::default() },
        ))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.scratch_codes > 0 {
            notes.push("scratch codes are not: twinlock recovery makes new ones".to_owned());
        }
        let options = [
            (self.window, "WINDOW_SIZE is not: [totp] and [hotp] say that here"),
            (self.rate_limit, "RATE_LIMIT is not: [limits] says that here"),
            (self.trusted_hosts, "hosts that were not asked again (LAST) are not"),
        ];
        notes.extend(options.into_iter().filter(|(there, _)| *there).map(|(_, note)| note.to_owned()));
        notes.extend(self.unknown.map(|line| format!("line {line} is not: no such option is known here")));
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 80 bits, as google-authenticator makes them.
    const KEY: &str = "GEZDGNBVGY3TQOJQ";
    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
    const STEP: i64 = 1_700_000_000 / 30;

    fn found(text: impl AsRef<[u8]>) -> Found {
        read(text.as_ref(), NOW).unwrap_or_else(|fault| panic!("{fault}"))
    }

    fn refused(text: impl AsRef<[u8]>) -> String {
        read(text.as_ref(), NOW).err().expect("a fault").to_string()
    }

    fn with(options: &str) -> String {
        format!("{KEY}\n{options}\n")
    }

    #[test]
    fn a_file_as_the_program_writes_it_is_read() {
        let text = format!(
            "{KEY}\n\" RATE_LIMIT 3 30 1699999990 1699999999\n\" WINDOW_SIZE 17\n\" DISALLOW_REUSE {} {} {}\n\
             \" TOTP_AUTH\n12345678\n87654321\n",
            STEP - 1,
            STEP + 1,
            STEP
        );
        let found = found(text);
        assert_eq!((found.kind, found.parameters.digits, found.parameters.period), (Kind::Totp, 6, 30));
        assert_eq!(found.key.expose(), b"1234567890");
        assert_eq!(found.counted, Counted { last_step: Some(STEP + 1), ..Counted::default() });
        let said = ["scratch codes", "WINDOW_SIZE", "RATE_LIMIT", "80 bits"];
        assert!(
            found.notes.len() == 4 && found.notes.iter().zip(said).all(|(note, word)| note.contains(word))
        );
    }

    #[test]
    fn a_counter_is_the_next_and_wins_over_time() {
        let counted = |options: &str| found(with(options)).counted.last_step;
        assert_eq!(counted("\" HOTP_COUNTER 1"), Some(0));
        assert_eq!(
            counted("\" HOTP_COUNTER 8\n\" TOTP_AUTH\n\" DISALLOW_REUSE 5\n\" HOTP_COUNTER 9"),
            Some(7)
        );
        assert_eq!(found(with("\" HOTP_COUNTER 8\n\" STEP_SIZE 5")).kind, Kind::Hotp);
        assert_eq!(found(with("\" HOTP_COUNTER 0\n\" TOTP_AUTH")).kind, Kind::Totp);
        assert!(refused(with("\" HOTP_COUNTER 0")).contains("neither TOTP_AUTH nor HOTP_COUNTER"));
        assert!(refused(with("\" HOTP_COUNTER")).starts_with("line 2: the counter is no whole number"));
        assert!(refused(with("\" HOTP_COUNTER -1")).starts_with("line 2: the counter is 0 to"));
        assert!(refused(with("\" HOTP_COUNTER 9223372036854775807")).starts_with("line 2: the counter"));
    }

    #[test]
    fn step_and_skew_are_taken_within_limits() {
        let of = |options: &str| found(with(&format!("\" TOTP_AUTH\n{options}")));
        assert_eq!(of("\" STEP_SIZE 60").parameters.period, 60);
        assert_eq!(of("\" STEP_SIZE 15\n\" STEP_SIZE 99").parameters.period, 15);
        assert_eq!((of("\" TIME_SKEW -10").counted.drift, of("\" TIME_SKEW 3").counted.drift), (-10, 3));
        assert!(of("\" RESETTING_TIME_SKEW 47822956-958 47823967-958").notes.len() == 1);
        for (options, why) in [
            ("\" STEP_SIZE 10", "line 3: the period is 15 to 60 seconds, not this"),
            ("\" STEP_SIZE", "line 3: the step size is no whole number"),
            ("\" TIME_SKEW 11", "line 3: the clock of the app is more than 10 steps off"),
            ("\" TIME_SKEW -99999999999999999999", "line 3: the time skew is no whole number"),
            ("\" DISALLOW_REUSE 1 x", "line 3: the step is no whole number"),
            ("\" DISALLOW_REUSE 99999999999", "line 3: a step counts as used that is far ahead"),
            ("\" OTP_DISABLED", "line 3: codes are switched off"),
        ] {
            let said = refused(with(&format!("\" TOTP_AUTH\n{options}")));
            assert!(said.starts_with(why), "{options}: {said}");
        }
    }

    #[test]
    fn keys_are_read_as_people_type_them() {
        let of = |key: &str| found(format!("{key}\r\n\" TOTP_AUTH\r\n")).key.expose().clone();
        assert_eq!(of("gezd-gnbv gy3t qojq"), b"1234567890");
        assert_eq!(of("GEZDGNBVGY3TQOJQGE======").as_slice(), b"12345678901");
        assert_eq!(of(&"01823456".repeat(2)), of(&"OLB23456".repeat(2)));
        // A length that no encoder makes: what fills no byte is dropped, as there.
        assert_eq!(of(&format!("{KEY}7")), b"1234567890");
        for (key, why) in [
            ("", "line 1: the secret has 0 bits"),
            ("GEZDGNBV", "line 1: the secret has 40 bits"),
            (&"A".repeat(32), "line 1: the secret is one byte over and over"),
            (&"GEZDGNBV".repeat(30), "line 1: the secret has 1200 bits"),
            ("GEZDGNBVGY3TQOJ!", "line 1: this is no key in Base32"),
            ("\" TOTP_AUTH", "line 1: this is no key in Base32"),
            ("GEZDGNBVGY3TQOJ\u{df}", "line 1: this is no key in Base32"),
        ] {
            let said = refused(format!("{key}\n\" TOTP_AUTH\n"));
            assert!(said.starts_with(why), "{key}: {said}");
        }
    }

    #[test]
    fn what_is_no_such_file_is_refused_and_never_shown() {
        for (text, why) in [
            (&b""[..], "line 1: the secret has 0 bits"),
            (b"\0\0\0\0", "line 1: this is no key"),
            (b"\x7fELF\x02\x01\x01\0\0\0", "line 1: this is no key"),
            (b"root:$6$hash:19000:0:99999:7:::\n", "line 1: this is no key"),
            (b"GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH\n1234567\n", "line 3: this is neither"),
            (b"GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH\n02345678\n", "line 3: this is neither"),
            (b"GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH\nPasswords: hunter2\n", "line 3: this is neither"),
            (b"GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH\n\0\0\0\0\0\0\0\0\n", "line 3: this is neither"),
            (b"GEZDGNBVGY3TQOJQ\n\" TOTP_AUTH \xff\n", "line 2: this is no text in UTF-8"),
            (b"GEZDGNBVGY3TQOJQ\n\"TOTP_AUTH\n", "line 2: this is neither"),
            (b"GEZDGNBVGY3TQOJQ\n", "the file: it says neither"),
        ] {
            let said = refused(text);
            assert!(said.starts_with(why) && !said.contains("hunter2"), "{said}");
        }
        assert_eq!(refused(vec![b'A'; MAX_FILE + 1]), "the file: it is larger than 64 KiB");
    }

    #[test]
    fn what_is_not_taken_over_is_said() {
        let notes = found(with("\" TOTP_AUTH\n\" LAST0 192.0.2.7 1699999999\n\" NEW_OPTION secret\n")).notes;
        assert!(notes[0].contains("LAST") && notes[1].starts_with("line 4 is not"), "{notes:?}");
        assert!(!notes.concat().contains("secret") && !notes.concat().contains("192.0.2.7"));
    }
}
