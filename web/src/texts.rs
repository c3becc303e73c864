//! What the pages say, in each language: one file a language, `web/texts/*.toml`.

use std::{collections::BTreeMap, sync::LazyLock};

use http::{HeaderMap, header};
use serde::Deserialize;

/// Name and text of each language.
const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/texts.rs"));

/// In the order of the files. A test holds that each can be read.
static LANGUAGES: LazyLock<Vec<Texts>> =
    LazyLock::new(|| FILES.iter().map(|(_, text)| toml::from_str(text).unwrap_or_default()).collect());

/// A language that there are texts in, by the name of its file (ISO 639-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language(usize);

impl Default for Language {
    fn default() -> Self {
        Self(FILES.iter().position(|(name, _)| *name == "en").unwrap_or(0))
    }
}

impl Language {
    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        FILES.iter().position(|(known, _)| name.eq_ignore_ascii_case(known)).map(Self)
    }

    /// What the browser likes best of those that there are (RFC 9110 section 12.5.4), else `otherwise`.
    pub fn wanted(headers: &HeaderMap, otherwise: Self) -> Self {
        let wishes =
            headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let mut best = (0, otherwise);
        for wish in wishes.split(',').take(32) {
            let (range, weight) = wish.split_once(';').unwrap_or((wish, "q=1"));
            let name = range.trim().split('-').next().unwrap_or_default();
            let weight = thousandths(weight.trim());
            if weight > best.0
                && let Some(language) = Self::named(name)
            {
                best = (weight, language);
            }
        }
        best.1
    }

    /// Its name, for the `lang` attribute.
    pub fn name(self) -> &'static str {
        FILES.get(self.0).map(|(name, _)| *name).unwrap_or_default()
    }

    /// What is said in it.
    pub fn texts(self) -> &'static Texts {
        static NONE: LazyLock<Texts> = LazyLock::new(Texts::default);
        LANGUAGES.get(self.0).unwrap_or(&NONE)
    }
}

/// `q=0.8` as 800; what is no weight counts nothing.
fn thousandths(weight: &str) -> u32 {
    let Some(value) = weight.strip_prefix("q=") else { return 0 };
    match value.split_once('.') {
        None if value == "1" => 1000,
        Some(("1", _)) => 1000,
        Some(("0", digits)) if digits.len() <= 3 => format!("{digits:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

/// One language.
///
/// `{host}`, `{user}`, `{label}` (of the new factor), `{tries}`, `{seconds}`, `{number}` and `{total}` stand for what they say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Texts {
    /// How far one is.
    pub step: String,
    /// Whose second factor this is.
    pub account: String,
    /// The form that asks for the binding code.
    pub form: FormTexts,
    /// The page with the key.
    pub app: AppTexts,
    /// The end.
    pub done: DoneTexts,
    /// A link that does not count, whatever the reason.
    pub dead: Notice,
    /// A form that was not sent from our page.
    pub refused: Notice,
    /// The daemon does not answer.
    pub unavailable: Notice,
    /// Too many requests.
    pub busy: Notice,
    /// No such page.
    pub not_found: Notice,
    /// No such method.
    pub method: Notice,
    /// Another name of host.
    pub foreign: Notice,
    /// Without TLS.
    pub insecure: Notice,
    /// A request that makes no sense, is too large or too slow.
    pub bad: Notice,
}

/// The form that asks for the binding code.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FormTexts {
    /// The heading.
    pub title: String,
    /// What this is for.
    pub intro: String,
    /// What is needed.
    pub app: String,
    /// Of the field.
    pub label: String,
    /// Where the code is.
    pub hint: String,
    /// Of the button.
    pub button: String,
    /// For somebody who did not ask for this.
    pub unexpected: String,
    /// The title of the window after a wrong code.
    pub wrong_title: String,
    /// A wrong code, and one try is left.
    pub wrong_one: String,
    /// A wrong code, and more are left.
    pub wrong_many: String,
    /// Nothing was typed.
    pub empty: String,
    /// What was typed cannot be one.
    pub malformed: String,
}

/// The page with the key.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AppTexts {
    /// The heading.
    pub title: String,
    /// Above the QR code.
    pub scan: String,
    /// In place of the QR code, for who cannot see it.
    pub picture: String,
    /// Opens what follows.
    pub manual: String,
    /// The `otpauth` link.
    pub open: String,
    /// When that link does something.
    pub open_hint: String,
    /// Above the key.
    pub key: String,
    /// That it is a secret.
    pub secret: String,
    /// Above the field.
    pub r#type: String,
    /// Of the field.
    pub label: String,
    /// What the code is.
    pub hint: String,
    /// Of the button.
    pub button: String,
    /// The title of the window after a wrong code.
    pub wrong_title: String,
    /// A wrong code.
    pub wrong: String,
}

