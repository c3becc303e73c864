//! What messages say, in each language: one file a language, `daemon/texts/*.toml`.

use std::{collections::BTreeMap, sync::LazyLock};

use serde::{Deserialize, Serialize};

/// Name and text of each language.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/texts.rs"));

/// In the order of the files. A test holds that each can be read.
static LANGUAGES: LazyLock<Vec<Texts>> =
    LazyLock::new(|| FILES.iter().map(|(_, text)| toml::from_str(text).unwrap_or_default()).collect());

/// A language that there are texts in, by the name of its file (ISO 639-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Language(usize);

impl Default for Language {
    fn default() -> Self {
        Self(FILES.iter().position(|(name, _)| *name == "en").unwrap_or(0))
    }
}

impl TryFrom<String> for Language {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        FILES.iter().position(|(known, _)| *known == name).map(Self).ok_or_else(|| {
            let known: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
            format!("there are no texts in that language; there are {}", known.join(", "))
        })
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        FILES.get(language.0).map(|(name, _)| (*name).to_owned()).unwrap_or_default()
    }
}

impl Language {
    /// What is said in it.
    #[must_use]
    pub fn texts(self) -> &'static Texts {
        static NONE: LazyLock<Texts> = LazyLock::new(Texts::default);
        LANGUAGES.get(self.0).unwrap_or(&NONE)
    }
}

/// One language.
///
/// `{code}`, `{link}`, `{user}`, `{host}`, `{service}`, `{lifetime}` and `{masked}` (another address) stand for what they say; `{rhost}`
/// is where the login comes from, and `{origin}` the words around it, or nothing.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Texts {
    /// Short messages: each fits one of 160 characters of GSM 7 bit (3GPP TS 23.038), the code first.
    pub sms: Short,
    /// Letters.
    pub mail: Letters,
    /// Calls.
    pub call: Spoken,
}

/// Calls: each by itself a sentence, without the digits, which are said between them.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spoken {
    /// The language, as text-to-speech engines call it (BCP 47, with a region).
    pub language: String,
    /// Before the digits.
    pub intro: String,
    /// Before the digits are said again.
    pub again: String,
    /// At the end.
    pub outro: String,
    /// Codes go elsewhere from now on.
    pub changed: String,
    /// An administrator tries the way.
    pub test: String,
}

/// Short messages.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Short {
    /// The code of a login.
    pub login: String,
    /// The code that shows that a number is its owner's.
    pub confirm: String,
    /// Codes go elsewhere from now on.
    pub changed: String,
    /// An administrator tries the way.
    pub test: String,
}

/// Letters.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letters {
    /// Where a login comes from, behind the host's name.
    pub origin: String,
    /// The code of a login.
    pub login: Letter,
    /// The code that shows that an address is its owner's.
    pub confirm: Letter,
    /// Codes go elsewhere from now on.
    pub changed: Letter,
    /// An administrator tries the way.
    pub test: Letter,
    /// A link by which an app can be set up.
    pub invitation: Letter,
}

/// A letter.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Letter {
    /// Without the code: it is shown where everybody looks.
    pub subject: String,
    /// The code, or the link, is its first line.
    pub text: String,
}

/// Puts values in their places, once: what a value holds is not looked at again.
#[must_use]
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let values: BTreeMap<&str, &str> = values.iter().copied().collect();
    leon::Template::parse(text).ok().and_then(|template| template.render(&values).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The basic set of GSM 7 bit, without what counts twice.
    const GSM: &str = "@£$¥èéùìòÇ\nØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

    const PLACES: [&str; 9] =
        ["code", "link", "user", "host", "service", "lifetime", "masked", "rhost", "origin"];

    fn languages() -> impl Iterator<Item = (&'static str, Texts)> {
        FILES.iter().map(|(name, text)| {
            (*name, toml::from_str(text).unwrap_or_else(|error| panic!("{name}.toml: {error}")))
        })
    }

    #[test]
    fn the_four_languages_are_there_and_each_can_be_read() {
        let names: Vec<&str> = languages().map(|(name, _)| name).collect();
        assert!(["de", "en", "es", "fr"].iter().all(|name| names.contains(name)), "{names:?}");
        for name in names {
            let language = Language::try_from(name.to_owned()).unwrap();
            assert!(!language.texts().sms.login.is_empty(), "{name}");
        }
        assert!(Language::try_from("xx".to_owned()).unwrap_err().contains("de, en, es, fr"));
    }

    #[test]
    fn a_short_message_is_one_part_with_the_longest_names() {
        let (host, user) = ("h".repeat(40), "u".repeat(16));
        let values = [
            ("code", "12345678"),
            ("user", &user),
            ("host", &host),
            ("lifetime", "10 min"),
            ("masked", "+44*******78"),
        ];
        for (name, texts) in languages() {
            let Short { login, confirm, changed, test } = &texts.sms;
            for text in [login, confirm, changed, test] {
                let said = fill(text, &values);
                assert!(!said.is_empty() && said.chars().count() <= 160, "{name}: {} {said}", said.len());
                let odd: Vec<char> = said.chars().filter(|c| !GSM.contains(*c)).collect();
                assert!(odd.is_empty(), "{name}: {odd:?} of {said:?} would make every character two bytes");
            }
            for text in [login, confirm] {
                assert!(text.starts_with("{code} "), "{name}: {text}");
                assert!(
                    ["{user}", "{host}", "{lifetime}"].iter().all(|place| text.contains(place)),
                    "{name}: {text}"
                );
            }
        }
    }

    #[test]
    fn a_letter_has_the_code_in_its_first_line_and_in_no_subject() {
        for (name, texts) in languages() {
            let Letters { origin, login, confirm, changed, test, invitation } = &texts.mail;
            for letter in [login, confirm] {
                assert!(letter.text.starts_with("{code}\n\n"), "{name}");
            }
            assert!(invitation.text.starts_with("{link}\n\n"), "{name}");
            assert!(origin.contains("{rhost}") && login.text.contains("{origin}"), "{name}");
            let all = [login, confirm, changed, test, invitation];
            for text in all.into_iter().flat_map(|letter| [&letter.subject, &letter.text]) {
                let template = leon::Template::parse(text).unwrap();
                assert!(template.keys().all(|key| PLACES.contains(key)), "{name}: {text}");
                assert!(text.lines().count() <= 15, "{name}: {text}");
            }
            for letter in all {
                assert!(!letter.subject.contains("{link}"), "{name}");
                assert!(!letter.subject.contains("{code}") && letter.subject.lines().count() == 1, "{name}");
            }
        }
    }

    #[test]
    fn a_call_is_of_sentences_that_xml_can_hold() {
        for (name, texts) in languages() {
            let Spoken { language, intro, again, outro, changed, test } = &texts.call;
            assert!(
                language.len() == 5 && language.starts_with(name) && language.get(2..3) == Some("-"),
                "{language}"
            );
            for text in [intro, again, outro, changed, test] {
                assert!(!text.is_empty() && !text.contains(['<', '>', '&', '"', '\n']), "{name}: {text}");
                let template = leon::Template::parse(text).unwrap();
                assert!(template.keys().all(|key| ["host", "user"].contains(key)), "{name}: {text}");
            }
        }
    }

    #[test]
    fn what_a_value_holds_stays_as_it_is() {
        let host = "{code}${x}{{7*7}}<Say>x</Say>\"\\";
        assert_eq!(fill("{host}: {code}", &[("host", host), ("code", "123456")]), format!("{host}: 123456"));
    }
}
