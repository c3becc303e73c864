//! What logs look like to fail2ban: its own filters, and ours for the daemon's line.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::{os::unix::net::UnixStream, process::Command};

use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, pam},
    phone::now,
    ssh::{KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, client, outcome},
    wait,
    world::{self, AUTH_LOG, PASSWORD, World},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";

/// Lines of the log that a filter matches.
fn matched(filter: &str) -> u32 {
    let out = world::sh(&format!("fail2ban-regex {AUTH_LOG} '{filter}' | grep '^Lines:'"));
    let words: Vec<&str> = out.split([' ', ',']).collect();
    let at = words.iter().position(|word| *word == "matched").expect("a count");
    words[at - 1].parse().expect("a number")
}

/// Our filter and jail, where fail2ban looks for them.
fn install() {
    let packaging = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/fail2ban");
    for file in ["filter.d/twinlockd.conf", "jail.d/twinlockd.conf"] {
        world::sh(&format!("cp {packaging}/{file} /etc/fail2ban/{file}"));
    }
}

/// The addresses that our filter finds, one for each line that it matches.
fn hosts() -> Vec<String> {
    let out = world::sh(&format!("fail2ban-regex --out ip {AUTH_LOG} twinlockd"));
    out.lines().map(str::to_owned).collect()
}

/// A login by a program that runs as root and says where it comes from.
fn log_in(user: &str, rhost: &str, answers: &[&str]) -> i32 {
    pamhost::run(&[&["-s", "ours", "-u", user, "-r", rhost][..], answers].concat()).code
}

/// A host that fail2ban watches.
fn watched() -> (World, Daemon) {
    let world = World::new();
    let daemon = Daemon::quiet();
    install();
    world::stack("ours", OURS);
    (world, daemon)
}

#[test]
fn our_filter_counts_each_failed_login_once_by_the_address_that_it_came_from() {
    let (world, _daemon) = watched();
    let phone = world.enroll("alice");
    let wrong = phone.wrong_code();
    let three = [wrong.as_str(); 3];
    assert_eq!(log_in("alice", "192.0.2.7", &three), pam::AUTH_ERR);
    assert_eq!(log_in("alice", "2001:db8::9", &["x", "y", "z"]), pam::AUTH_ERR);
    assert_eq!(log_in("alice", "::ffff:192.0.2.8", &three), pam::MAXTRIES);
    let log = world.log_with("rhost=192.0.2.8 ");
    let ours: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("verification ").map(|(_, l)| l)).collect();
    assert_eq!(
        ours,
        [
            "failed: rhost=192.0.2.7 service=ours reason=wrong user=\"alice\"",
            "failed: rhost=2001:db8::9 service=ours reason=malformed user=\"alice\"",
            "failed: rhost=192.0.2.8 service=ours reason=throttled user=\"alice\"",
        ]
    );
    // Who is throttled may be the one whom others guessed at.
    assert_eq!(hosts(), ["192.0.2.7", "2001:db8::9"]);

    // Who is right, who may not enroll and was never asked for a code, and who is at the host itself: nobody's guess.
    let bob = world.enroll("bob");
    assert_eq!(log_in("bob", "192.0.2.9", &[&bob.code(0)]), pam::SUCCESS);
    for nowhere in ["", "host.example", "192.0.2.10.example", "10.0.0.1 rhost=192.0.2.11"] {
        assert_eq!(log_in("bob", nowhere, &[bob.wrong_code().as_str(); 3]), pam::AUTH_ERR, "{nowhere}");
        assert!(world::root(&["user", "unlock", "bob"]).status.success());
    }
    let _ = world.log_with("rhost=- service=ours reason=wrong user=\"bob\"");
    assert_eq!(hosts().len(), 2, "{}", world.log());
}

#[test]
fn who_goes_away_behind_a_wrong_code_has_failed_and_who_goes_away_has_not() {
    let (world, _daemon) = watched();
    let phone = world.enroll("alice");
    let wrong = phone.wrong_code();
    assert_ne!(log_in("alice", "192.0.2.6", &[]), pam::SUCCESS);
    assert_ne!(log_in("alice", "192.0.2.7", &[&wrong]), pam::SUCCESS);
    assert_eq!(log_in("alice", "192.0.2.8", &[&phone.code(0)]), pam::SUCCESS);
    assert_ne!(log_in("alice", "192.0.2.9", &[&phone.code(0)]), pam::SUCCESS, "used, and away");
    let log = world.log_with("rhost=192.0.2.9 ");
    assert!(log.contains("failed: rhost=192.0.2.7 service=ours reason=wrong user=\"alice\""), "{log}");
    assert!(log.contains("failed: rhost=192.0.2.9 service=ours reason=used user=\"alice\""), "{log}");
    assert_eq!(log.matches("verification failed").count(), 2, "{log}");
    assert_eq!(hosts(), ["192.0.2.7", "192.0.2.9"]);
    assert_eq!(world.logins("alice").iter().filter(|login| *login == "abandoned").count(), 3);
}

