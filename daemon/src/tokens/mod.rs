//! Files that hard tokens come with: PSKC (RFC 6030) and CSV. Bytes in, tokens out, and nothing in between: who may
//! import, and what becomes of a token, is decided elsewhere.
//!
//! A file is taken whole or not at all: half a box of tokens in the store is worse than a file that has to be
//! corrected. Faults name the place and never the contents of a cell or a value, for a column that is off by one would
//! put a secret into the log.

mod csv;
mod pskc;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    ops::RangeInclusive,
};

pub use crate::factor::Kind;
use crate::{
    factor::totp::{Algorithm, Parameters},
    names::printable,
    secret::Secret,
};

/// The largest file that is read, in bytes.
pub const MAX_FILE: usize = 32 << 20;
/// As many tokens are read from one file.
pub const MAX_TOKENS: usize = 100_000;
/// The longest serial number, in characters.
pub const LONGEST_SERIAL: usize = 64;
/// As much is kept of a manufacturer's name, in characters.
pub const LONGEST_MANUFACTURER: usize = 64;
/// How long a code may be.
pub const DIGITS: RangeInclusive<u8> = 6..=8;
/// How long a step of TOTP may be, in seconds.
pub const PERIOD: RangeInclusive<u8> = 15..=60;
/// The highest counter of HOTP: what every program that ever sees it can represent exactly.
pub const HIGHEST_COUNTER: i64 = 1 << 53;
/// How far off a token's clock may be, in steps either way: as far as [`crate::factor::totp`] follows it.
pub const FARTHEST_DRIFT: i64 = 10;
/// The shortest key that is ever taken, in bytes, whatever an administrator allows.
pub const SHORTEST_KEY: usize = 10;
/// The longest key, in bytes: HMAC-SHA512 hashes what is longer than its block.
pub const LONGEST_KEY: usize = 128;

/// The step of TOTP unless a file says otherwise, in seconds (RFC 6238 section 4.1).
const USUAL_PERIOD: u8 = 30;
const BOM: &[u8] = b"\xEF\xBB\xBF";

/// A token, as its maker describes it.
pub struct Token {
    /// What is printed on its back: 1 to 64 printable ASCII characters.
    pub serial: String,
    /// What its codes follow.
    pub kind: Kind,
    /// Hash, digits and step; the step of HOTP is 30 seconds and means nothing.
    pub parameters: Parameters,
    /// HOTP: the next counter. TOTP: 0.
    pub counter: i64,
    /// TOTP: the steps that its clock is ahead (or behind, if negative). HOTP: 0.
    pub drift: i64,
    /// The key, in raw bytes.
    pub key: Secret<Vec<u8>>,
    /// Who made it, in at most 64 printable characters; empty if the file does not say.
    pub manufacturer: String,
}

/// What an encrypted file is opened with; which of the two it needs, the file says.
#[derive(Default)]
pub struct Unlock {
    /// The password that a key is derived from (RFC 6030 section 6.2).
    pub password: Option<Secret<String>>,
    /// The pre-shared key, in raw bytes (RFC 6030 section 6.1).
    pub key: Option<Secret<Vec<u8>>>,
}

/// What is assumed where a file says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// Length of a code of HOTP; that of TOTP is 6.
    pub hotp_digits: u8,
}

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table with a header line.
    Csv,
    /// Portable Symmetric Key Container, XML (RFC 6030).
    Pskc,
}

/// What is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `line 17`, `line 17, column 5`, or `the file` if there is no line to blame.
    pub place: String,
    /// What is wrong there.
    pub sentence: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.sentence)
    }
}

impl std::error::Error for Fault {}

impl Fault {
    fn whole(sentence: String) -> Self {
        Self { place: "the file".to_owned(), sentence }
    }
}

