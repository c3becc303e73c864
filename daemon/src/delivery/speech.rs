//! What a call says: the digits one by one, with pauses, twice.

use super::{Message, Text};
use crate::{
    names::printable,
    texts::{Language, fill},
};

/// A call, in the forms that providers take. None of them can be left by a value: names are letters, digits and hyphens.
pub(super) struct Speech {
    /// Sentences.
    pub(super) plain: String,
    /// SSML (W3C), a `<speak>` element.
    pub(super) ssml: String,
    /// TwiML, a `<Response>` element.
    pub(super) twiml: String,
    /// The digits, with a space between each; empty if there are none.
    pub(super) digits: String,
}

/// One thing that is said, or a silence of so many milliseconds.
enum Part {
    Says(String),
    Waits(u16),
}

/// Between digits, and in their middle.
const SHORT: u16 = 700;
const LONG: u16 = 1200;
/// Before the first word: people lift the telephone to the ear.
const LIFT: u16 = 1000;

/// Speaks a message.
pub(super) fn of(language: Language, message: &Message) -> Speech {
    let texts = &language.texts().call;
    let (host, user) = (name(&message.host), name(&message.user));
    let values = [("host", host.as_str()), ("user", user.as_str())];
    let said = |text: &str| Part::Says(fill(text, &values));
    let mut digits = String::new();
    let mut parts = vec![Part::Waits(LIFT)];
    match &message.text {
        Text::Login(code) | Text::Confirm(code) => {
            parts.push(said(&texts.intro));
            spell(code.expose(), &mut parts);
            parts.push(said(&texts.again));
            spell(code.expose(), &mut parts);
            parts.push(said(&texts.outro));
            digits = code.expose().chars().map(String::from).collect::<Vec<_>>().join(" ");
        }
        Text::Changed(_) => parts.push(said(&texts.changed)),
        Text::Test => parts.push(said(&texts.test)),
        Text::Invitation(_) => {} // goes by mail alone
    }
    Speech { plain: plain(&parts), ssml: ssml(&parts), twiml: twiml(&parts, &texts.language), digits }
}

fn spell(code: &str, parts: &mut Vec<Part>) {
    parts.push(Part::Waits(LONG));
    let middle = code.len() / 2;
    for (n, digit) in code.chars().enumerate() {
        if n > 0 {
            parts.push(Part::Waits(if n == middle { LONG } else { SHORT }));
        }
        parts.push(Part::Says(digit.to_string()));
    }
    parts.push(Part::Waits(LONG));
}

fn plain(parts: &[Part]) -> String {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Says(words) => text.push_str(words),
            // Every engine rests at these, and none takes what is between them for one number.
            Part::Waits(SHORT) => text.push_str(", "),
            Part::Waits(_) if !text.is_empty() => text.push_str("... "),
            Part::Waits(_) => {}
        }
    }
    text
}

fn ssml(parts: &[Part]) -> String {
    let part = |part: &Part| match part {
        Part::Says(words) => words.clone(),
        Part::Waits(pause) => format!("<break time=\"{pause}ms\"/>"),
    };
    format!("<speak>{}</speak>", parts.iter().map(part).collect::<String>())
}

/// A `Pause` is of whole seconds, and stands between sentences.
fn twiml(parts: &[Part], language: &str) -> String {
    let part = |part: &Part| match part {
        Part::Says(words) => format!("<Say language=\"{language}\">{words}</Say>"),
        Part::Waits(_) => "<Pause length=\"1\"/>".to_owned(),
    };
    format!("<Response>{}</Response>", parts.iter().map(part).collect::<String>())
}

/// A name that can be spoken, and that means nothing to XML.
fn name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-. ".contains(c) { c } else { ' ' };
    printable(text, 40).chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        delivery::{Contact, Phone},
        engine::policy::Method,
        secret::Secret,
    };

    fn spoken(host: &str) -> Speech {
        let message = Message {
            id: String::new(),
            to: Contact::Phone(Phone::parse("+4915112345678").unwrap()),
            by: Method::Call,
            text: Text::Login(Secret::new("287082".to_owned())),
            host: host.to_owned(),
            user: "alice".to_owned(),
            service: "sshd".to_owned(),
            rhost: String::new(),
            lifetime: Duration::from_secs(300),
        };
        of(Language::default(), &message)
    }

    #[test]
    fn the_digits_come_one_by_one_twice_with_pauses() {
        let speech = spoken("box");
        assert_eq!(speech.digits, "2 8 7 0 8 2");
        assert_eq!(speech.plain.matches("2, 8, 7... 0, 8, 2... ").count(), 2, "{}", speech.plain);
        let half = "2<break time=\"700ms\"/>8<break time=\"700ms\"/>7<break time=\"1200ms\"/>0<break time=\"700ms\"/>8";
        assert!(
            speech.ssml.starts_with("<speak><break time=\"1000ms\"/>")
                && speech.ssml.matches(half).count() == 2,
            "{}",
            speech.ssml
        );
        assert_eq!(speech.twiml.matches("<Say language=\"en-US\">8</Say><Pause length=\"1\"/>").count(), 4);
        assert!(
            !format!("{}{}{}", speech.plain, speech.ssml, speech.twiml).contains("287082"),
            "never one number"
        );
    }

    #[test]
    fn a_hosts_name_is_spoken_and_means_nothing() {
        let speech = spoken("<Say>x</Say>&{code}\"");
        for text in [speech.plain, speech.ssml.replace("<break", "").replace("speak>", ""), speech.twiml] {
            assert!(text.contains(" Say x  Say   code  "), "{text}");
        }
        assert_eq!(spoken(&"x".repeat(64)).plain.matches('x').count(), 40);
    }
}
