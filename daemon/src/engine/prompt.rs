//! The words of the prompts (product.md section 3): ASCII, each complete by itself, never ending in a form of
//! `Password: `, which sudo would replace.

use std::time::Duration;

use zeroize::Zeroizing;

use super::{conversation::Words, proof::Missed};

/// Longest prompt, in bytes (PAM_MAX_MSG_SIZE).
const LONGEST: usize = 512;
/// A terminal: what everybody has at least.
const COLUMNS: usize = 80;
const ROWS: usize = 24;

/// Asks for a code; `of` names the user where that is not who sits there (su), `words` are what may be typed instead.
#[must_use]
pub fn code(of: Option<&str>, words: &[&str]) -> String {
    let of = of.map(|user| format!(" for {user}")).unwrap_or_default();
    let instead = if words.is_empty() { String::new() } else { format!(" (or type {})", words.join(", ")) };
    format!("Verification code{of}{instead}: ")
}

/// Asks whether to send a code, where there is nothing else; `words` are other ways.
#[must_use]
pub fn send(method: &str, masked: &str, words: &[&str]) -> String {
    let instead = if words.is_empty() { String::new() } else { format!(", or type {}", words.join(" or ")) };
    format!("Send a code by {method} to {masked}? Press Enter{instead}: ")
}

/// Before the prompt, when a code is on its way.
#[must_use]
pub fn sent(method: &str, masked: &str) -> String {
    format!("Code sent by {method} to {masked}. ")
}

/// Before the prompt, when it is too early for another code.
#[must_use]
pub fn too_early(wait: Duration) -> String {
    format!("Wait {} before asking again. ", duration(wait))
}

/// Before the prompt, when no more may be sent now.
pub const NO_MORE: &str = "No more codes can be sent now. ";

/// Before the prompt, where codes are all that somebody has, and none can be sent there.
pub const NO_WAY: &str = "No code can be sent to you; ask your administrator. ";

/// Before the prompt, when nothing could be sent.
pub const NOT_SENT: &str = "The code could not be sent. ";

/// Before the prompt, after a connection that broke: what was sent before is of no use.
pub const DEAD: &str = "Codes sent before are of no use any more. ";

/// Before the prompt, after a wrong or malformed answer.
pub const WRONG: &str = "Wrong code. ";

/// Before the prompt, after a code that was used before; only said when the first factor is known.
pub const USED: &str = "That code was used; wait for the next. ";

/// Before the prompt, when the clock of this host is not believed; only said when the first factor is known.
pub const CLOCK: &str = "The clock of this host is wrong; use a recovery code. ";

/// Instead of the prompt, where a factor is required and there is none.
pub const NOT_SET_UP: &str = "No second factor is set up; ask your administrator. Press Enter: ";

/// Asks for a code of an app that is set up meanwhile, by a link; `masked`: where that was mailed, empty where somebody was
/// given it; `code`: its binding code, if it is for whoever logs in.
#[must_use]
pub fn by_link(masked: &str, code: Option<&str>) -> String {
    let which =
        if masked.is_empty() { "that you were given".to_owned() } else { format!("mailed to {masked}") };
    let code = code.unwrap_or("the binding code from your administrator");
    format!("Open the link {which}, type {code} there, then type the code your app shows: ")
}

/// Instead of the prompt, where a link was to be mailed and was not.
pub const NOT_MAILED: &str = "The link to set up a second factor could not be mailed; try again later, or ask your administrator. Press Enter: ";

/// Whether to set up a factor that is not required.
pub const OFFER: &str = "Set up a second factor now? Type yes, or press Enter to skip: ";

/// Below the key and the link.
const NEW_CODE: &str = "Add this to your authenticator app, then type the code it shows: ";

/// After a code that the new key does not have.
pub const WRONG_NEW_CODE: &str = "Wrong code. Is the clock of your phone right? Add this to your authenticator app, then type the code it shows: ";

/// Before the key, when the connection to the daemon broke at this prompt.
pub const RENEWED: &str = "This is a new key; remove the one that you added before.\n";

/// After three codes that the new key does not have, of somebody who needs no factor.
pub const NOTHING_SET_UP: &str = "Nothing was set up. Try again with: twinlock enroll totp";

/// When two logins of one user set up a factor at once: the other was first.
pub const MEANWHILE: &str = "A second factor was set up meanwhile; log in again with it. Press Enter: ";

/// Shows a new key. Picture and link may be lost; the key never is.
#[must_use]
pub fn new_key(key: &str, link: &str, picture: &[String]) -> Words {
    let characters: Vec<char> = key.chars().collect();
    let groups: Vec<String> = characters.chunks(4).map(|group| group.iter().collect()).collect();
    let key = Zeroizing::new(format!("Key: {}\n", groups.join(" ")));
    // The picture begins on a line of its own: clients put a name before the first.
    let mut before: Zeroizing<String> =
        Zeroizing::new(picture.iter().flat_map(|row| ["\n", row.as_str()]).collect());
    let mut prompt = Zeroizing::new(format!("{link}\n{}{NEW_CODE}", key.as_str()));
    if RENEWED.len() + prompt.len() >= LONGEST {
        before = Zeroizing::new(format!("{}\n{link}", before.as_str()));
        prompt = Zeroizing::new(format!("{}{NEW_CODE}", key.as_str()));
    }
    Words { before: (!before.is_empty()).then_some(before), prompt }
}

