//! AppArmor, on a Debian machine with a kernel of its own: the profiles are in force, hinder nothing that is done every day,
//! and hold.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, process::Command};

use twinlock_tests::{confined, machine::Machine, world::sh};

/// What AppArmor refused to our programs since the boot.
fn refused() -> String {
    // The journal hears of it from the kernel, or from audit where auditd runs.
    sh(
        "journalctl --sync && journalctl -o cat _TRANSPORT=kernel + _TRANSPORT=audit | grep 'apparmor=\"DENIED\"' | \
        grep 'profile=\"twinlock' || true",
    )
}

/// In which profile the first process of a unit is.
fn profile(unit: &str) -> String {
    let pid = sh(&format!("systemctl show -P MainPID {unit}"));
    fs::read_to_string(format!("/proc/{}/attr/apparmor/current", pid.trim())).unwrap().trim().to_owned()
}

#[test]
fn what_is_done_every_day_is_allowed_and_the_hosts_passwords_are_not() {
    let machine = Machine::new();
    confined::install(&machine);
    confined::every_day();
    assert_eq!(profile("twinlockd"), "twinlockd (enforce)");
    assert_eq!(profile("twinlock-web"), "twinlock-web (enforce)");
    assert_eq!(refused(), "");

    // getent(1) may run in the daemon's profile: it finds people, and not their passwords.
    let getent = |database: &str| {
        let out = Command::new("aa-exec").args(["-p", "twinlockd", "getent", database, "alice"]).output();
        out.unwrap().status.success()
    };
    assert!(getent("passwd"));
    assert!(!getent("shadow"));
    assert!(refused().contains("name=\"/etc/shadow\""), "{}", refused());
}