/// The end.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DoneTexts {
    /// The heading.
    pub title: String,
    /// What is so from now on.
    pub text: String,
    /// What the new factor is called.
    pub listed: String,
    /// Above the recovery codes.
    pub recovery: String,
    /// What they are for.
    pub recovery_text: String,
    /// What to do with them.
    pub recovery_once: String,
    /// That there is no more to do.
    pub close: String,
}

/// What happened, and what to do.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Notice {
    /// The heading.
    pub title: String,
    /// What happened.
    pub text: String,
    /// What to do, where `text` does not say it.
    #[serde(default)]
    pub next: String,
}

/// Puts values in their places, once: what a value holds is not looked at again.
pub fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let values: BTreeMap<&str, &str> = values.iter().copied().collect();
    leon::Template::parse(text).ok().and_then(|template| template.render(&values).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every text by its path, with the places it has.
    fn places(name: &str, value: &toml::Value, found: &mut BTreeMap<String, Vec<String>>) {
        match value {
            toml::Value::Table(table) => {
                for (key, value) in table {
                    places(&format!("{name}.{key}"), value, found);
                }
            }
            toml::Value::String(text) => {
                assert!(!text.trim().is_empty(), "{name} is empty");
                let template = leon::Template::parse(text).unwrap();
                let mut keys: Vec<String> = template.keys().map(|key| (*key).to_string()).collect();
                keys.sort();
                found.insert(name.to_owned(), keys);
            }
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn every_language_has_every_text_with_the_same_places() {
        let all: Vec<_> = FILES
            .iter()
            .map(|(name, text)| {
                toml::from_str::<Texts>(text).unwrap_or_else(|error| panic!("{name}.toml: {error}"));
                let mut found = BTreeMap::new();
                places("", &toml::from_str(text).unwrap(), &mut found);
                (*name, found)
            })
            .collect();
        let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
        assert!(["de", "en", "es", "fr"].iter().all(|name| names.contains(name)), "{names:?}");
        let english = &all.iter().find(|(name, _)| *name == "en").unwrap().1;
        assert!(english.len() > 50, "{}", english.len());
        for (name, found) in &all {
            assert_eq!(found, english, "{name}");
        }
    }

    #[test]
    fn every_place_has_a_value_somewhere() {
        const KNOWN: [&str; 7] = ["host", "user", "label", "tries", "seconds", "number", "total"];
        let mut found = BTreeMap::new();
        places("", &toml::from_str(FILES[Language::default().0].1).unwrap(), &mut found);
        assert!(found.values().flatten().all(|place| KNOWN.contains(&place.as_str())), "{found:?}");
    }

    #[test]
    fn the_browser_chooses_among_what_there_is() {
        let chosen = |wish: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_LANGUAGE, wish.parse().unwrap());
            Language::wanted(&headers, Language::named("es").unwrap()).name()
        };
        assert_eq!(chosen("fr-CH, fr;q=0.9, en;q=0.8, de;q=0.7, *;q=0.5"), "fr");
        assert_eq!(chosen("ja, de;q=0.55, en;q=0.5"), "de");
        assert_eq!(chosen("EN-gb;q=0.1"), "en");
        assert_eq!(chosen("ja,*"), "es");
        assert_eq!(chosen("en;q=0"), "es");
        assert_eq!(chosen("en;q=nan, de;level=1"), "es");
        assert_eq!(Language::wanted(&HeaderMap::new(), Language::default()).name(), "en");
    }
}
