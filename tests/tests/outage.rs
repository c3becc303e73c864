//! twinlockd absent, stopped, restarted, or its state broken: as the contract says, within the deadlines.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, pam},
    race::Racers,
    ssh::{KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, client, outcome},
    wait,
    world::{self, PASSWORD, World},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";

fn try_once(code: &str) -> (i32, Duration) {
    let start = Instant::now();
    let run = pamhost::run(&["-s", "ours", "-u", "alice", code]);
    assert_eq!(run.errors, "", "nothing is written to the host's standard error");
    (run.code, start.elapsed())
}

#[test]
fn an_absent_daemon_denies_at_once_and_writes_no_failure_line() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    assert!(daemon.stop().success(), "a clean shutdown");
    let (code, took) = try_once(&phone.code(0));
    assert_eq!(code, pam::AUTHINFO_UNAVAIL);
    assert!(took < Duration::from_secs(1), "{took:?}");
    let log = world.log_with("twinlockd is not running");
    assert!(!log.contains("authentication failure"), "an outage is nobody's failure");

    let daemon = world.daemon();
    assert_eq!(try_once(&phone.code(0)).0, pam::SUCCESS, "well again by itself");
    drop(daemon);
}

#[test]
fn a_stopped_daemon_denies_an_ssh_login_within_the_deadline_and_recovers() {
    let world = World::new();
    let (daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE));
    let phone = world.enroll("alice");
    daemon.signal(Signal::SIGSTOP);
    let start = Instant::now();
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    assert!(!outcome(ssh, "alice").0);
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    daemon.signal(Signal::SIGCONT);
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", &phone.code(0));
    assert!(outcome(ssh, "alice").0);
}

#[test]
fn a_restart_while_a_person_types_is_not_noticed() {
    let world = World::new();
    let (daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE));
    let phone = world.enroll("alice");
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.expect("Verification code: ");
    let daemon = daemon.crash_and_restart();
    ssh.type_line(&phone.code(0));
    assert!(outcome(ssh, "alice").0);

    // And in good order, as an upgrade does.
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.expect("Verification code: ");
    assert!(daemon.stop().success());
    let _daemon = world.daemon();
    ssh.type_line(&phone.code(1));
    assert!(outcome(ssh, "alice").0);
}

#[test]
fn a_conversation_ends_at_its_deadline() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", "auth required pam_twinlock.so after_first_factor timeout=1\n");
    let phone = world.enroll("alice");
    let racers = Racers::at_the_prompt(&[("ours", "alice", phone.code(0))], &[]);
    wait::until("the daemon's own end of it", 10, || {
        (world.logins("alice") == ["denied expired"]).then_some(())
    });
    assert_eq!(racers.answer(), [false], "a right code after the time is over");
}

#[test]
fn loose_modes_and_a_lost_key_stop_the_daemon_with_the_remedy() {
    let world = World::new();
    let daemon = world.daemon();
    let _phone = world.enroll("alice");
    assert!(daemon.stop().success());
    for (spoil, mend, expected) in [
        (
            "chmod 0644 /var/lib/twinlock/twinlock.db",
            "chmod 0600 /var/lib/twinlock/twinlock.db",
            "chmod 0600",
        ),
        ("chmod 0755 /var/lib/twinlock", "chmod 0700 /var/lib/twinlock", "chmod 0700"),
        ("chmod 0640 /var/lib/twinlock/key", "chmod 0600 /var/lib/twinlock/key", "chmod 0600"),
        ("mv /var/lib/twinlock/key /root", "mv /root/key /var/lib/twinlock", "bring that key back"),
        (
            "cp -p /var/lib/twinlock/key /root && head -c 32 /dev/zero >/var/lib/twinlock/key",
            "mv /root/key /var/lib/twinlock",
            "not the key that this store was sealed with",
        ),
    ] {
        world::sh(spoil);
        let out = std::process::Command::new("twinlockd").args(["--log-to", "stderr"]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(69) && said.contains(expected), "{spoil}: {said}");
        world::sh(mend);
    }
    let _daemon = world.daemon();
}

