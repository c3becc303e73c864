//! A seed file, of whatever format: never a panic, tokens that keep to what every token must keep to, and faults that
//! can be shown on a terminal.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use twinlockd::{
    secret::Secret,
    tokens::{
        DIGITS, Defaults, FARTHEST_DRIFT, Format, HIGHEST_COUNTER, Kind, LONGEST_KEY, LONGEST_MANUFACTURER,
        LONGEST_SERIAL, MAX_TOKENS, PERIOD, Token, Unlock, read,
    },
};

const SHORTEST: usize = 16;

fn shown(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
}

fn judge(token: &Token) {
    assert!(!token.serial.is_empty() && token.serial.len() <= LONGEST_SERIAL && shown(&token.serial));
    assert_eq!(token.serial.trim(), token.serial);
    assert!(token.manufacturer.len() <= LONGEST_MANUFACTURER && shown(&token.manufacturer));
    assert!(DIGITS.contains(&token.parameters.digits) && PERIOD.contains(&token.parameters.period));
    assert!((0..=HIGHEST_COUNTER).contains(&token.counter) && token.drift.abs() <= FARTHEST_DRIFT);
    match token.kind {
        Kind::Totp => assert_eq!(token.counter, 0),
        Kind::Hotp => assert_eq!((token.drift, token.parameters.period), (0, 30)),
    }
    let key = token.key.expose();
    assert!((SHORTEST..=LONGEST_KEY).contains(&key.len()) && key.iter().any(|byte| *byte != key[0]));
}

fuzz_target!(|file: &[u8]| {
    // Those of the figures of RFC 6030.
    let unlock = Unlock {
        password: Some(Secret::new("qwerty".to_owned())),
        key: Some(Secret::new([0x12, 0x34, 0x56, 0x78, 0x90].iter().copied().cycle().take(16).collect())),
    };
    for format in [None, Some(Format::Csv), Some(Format::Pskc)] {
        match read(file, format, &unlock, Defaults { hotp_digits: 6 }, SHORTEST) {
            Ok(tokens) => {
                assert!((1..=MAX_TOKENS).contains(&tokens.len()));
                tokens.iter().for_each(judge);
                let serials: HashSet<&str> = tokens.iter().map(|token| token.serial.as_str()).collect();
                assert_eq!(serials.len(), tokens.len());
            }
            Err(fault) => {
                assert!(shown(&fault.place) && shown(&fault.sentence) && fault.sentence.len() <= 400)
            }
        }
    }
});