/// Reads a file: all of its tokens, at least one. Without a `format` it is found out: PSKC begins with `<`. Keys shorter
/// than `shortest_key` bytes are refused, and those under 10 bytes whatever it says.
///
/// The caller wipes `text`; copies of cells in the readers' buffers cannot be wiped.
///
/// # Errors
///
/// The first fault, and then no token.
pub fn read(
    text: &[u8],
    format: Option<Format>,
    unlock: &Unlock,
    defaults: Defaults,
    shortest_key: usize,
) -> Result<Vec<Token>, Fault> {
    if text.len() > MAX_FILE {
        return Err(Fault::whole(format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let begins_with = text.iter().find(|byte| !byte.is_ascii_whitespace());
    let found = if begins_with == Some(&b'<') { Format::Pskc } else { Format::Csv };
    let format = format.unwrap_or(found);
    let text = match str::from_utf8(text) {
        Ok(text) => text,
        Err(error) => {
            let valid = text.get(..error.valid_up_to()).and_then(|valid| str::from_utf8(valid).ok());
            let file = File { text: valid.unwrap_or_default(), format };
            return Err(file.fault(error.valid_up_to(), "this is no text in UTF-8"));
        }
    };
    let rules = Rules { defaults, shortest_key };
    let mut batch = Batch { file: File { text, format }, rules, tokens: Vec::new(), places: HashMap::new() };
    match format {
        Format::Csv => csv::read(&mut batch)?,
        Format::Pskc => pskc::read(&mut batch, unlock)?,
    }
    if batch.tokens.is_empty() {
        return Err(Fault::whole("there is no token in it".to_owned()));
    }
    Ok(batch.tokens)
}

/// The text, for those who say where in it something is wrong.
#[derive(Clone, Copy)]
struct File<'a> {
    text: &'a str,
    format: Format,
}

impl File<'_> {
    fn fault(&self, at: usize, sentence: impl Into<String>) -> Fault {
        Fault { place: self.place(at), sentence: sentence.into() }
    }

    /// Counted anew each time, and therefore only for a fault: doing so for each of 100,000 tokens would take minutes.
    fn place(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or(self.text);
        let ends = before.matches('\n').count();
        match self.format {
            // A file of an old spreadsheet ends its lines with CR alone.
            Format::Csv => {
                let alone = before.matches('\r').count() - before.matches("\r\n").count();
                format!("line {}", 1 + ends + alone)
            }
            Format::Pskc => {
                let column = before.chars().rev().take_while(|c| *c != '\n').count();
                format!("line {}, column {}", 1 + ends, 1 + column)
            }
        }
    }
}

/// What was read so far.
struct Batch<'a> {
    file: File<'a>,
    rules: Rules,
    tokens: Vec<Token>,
    /// Where each serial was found.
    places: HashMap<String, usize>,
}

impl Batch<'_> {
    fn add(&mut self, at: usize, token: Token) -> Result<(), Fault> {
        if self.tokens.len() >= MAX_TOKENS {
            return Err(self
                .file
                .fault(at, format!("there are more than {MAX_TOKENS} tokens: split the file")));
        }
        match self.places.entry(token.serial.clone()) {
            Entry::Occupied(first) => {
                let sentence =
                    format!("the serial {} is also at {}", token.serial, self.file.place(*first.get()));
                return Err(self.file.fault(at, sentence));
            }
            Entry::Vacant(place) => place.insert(at),
        };
        self.tokens.push(token);
        Ok(())
    }
}

/// What every token must keep to, whatever file it stands in. The sentences have no place; the readers add it.
#[derive(Clone, Copy)]
struct Rules {
    defaults: Defaults,
    shortest_key: usize,
}

impl Rules {
    fn digits(self, kind: Kind, said: Option<i64>) -> Result<u8, String> {
        let usual = match kind {
            Kind::Totp => 6,
            Kind::Hotp => self.defaults.hotp_digits,
        };
        let digits = said.map_or(Some(usual), |digits| u8::try_from(digits).ok());
        digits.filter(|digits| DIGITS.contains(digits)).ok_or_else(|| {
            format!("the codes have {} to {} digits, not as many as this", DIGITS.start(), DIGITS.end())
        })
    }

    fn key(self, key: Secret<Vec<u8>>) -> Result<Secret<Vec<u8>>, String> {
        sound_key(key, self.shortest_key)
    }
}

