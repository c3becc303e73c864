//! The clock set back, far ahead, across a restart: time codes are refused, recovery codes work, an administrator ends
//! it.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, Run, pam},
    phone::now,
    world::{self, World, root},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";
const STRANGER: &str = "auth required pam_twinlock.so\n";
const DAY: i64 = 86_400;

fn log_in(service: &str, code: &str) -> Run {
    pamhost::run(&["-s", service, "-u", "alice", code])
}

/// A bypass code: works without the clock only while that is believed.
fn bypass() -> String {
    let out = root(&["user", "bypass", "alice", "--reason", "test", "--for", "24h", "--uses", "5", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).expect("json");
    json["code"].as_str().expect("a code").to_owned()
}

fn clock() -> (bool, String) {
    let out = root(&["daemon", "status", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).expect("json");
    (
        json["clock_believed"].as_bool().expect("a word"),
        json["clock"].as_str().expect("a sentence").to_owned(),
    )
}

#[test]
fn a_clock_set_back_revives_no_code() {
    let world = World::new();
    let start = now() / 30 * 30 + 15;
    let daemon = Daemon::with_clock(start);
    world::stack("ours", OURS);
    world::stack("stranger", STRANGER);
    let phone = world.enroll("alice");
    let timed = bypass();
    assert_eq!(log_in("ours", &phone.code_at(start)).code, pam::SUCCESS);

    daemon.move_clock(start - DAY);
    let yesterday = phone.code_at(start - DAY);
    let run = log_in("ours", &yesterday);
    assert_ne!(run.code, pam::SUCCESS);
    assert_eq!(run.prompts()[1], "The clock of this host is wrong; use a recovery code. Verification code: ");
    let run = log_in("stranger", &yesterday);
    assert_eq!(run.prompts()[1], "Wrong code. Verification code: ", "a stranger is not told");
    assert_ne!(log_in("ours", &timed).code, pam::SUCCESS, "a bypass code has a time too");
    let (believed, sentence) = clock();
    assert!(!believed && sentence.contains("behind what it was"), "{sentence}");
    assert!(world.log_with("time codes are refused").contains("clock accept"));

    // A restart does not help, nor does another boot: the mark is in the store.
    let daemon = daemon.crash_and_restart();
    assert_ne!(log_in("ours", &yesterday).code, pam::SUCCESS);
    world::sh("sqlite3 /var/lib/twinlock/twinlock.db \"UPDATE clock_mark SET boot = 'another'\"");
    let daemon = daemon.crash_and_restart();
    assert!(!clock().0);

    // Right again by itself, when the clock is.
    daemon.move_clock(start + 60);
    assert_eq!(log_in("ours", &phone.code_at(start + 60)).code, pam::SUCCESS);
    let trail = String::from_utf8(root(&["audit", "--event", "clock"]).stdout).expect("text");
    assert!(trail.contains("denied") && trail.contains("behind"), "{trail}");
}

#[test]
fn a_jump_ahead_is_held_until_an_administrator_accepts_it() {
    let world = World::new();
    let start = now() / 30 * 30 + 15;
    let daemon = Daemon::with_clock(start);
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    daemon.move_clock(start + 3000);
    assert_eq!(log_in("ours", &phone.code_at(start + 3000)).code, pam::SUCCESS, "under an hour");

    let far = start + 3650 * DAY;
    daemon.move_clock(far);
    assert_ne!(log_in("ours", &phone.code_at(far)).code, pam::SUCCESS);
    assert!(!clock().0);
    // Back again: nobody's steps were spent in the future.
    daemon.move_clock(start + 3060);
    assert_eq!(log_in("ours", &phone.code_at(start + 3060)).code, pam::SUCCESS);

    daemon.move_clock(far);
    assert!(root(&["clock", "accept"]).status.success());
    assert!(clock().0);
    assert_eq!(log_in("ours", &phone.code_at(far)).code, pam::SUCCESS);
    let trail = String::from_utf8(root(&["audit", "--event", "clock"]).stdout).expect("text");
    assert!(trail.contains("accepted; it was"), "{trail}");
}

#[test]
fn a_host_that_was_off_for_ten_years_believes_its_clock() {
    let world = World::new();
    let start = now() / 30 * 30 + 15;
    let daemon = Daemon::with_clock(start);
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    assert!(daemon.stop().success());
    // What another boot looks like to the store.
    world::sh("sqlite3 /var/lib/twinlock/twinlock.db \"UPDATE clock_mark SET boot = 'another'\"");
    let far = start + 3650 * DAY;
    let _daemon = Daemon::with_clock(far);
    assert_eq!(log_in("ours", &phone.code_at(far)).code, pam::SUCCESS);
}
