//! What sshd allows now, and what it will: who loses a way in, and who would gain one, said before anything is written.

use super::{lines::First, sshd};
use crate::{
    doctor::{Effective, SSHD_CONFIG, Way, program, ways},
    failure::{Failure, NO},
};

/// What holds for one who connects.
struct View {
    effective: Effective,
    ways: Vec<Way>,
}

/// What holds for everybody, and for root, who may have a Match block.
struct Views {
    everybody: View,
    root: View,
}

/// The sentences of a change, for `user` above all.
pub fn changes(first: First, passwords: bool, user: &str) -> Result<Vec<String>, Failure> {
    let before = Views::ask("")?;
    let after = Views::ask(&sshd::drop_in(first))?;
    if first == First::Password && !passwords && !before.everybody.by_password() {
        return Err(Failure::new(
            NO,
            "so far nobody logs in by a password alone, and whoever has no second factor could then: nothing has \
             changed. --key asks a code after the key; --passwords says that you mean it",
        ));
    }
    let mut said = lost(&before.everybody, &after.everybody);
    if first == First::Key && !before.everybody.ways.iter().any(|way| way.key() && !way.several()) {
        said.push(
            "So far a key alone lets nobody in; it then does where policy asks for no second factor."
                .to_owned(),
        );
    }
    if before.root.lets_root_in() && !after.root.lets_root_in() {
        let value = after.root.effective.value("permitrootlogin").unwrap_or_default();
        said.push(format!(
            "Root cannot log in by ssh then: with PermitRootLogin {value} sshd refuses root at keyboard-interactive."
        ));
    }
    if first == First::Password && locked(user) {
        let user = crate::output::clean(user);
        said.push(format!("{user} has no password to log in by, and cannot log in by ssh then; see --key."));
    }
    Ok(said)
}

/// Logins without our prompt that end.
fn lost(before: &View, after: &View) -> Vec<String> {
    let ended = before.ways.iter().filter(|way| !after.ways.contains(way));
    let mut said = Vec::new();
    for way in ended {
        let (written, keys) = (way.written(), after.ways.iter().any(Way::key));
        if !way.password() && !way.asks() {
            let then = if keys { "a code is asked too" } else { "whoever has no password is locked out" };
            said.push(format!("Logins by {written} alone, which sshd allows now, end: {then}."));
        } else if keys && !way.key() {
            said.push(format!(
                "Logins by {written}, which sshd allows now, end: whoever has no key is locked out."
            ));
        }
    }
    said
}

impl Views {
    /// Asks sshd; `text` comes before its configuration, so that it wins.
    fn ask(text: &str) -> Result<Self, Failure> {
        Ok(Self { everybody: View::ask(text, "nobody")?, root: View::ask(text, "root")? })
    }
}

impl View {
    fn ask(text: &str, user: &str) -> Result<Self, Failure> {
        let config = format!("{text}Include {SSHD_CONFIG}\n");
        let user = format!("user={user},host=localhost,addr=127.0.0.1");
        let out = sshd::ask(&["-T", "-f", "/proc/self/fd/0", "-C", &user], &config)?;
        if !out.status.success() {
            let what =
                if text.is_empty() { "say what it allows" } else { "take what the new file would say" };
            return Err(Failure::new(
                NO,
                format!("sshd does not {what}: {}; nothing has changed", sshd::said(&out)),
            ));
        }
        let effective = Effective::parse(&String::from_utf8_lossy(&out.stdout));
        Ok(Self { ways: ways(&effective), effective })
    }

    /// Whether whoever knows a password, and has nothing else, gets in.
    fn by_password(&self) -> bool {
        self.ways.iter().any(|way| !way.several() && (way.password() || way.asks()))
    }

    /// auth.c, `auth_root_allowed`: it looks at the method that comes last.
    fn lets_root_in(&self) -> bool {
        match self.effective.value("permitrootlogin") {
            Some("no" | "forced-commands-only") => false,
            Some("prohibit-password" | "without-password") => {
                self.ways.iter().any(|way| !way.password() && !way.asks())
            }
            _ => !self.ways.is_empty(),
        }
    }
}

/// Whether no password is the right one; what a directory says is not known here.
fn locked(user: &str) -> bool {
    let out = program("getent").args(["shadow", "--", user]).output();
    let text = out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.split(':').nth(1).is_some_and(|hash| hash.starts_with(['!', '*']))
}
