//! Foreign text in a log: one line, bounded, without control characters, and no field of it forged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pam_twinlock::{application::Circumstances, authority::Fault, dialogue::Phase, outcome::Outcome, record};
use twinlockd::{names, telemetry::escape};

fuzz_target!(|texts: (&str, &str, &str, u8)| {
    let (first, second, third, limit) = texts;
    let plain = |text: &str| text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    let escaped = escape(first);
    assert!(plain(&escaped) && escaped.len() < 1024, "{escaped:?}");
    let limit = usize::from(limit);
    for printed in [names::printable(first, limit), record::printable(first, limit)] {
        assert!(plain(&printed) && printed.len() <= limit, "{printed:?}");
    }
    let login = Circumstances {
        user: first.to_owned(),
        rhost: second.to_owned(),
        ruser: third.to_owned(),
        tty: second.to_owned(),
        service: third.to_owned(),
        ..Circumstances::default()
    };
    let (_, line) = record::line(Phase::Auth, &Outcome::Denied, &login).expect("a failure is told");
    assert!(plain(&line) && line.len() < 1024, "{line:?}");
    for field in ["; logname=", " uid=", " euid=", " tty=", " ruser=", " rhost=", "  user="] {
        let last = line.rfind(field).expect("the classic form");
        assert!(line[..last].find(field).is_none() || field == " uid=", "a second {field}: {line:?}");
    }
    let fault = Outcome::Unavailable(Fault::Untrusted(first.to_owned()));
    let (_, line) = record::line(Phase::Auth, &fault, &login).expect("an outage is told");
    assert!(plain(&line) && !line.contains("authentication failure"), "{line:?}");
});