#[test]
fn no_name_makes_a_second_match_or_another_address() {
    let (world, _daemon) = watched();
    let line = "verification failed: rhost=198.51.100.9 service=sshd reason=wrong user=\"x\"";
    let crafted = [
        "x\" rhost=198.51.100.9".to_owned(),
        "x\" rhost=198.51.100.9 service=sshd reason=wrong user=\"y".to_owned(),
        "from 198.51.100.9".to_owned(),
        "for x from 198.51.100.9 port 22 ssh2".to_owned(),
        format!("x\n{line}"),
        format!("x\nNov 22 10:00:00 box twinlockd[1]: {line}\n"),
        format!("\r{line}"),
        line.to_owned(),
        "\\\"\u{1b}[2J\u{202e}".to_owned(),
    ];
    for (n, name) in crafted.iter().enumerate() {
        assert_eq!(log_in(name, &format!("192.0.2.{n}"), &["111111"; 3]), pam::AUTH_ERR, "{name:?}");
        let _ = world.log_with(&format!("failed: rhost=192.0.2.{n} "));
    }
    let expected: Vec<String> = (0..crafted.len()).map(|n| format!("192.0.2.{n}")).collect();
    assert_eq!(hosts(), expected);
    // The service is the application's word, and what it says of the host no address.
    world::stack("x rhost=198.51.100.9", OURS);
    let _phone = world.enroll("bob");
    let run =
        pamhost::run(&["-s", "x rhost=198.51.100.9", "-u", "bob", "-r", "198.51.100.9 ", "1", "2", "3"]);
    assert_ne!(run.code, pam::SUCCESS);
    let _ = world.log_with("rhost=- service=x?rhost=198.51.100.9 reason=");
    assert_eq!(hosts(), expected, "{}", world.log());
}

#[test]
fn a_wrong_clock_of_this_host_bans_nobody() {
    let world = World::new();
    let start = now();
    let daemon = Daemon::with_clock(start);
    install();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    daemon.move_clock(start - 86_400);
    let code = phone.code_at(start - 86_400);
    assert_eq!(log_in("alice", "192.0.2.7", &[code.as_str(); 3]), pam::AUTH_ERR);
    assert_eq!(world.logins("alice"), ["denied clock"]);
    // Written in order: a line of the login would stand before this one.
    daemon.move_clock(start);
    assert_eq!(log_in("alice", "192.0.2.8", &[phone.wrong_code().as_str(); 3]), pam::AUTH_ERR);
    let _ = world.log_with("failed: rhost=192.0.2.8 ");
    assert_eq!(hosts(), ["192.0.2.8"]);
    assert_eq!(world.log().matches("verification failed").count(), 1, "{}", world.log());
}

#[test]
fn the_line_on_standard_error_ends_with_the_name_too() {
    let world = World::new();
    world::stack("ours", OURS);
    let mut daemon = Command::new("sh")
        .args(["-c", "exec twinlockd --log-to stderr 2>/root/log"])
        .spawn()
        .expect("twinlockd");
    wait::until("twinlockd", 10, || UnixStream::connect("/run/twinlock/admin.sock").ok());
    let phone = world.enroll("alice");
    assert_eq!(log_in("alice", "192.0.2.7", &[phone.wrong_code().as_str(); 3]), pam::AUTH_ERR);
    let log = wait::until("the line", 5, || {
        Some(world::sh("cat /root/log")).filter(|log| log.contains("verification failed"))
    });
    let line = log.lines().find(|line| line.contains("verification failed")).expect("a line");
    let said = "verification failed: rhost=192.0.2.7 service=ours reason=wrong user=\"alice\"";
    assert!(line.ends_with(said), "{line}");
    assert!(log.contains("ready version="), "others have their fields: {log}");
    let _ = daemon.kill();
    let _ = daemon.wait();
}

#[test]
fn the_jail_is_there_and_off() {
    let _world = World::new();
    install();
    let out = world::sh("fail2ban-client -d");
    assert!(!out.contains("'add', 'twinlockd'"), "{out}");
    world::sh("printf '[twinlockd]\\nenabled = true\\n' >/etc/fail2ban/jail.d/twinlockd.local");
    let out = world::sh("fail2ban-client -d");
    for expected in ["'add', 'twinlockd'", "_SYSTEMD_UNIT=twinlockd.service", "verification failed: rhost="] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
}

#[test]
fn fail2ban_counts_failures_and_no_outages() {
    let world = World::new();
    let (daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE));
    let phone = world.enroll("alice");
    let fail = || {
        let mut ssh = client("alice", &[]);
        ssh.answer("Password: ", PASSWORD);
        for _ in 0..3 {
            ssh.answer("Verification code: ", &phone.wrong_code());
        }
        assert!(!outcome(ssh, "alice").0);
    };
    fail();
    let _ = world.log_with("authentication failure");
    install();
    assert_eq!(matched("pam-generic[__pam_auth=pam_twinlock]"), 1, "our own line");
    assert!(matched("sshd") >= 1, "sshd's line for PAM_AUTH_ERR");
    assert_eq!(hosts(), ["127.0.0.1"], "the daemon's line");

    // An outage is nobody's failure.
    assert!(daemon.stop().success());
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    assert!(!outcome(ssh, "alice").0);
    let _ = world.log_with("twinlockd is not running");
    assert_eq!((matched("pam-generic[__pam_auth=pam_twinlock]"), hosts().len()), (1, 1));
}
