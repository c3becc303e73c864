//! Time-based codes (RFC 6238). The arithmetic is totp-rs's; ours are the window, the learned drift and the
//! rule that all candidates are compared.

use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Totp};

use super::code::Code;
use crate::{clock::Timestamp, secret::Secret};

/// How far the drift may be learned, in steps either way: a token that is further off is replaced.
const FARTHEST_DRIFT: i64 = 10;

/// How many steps either way of the time a resynchronisation looks at: ten minutes of 30 seconds.
pub const RESYNC: i64 = 20;

/// Hash of the HMAC. Authenticator apps know SHA-1; few honour another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Algorithm {
    /// SHA-1, with a key of 160 bits.
    #[default]
    #[serde(rename = "SHA1")]
    Sha1,
    /// SHA-256, with a key of 256 bits.
    #[serde(rename = "SHA256")]
    Sha256,
    /// SHA-512, with a key of 512 bits.
    #[serde(rename = "SHA512")]
    Sha512,
}

impl Algorithm {
    /// Length of a new key in bytes: that of the hash (RFC 6238 appendix B, erratum 2866).
    #[must_use]
    pub const fn key_length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// The same, as totp-rs calls it.
pub(super) const fn library(algorithm: Algorithm) -> totp_rs::Algorithm {
    match algorithm {
        Algorithm::Sha1 => totp_rs::Algorithm::SHA1,
        Algorithm::Sha256 => totp_rs::Algorithm::SHA256,
        Algorithm::Sha512 => totp_rs::Algorithm::SHA512,
    }
}

/// What a factor was made with; later changes of the configuration do not touch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameters {
    /// Hash of the HMAC.
    pub algorithm: Algorithm,
    /// 6 to 8.
    pub digits: u8,
    /// Length of a step in seconds, 15 to 60.
    pub period: u8,
}

impl Parameters {
    /// The step that `now` falls into (RFC 6238 section 4.2, T0 = 0).
    #[must_use]
    pub fn step(self, now: Timestamp) -> i64 {
        now.secs().div_euclid(i64::from(self.period))
    }
}

/// Which steps around the expected one are accepted (RFC 6238 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Steps before it: codes that were typed late.
    pub back: i64,
    /// Steps after it: clocks that are fast.
    pub ahead: i64,
}

/// How far the clock of the app or token is known to be off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Drift {
    /// Steps that it is ahead (or behind, if negative).
    pub steps: i64,
    /// How far off the last code was, relative to `steps`.
    pub last_offset: i64,
}

impl Drift {
    /// Learns from an accepted code. One late code moves nothing; the second in a row with the same offset
    /// moves the drift by one step, within limits.
    #[must_use]
    pub fn learn(self, offset: i64) -> Self {
        if offset != 0 && offset.signum() == self.last_offset.signum() {
            // One that an administrator resynchronised may be further off already.
            let farthest = FARTHEST_DRIFT.max(self.steps.abs());
            let steps = (self.steps + offset.signum()).clamp(-farthest, farthest);
            return Self { steps, last_offset: 0 };
        }
        Self { last_offset: offset, ..self }
    }
}

/// A code matched this step. Nothing is decided by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    /// The step of the code.
    pub step: i64,
    /// What the drift becomes if the step is accepted.
    pub drift: Drift,
}

/// A key, ready to compute with.
pub struct Generator {
    totp: Totp,
    parameters: Parameters,
}

impl Generator {
    /// `key` in raw bytes.
    #[must_use]
    pub fn new(key: &Secret<Vec<u8>>, parameters: Parameters) -> Self {
        // "noncompliant" skips the checks of length and digits that were made when the factor came in; imported
        // keys may be shorter than totp-rs wants.
        let totp = Builder::new()
            .with_algorithm(library(parameters.algorithm))
            .with_digits(parameters.digits)
            .with_step_duration(u64::from(parameters.period))
            .with_secret(key.expose().as_slice())
            .build_noncompliant();
        Self { totp, parameters }
    }

