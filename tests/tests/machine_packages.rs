//! The Debian packages, on a host where systemd runs: from `apt install` to `apt purge`. At every step a login works or is
//! refused as it should be, and no stack names a module that is not there.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
};

use twinlock_tests::{
    machine::{self, Machine},
    packages::{ALL, apt, broken_lines, dpkg, later, quiet, stacks, state},
    phone::Phone,
    ssh::{client, outcome},
    terminal::Terminal,
    world::{self, PASSWORD, root, script, sh},
};

const CODE_PROMPT: &str = "Verification code";

/// sshd as an administrator sets it up for codes.
fn sshd() {
    fs::write(
        "/etc/ssh/sshd_config.d/code.conf",
        "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n",
    )
    .unwrap();
    sh("systemctl restart ssh");
}

/// Gives a user an app, and a code for as many logins as a test may make.
fn enroll(user: &str) -> (Phone, String) {
    let json = |arguments: &[&str]| -> serde_json::Value {
        let out = root(arguments);
        assert!(out.status.success(), "{out:?}");
        serde_json::from_slice(&out.stdout).unwrap()
    };
    let app = json(&["user", "enroll", user, "totp", "--activate", "--json"]);
    let bypass = json(&["user", "bypass", user, "--reason", "test", "--uses", "50", "--json"]);
    (Phone::with_key(app["secret"].as_str().unwrap()), bypass["code"].as_str().unwrap().to_owned())
}

/// Types the password; says whether that was enough, or a code is asked for.
fn password(user: &str) -> (Terminal, bool) {
    let mut ssh = client(user, &[]);
    ssh.answer("Password: ", PASSWORD);
    let inside = ssh.expect_either("in as", CODE_PROMPT);
    (ssh, inside)
}

/// The password alone lets in, and nothing is broken.
#[track_caller]
fn asks_nobody(user: &str) {
    assert!(password(user).1, "a code is asked for");
    assert_eq!(broken_lines(), [""; 0]);
}

/// Password and code let in, the password and a wrong code do not; and nothing is broken.
#[track_caller]
fn asks(user: &str, code: &str) {
    assert_eq!(broken_lines(), [""; 0]);
    let (mut ssh, inside) = password(user);
    assert!(!inside, "no code is asked for");
    ssh.type_line(code);
    assert!(ssh.expect_either("in as", CODE_PROMPT), "{code} does not let in");

    let (mut ssh, _) = password(user);
    ssh.type_line("000000");
    ssh.expect("Wrong code");
    ssh.interrupt();
    assert!(!outcome(ssh, user).0);
}

/// The profile of pam-auth-update, on or off.
fn profile(verb: &str) {
    let out = quiet(Command::new("pam-auth-update").args([verb, "twinlock"]));
    assert!(out.status.success(), "{out:?}");
}

fn said(out: &std::process::Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr[..]].concat()).into_owned()
}

/// When a unit was last started.
fn started(unit: &str) -> String {
    sh(&format!("systemctl show --value --property=ActiveEnterTimestampMonotonic {unit}"))
}

#[test]
fn installing_asks_nobody_and_changes_no_stack() {
    let host = Machine::new();
    sshd();
    let before = stacks();
    let out = host.try_install(&ALL.map(machine::package));
    assert!(out.status.success(), "{out:?}");
    let hint: Vec<_> = said(&out).lines().filter(|line| line.contains("twinlock pam enable")).map(str::to_owned).collect();
    assert_eq!(hint.len(), 1, "{out:?}");

    let mut after = stacks();
    assert!(after.remove("twinlock-password").is_some(), "ours, and asked by twinlockd alone");
    assert_eq!(after, before);
    asks_nobody("alice");
    let (_, _) = enroll("alice");
    asks_nobody("alice");
    assert_eq!(said(&dpkg(&["--verify"])), "");
    assert_eq!(sh("systemctl --failed --quiet"), "");
    for unit in ["twinlockd.service", "twinlock-sendmail.socket", "twinlock-web.service"] {
        assert_eq!(sh(&format!("systemctl is-enabled {unit}")), "enabled\n", "{unit}");
        assert_eq!(sh(&format!("systemctl is-active {unit}")), "active\n", "{unit}");
    }
}

#[test]
fn from_install_to_purge_a_login_works_or_is_refused_as_it_should() {
    let host = Machine::new();
    sshd();
    let before = stacks();
    host.install(&["libpam-twinlock", "twinlock"]);
    let (_, code) = enroll("alice");
    asks_nobody("alice");
    profile("--enable");
    asks("alice", &code);
    asks_nobody("bob");

    fs::write("/etc/twinlock/twinlock.toml", "issuer = 'mine'\n").unwrap();
    let out = host.try_install(&[later("libpam-twinlock"), later("twinlock")]);
    assert!(out.status.success(), "{out:?}");
    assert_eq!(state("twinlock"), "installed 0.1.0-2");
    asks("alice", &code);
    assert_eq!(fs::read_to_string("/etc/twinlock/twinlock.toml").unwrap(), "issuer = 'mine'\n");

    profile("--disable");
    asks_nobody("alice");
    profile("--enable");
    asks("alice", &code);
    assert!(apt("remove", &["libpam-twinlock"]).status.success());
    asks_nobody("alice");
    host.install(&["libpam-twinlock"]);
    asks_nobody("alice");
    profile("--enable");
    asks("alice", &code);

    let out = apt("purge", &["twinlock", "libpam-twinlock"]);
    assert!(out.status.success() && said(&out).contains("Removing /var/lib/twinlock:"), "{out:?}");
    asks_nobody("alice");
    assert_eq!(stacks(), before);
    for left in ["/var/lib/twinlock", "/etc/twinlock", "/usr/share/twinlock", "/usr/share/doc/twinlock"] {
        assert!(fs::symlink_metadata(left).is_err(), "{left} is left");
    }
    assert_eq!(sh("systemctl --failed --quiet"), "");
}
