//! What tests of `twinlock pam` share: the command, what it may write, and logins that show what it did.

use std::{fs, process::Output};

use serde_json::Value;

use crate::{
    phone::{Phone, early_in_a_step},
    ssh::{Sshd, client, outcome},
    world::{PASSWORD, World, done, enroll, json, root, sh},
};

/// The stack that most tests change.
pub const STACK: &str = "/etc/pam.d/sshd";

/// What the command did.
pub const LEDGER: &str = "/var/lib/twinlock/pam";

/// Debian's sshd, as it is installed.
#[must_use]
pub fn debians_sshd(world: &World) -> Sshd {
    let stack = fs::read_to_string(STACK).unwrap();
    let config = fs::read_to_string("/etc/ssh/sshd_config").unwrap();
    world.sshd(&stack, &config)
}

/// Refused, with this sentence; the exit code is that of an answer that is no.
#[track_caller]
pub fn refused(arguments: &[&str], sentence: &str) {
    let out = root(arguments);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains(sentence), "{arguments:?}: {out:?}");
}

/// What `twinlock pam status` says.
#[must_use]
pub fn status() -> Value {
    json(&["pam", "status", "--json"])
}

/// Everything that the command may write, byte for byte; while it is at it, a draft may be gone before it is read.
#[must_use]
pub fn files() -> String {
    sh("cd / && find etc/pam.d etc/ssh -type f | sort | xargs sha256sum 2>/dev/null || true")
}

/// Runs `twinlock pam enable` with more arguments; alice is tried.
#[must_use]
pub fn enable(more: &[&str]) -> Output {
    root(&[&["pam", "enable", "--yes", "--try-as", "alice"][..], more].concat())
}

/// Logs in by password and code.
#[track_caller]
#[must_use]
pub fn with_code(code: &str) -> (bool, String) {
    let mut terminal = client("alice", &["-o", "PubkeyAuthentication=no"]);
    terminal.answer("assword: ", PASSWORD);
    terminal.expect("Verification code: ");
    terminal.type_line(code);
    if terminal.expect_either("in as alice", "Wrong code. ") {
        return (true, terminal.finish().0);
    }
    terminal.interrupt();
    (false, terminal.finish().0)
}

/// Nobody is asked for a code behind a wrong password.
#[track_caller]
pub fn a_wrong_password_ends_it() {
    let mut terminal = client("alice", &["-o", "PubkeyAuthentication=no"]);
    terminal.answer("assword: ", "wrong horse");
    let (inside, said) = outcome(terminal, "alice");
    assert!(!inside && !said.contains("Verification"), "{said}");
}

/// A code of a new app of alice's, which nobody has used.
#[must_use]
pub fn next_code(phone: &mut Phone) -> String {
    let _ = done(&root(&["user", "reset", "alice"]));
    *phone = enroll("alice");
    early_in_a_step(5);
    phone.code(0)
}