    /// Where two codes in a row are, up to [`RESYNC`] steps either way of the time (RFC 6238 section 6): the second of them,
    /// and the drift that it shows. Nothing at or before `after` counts.
    #[must_use]
    pub fn resync(&self, first: &Code, second: &Code, now: Timestamp, after: Option<i64>) -> Option<Match> {
        let (middle, period) = (self.parameters.step(now), i64::from(self.parameters.period));
        let (mut found, mut before) = (None, false);
        for step in middle - RESYNC..=middle + RESYNC {
            let Ok(time) = u64::try_from(step.saturating_mul(period)) else { continue };
            let code = self.totp.generate(time).to_string();
            if before && second.equals(&code) && after.is_none_or(|after| step - 1 > after) {
                found = Some(Match { step, drift: Drift { steps: step - middle, last_offset: 0 } });
            }
            before = first.equals(&code);
        }
        found
    }

    /// Compares the code with every step of the window, whether or not one matched already, and returns the
    /// latest match.
    #[must_use]
    pub fn find(&self, code: &Code, now: Timestamp, window: Window, drift: Drift) -> Option<Match> {
        let expected = self.parameters.step(now) + drift.steps;
        let mut found = None;
        for offset in -window.back..=window.ahead {
            let step = expected + offset;
            let Ok(time) = u64::try_from(step.saturating_mul(i64::from(self.parameters.period))) else {
                continue; // before 1970
            };
            if code.equals(&self.totp.generate(time).to_string()) {
                // One-sided learning would only ever move away: a window that looks back only learns nothing.
                let learned = if window.back == window.ahead { drift.learn(offset) } else { drift };
                found = Some(Match { step, drift: learned });
            }
        }
        found
    }
}

/// The `otpauth://` link of a key. Colons would end the label early, so they are replaced.
///
/// # Errors
///
/// When totp-rs cannot write it.
pub fn uri(
    key: &Secret<Vec<u8>>,
    parameters: Parameters,
    issuer: &str,
    account: &str,
) -> Result<Secret<String>, totp_rs::TotpError> {
    let generator = Generator::new(key, parameters);
    let clean = |text: &str| text.replace([':', '\0'], "_");
    let totp = Builder::new()
        .with_algorithm(generator.totp.algorithm())
        .with_digits(parameters.digits)
        .with_step_duration(u64::from(parameters.period))
        .with_secret(key.expose().as_slice())
        .with_issuer(Some(clean(issuer)))
        .with_account_name(clean(account))
        .build_noncompliant();
    totp.to_url().map(Secret::new)
}

