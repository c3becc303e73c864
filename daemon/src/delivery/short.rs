//! What a short message says.

use super::Message;
use crate::{
    engine::prompt,
    names::printable,
    texts::{Language, fill},
};

/// Longest names in a message of one part.
const HOST: usize = 40;
const USER: usize = 16;

/// One part of GSM 7 bit, whatever host and user are called.
pub(super) fn text(language: Language, message: &Message) -> String {
    let texts = &language.texts().sms;
    let (host, user) = (name(&message.host, HOST), name(&message.user, USER));
    let lifetime = prompt::duration(message.lifetime);
    let mut values = vec![("host", host.as_str()), ("user", user.as_str()), ("lifetime", lifetime.as_str())];
    let four = [&texts.login, &texts.confirm, &texts.changed, &texts.test];
    let Some((text, own)) = message.text.choose(four) else { return String::new() }; // a link goes by mail alone
    values.extend(own);
    fill(text, &values)
}

/// A name in the basic set: anything else would count twice, or turn the whole message into one of two bytes a character.
fn name(text: &str, limit: usize) -> String {
    let plain = |c: char| if "`^{}[]~\\|".contains(c) { '?' } else { c };
    printable(text, limit).chars().map(plain).collect()
}
