//! A name service that fails, is slow, or knows nobody: what is required stays required, within the deadline.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, Run, pam},
    wait,
    world::{self, World},
};

/// A stack with nothing else: who is let in without is ignored, and libpam then says PAM_PERM_DENIED.
const LET_IN: i32 = pam::PERM_DENIED;
/// An answer of the daemon, and the module's own time.
const DEADLINE: Duration = Duration::from_secs(6);

/// alice is in `staff`, of whom a factor is required; bob is in no role. The broken service is asked for these databases
/// before the files are.
fn world(databases: &[&str]) -> (World, Daemon) {
    let world = World::new();
    let folder = world::sh(
        "dirname $(find /usr/lib /lib -name libnss_files.so.2 -o -name libnss_compat.so.2 | head -1)",
    );
    fs::copy(env!("NSS_FAULT"), format!("{}/libnss_fault.so.2", folder.trim())).unwrap();
    world::sh("usermod -aG staff alice");
    let switch: String = ["passwd", "group", "shadow", "hosts"]
        .iter()
        .map(|name| {
            let fault = if databases.contains(name) { "fault [UNAVAIL=return] " } else { "" };
            format!("{name}: {fault}files\n")
        })
        .collect();
    fs::create_dir_all("/etc/twinlock").unwrap();
    fs::write(
        "/etc/twinlock/twinlock.toml",
        "[[role]]\nname = 'staff'\ngroups = ['staff']\nsecond-factor = 'required'\n",
    )
    .unwrap();
    world::sh("chmod 0640 /etc/twinlock/twinlock.toml");
    world::stack("ours", "auth required pam_twinlock.so after_first_factor\n");
    let daemon = Daemon::quiet();
    // Healthy first: the rules were loaded, and somebody who is no member is let in.
    assert_eq!(log_in("bob").0.code, LET_IN);
    assert_eq!(log_in("alice").0.code, pam::AUTH_ERR);
    fs::write("/etc/nsswitch.conf", switch).unwrap();
    fs::write("/etc/nss-fault", "fail\n").unwrap();
    // A process that has read nsswitch.conf goes on with it: new ones look up from now on.
    world::sh("pkill -f '[h]elper accounts' || true");
    (world, daemon)
}

fn log_in(user: &str) -> (Run, Duration) {
    let begin = Instant::now();
    let run = pamhost::run(&["-s", "ours", "-u", user, "", "", ""]);
    (run, begin.elapsed())
}

#[test]
fn groups_that_cannot_be_looked_up_leave_the_factor_required_for_everybody() {
    let (_world, _daemon) = world(&["group"]);
    for user in ["alice", "bob"] {
        let (run, took) = log_in(user);
        assert_eq!(run.code, pam::AUTH_ERR, "{user}: {run:?}");
        assert_eq!(run.prompts(), ["No second factor is set up; ask your administrator. Press Enter: "]);
        assert!(took < DEADLINE, "{took:?}");
    }
    fs::write("/etc/nss-fault", "knows nobody\n").unwrap();
    // It says that there are no such groups, and then the files say that there are.
    assert_eq!((log_in("bob").0.code, log_in("alice").0.code), (LET_IN, pam::AUTH_ERR));
    // There is nothing behind it: the group of the rule is gone, so who is a member cannot be said.
    fs::write("/etc/nsswitch.conf", "passwd: files\ngroup: fault\nshadow: files\n").unwrap();
    world::sh("pkill -f '[h]elper accounts' || true");
    assert_eq!((log_in("bob").0.code, log_in("alice").0.code), (pam::AUTH_ERR, pam::AUTH_ERR));
}

#[test]
fn users_that_cannot_be_looked_up_are_not_let_in() {
    let (_world, _daemon) = world(&["passwd"]);
    for user in ["alice", "bob", "nobody-here"] {
        let (run, took) = log_in(user);
        assert_eq!((run.code, run.prompts().len()), (pam::AUTHINFO_UNAVAIL, 0), "{user}: {run:?}");
        assert!(took < DEADLINE, "{took:?}");
    }
    fs::write("/etc/nsswitch.conf", "passwd: fault\ngroup: files\nshadow: files\n").unwrap();
    fs::write("/etc/nss-fault", "knows nobody\n").unwrap();
    world::sh("pkill -f '[h]elper accounts' || true");
    let (run, _) = log_in("bob");
    assert_eq!((run.code, run.prompts()[0]), (pam::AUTH_ERR, "Verification code: "), "{run:?}");
}

#[test]
fn stuck_look_ups_end_at_the_deadline_and_do_not_pile_up() {
    let (_world, daemon) = world(&["group"]);
    fs::write("/etc/nss-fault", "slow 60\n").unwrap();
    let begin = Instant::now();
    let logins: Vec<_> = (0..20)
        .map(|n| {
            let user = if n % 2 == 0 { "alice" } else { "bob" };
            let mut host = Command::new(pamhost::PROGRAM);
            host.args(["-s", "ours", "-u", user, ""]).stdout(Stdio::piped()).stderr(Stdio::piped());
            host.spawn().unwrap()
        })
        .collect();
    let mut most = 0;
    wait::until("the deadline", 10, || {
        most = most.max(children(&daemon));
        (begin.elapsed() > Duration::from_secs(4)).then_some(())
    });
    for login in logins {
        let run = pamhost::finish(&login.wait_with_output().unwrap());
        assert_eq!(run.code, pam::AUTHINFO_UNAVAIL, "{run:?}");
    }
    assert!(begin.elapsed() < DEADLINE, "{:?}", begin.elapsed());
    assert!((1..=3).contains(&most), "{most} look-ups at once"); // a stuck one may not be buried yet
    // What was stuck is gone, and the next login is as ever.
    fs::write("/etc/nss-fault", "knows nobody\n").unwrap();
    assert_eq!(log_in("bob").0.code, LET_IN);
    // One for logins and one for administrators stay.
    wait::until("the stuck ones to be gone", 5, || (children(&daemon) <= 2).then_some(()));
    // Slow, but within the deadline: as ever.
    fs::write("/etc/nss-fault", "slow 1\n").unwrap();
    let (run, took) = log_in("bob");
    assert!(run.code == LET_IN && took >= Duration::from_secs(1), "{took:?} {run:?}");
}

/// Processes that the daemon has started and not buried yet.
fn children(daemon: &Daemon) -> usize {
    let out = Command::new("pgrep").args(["-c", "-P", &daemon.pid().to_string()]).output().unwrap();
    String::from_utf8_lossy(&out.stdout).trim().parse().unwrap_or(0)
}

#[test]
fn root_at_the_console_is_exempt_again_after_a_start_without_the_directory() {
    let (_world, daemon) = world(&[]);
    drop(daemon);
    fs::write(
        "/etc/twinlock/twinlock.toml",
        "[[role]]\nname = 'all'\ngroups = ['*', 'wheel']\nsecond-factor = 'required'\n\
         [[exempt]]\nusers = ['root', 'gone']\nservices = ['ours']\nreason = 'break-glass'\n",
    )
    .unwrap();
    // Who is not in the files is asked for where nobody answers.
    fs::write("/etc/nsswitch.conf", "passwd: files fault\ngroup: files fault\nshadow: files\n").unwrap();
    let _daemon = Daemon::quiet();
    assert_eq!(log_in("root").0.code, pam::AUTH_ERR, "an error is never \"not required\"");
    fs::write("/etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\n").unwrap();
    world::sh("pkill -f '[h]elper accounts' || true");
    assert_eq!((log_in("root").0.code, log_in("bob").0.code), (LET_IN, pam::AUTH_ERR));
}
