//! A file of another program: never a panic, secrets that keep to what every one must keep to, and words that can be
//! shown on a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twinlockd::{
    clock::Timestamp,
    migration::{Found, Program},
    tokens::{DIGITS, FARTHEST_DRIFT, HIGHEST_COUNTER, Kind, LONGEST_KEY, PERIOD, SHORTEST_KEY},
};

const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);
/// Further ahead nothing counts as used: a step of 15 seconds, the drift, half of the largest window.
const LAST: i64 = 1_700_000_000 / 15 + FARTHEST_DRIFT + 50;

fn shown(text: &str) {
    assert!(text.len() <= 400 && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{text}");
}

fn judge(found: &Found) {
    let key = found.key.expose();
    assert!((SHORTEST_KEY..=LONGEST_KEY).contains(&key.len()) && key.iter().any(|byte| *byte != key[0]));
    assert!(DIGITS.contains(&found.parameters.digits) && PERIOD.contains(&found.parameters.period));
    assert!(found.counted.drift.abs() <= FARTHEST_DRIFT);
    match (found.kind, found.counted.last_step) {
        (Kind::Totp, Some(last)) => assert!(last <= LAST),
        (Kind::Hotp, Some(last)) => assert!((0..=HIGHEST_COUNTER).contains(&last)),
        (_, None) => {}
    }
    found.notes.iter().for_each(|note| shown(note));
}

fuzz_target!(|file: &[u8]| {
    for program in Program::ALL {
        match program.read(file, "alice", NOW) {
            Ok(lines) => {
                assert!(!lines.is_empty());
                for line in lines {
                    match line.found {
                        Ok(found) => judge(&found),
                        Err(why) => shown(&why),
                    }
                }
            }
            Err(fault) => shown(&fault.to_string()),
        }
    }
});
