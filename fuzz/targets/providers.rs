//! What a provider answers, a preset that somebody wrote, a number that somebody typed: never a panic, and nothing of a
//! reply that could write on a terminal.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twinlockd::{
    config::{
        Preset,
        preset::{Http, Recipe},
    },
    delivery::{Outcome, Phone, judge},
};

fn http() -> Http {
    let text = "method = 'POST'\nurl = 'https://example.com'\n[reply]\nsuccess = { pointer = '/messages/*/status', equals = ['0'] }\n\
                id = '/messages/0/id'\ncode = '/messages/0/status'\n[map]\n7 = 'bad-number'\n";
    toml::from_str(text).expect("a preset")
}

fuzz_target!(|input: (u16, &[u8], &str, &str)| {
    let (status, reply, preset, number) = input;
    let mut recipes = vec![http()];
    if let Ok(preset) = toml::from_str::<Preset>(preset) {
        let _ = preset.faults();
        for recipe in preset.sms.into_iter().chain(preset.call) {
            if let Recipe::Http(http) = recipe {
                recipes.push(*http);
            }
        }
    }
    for http in &recipes {
        let attempt = judge("x", http, status, None, Some(reply));
        assert!(attempt.code.len() <= 64 && attempt.id.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        assert!(
            attempt.outcome != Outcome::Accepted
                || !http.reply.accept.is_empty()
                || (200..300).contains(&status)
        );
    }
    if let Ok(phone) = Phone::parse(number) {
        let digits = phone.digits();
        assert!(digits.len() <= 15 && digits.bytes().all(|byte| byte.is_ascii_digit()));
        assert!(Phone::stored(phone.as_str(), "", phone.line().clone()).is_some());
    }
});