/// The same link without the parameter that says the issuer once more.
#[must_use]
pub fn without_issuer(link: &str) -> String {
    let kept = |part: &&str| !part.starts_with("issuer=");
    link.split('&').filter(kept).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8; 20] = b"12345678901234567890";
    const ONE_EITHER_WAY: Window = Window { back: 1, ahead: 1 };
    const STRICT: Window = Window { back: 1, ahead: 0 };
    const SHA1_8: Parameters = Parameters { algorithm: Algorithm::Sha1, digits: 8, period: 30 };

    fn key(algorithm: Algorithm) -> Secret<Vec<u8>> {
        Secret::new(KEY.iter().copied().cycle().take(algorithm.key_length()).collect())
    }

    fn find(algorithm: Algorithm, code: &str, seconds: i64, window: Window, drift: Drift) -> Option<Match> {
        let generator = Generator::new(&key(algorithm), Parameters { algorithm, ..SHA1_8 });
        generator.find(&Code::parse(code).unwrap(), Timestamp::from_secs(seconds), window, drift)
    }

    #[test]
    fn the_vectors_of_rfc_6238_appendix_b_match() {
        let vectors = [
            (59, ["94287082", "46119246", "90693936"]),
            (1_111_111_109, ["07081804", "68084774", "25091201"]),
            (1_111_111_111, ["14050471", "67062674", "99943326"]),
            (1_234_567_890, ["89005924", "91819424", "93441116"]),
            (2_000_000_000, ["69279037", "90698825", "38618901"]),
            (20_000_000_000, ["65353130", "77737706", "47863826"]),
        ];
        for (seconds, codes) in vectors {
            for (algorithm, code) in [Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512].iter().zip(codes)
            {
                let found = find(*algorithm, code, seconds, STRICT, Drift::default());
                assert_eq!(found.map(|m| m.step), Some(seconds / 30), "{algorithm:?} at {seconds}");
            }
        }
    }

    #[test]
    fn the_window_is_one_step_either_way_and_strict_one_back() {
        // Step 37037036 has the code of 1111111109; look at it from three steps before to three after.
        let at = |steps: i64| 1_111_111_109 + 30 * steps;
        let seen = |window| {
            (-3..=3)
                .filter(|late| {
                    find(Algorithm::Sha1, "07081804", at(*late), window, Drift::default()).is_some()
                })
                .collect::<Vec<i64>>()
        };
        assert_eq!(seen(ONE_EITHER_WAY), [-1, 0, 1]);
        assert_eq!(seen(STRICT), [0, 1]);
    }

    #[test]
    fn a_learned_drift_moves_the_window() {
        let ahead = Drift { steps: 1, last_offset: 0 };
        let at = |steps: i64| 1_111_111_109 + 30 * steps;
        let seen: Vec<i64> = (-3..=3)
            .filter(|late| find(Algorithm::Sha1, "07081804", at(*late), ONE_EITHER_WAY, ahead).is_some())
            .collect();
        assert_eq!(seen, [-2, -1, 0], "an app that is one step ahead");
    }

    #[test]
    fn strict_never_learns_away_from_the_right_time() {
        let late = find(Algorithm::Sha1, "07081804", 1_111_111_109 + 30, STRICT, Drift::default()).unwrap();
        assert_eq!(late.drift, Drift::default());
    }

    #[test]
    fn drift_is_learned_from_two_codes_in_a_row_and_stays_within_limits() {
        let once = Drift::default().learn(-1);
        assert_eq!(once.steps, 0, "one late code moves nothing");
        assert_eq!(once.learn(0).learn(-1).steps, 0);
        assert_eq!(once.learn(-1).steps, -1);
        let far = (0..100).fold(Drift::default(), |drift, _| drift.learn(1));
        assert_eq!(far.steps, FARTHEST_DRIFT);
    }

    #[test]
    fn a_resync_wants_two_new_codes_in_a_row_and_learns_the_drift() {
        let parameters = Parameters { digits: 6, ..SHA1_8 };
        let generator = Generator::new(&key(Algorithm::Sha1), parameters);
        let now = Timestamp::from_secs(1_111_111_109);
        let middle = parameters.step(now);
        let code =
            |step: i64| Code::parse(&generator.totp.generate(step.unsigned_abs() * 30).to_string()).unwrap();
        let drift = |first: i64, second: i64, after| {
            generator
                .resync(&code(middle + first), &code(middle + second), now, after)
                .map(|found| found.drift.steps)
        };
        assert_eq!([drift(15, 16, None), drift(-20, -19, None)], [Some(16), Some(-19)]);
        assert_eq!([drift(16, 15, None), drift(15, 17, None), drift(20, 21, None)], [None; 3]);
        assert_eq!([drift(15, 16, Some(middle + 14)), drift(15, 16, Some(middle + 15))], [Some(16), None]);
        let learned = Drift { steps: 16, last_offset: 0 }.learn(1).learn(1);
        assert_eq!(learned.steps, 16, "further off it is not followed by itself");
    }

    #[test]
    fn the_link_is_percent_encoded_and_short() {
        let parameters = Parameters { digits: 6, ..SHA1_8 };
        let link = uri(&key(Algorithm::Sha1), parameters, "Example Corp: a&b", "al?ice").unwrap();
        assert_eq!(
            link.expose(),
            "otpauth://totp/Example%20Corp_%20a%26b:al%3Fice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
             &issuer=Example%20Corp_%20a%26b"
        );
    }
}