/// Whether a picture of so many rows and the link below it fit a terminal, with key and prompt.
#[must_use]
pub const fn fits(rows: usize, link: &str) -> bool {
    rows + link.len().div_ceil(COLUMNS) + 2 <= ROWS
}

/// Shows recovery codes, once.
#[must_use]
pub fn recovery_codes<'a>(codes: impl Iterator<Item = &'a str>) -> String {
    let codes: Vec<&str> = codes.collect();
    let rows: Vec<String> = codes.chunks(3).map(|row| row.join(" ")).collect();
    format!("Recovery codes, each good once:\n{}\nPress Enter when you have saved them: ", rows.join("\n"))
}

/// What the owner of an account should know of its last days.
#[must_use]
pub fn missed(missed: &Missed) -> Option<String> {
    let Missed { failures, proven, last } = missed;
    if *failures == 0 {
        return None;
    }
    let count =
        if *failures == 1 { "1 wrong code was".to_owned() } else { format!("{failures} wrong codes were") };
    let proven = match proven {
        0 => "none with your password or key",
        _ if proven == failures => "with your password or key known",
        _ => "some with your password or key known",
    };
    let last = last.map(|last| format!(", the last at {}", last.rfc_3339())).unwrap_or_default();
    Some(format!(
        "{count} given for this account since your last login, {proven}{last}. If that was not you, tell your administrator."
    ))
}

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
            code(None, &[]),
            code(Some(&of), &["resend", "sms", "call", "email"]),
            sent("email", &of) + &code(Some(&of), &["resend", "sms", "call"]),
            NO_MORE.to_owned() + &send("email", &of, &["sms", "call"]),
            NOT_SET_UP.into(),
            NOT_MAILED.into(),
            WRONG.to_owned() + &by_link(&of, Some("AB12-CD34")),
            by_link(&of, None),
            NO_WAY.to_owned() + &code(Some(&of), &[]),
            throttled(None) + &code(Some(&of), &[]),
            WRONG.to_owned(),
            OFFER.into(),
            WRONG_NEW_CODE.into(),
            MEANWHILE.into(),
            recovery_codes(["00-AAAAA-BBBBB-CCCCC"; 20].into_iter()),
            new_key(&"A".repeat(103), &"x".repeat(1000), &[]).prompt.to_string(),
            RENEWED.to_owned() + &new_key(&"A".repeat(32), &"x".repeat(300), &[]).prompt,
        ] {
            assert!(text.is_ascii() && text.len() < 512, "{text}");
            assert!(!text.ends_with("Password: ") && !text.ends_with("password: "), "{text}");
        }
    }

    #[test]
    fn the_prompt_offers_what_there_is() {
        assert_eq!(code(None, &["sms", "email"]), "Verification code (or type sms, email): ");
        assert_eq!(code(Some("bob"), &[]), "Verification code for bob: ");
        assert_eq!(
            send("sms", "+44*******78", &["call", "email"]),
            "Send a code by sms to +44*******78? Press Enter, or type call or email: "
        );
        assert_eq!(
            sent("sms", "+44*******78") + &code(None, &["resend"]),
            "Code sent by sms to +44*******78. Verification code (or type resend): "
        );
        assert_eq!(too_early(Duration::from_secs(42)), "Wait 42 s before asking again. ");
    }

    #[test]
    fn a_key_stands_below_its_picture_and_is_never_in_the_part_that_may_be_lost() {
        let picture = ["##  ##".to_owned(), "  ##  ".to_owned()];
        let words = new_key("ABCDEFGHIJ", "otpauth://x", &picture);
        assert_eq!(words.before.unwrap().as_str(), "\n##  ##\n  ##  ");
        assert_eq!(*words.prompt, format!("otpauth://x\nKey: ABCD EFGH IJ\n{NEW_CODE}"));
        let long = new_key("ABCDEFGHIJ", &"y".repeat(500), &picture);
        assert!(long.before.unwrap().ends_with('y'));
        assert_eq!(*long.prompt, format!("Key: ABCD EFGH IJ\n{NEW_CODE}"));
        assert_eq!(new_key("AB", "l", &[]).before, None);
    }

    #[test]
    fn what_fits_a_terminal() {
        assert!(fits(21, &"x".repeat(80)) && !fits(21, &"x".repeat(81)) && fits(19, &"x".repeat(240)));
    }

    #[test]
    fn an_owner_is_told_of_failures() {
        let of = |failures, proven| missed(&Missed { failures, proven, last: None });
        assert_eq!(of(0, 0), None);
        assert!(of(1, 1).unwrap().starts_with("1 wrong code was given"));
        assert!(of(3, 0).unwrap().contains("3 wrong codes") && of(3, 0).unwrap().contains("none with"));
        assert!(of(3, 1).unwrap().contains("some with your password"));
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
