//! A mail address.

use lettre::Address as Parsed;

use crate::names::printable;

/// A mail address that can be written to: parsed, not only looked at. It cannot be printed whole by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Parsed);

impl Address {
    /// Parses one.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed = text.trim().parse::<Parsed>().ok().filter(|_| text.is_ascii() && text.len() <= 254);
        parsed.map(Self).ok_or_else(|| format!("\"{}\" is no mail address", printable(text, 64)))
    }

    /// The whole of it, for the one who writes to it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_ref()
    }

    pub(super) fn parsed(&self) -> Parsed {
        self.0.clone()
    }

    /// What may be shown: `a***@e***.com`.
    #[must_use]
    pub fn masked(&self) -> String {
        let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
        let (name, top) =
            self.0.domain().rsplit_once('.').map_or((self.0.domain(), ""), |(name, top)| (name, top));
        let top = if top.is_empty() { String::new() } else { format!(".{top}") };
        printable(&format!("{}***@{}***{top}", first(self.0.user()), first(name)), 64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_parsed_and_masked() {
        let masked = |text: &str| Address::parse(text).map(|address| address.masked());
        assert_eq!(masked("alice@example.com").unwrap(), "a***@e***.com");
        assert_eq!(masked("alice@mail.example.co.uk").unwrap(), "a***@m***.uk");
        assert_eq!(masked("alice@localhost").unwrap(), "a***@l***");
        for wrong in [
            "",
            "alice",
            "alice@",
            "@example.com",
            "a@b\r\nBcc: c@d",
            "a b@c",
            "Alice <a@b.c>",
            "a@b,c@d",
            "\u{e9}@b.c",
        ] {
            assert!(masked(wrong).is_err(), "{wrong:?}");
        }
    }
}
