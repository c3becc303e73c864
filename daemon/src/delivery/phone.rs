//! A telephone number.

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType};

use crate::{
    engine::delivery::{Line, LineKind},
    names::printable,
};

/// A number that a code can be sent to: E.164, judged by libphonenumber. It cannot be printed whole by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Phone {
    /// `+` and up to 15 digits.
    e164: String,
    masked: String,
    line: Line,
}

impl Phone {
    /// Parses one, in its international form. It takes some ten milliseconds the first time: the numbering plans are read.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("\"{}\" {why}", printable(text, 32)));
        let text = text.trim();
        let plain = |c: char| c.is_ascii_digit() || " -.()/".contains(c);
        // No `tel:`, no extension, nothing but a number.
        if !text.strip_prefix('+').is_some_and(|rest| rest.chars().all(plain)) || text.len() > 32 {
            return wrong(
                "is no telephone number: write it with + and the country's code, like +44 7400 123456",
            );
        }
        let util = &*PHONE_NUMBER_UTIL;
        let Ok(number) = util.parse(text, None) else { return wrong("is no telephone number") };
        let region = util.get_region_for_number(&number).map(|region| format!("{region:?}"));
        // What belongs to no country (satellites, world-wide services) is expensive everywhere.
        let region = region.filter(|region| region.len() == 2);
        let (true, Some(region)) = (util.is_valid_number(&number), region) else {
            return wrong("is no telephone number that its country gives out");
        };
        let kind = match util.get_number_type(&number) {
            PhoneNumberType::Mobile => LineKind::Mobile,
            PhoneNumberType::FixedLine => LineKind::Fixed,
            PhoneNumberType::FixedLineOrMobile => LineKind::FixedOrMobile,
            PhoneNumberType::VoIP => LineKind::Voip,
            PhoneNumberType::TollFree
            | PhoneNumberType::PremiumRate
            | PhoneNumberType::SharedCost
            | PhoneNumberType::PersonalNumber
            | PhoneNumberType::Pager
            | PhoneNumberType::UAN
            | PhoneNumberType::VoiceMail
            | PhoneNumberType::Unknown => {
                return wrong("is no number of a person's telephone (a service, a premium rate?)");
            }
        };
        let e164 = util.format(&number, PhoneNumberFormat::E164).into_owned();
        let last = e164.get(e164.len().saturating_sub(2)..).unwrap_or_default();
        let masked = format!("+{}*******{last}", number.country_code);
        Ok(Self { e164, masked, line: Line { region, kind } })
    }

    /// One that was parsed when it was stored.
    #[must_use]
    pub fn stored(e164: &str, masked: &str, line: Line) -> Option<Self> {
        let digits = e164.strip_prefix('+')?;
        let plain = (5..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| Self { e164: e164.to_owned(), masked: masked.to_owned(), line })
    }

    /// The whole of it, for the one who calls it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.e164
    }

    /// Without the `+`.
    #[must_use]
    pub fn digits(&self) -> &str {
        self.e164.trim_start_matches('+')
    }

    /// What its numbering plan says.
    #[must_use]
    pub const fn line(&self) -> &Line {
        &self.line
    }

    /// What may be shown: `+44*******78`. As many stars for every number.
    #[must_use]
    pub fn masked(&self) -> String {
        self.masked.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_known_by_country_and_kind_not_by_calling_code() {
        let of = |text: &str| {
            Phone::parse(text)
                .map(|phone| format!("{} {} {}", phone.e164, phone.line.region, phone.line.kind.name()))
        };
        for (text, expected) in [
            ("+44 7911 123456", "+447911123456 GG mobile"),
            ("+49 (1511) 234-5678", "+4915112345678 DE mobile"),
            ("+493012345678", "+493012345678 DE fixed"),
            ("+12125551234", "+12125551234 US fixed-or-mobile"),
            ("+1 876 555 0123", "+18765550123 JM mobile"),
            ("+33972123456", "+33972123456 FR voip"),
        ] {
            assert_eq!(of(text).as_deref(), Ok(expected));
        }
        assert_eq!(Phone::parse("+4915112345678").unwrap().masked(), "+49*******78");
        assert_eq!(Phone::parse("+12125551234").unwrap().masked(), "+1*******34");
    }

    #[test]
    fn what_is_expensive_or_no_number_is_refused() {
        for wrong in [
            "+883510012345",
            "+979123456789",
            "+881612345678",
            "+19005550123",
            "+447012345678",
            "+491801234567",
            "004915112345678",
            "015112345678",
            "tel:+4915112345678",
            "+1;ext=9",
            "+4915112345678;ext=9",
            "+4915112345678,+4915112345679",
            "+49151 12345678\r\nBcc: x",
            "+491511234\x005678",
            "+",
            "",
            "x",
            "+447700900000",
            "+1234567890123456789012345678901234567890",
            "+\u{664}\u{669}1511234567",
        ] {
            assert!(Phone::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_stored_number_is_what_it_was() {
        let phone = Phone::parse("+4915112345678").unwrap();
        let again = Phone::stored(phone.as_str(), &phone.masked(), phone.line.clone()).unwrap();
        assert_eq!((again.digits(), again.masked()), ("4915112345678", phone.masked()));
        assert!(
            Phone::stored("4915", "", phone.line.clone()).is_none()
                && Phone::stored("+49x", "", phone.line).is_none()
        );
    }
}
