//! A host with our packages: what a login there meets.

use std::{fs, process::Command};

use crate::{
    machine::Machine,
    packages::{broken_lines, quiet},
    phone::Phone,
    ssh::{client, outcome},
    terminal::Terminal,
    world::{PASSWORD, bypass, enroll, sh},
};

/// What is asked behind the password.
pub const CODE_PROMPT: &str = "Verification code";

/// sshd as an administrator sets it up for codes.
pub fn sshd() {
    fs::write(
        "/etc/ssh/sshd_config.d/code.conf",
        "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n",
    )
    .unwrap();
    sh("systemctl restart ssh");
}

/// Types the password; says whether that was enough, or a code is asked for.
#[must_use]
pub fn password(user: &str) -> (Terminal, bool) {
    let mut ssh = client(user, &[]);
    ssh.answer("Password: ", PASSWORD);
    let inside = ssh.expect_either("in as", CODE_PROMPT);
    (ssh, inside)
}

/// The password alone lets in, and nothing is broken.
#[track_caller]
pub fn asks_nobody(user: &str) {
    assert!(password(user).1, "a code is asked for");
    assert_eq!(broken_lines(), [""; 0]);
}

/// Password and code let in, the password and a wrong code do not; and nothing is broken.
#[track_caller]
pub fn asks(user: &str) {
    assert_eq!(broken_lines(), [""; 0]);
    let (mut ssh, inside) = password(user);
    assert!(!inside, "no code is asked for");
    ssh.type_line(&bypass(user));
    assert!(ssh.expect_either("in as", CODE_PROMPT), "the code does not let in");

    let (mut ssh, _) = password(user);
    ssh.type_line("000000");
    ssh.expect("Wrong code");
    ssh.interrupt();
    assert!(!outcome(ssh, user).0);
}

/// The profile of pam-auth-update, on or off.
pub fn profile(verb: &str) {
    let out = quiet(Command::new("pam-auth-update").args([verb, "twinlock"]));
    assert!(out.status.success(), "{out:?}");
}

/// When a unit was last started.
#[must_use]
pub fn started(unit: &str) -> String {
    sh(&format!("systemctl show --value --property=ActiveEnterTimestampMonotonic {unit}"))
}

/// The programs, enrolled alice, and a host that asks by pam-auth-update's profile.
#[must_use]
pub fn host_that_asks() -> (Machine, Phone) {
    let host = Machine::new();
    sshd();
    host.install(&["libpam-twinlock", "twinlock"]);
    let phone = enroll("alice");
    profile("--enable");
    asks("alice");
    (host, phone)
}
