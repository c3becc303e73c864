//! The module in a real libpam host: what it leaves behind, and what valgrind says.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::process::Command;

use twinlock_tests::{
    pamhost::{self, PROGRAM, pam},
    world::{self, World},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";

/// Descriptors, threads, blocked and handled signals, resident KiB.
fn census(said: &str, when: &str) -> Vec<i64> {
    let line = said.lines().find(|line| line.starts_with(when)).expect("a census");
    let numbers = line.split('=').skip(1).map(|part| part.split(' ').next().and_then(|n| n.parse().ok()));
    numbers.collect::<Option<_>>().expect("numbers")
}

#[test]
fn ten_thousand_logins_in_one_process_leave_nothing_behind() {
    let world = World::new();
    let _daemon = twinlock_tests::daemon::Daemon::quiet();
    world::stack("ours", OURS);
    // bob is not enrolled: each cycle loads the module, talks with the daemon, is ignored, and is closed.
    for options in [&["-n", "10000"][..], &["-n", "2000", "-T"]] {
        let run = pamhost::run(&[options, &["-s", "ours", "-u", "bob"]].concat());
        assert_eq!(run.code, pam::PERM_DENIED, "{}", run.errors);
        let (before, after) = (census(&run.said, "before"), census(&run.said, "after"));
        assert_eq!(before[..4], after[..4], "descriptors, threads, blocked and handled signals");
        assert!(after[4] - before[4] < 512, "memory grew: {before:?} {after:?}");
    }
    drop(world);
}

#[test]
fn valgrind_finds_no_error_and_no_leak() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    let logins: [&[&str]; 4] = [
        &["-u", "alice", &phone.code(0)],
        &["-u", "alice", &phone.wrong_code(), "hello", "@null"],
        &["-u", "bob"],
        &["-u", "nobody-here", "123456", "123456", "123456"],
    ];
    for login in logins {
        let out = Command::new("valgrind")
            .args([
                "--quiet",
                "--error-exitcode=99",
                "--leak-check=full",
                "--errors-for-leak-kinds=definite,indirect",
            ])
            .args([PROGRAM, "-n", "1", "-s", "ours"])
            .args(login)
            .output()
            .expect("valgrind is installed");
        let said = String::from_utf8_lossy(&out.stderr);
        assert_ne!(out.status.code(), Some(99), "{login:?}: {said}");
        assert!(!said.contains("definitely lost"), "{login:?}: {said}");
        // And it really ran the login.
        assert!(String::from_utf8_lossy(&out.stdout).contains("auth "), "{out:?}");
    }
}