/// The key, if it is neither short nor long nor blank.
pub(crate) fn sound_key(key: Secret<Vec<u8>>, shortest: usize) -> Result<Secret<Vec<u8>>, String> {
    let bytes = key.expose();
    let bits = bytes.len() * 8;
    if bytes.len() < SHORTEST_KEY {
        return Err(format!("the secret has {bits} bits: under {} none is safe", SHORTEST_KEY * 8));
    }
    if bytes.len() < shortest {
        let wanted = shortest * 8;
        return Err(format!("the secret has {bits} bits, not {wanted}; --allow-short takes it all the same"));
    }
    if bytes.len() > LONGEST_KEY {
        return Err(format!("the secret has {bits} bits: more than {} are a mistake", LONGEST_KEY * 8));
    }
    if bytes.iter().all(|byte| Some(byte) == bytes.first()) {
        return Err("the secret is one byte over and over: a blank, no secret".to_owned());
    }
    Ok(key)
}

fn serial(text: &str) -> Result<String, String> {
    let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if text.is_empty() {
        return Err("there is no serial number".to_owned());
    }
    if !printable || text.len() > LONGEST_SERIAL || text.trim() != text {
        return Err(format!("a serial number has up to {LONGEST_SERIAL} characters, and those of ASCII"));
    }
    Ok(text.to_owned())
}

fn manufacturer(text: &str) -> String {
    printable(text.trim(), LONGEST_MANUFACTURER)
}

pub(crate) fn number(what: &str, text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("the {what} is no whole number"))
}

pub(crate) fn period(said: Option<i64>) -> Result<u8, String> {
    let period = said.map_or(Some(USUAL_PERIOD), |period| u8::try_from(period).ok());
    period
        .filter(|period| PERIOD.contains(period))
        .ok_or_else(|| format!("the period is {} to {} seconds, not this", PERIOD.start(), PERIOD.end()))
}

pub(crate) fn counter(said: Option<i64>) -> Result<i64, String> {
    Some(said.unwrap_or(0))
        .filter(|counter| (0..=HIGHEST_COUNTER).contains(counter))
        .ok_or_else(|| format!("the counter is 0 to {HIGHEST_COUNTER}, not this"))
}

fn drift(said: Option<i64>) -> Result<i64, String> {
    let limits = -FARTHEST_DRIFT..=FARTHEST_DRIFT;
    Some(said.unwrap_or(0)).filter(|drift| limits.contains(drift)).ok_or_else(|| {
        format!("the clock is more than {FARTHEST_DRIFT} steps off: write 0 and resynchronise the token")
    })
}

