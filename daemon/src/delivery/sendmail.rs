//! The sendmail of this host, behind a helper of systemd's (`twinlock-sendmail.socket`): it takes a letter, and says how
//! sendmail ended. It runs outside the daemon's sandbox, in which the set-group-ID bit of `postdrop` would be of no use.

use std::{path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

use super::{Outcome, Refusal};

/// For all of it.
const WHOLE: Duration = Duration::from_secs(8);
/// Longest answer that is read: `exit 75`.
const ANSWER: u64 = 64;

pub(super) async fn send(socket: &Path, letter: &[u8]) -> Outcome {
    let unavailable = |why| Outcome::Unavailable { why, after: None };
    let mut helper = match UnixStream::connect(socket).await {
        Ok(helper) => helper,
        Err(error) => {
            tracing::warn!(socket = %socket.display(), %error, "the mail helper does not answer");
            return unavailable("no-helper");
        }
    };
    let asked = async {
        // One that does not read on may have something to say all the same.
        if helper.write_all(letter).await.is_ok() {
            let _ = helper.shutdown().await; // the end of the letter
        }
        let mut answer = Vec::new();
        let _ = helper.take(ANSWER).read_to_end(&mut answer).await; // what it said before it broke off counts
        String::from_utf8_lossy(&answer).into_owned()
    };
    let Ok(answer) = tokio::time::timeout(WHOLE, asked).await else { return Outcome::Unknown };
    // sysexits.h
    match answer.trim().strip_prefix("exit ").and_then(|code| code.parse::<u8>().ok()) {
        Some(0) => Outcome::Accepted,
        Some(67 | 68) => Outcome::Rejected(Refusal::Destination), // EX_NOUSER, EX_NOHOST
        Some(75) => unavailable("later"),                         // EX_TEMPFAIL
        Some(126 | 127) => unavailable("no-sendmail"),            // sh(1): it cannot be run, it is not there
        Some(_) => unavailable("sendmail"),
        None => Outcome::Unknown,
    }
}
