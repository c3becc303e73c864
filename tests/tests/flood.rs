//! Local users against `user.sock`: root's logins go on, the daemon's memory stays bounded, and it is well again after.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at the first surprise, and prints what it measured"
)]

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, pam},
    wait,
    world::{self, World, as_user},
};

const FLOOD: &str = env!("CARGO_BIN_EXE_twinlock-flood");
const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";

/// Resident memory, in MiB.
fn resident(daemon: &Daemon) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

fn descriptors(daemon: &Daemon) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.pid())).unwrap().count()
}

/// A flood of a thousand connections by so many uids; logins of root's meanwhile. The descriptors that were open at most.
fn under(daemon: &Daemon, kind: &str, uids: &str) -> usize {
    let mut flood =
        Command::new(FLOOD).args([kind, "1000", uids, "3"]).stdout(Stdio::piped()).spawn().expect("built");
    let (mut logins, mut slowest, mut most, mut open) = (0, Duration::ZERO, 0, 0);
    while flood.try_wait().unwrap().is_none() {
        let begin = Instant::now();
        // bob is not enrolled: his login takes the daemon, its directory and its store.
        let run = pamhost::run(&["-s", "ours", "-u", "bob"]);
        assert_eq!(run.code, pam::PERM_DENIED, "{kind}: {run:?}"); // ignored, in a stack that has nothing else
        (logins, slowest) = (logins + 1, slowest.max(begin.elapsed()));
        (most, open) = (most.max(resident(daemon)), open.max(descriptors(daemon)));
    }
    let said = flood.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout);
    println!(
        "{} by {uids} uid(s): {logins} logins, slowest {slowest:?}, daemon {most} MiB, {open} descriptors",
        said.trim()
    );
    assert!(logins >= 5 && slowest < Duration::from_secs(3), "{kind}: {logins} logins, slowest {slowest:?}");
    assert!(most < 96, "{kind}: {most} MiB");
    open
}

#[test]
fn floods_by_local_users_cost_root_no_login_and_the_daemon_no_memory() {
    let world = World::new();
    let daemon = Daemon::quiet();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    for kind in ["idle", "slow", "garbage", "busy", "huge"] {
        for uids in ["1", "500"] {
            let open = under(&daemon, kind, uids);
            assert!(open < 400, "{kind}: {open} descriptors");
        }
    }
    assert_eq!(pamhost::run(&["-s", "ours", "-u", "alice", &phone.code(0)]).code, pam::SUCCESS);
    wait::until("a place for a user", 10, || {
        as_user("alice", "twinlock").output().unwrap().status.success().then_some(())
    });
    assert!(daemon.stop().success());
}

#[test]
fn a_uid_has_four_places_and_five_seconds_to_begin() {
    let world = World::new();
    let _daemon = world.daemon();
    let out = Command::new(FLOOD).arg("places").output().expect("built");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(["4 true 4\n", "4 true 5\n"].contains(&said.as_str()), "{said} {out:?}");
}

#[test]
fn few_descriptors_are_kept_for_root() {
    let world = World::new();
    world::sh("mv /usr/sbin/twinlockd /usr/sbin/twinlockd.real");
    world::script("/usr/sbin/twinlockd", "#!/bin/sh\nulimit -n 120\nexec /usr/sbin/twinlockd.real \"$@\"\n");
    let daemon = Daemon::quiet();
    world::stack("ours", OURS);
    let open = under(&daemon, "idle", "500");
    assert!((50..120).contains(&open), "{open}");
    drop(world);
}
