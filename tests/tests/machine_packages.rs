//! The Debian packages, on a host where systemd runs: from `apt install` to `apt purge`. At every step a login works or is
//! refused as it should be, and no stack names a module that is not there.

use std::fs;

use twinlock_tests::{
    host::{asks, asks_nobody, host_that_asks, profile, sshd},
    machine::{self, Machine},
    packages::{ALL, FIRST, LATER, apt, dpkg, dpkg_install, later, quiet, said, stacks, state},
    world::{self, enroll, root, sh},
};

#[test]
fn installing_asks_nobody_and_changes_no_stack() {
    let host = Machine::new();
    sshd();
    let before = stacks();
    let out = host.try_install(&ALL.map(machine::package));
    assert!(out.status.success(), "{out:?}");
    let hint: Vec<_> =
        said(&out).lines().filter(|line| line.contains("twinlock pam enable")).map(str::to_owned).collect();
    assert_eq!(hint.len(), 1, "{out:?}");

    let mut after = stacks();
    assert!(after.remove("twinlock-password").is_some(), "ours, and asked by twinlockd alone");
    assert_eq!(after, before);
    asks_nobody("alice");
    let _phone = enroll("alice");
    asks_nobody("alice");
    assert_eq!(said(&dpkg(&["--verify"])), "");
    assert_eq!(sh("systemctl list-units --failed --quiet 'twinlock*'"), "");
    for unit in [
        "twinlockd.service",
        "twinlockd.socket",
        "twinlockd-user.socket",
        "twinlockd-web.socket",
        "twinlock-password.socket",
        "twinlock-sendmail.socket",
        "twinlock-web.service",
    ] {
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
    let _phone = enroll("alice");
    asks_nobody("alice");
    profile("--enable");
    asks("alice");
    asks_nobody("bob");

    fs::write("/etc/twinlock/twinlock.toml", "issuer = 'mine'\n").unwrap();
    assert!(quiet(&mut dpkg_install(later)).status.success());
    assert_eq!(state("twinlock"), LATER);
    asks("alice");
    assert_eq!(fs::read_to_string("/etc/twinlock/twinlock.toml").unwrap(), "issuer = 'mine'\n");

    profile("--disable");
    asks_nobody("alice");
    profile("--enable");
    asks("alice");
    assert!(apt("remove", &["libpam-twinlock"]).status.success());
    asks_nobody("alice");
    host.install(&["libpam-twinlock"]);
    asks_nobody("alice");
    profile("--enable");
    asks("alice");

    let out = apt("purge", &["twinlock", "libpam-twinlock"]);
    assert!(out.status.success() && said(&out).contains("Removing /var/lib/twinlock:"), "{out:?}");
    asks_nobody("alice");
    assert_eq!(stacks(), before);
    for left in ["/var/lib/twinlock", "/etc/twinlock", "/usr/share/twinlock", "/usr/share/doc/twinlock"] {
        assert!(fs::symlink_metadata(left).is_err(), "{left} is left");
    }
    assert_eq!(sh("systemctl list-units --failed --quiet 'twinlock*'"), "");
}

#[test]
fn what_the_command_enabled_goes_with_the_package() {
    let host = Machine::new();
    sshd();
    host.install(&["libpam-twinlock", "twinlock"]);
    let _phone = enroll("alice");
    let before = stacks();
    let drop_in = "/etc/ssh/sshd_config.d/00-twinlock.conf";
    for package in ["libpam-twinlock", "twinlock"] {
        for words in
            [&["pam", "enable", "--service", "sshd", "--try-as", "alice", "--yes"][..], &["pam", "confirm"]]
        {
            let out = root(words);
            assert!(out.status.success(), "{out:?}");
        }
        assert!(fs::exists(drop_in).unwrap());
        asks("alice");
        assert!(quiet(&mut dpkg_install(later)).status.success());
        asks("alice");

        let out = apt("remove", &[package]);
        assert!(out.status.success(), "{out:?}");
        assert_eq!(stacks(), before);
        assert!(!fs::exists(drop_in).unwrap());
        asks_nobody("alice");
        assert!(quiet(&mut dpkg_install(machine::package)).status.success());
    }
}

#[test]
fn removal_is_refused_while_a_line_would_deny_every_login() {
    let (_host, _) = host_that_asks();
    // Where it stands, taking our line out would make another one jump too far.
    let stack = "auth requisite pam_unix.so\n\
                 auth [success=1 default=ignore] pam_succeed_if.so quiet user = bob\n\
                 auth required pam_twinlock.so after_first_factor\n\
                 auth required pam_permit.so\n\
                 account required pam_unix.so\nsession required pam_permit.so\n";
    world::stack("sudo", stack);
    // Copies of dpkg's and of editors are no stacks.
    world::stack("su.dpkg-old", stack);
    world::stack("sudo.bak", stack);
    for package in ["libpam-twinlock", "twinlock"] {
        let out = apt("remove", &[package]);
        assert!(!out.status.success(), "{out:?}");
        let all = said(&out);
        assert!(all.contains(&format!("{package} is not removed: these PAM stacks")), "{all}");
        assert!(all.contains("\n/etc/pam.d/sudo\nTake those lines out"), "{all}");
        assert_eq!(state(package), FIRST);
        assert_eq!(fs::read_to_string("/etc/pam.d/sudo").unwrap(), stack);
        assert_eq!(sh("systemctl is-active twinlockd twinlockd.socket"), "active\nactive\n");
        asks_nobody("alice");
    }
    world::stack(
        "sudo",
        "@include common-auth\n@include common-account\n@include common-session-noninteractive\n",
    );
    assert!(apt("remove", &["libpam-twinlock", "twinlock"]).status.success());
    asks_nobody("alice");
}

#[test]
fn the_daemon_goes_alone_and_takes_its_lines_along() {
    let (host, _) = host_that_asks();
    let out = apt("remove", &["twinlock"]);
    assert!(out.status.success(), "{out:?}");
    assert!(stacks().iter().all(|(file, text)| file == "twinlock-password" || !text.contains("twinlock")));
    asks_nobody("alice");
    assert!(fs::exists("/var/lib/twinlock/twinlock.db").unwrap(), "only a purge forgets who is enrolled");
    assert!(!fs::exists("/run/twinlock/login.sock").unwrap());
    host.install(&["twinlock"]);
    profile("--enable");
    asks("alice");
}

#[test]
fn the_module_alone_changes_nothing() {
    let host = Machine::new();
    sshd();
    let before = stacks();
    host.install(&["libpam-twinlock"]);
    assert_eq!(stacks(), before);
    asks_nobody("alice");
    let out = apt("purge", &["libpam-twinlock"]);
    assert!(out.status.success(), "{out:?}");
    assert_eq!(stacks(), before);
    asks_nobody("alice");
}
