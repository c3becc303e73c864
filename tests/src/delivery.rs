//! Codes that are sent: the configuration for it, bob who waits at the prompt, and what the trail says of it.

use std::fs;

use crate::{
    daemon::Daemon,
    ssh::{KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, Sshd, client},
    terminal::Terminal,
    world::{self, PASSWORD, World, root},
};

/// Writes the configuration, and credentials: name and first line.
pub fn configure(text: &str, credentials: &[(&str, &str)]) {
    fs::create_dir_all("/etc/twinlock/credentials").unwrap();
    fs::write("/etc/twinlock/twinlock.toml", text).unwrap();
    world::sh("chmod 0640 /etc/twinlock/twinlock.toml");
    for (name, value) in credentials {
        let path = format!("/etc/twinlock/credentials/{name}");
        fs::write(&path, format!("{value}\n")).unwrap();
        world::sh(&format!("chmod 0600 {path}"));
    }
}

/// A daemon and an sshd, and bob with a contact that counts (`--email`, `--phone`).
#[must_use]
pub fn reachable(world: &World, contact: [&str; 2]) -> (Daemon, Sshd) {
    let daemon = world.daemon();
    let out = root(&[&["user", "contact", "bob"][..], &contact, &["--verified"]].concat());
    assert!(out.status.success(), "{out:?}");
    (daemon, world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE))
}

/// bob at the prompt behind the password.
#[must_use]
pub fn bob() -> Terminal {
    let mut ssh = client("bob", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh
}

/// What the trail says of messages: method, outcome, reason.
#[must_use]
pub fn sends() -> Vec<String> {
    let out = root(&["audit", "--event", "send", "--json"]);
    let text = String::from_utf8(out.stdout).unwrap();
    let entry = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| entry[key].as_str().unwrap().to_owned();
        format!("{} {} {}", word("method"), word("outcome"), word("reason"))
    };
    text.lines().map(entry).collect()
}
