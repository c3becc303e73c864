//! A program of the administrator's that sends messages: what it sends comes on its standard input, as JSON, because
//! arguments and environment can be seen by others.

use std::{fs, os::unix::fs::MetadataExt, path::PathBuf, process::Stdio, time::Duration};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{io::AsyncWriteExt, process::Command};

use super::{Attempt, Outcome, Refusal, http::Values};

/// How long it may take.
const WHOLE: Duration = Duration::from_secs(8);

/// Runs it. What it says is not kept; its exit status says what became of the message (`sysexits.h`).
pub(super) async fn run(provider: &str, path: &str, values: &Values) -> Attempt {
    let attempt = |outcome| Attempt::new(provider, outcome);
    let file = match trusted(path) {
        Ok(file) => file,
        Err(why) => {
            tracing::error!(provider, path, why, "this program is not run");
            return attempt(Outcome::Rejected(Refusal::Account));
        }
    };
    let input = input(values);
    let child = Command::new(file) // not by the name: a link could lead elsewhere by now
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            tracing::error!(provider, path, %error, "this program does not start");
            return attempt(Outcome::Unavailable { why: "program", after: None });
        }
    };
    let _group = child.id().and_then(|id| i32::try_from(id).ok()).map(|id| Group(Pid::from_raw(id)));
    let stdin = child.stdin.take();
    let ended = tokio::time::timeout(WHOLE, async {
        if let Some(mut stdin) = stdin {
            // One that reads nothing may say so by its exit status.
            let _ = stdin.write_all(input.to_string().as_bytes()).await;
        }
        child.wait().await
    })
    .await;
    let code = ended.ok().and_then(Result::ok).and_then(|status| status.code());
    attempt(match code {
        Some(0) => Outcome::Accepted,
        Some(65 | 67 | 68) => Outcome::Rejected(Refusal::Destination), // EX_DATAERR, EX_NOUSER, EX_NOHOST
        Some(77 | 78) => Outcome::Rejected(Refusal::Account),          // EX_NOPERM, EX_CONFIG
        Some(69 | 75) => Outcome::Unavailable { why: "outage", after: None }, // EX_UNAVAILABLE, EX_TEMPFAIL
        Some(_) => Outcome::Unavailable { why: "program", after: None },
        None => Outcome::Unknown, // killed, by us or by others
    })
}

/// What it reads.
pub(super) fn input(values: &Values) -> serde_json::Value {
    let of = |name: &str| values.get(name).map(String::as_str).unwrap_or_default();
    serde_json::json!({
        "id": of("id"), "to": of("to"), "from": of("from"), "text": of("text"), "user": of("user"), "secret": of("secret"),
        "speech": of("speech"), "digits": of("digits"), "language": of("lang"),
        "ttl": of("ttl").parse::<u64>().unwrap_or(0), "ring": of("ring").parse::<u64>().unwrap_or(0),
    })
}

/// The program and what it started: all of it ends with this, in good order or not.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

/// Whether nobody but root can change it, or put another in its place.
fn trusted(path: &str) -> Result<PathBuf, &'static str> {
    let path = fs::canonicalize(path).map_err(|_| "it is not there")?;
    let about = fs::metadata(&path).map_err(|_| "it is not there")?;
    if !about.is_file() || about.mode() & 0o111 == 0 {
        return Err("it is no program");
    }
    let us = nix::unistd::geteuid().as_raw();
    let ours = |about: &fs::Metadata| (about.uid() == 0 || about.uid() == us) && about.mode() & 0o022 == 0;
    for place in path.ancestors() {
        let sticky = |about: &fs::Metadata| about.is_dir() && about.uid() == 0 && about.mode() & 0o1000 != 0;
        if !fs::metadata(place).is_ok_and(|about| ours(&about) || sticky(&about)) {
            return Err("others than root can change it, or a folder above it");
        }
    }
    Ok(path)
}
