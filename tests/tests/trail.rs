//! The audit trail read and followed, and what is kept of it for how long.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use twinlock_tests::{
    daemon::Daemon,
    delivery::configure,
    pamhost::{self, pam},
    phone::now,
    world::{self, World, root},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";
const DAY: i64 = 86_400;

fn log_in(user: &str, code: &str) -> i32 {
    pamhost::run(&["-s", "ours", "-u", user, code]).code
}

/// Entries that the command prints: event, user, outcome, reason.
fn audit(arguments: &[&str]) -> Vec<[String; 4]> {
    let out = root(&[&["audit", "--json"], arguments].concat());
    assert!(out.status.success(), "{out:?}");
    String::from_utf8(out.stdout).unwrap().lines().map(entry).collect()
}

fn entry(line: &str) -> [String; 4] {
    let entry: serde_json::Value = serde_json::from_str(line).expect("an object a line");
    ["event", "user", "outcome", "reason"].map(|key| entry[key].as_str().unwrap().to_owned())
}

fn sql(sql: &str) -> String {
    world::sh(&format!("sqlite3 /var/lib/twinlock/twinlock.db \"{sql}\"")).trim().to_owned()
}

#[test]
fn the_trail_is_read_by_user_time_and_event_and_followed() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    let (alice, bob) = (world.enroll("alice"), world.enroll("bob"));
    assert_eq!(log_in("alice", &alice.code(0)), pam::SUCCESS);
    assert_eq!(log_in("bob", &bob.code(0)), pam::SUCCESS);

    let alices = audit(&["--user", "alice"]);
    let events: Vec<&str> = alices.iter().map(|[event, ..]| event.as_str()).collect();
    assert_eq!(events, ["provision", "login"]);
    assert!(alices.iter().all(|[_, user, ..]| user == "alice"));
    assert_eq!(audit(&["--event", "login"]).len(), 2);
    assert_eq!(audit(&["--event", "login", "--user", "bob"]).len(), 1);
    // Times: everything is of this minute, but for one that is made three days old.
    sql("UPDATE audit SET time = time - 3 * 86400000 WHERE event = 'login' AND user = 'alice'");
    let all = audit(&[]).len();
    assert_eq!(audit(&["--since", "1d"]).len(), all - 1);
    assert_eq!(audit(&["--until", "1d"]).len(), 1);
    assert_eq!(audit(&["--since", "4d", "--until", "2d", "--event", "login"]).len(), 1);
    let date = |days: i64| world::sh(&format!("date -d @{} +%F", now() - days * DAY)).trim().to_owned();
    assert_eq!(audit(&["--since", &date(3), "--until", &date(3)]).len(), 1, "to the end of that day");
    assert_eq!(audit(&["--until", &date(4)]).len(), 0);
    assert_eq!(audit(&["--until", &date(0)]).len(), all);

    for (arguments, expected) in [
        (&["--event", "logn"][..], "there is no event \"logn\"; there are login, verify, password, enroll"),
        (&["--since", "yesterday"], "\"yesterday\" is no time: write a date"),
        (&["--until", "2027-13-01"], "\"2027-13-01\" is no time: write a date"),
        (&["--until", "1d", "--follow"], "cannot be used with '--follow'"),
    ] {
        let out = root(&[&["audit"], arguments].concat());
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(2) && said.contains(expected), "{said}");
    }

    // Followed: what was, then what comes, and only that.
    let mut following = Command::new("twinlock")
        .args(["audit", "--follow", "--json", "--user", "bob", "--event", "login"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let mut next = || entry(&lines.next().unwrap().unwrap());
    assert_eq!(next()[2], "granted");
    assert_eq!(log_in("alice", &alice.code(1)), pam::SUCCESS);
    assert_eq!(log_in("bob", &bob.wrong_code()), pam::CONV_ERR);
    assert_eq!(next()[1..], ["bob", "denied", "wrong"].map(str::to_owned));
    following.kill().unwrap();
    following.wait().unwrap();
}

fn audit_rows() -> i64 {
    sql("SELECT count(*) FROM audit").parse().unwrap()
}

/// What another boot looks like to the store: there the clock may be anywhere ahead.
fn another_boot() {
    sql("UPDATE clock_mark SET boot = 'another'");
}

#[test]
fn entries_go_after_their_time_and_one_says_so() {
    let world = World::new();
    let start = now() / 30 * 30 + 15;
    world::stack("ours", OURS);
    let daemon = Daemon::with_clock(start);
    let phone = world.enroll("alice");
    assert_eq!(log_in("alice", &phone.code_at(start)), pam::SUCCESS);
    assert!(daemon.stop().success());
    let old = audit_rows();
    assert!(old >= 4, "start, provision, login, stop: {old}");

    // A day before their time nothing goes.
    another_boot();
    let daemon = Daemon::with_clock(start + 399 * DAY);
    assert_eq!(log_in("alice", &phone.code_at(start + 399 * DAY)), pam::SUCCESS);
    assert_eq!(audit(&["--event", "trim"]).len(), 0);
    assert!(daemon.stop().success());
    let newest: i64 = sql("SELECT max(id) FROM audit").parse().unwrap();
    assert_eq!(audit_rows(), newest, "none is missing");

    another_boot();
    let daemon = Daemon::with_clock(start + 401 * DAY);
    let trim = twinlock_tests::wait::until("the trim", 10, || audit(&["--event", "trim"]).pop());
    let day = world::sh(&format!("date -u -d @{} +%FT%TZ", start + DAY)).trim().to_owned();
    assert_eq!(trim[2..], ["granted".to_owned(), format!("{old} entries from before {day}")]);
    assert_eq!(sql("SELECT min(id) FROM audit"), (old + 1).to_string(), "the others are as they were");
    assert_eq!(audit(&["--user", "alice"]).len(), 1, "the login of day 399");
    assert!(sql("SELECT max(id) FROM audit").parse::<i64>().unwrap() > newest, "numbers go on");
    // What was counted stays counted, and her codes are as good as before.
    assert_eq!(sql("SELECT n FROM tally WHERE event = 'login' AND method = 'totp'"), "2");
    assert_eq!(log_in("alice", &phone.code_at(start + 401 * DAY)), pam::SUCCESS);

    // A clock that is not believed ends the time of nothing; once it is accepted it does.
    drop(daemon);
    let rows = audit_rows();
    let far = start + 3650 * DAY;
    let daemon = Daemon::with_clock(far);
    assert_ne!(log_in("alice", &phone.code_at(far)), pam::SUCCESS);
    assert!(audit_rows() > rows && audit(&["--event", "trim"]).len() == 1);
    assert!(root(&["clock", "accept"]).status.success());
    let _daemon = daemon.crash_and_restart();
    twinlock_tests::wait::until("another trim", 10, || {
        audit(&["--event", "trim"])
            .pop()
            .filter(|[.., reason]| reason.contains("entries") && *reason != trim[3])
    });
}

#[test]
fn a_long_trail_goes_in_parts_while_logins_go_on() {
    let world = World::new();
    let start = now() / 30 * 30 + 15;
    world::stack("ours", OURS);
    let daemon = Daemon::with_clock(start);
    let phone = world.enroll("alice");
    assert!(daemon.stop().success());
    let kept = audit_rows();
    sql(&format!(
        "UPDATE audit SET id = id + 40000; WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40000)
         INSERT INTO audit (id, time, event, user, service, rhost, method, outcome, reason, actor, claimed_by)
         SELECT i, {} + i, 'login', 'bob', 'sshd', '', '', 'denied', 'wrong', '', '' FROM n",
        (start - 500 * DAY) * 1000
    ));
    let _daemon = Daemon::with_clock(start + 60);
    assert_eq!(log_in("alice", &phone.code_at(start + 60)), pam::SUCCESS);
    assert!(audit_rows() > kept + 2, "there were some left when she was in");
    let trims = twinlock_tests::wait::until("the trim", 60, || {
        Some(audit(&["--event", "trim"])).filter(|trims| !trims.is_empty())
    });
    assert!(trims.len() == 1 && trims[0][3].starts_with("40000 entries from before "), "{trims:?}");
    assert_eq!(audit(&["--user", "bob"]).len(), 0);
    assert_eq!(audit_rows(), kept + 3, "start, login, trim");
}

#[test]
fn for_ever_is_for_ever_and_less_than_a_month_is_refused() {
    let world = World::new();
    let start = now();
    configure("[audit]\nretention = 'forever'\n", &[]);
    let daemon = Daemon::with_clock(start);
    let _phone = world.enroll("alice");
    assert!(daemon.stop().success());
    another_boot();
    let _daemon = Daemon::with_clock(start + 3650 * DAY);
    assert_eq!(audit(&["--event", "provision"]).len(), 1);
    for (retention, expected) in [
        ("29d", "audit.retention is under 30d; write 30d or more, or forever"),
        ("never", "write a time like 400d, or forever"),
    ] {
        configure(&format!("[audit]\nretention = '{retention}'\n"), &[]);
        let out = Command::new("twinlockd").arg("--check").output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(!out.status.success() && said.contains(expected), "{said}");
    }
}
