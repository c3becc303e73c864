//! Counter-based codes (RFC 4226). The arithmetic is totp-rs's; ours are the look-ahead, and that all candidates are compared.

use totp_rs::{Builder, Totp};

use super::{
    code::Code,
    totp::{Algorithm, Drift, Match, library},
};
use crate::secret::Secret;

/// How many counters a resynchronisation looks at: a token whose button was played with more often is replaced.
pub const RESYNC: i64 = 100;
/// The same where it is known that codes may have been used which are not: as many as in years.
pub const FAR_RESYNC: i64 = 2000;
/// Beyond it nothing can be counted exactly by everybody (JSON's integers).
pub const LAST: i64 = 1 << 53;

/// A key, ready to compute with.
pub struct Generator(Totp);

impl Generator {
    /// `key` in raw bytes.
    #[must_use]
    pub fn new(key: &Secret<Vec<u8>>, algorithm: Algorithm, digits: u8) -> Self {
        // HOTP is TOTP with a step of one second, whose time is the counter (RFC 6238 section 4.2).
        let builder = Builder::new().with_algorithm(library(algorithm)).with_digits(digits);
        Self(builder.with_step_duration(1).with_secret(key.expose().as_slice()).build_noncompliant())
    }

    /// The code of a counter.
    #[must_use]
    pub fn code(&self, counter: i64) -> Secret<String> {
        Secret::new(self.0.generate(counter.unsigned_abs()).to_string())
    }

    /// Compares the code with that of the next counter and of so many behind it, whether or not one matched already; and with
    /// the last that was accepted, so that whoever typed it twice is told. The latest match: a code that comes twice within
    /// the look-ahead is spent with everything before it.
    #[must_use]
    pub fn find(&self, code: &Code, next: i64, look_ahead: i64) -> Option<Match> {
        let mut found = None;
        for counter in (next - 1).max(0)..=next.saturating_add(look_ahead).min(LAST) {
            if code.equals(self.code(counter).expose()) {
                found = Some(Match { step: counter, drift: Drift::default() });
            }
        }
        found
    }

    /// Where two codes in a row are, from the next counter on and up to so many behind it (RFC 4226 section 7.4): the second
    /// of them.
    #[must_use]
    pub fn resync(&self, first: &Code, second: &Code, next: i64, ahead: i64) -> Option<Match> {
        let mut found = None;
        let mut before = false;
        for counter in next..=next.saturating_add(ahead).min(LAST) {
            let code = self.code(counter);
            if before && second.equals(code.expose()) && found.is_none() {
                found = Some(Match { step: counter, drift: Drift::default() });
            }
            before = first.equals(code.expose());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4226, appendix D.
    const VECTORS: [&str; 10] =
        ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];

    fn generator() -> Generator {
        Generator::new(&Secret::new(b"12345678901234567890".to_vec()), Algorithm::Sha1, 6)
    }

    fn code(counter: usize) -> Code {
        Code::parse(VECTORS[counter]).unwrap()
    }

    #[test]
    fn codes_are_those_of_rfc_4226() {
        for (counter, expected) in (0..).zip(VECTORS) {
            assert_eq!(generator().code(counter).expose(), expected);
        }
    }

    #[test]
    fn the_look_ahead_ends_where_it_says() {
        let step =
            |counter, next, ahead| generator().find(&code(counter), next, ahead).map(|found| found.step);
        assert_eq!([step(3, 3, 0), step(4, 3, 0), step(1, 3, 0)], [Some(3), None, None]);
        assert_eq!([step(8, 3, 5), step(9, 3, 5), step(1, 3, 5)], [Some(8), None, None]);
        assert_eq!(step(2, 3, 5), Some(2), "the last one is known: the store says that it was used");
    }

    #[test]
    fn a_resync_wants_two_in_a_row_from_the_next_on() {
        let step = |first, second, next| {
            generator().resync(&code(first), &code(second), next, RESYNC).map(|found| found.step)
        };
        assert_eq!(step(7, 8, 0), Some(8));
        assert_eq!([step(8, 7, 0), step(6, 8, 0), step(7, 7, 0)], [None; 3]);
        assert_eq!([step(7, 8, 7), step(7, 8, 8), step(7, 8, 9)], [Some(8), None, None], "old pairs");
        let far = |ahead: i64| {
            let first = Code::parse(generator().code(ahead - 1).expose()).unwrap();
            let second = Code::parse(generator().code(ahead).expose()).unwrap();
            generator().resync(&first, &second, 0, RESYNC).map(|found| found.step)
        };
        assert_eq!([far(RESYNC), far(RESYNC + 1)], [Some(RESYNC), None]);
    }
}
