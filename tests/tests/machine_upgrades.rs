//! Upgrades of the Debian packages: while somebody is at a prompt, and such as die in the middle.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, process::Command};

use twinlock_tests::{
    host::{asks, host_that_asks, password, started},
    machine,
    packages::{LATER, dpkg, dpkg_install, later, quiet, said, state},
    world::script,
};

#[test]
fn a_login_that_waits_goes_on_after_an_upgrade() {
    let (_host, phone) = host_that_asks();
    let (mut waiting, inside) = password("alice");
    assert!(!inside);
    let restarted = ["twinlockd.service"];
    let untouched = ["twinlockd.socket", "twinlockd-user.socket", "twinlock-password.socket", "ssh.service"];
    let before = (restarted.map(started), untouched.map(started));

    assert!(quiet(&mut dpkg_install(later)).status.success());
    assert_eq!(state("twinlock"), LATER);
    assert_ne!(restarted.map(started), before.0);
    assert_eq!(untouched.map(started), before.1);

    waiting.type_line(&phone.code(0));
    waiting.expect("in as alice");
    assert_eq!(waiting.finish().1, 0);
    asks("alice");
}

/// Ways for dpkg to die in the middle: it, and what it has called, are gone at once.
fn deaths() -> Vec<(String, Command)> {
    let upgrade_with = |program: &str, arguments: &[String]| {
        let upgrade = dpkg_install(later);
        let mut command = Command::new(program);
        command.args(arguments).arg(upgrade.get_program()).args(upgrade.get_args());
        command
    };
    // Each file takes its name by a rename, and so does dpkg's own state.
    let traced = "/root/renames";
    let out = quiet(&mut upgrade_with("strace", &["-o", traced, "-e", "trace=rename"].map(str::to_owned)));
    assert!(out.status.success(), "{out:?}");
    let renames = fs::read_to_string(traced).unwrap().matches("rename(").count();
    assert!(renames > 20, "{renames}");
    let mut deaths: Vec<_> = (1..=3)
        .map(|part| {
            let inject = format!("inject=rename:signal=KILL:when={}", renames * part / 4);
            let arguments = ["-o", "/dev/null", "-e", "trace=rename", "-e", &inject].map(str::to_owned);
            (format!("rename {part}/4"), upgrade_with("strace", &arguments))
        })
        .collect();
    // The scripts of the packages call these.
    for helper in ["pam-auth-update", "deb-systemd-helper", "deb-systemd-invoke"] {
        fs::create_dir_all(format!("/root/{helper}")).unwrap();
        script(&format!("/root/{helper}/{helper}"), "#!/bin/sh\nkill -KILL 0\n");
        let path = format!("PATH=/root/{helper}:/usr/sbin:/usr/bin:/sbin:/bin");
        let arguments = ["--wait", "env", &path].map(str::to_owned);
        deaths.push((helper.to_owned(), upgrade_with("setsid", &arguments)));
    }
    deaths
}

#[test]
fn an_upgrade_that_dies_locks_nobody_out() {
    let (_host, _) = host_that_asks();
    for (point, mut dying) in deaths() {
        assert!(quiet(&mut dpkg_install(machine::package)).status.success());
        let out = quiet(&mut dying);
        assert!(!out.status.success(), "{point}: {out:?}");
        assert_ne!(said(&dpkg(&["--audit"])) + &state("twinlock"), LATER, "{point}: {out:?}");
        asks("alice");
        // As dpkg says; it may want the file of what was half unpacked.
        let _ = dpkg(&["--configure", "--pending"]);
        let out = quiet(&mut dpkg_install(later));
        assert!(out.status.success(), "{point}: {out:?}");
        assert_eq!((said(&dpkg(&["--audit"])), state("twinlock")), (String::new(), LATER.to_owned()));
        asks("alice");
    }
}