#[test]
fn a_lost_store_stops_the_daemon_and_lets_nobody_in() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    assert!(daemon.stop().success());
    world::sh("mkdir /root/kept && mv /var/lib/twinlock/twinlock.db* /root/kept");
    let out = std::process::Command::new("twinlockd").args(["--log-to", "stderr"]).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(69) && said.contains("bring it back from a backup"), "{said}");
    assert_eq!(
        try_once(&phone.code(0)).0,
        pam::AUTHINFO_UNAVAIL,
        "not: nobody is enrolled, so nobody is asked"
    );
    world::sh("mv /root/kept/* /var/lib/twinlock");
    let _daemon = world.daemon();
    assert_eq!(try_once(&phone.code(0)).0, pam::SUCCESS);
}

#[test]
fn a_flood_by_a_local_user_does_not_keep_root_from_logging_others_in() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    // bob opens connections as fast as he can, and asks for his status in a loop.
    let flood = "for i in 1 2 3 4 5 6; do while :; do twinlock status >/dev/null 2>&1; done & done; wait";
    let mut bob = world::as_user("bob", "sh").args(["-c", flood]).spawn().unwrap();
    wait::until("bob being refused", 20, || {
        let out = world::as_user("bob", "twinlock").arg("status").output().unwrap();
        String::from_utf8_lossy(&out.stderr).contains("too many requests").then_some(())
    });
    let (code, took) = try_once(&phone.code(0));
    assert_eq!(code, pam::SUCCESS);
    assert!(took < Duration::from_secs(2), "{took:?}");
    world::sh("pkill -KILL -u bob");
    bob.wait().unwrap();
    assert!(daemon.stop().success());
}

#[test]
fn a_broken_configuration_goes_on_with_the_last_good_one() {
    let world = World::new();
    world::sh("mkdir -p /etc/twinlock");
    let configure = |text: &str| {
        std::fs::write("/etc/twinlock/twinlock.toml", text).unwrap();
        world::sh("chmod 0640 /etc/twinlock/twinlock.toml");
    };
    let check = || {
        let out = std::process::Command::new("twinlockd").arg("--check").output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stdout).trim().to_owned())
    };
    configure("issuer = 'Example Corp'\n[totp]\ndigts = 8\n");
    let line = "/etc/twinlock/twinlock.toml:3: error: unknown key digts; did you mean digits?";
    assert_eq!(check(), (Some(1), line.to_owned()));
    let out = std::process::Command::new("twinlockd").args(["--log-to", "stderr"]).output().unwrap();
    assert_eq!(out.status.code(), Some(78), "without a last good one it refuses to start");

    configure("issuer = 'Example Corp'\n");
    assert_eq!(check(), (Some(0), String::new()));
    drop(world.daemon());
    configure("issuer = ");
    let _daemon = Daemon::start(&[]);
    let out = world::root(&["user", "enroll", "alice", "totp", "--json"]);
    assert!(String::from_utf8_lossy(&out.stdout).contains("Example%20Corp"), "{out:?}");
    assert!(world.log_with("going on with the last good one").contains("twinlock.toml:1: error"));
    let trail = world::root(&["audit", "--event", "start"]);
    assert!(String::from_utf8_lossy(&trail.stdout).contains("last good one, the files are broken"));
}

#[test]
fn break_glass_root_gets_in_at_the_console_with_the_daemon_down_and_nobody_else_does() {
    let world = World::new();
    let daemon = world.daemon();
    let phone = world.enroll("root");
    // The line of the README.
    world::stack(
        "login",
        "auth requisite pam_unix.so nodelay\n\
         auth [success=1 default=ignore] pam_succeed_if.so quiet uid = 0\n\
         auth required pam_twinlock.so after_first_factor\n\
         auth required pam_permit.so\n\
         account required pam_unix.so\nsession required pam_permit.so\n",
    );
    let log_in = |user: &str| {
        let mut console = twinlock_tests::terminal::Terminal::run(std::process::Command::new("login"));
        console.answer("login: ", user);
        console.answer("Password: ", PASSWORD);
        console
    };
    assert!(daemon.stop().success());
    let mut console = log_in("root");
    console.answer("# ", "echo in as $(id -un)");
    console.expect("in as root");
    console.type_line("exit");
    let mut console = log_in("alice");
    console.expect("Login incorrect");
    drop(console);

    // And with the daemon up, others are asked.
    let _daemon = world.daemon();
    let _alice = world.enroll("alice");
    let mut console = log_in("alice");
    console.expect("Verification code: ");
    drop((console, phone));
}
