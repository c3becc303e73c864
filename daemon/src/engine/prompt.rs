//! The words of the prompts (product.md section 3): ASCII, each complete by itself, never ending in a form of
//! `Password: `, which sudo would replace.

use std::time::Duration;

/// Asks for a code; `of` names the user where that is not who sits there (su).
#[must_use]
pub fn code(of: Option<&str>) -> String {
    match of {
        Some(user) => format!("Verification code for {user}: "),
        None => "Verification code: ".to_owned(),
    }
}

/// Before the prompt, after a wrong or malformed answer.
pub const WRONG: &str = "Wrong code. ";

/// Before the prompt, after a code that was used before; only said when the first factor is known.
pub const USED: &str = "That code was used; wait for the next. ";

/// Before the prompt, when the clock of this host is not believed; only said when the first factor is known.
pub const CLOCK: &str = "The clock of this host is wrong; use a recovery code. ";

/// Instead of the prompt, where a factor is required and there is none.
pub const NOT_SET_UP: &str = "No second factor is set up; ask your administrator. Press Enter: ";

/// Before the prompt, when throttled; only said when the first factor is known.
#[must_use]
pub fn throttled(wait: Option<Duration>) -> String {
    match wait {
        Some(wait) => format!("Too many wrong codes. Wait {}. ", duration(wait)),
        None => "Too many wrong codes. Ask your administrator. ".to_owned(),
    }
}

/// After a recovery code let somebody in.
#[must_use]
pub fn recovery_left(left: u32) -> String {
    let count = match left {
        0 => "That was your last recovery code.".to_owned(),
        1 => "1 recovery code is left.".to_owned(),
        _ => format!("{left} recovery codes are left."),
    };
    if left <= 3 { format!("{count} Make new ones: twinlock recovery") } else { count }
}

/// A duration for a person, rounded up: `42 s`, `4 min`, `2 h`, `3 d`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    match seconds {
        0..=59 => format!("{} s", seconds.max(1)),
        60..=3599 => format!("{} min", seconds.div_ceil(60)),
        3600..=172_799 => format!("{} h", seconds.div_ceil(3600)),
        _ => format!("{} d", seconds.div_ceil(86_400)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_are_short_ascii_and_not_password_prompts() {
        let of = "x".repeat(64);
        for text in [
            code(None),
            code(Some(&of)),
            NOT_SET_UP.into(),
            throttled(None) + &code(Some(&of)),
            WRONG.to_owned(),
        ] {
            assert!(text.is_ascii() && text.len() < 512, "{text}");
            assert!(!text.ends_with("Password: ") && !text.ends_with("password: "), "{text}");
        }
    }

    #[test]
    fn waits_are_rounded_up() {
        let words = |millis| duration(Duration::from_millis(millis));
        assert_eq!(
            [words(1), words(42_000), words(59_001), words(61_000)],
            ["1 s", "42 s", "1 min", "2 min"]
        );
        assert_eq!([words(3_600_000), words(30 * 86_400_000)], ["1 h", "30 d"]);
    }
}
