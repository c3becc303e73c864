//! What a person types is canonical after one pass, and blanks change nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use twinlockd::factor::code::Typed;

/// What it was taken for, in one canonical text.
fn canonical(text: &str) -> Option<String> {
    match Typed::parse(text).ok()? {
        Typed::Code(code) => {
            assert!((6..=8).contains(&code.length()));
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            assert!(code.equals(&digits), "a code is its digits, and no others");
            Some(digits)
        }
        Typed::Spare(code) => Some(code.text().expose().clone()),
    }
}

fuzz_target!(|text: &str| {
    let once = canonical(text);
    if let Some(once) = &once {
        assert_eq!(canonical(once).as_ref(), Some(once), "canonical text is itself");
        assert_eq!(canonical(&once.to_lowercase()).as_ref(), Some(once));
        let spread: String = once.chars().flat_map(|c| [' ', c, '-']).collect();
        assert_eq!(canonical(&spread).as_ref(), Some(once), "blanks change nothing");
    }
});