/// `SHA1`, `HMAC-SHA1`, `hmac-sha-256`: makers agree on nothing but the hash.
fn algorithm(text: &str) -> Result<Algorithm, String> {
    let bare: String = text.chars().filter(|c| *c != '-').collect::<String>().to_ascii_uppercase();
    match bare.strip_prefix("HMAC").unwrap_or(&bare) {
        "SHA1" => Ok(Algorithm::Sha1),
        "SHA256" => Ok(Algorithm::Sha256),
        "SHA512" => Ok(Algorithm::Sha512),
        _ => Err("the algorithm is none of SHA1, SHA256 and SHA512".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In Base32 and raw; RFC 4226 appendix D.
    pub(super) const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    pub(super) const KEY: &[u8] = b"12345678901234567890";
    pub(super) const DEFAULTS: Defaults = Defaults { hotp_digits: 6 };

    /// The tokens, or what is said.
    pub(super) fn read_with(text: impl AsRef<[u8]>, unlock: &Unlock) -> Result<Vec<Token>, String> {
        read(text.as_ref(), None, unlock, DEFAULTS, 16).map_err(|fault| fault.to_string())
    }

    pub(super) fn plain(text: impl AsRef<[u8]>) -> Result<Vec<Token>, String> {
        read_with(text, &Unlock::default())
    }

    pub(super) fn refused(text: impl AsRef<[u8]>) -> String {
        plain(text).err().expect("a fault")
    }

    #[test]
    fn the_format_is_found_out() {
        let table = format!("serial,secret,type\n1,{SECRET},totp\n");
        assert_eq!(plain(format!("\u{feff}\r\n{table}")).unwrap().len(), 1);
        assert_eq!(
            refused("\u{feff} \n<x/>"),
            "line 2, column 1: this is no PSKC file: its element is no KeyContainer"
        );
        let forced = read(table.as_bytes(), Some(Format::Pskc), &Unlock::default(), DEFAULTS, 16);
        assert!(forced.err().unwrap().sentence.starts_with("this is no whole XML: "));
        let forced = read(b"<x/>", Some(Format::Csv), &Unlock::default(), DEFAULTS, 16);
        assert!(forced.err().unwrap().sentence.starts_with("this line is no header"));
    }

    #[test]
    fn what_is_no_text_or_too_large_is_refused_at_once() {
        assert_eq!(refused(vec![b' '; 33 << 20]), "the file: it is larger than 32 MiB");
        assert_eq!(refused(b"serial,secret\n1,\xff\n"), "line 2: this is no text in UTF-8");
        assert_eq!(refused(b"<KeyContainer>\n <\x80"), "line 2, column 3: this is no text in UTF-8");
        assert!(refused(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0").contains("control character"));
        assert!(refused((0..=255).collect::<Vec<u8>>()).contains("UTF-8"));
        assert!(refused("").starts_with("the file: it is empty"));
    }

    #[test]
    fn a_key_is_neither_short_nor_long_nor_blank() {
        let key = |bytes: Vec<u8>, shortest_key| {
            Rules { defaults: DEFAULTS, shortest_key }.key(Secret::new(bytes)).err()
        };
        let bytes = |length: u8| (0..length).collect::<Vec<u8>>();
        assert_eq!(key(bytes(16), 16), None);
        assert_eq!(key(bytes(128), 16), None);
        assert_eq!(
            key(bytes(15), 16).unwrap(),
            "the secret has 120 bits, not 128; --allow-short takes it all the same"
        );
        assert_eq!(key(bytes(10), 10), None);
        assert_eq!(key(bytes(9), 0).unwrap(), "the secret has 72 bits: under 80 none is safe");
        assert_eq!(key(bytes(0), 0).unwrap(), "the secret has 0 bits: under 80 none is safe");
        assert!(key(bytes(129), 16).unwrap().contains("more than 1024"));
        assert!(key(vec![0; 20], 16).unwrap().contains("blank"));
    }

    #[test]
    fn numbers_and_names_have_limits() {
        let rules = Rules { defaults: Defaults { hotp_digits: 8 }, shortest_key: 16 };
        assert_eq!((rules.digits(Kind::Hotp, None), rules.digits(Kind::Totp, None)), (Ok(8), Ok(6)));
        assert!([5, 9, -6, 262].iter().all(|digits| rules.digits(Kind::Hotp, Some(*digits)).is_err()));
        assert!([14, 61, 0, 286].iter().all(|seconds| period(Some(*seconds)).is_err()));
        assert_eq!((period(None), period(Some(15)), period(Some(60))), (Ok(30), Ok(15), Ok(60)));
        assert!([-1, HIGHEST_COUNTER + 1, i64::MAX].iter().all(|next| counter(Some(*next)).is_err()));
        assert_eq!(counter(Some(HIGHEST_COUNTER)), Ok(HIGHEST_COUNTER));
        assert!([-11, 11, i64::MIN].iter().all(|steps| drift(Some(*steps)).is_err()));
        assert_eq!(drift(Some(-10)), Ok(-10));
        assert!(["", "a\tb", "\u{e4}", " a", &"9".repeat(65)].iter().all(|text| serial(text).is_err()));
        assert_eq!(serial(&"9".repeat(64)).unwrap().len(), 64);
        assert_eq!(manufacturer(&"\u{1b}[2J\u{202e}".repeat(40)).len(), 64);
        for name in ["SHA256", "sha-256", "HMAC-SHA256", "HmacSHA256"] {
            assert_eq!(algorithm(name), Ok(Algorithm::Sha256));
        }
        assert!(["", "MD5", "SHA", "HMAC", "SHA384"].iter().all(|name| algorithm(name).is_err()));
    }
}
