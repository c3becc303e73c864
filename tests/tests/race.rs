//! One code, one login, whoever is faster; and no right code refused because somebody else was there. The peers run
//! beside us: their numbers are printed, ours are asserted.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use twinlock_tests::{
    daemon::{Daemon, faketime},
    phone::{Phone, now},
    race::Racers,
    world::{self, World},
};

const ROUNDS: i64 = 100;
const RACERS: usize = 12;
const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";

/// A start in the middle of a time step.
fn start() -> i64 {
    now() / 30 * 30 + 15
}

#[test]
fn one_code_in_twelve_processes_lets_in_exactly_one_of_them() {
    let world = World::new();
    let start = start();
    let mut daemon = Daemon::with_clock(start);
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    let mut exactly_one = 0;
    for round in 1..=ROUNDS {
        if round == ROUNDS / 2 {
            daemon = daemon.crash_and_restart();
        }
        let time = start + 30 * round;
        daemon.move_clock(time);
        let login = ("ours", "alice", phone.code_at(time));
        let racers = Racers::at_the_prompt(&vec![login.clone(); RACERS], &[]);
        let inside = racers.answer().into_iter().filter(|inside| *inside).count();
        assert_eq!(inside, 1, "round {round}");
        exactly_one += 1;
        if round % 25 == 0 {
            daemon = daemon.crash_and_restart();
            let again = Racers::at_the_prompt(&[login], &[]).answer();
            assert_eq!(again, [false], "a crash revives no code (round {round})");
        }
    }
    let more_than_once = google_authenticator(start);
    println!("{RACERS} processes, one code, {ROUNDS} rounds: twinlock exactly one in {exactly_one};");
    println!("pam_google_authenticator with DISALLOW_REUSE more than one in {more_than_once}");
}

/// Rounds in which pam_google_authenticator with DISALLOW_REUSE let in more than one.
fn google_authenticator(start: i64) -> usize {
    let key = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";
    world::sh(&format!(
        "mkdir -p /var/lib/otp && printf '{key}\\n\" WINDOW_SIZE 3\\n\" DISALLOW_REUSE\\n\" TOTP_AUTH\\n' \
         >/var/lib/otp/alice && chmod 600 /var/lib/otp/alice"
    ));
    world::stack("ga", "auth required pam_google_authenticator.so secret=/var/lib/otp/${USER} user=root\n");
    let phone = Phone::with_key(key);
    (1..=ROUNDS)
        .filter(|round| {
            let time = start + 30 * round;
            faketime::set(time);
            let logins = vec![("ga", "alice", phone.code_at(time)); RACERS];
            let inside = Racers::at_the_prompt(&logins, &faketime::environment()).answer();
            inside.into_iter().filter(|inside| *inside).count() > 1
        })
        .count()
}

#[test]
fn users_who_log_in_at_the_same_instant_are_never_refused() {
    let world = World::new();
    let start = start();
    let daemon = Daemon::with_clock(start);
    world::stack("ours", OURS);
    let users: Vec<String> = (0..8).map(|n| format!("user{n}")).collect();
    for user in &users {
        world::sh(&format!("useradd {user}"));
    }
    let phones: Vec<Phone> = users.iter().map(|user| world.enroll(user)).collect();
    let rounds = 25;
    for round in 1..=rounds {
        let time = start + 30 * round;
        daemon.set_clock(time);
        let logins: Vec<_> = users
            .iter()
            .zip(&phones)
            .map(|(user, phone)| ("ours", user.as_str(), phone.code_at(time)))
            .collect();
        let inside = Racers::at_the_prompt(&logins, &[]).answer();
        assert!(inside.iter().all(|inside| *inside), "round {round}: {inside:?}");
    }
    let refused = oath(&users, start, rounds);
    let tries = rounds * 8;
    println!(
        "8 users at once, {rounds} rounds: twinlock refused 0 of {tries}, pam_oath refused {refused} of {tries}"
    );
}

/// Right codes that pam_oath refused.
fn oath(users: &[String], start: i64, rounds: i64) -> usize {
    let key = "3132333435363738393031323334353637383930";
    let lines: String = users.iter().map(|user| format!("HOTP/T30/6 {user} - {key}\n")).collect();
    std::fs::write("/etc/users.oath", lines).expect("a box");
    world::sh("chmod 600 /etc/users.oath");
    world::stack("oath", "auth required pam_oath.so usersfile=/etc/users.oath window=2\n");
    let phone = Phone::with_key("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let mut refused = 0;
    for round in 1..=rounds {
        let time = start + 30 * round;
        faketime::set(time);
        let logins: Vec<_> = users.iter().map(|user| ("oath", user.as_str(), phone.code_at(time))).collect();
        let inside = Racers::at_the_prompt(&logins, &faketime::environment()).answer();
        refused += inside.into_iter().filter(|inside| !*inside).count();
    }
    refused
}

#[test]
fn parallel_wrong_codes_are_evaluated_no_more_often_than_the_budget_allows() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    let logins = vec![("ours", "alice", phone.wrong_code()); 40];
    assert!(!Racers::at_the_prompt(&logins, &[]).answer().contains(&true));
    assert_eq!(world.failures("alice"), 5, "four free ones, and the fifth that starts the delay");

    // The state survives a crash, and right codes are refused while it lasts.
    let daemon = daemon.crash_and_restart();
    let run = twinlock_tests::pamhost::run(&["-s", "ours", "-u", "alice", &phone.code(0)]);
    assert_eq!(run.code, twinlock_tests::pamhost::pam::MAXTRIES, "{run:?}");
    assert!(run.prompts()[0].starts_with("Too many wrong codes. Wait "), "{run:?}");
    assert!(twinlock_tests::world::root(&["user", "unlock", "alice"]).status.success());
    let run = twinlock_tests::pamhost::run(&["-s", "ours", "-u", "alice", &phone.code(0)]);
    assert_eq!(run.code, 0, "{run:?}");
    drop(daemon);
}

#[test]
fn the_wait_grows_and_ends_and_survives_restarts() {
    let world = World::new();
    let start = start();
    let mut daemon = Daemon::with_clock(start);
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    let mut time = start;
    let mut waits = Vec::new();
    for _ in 0..10 {
        let run = twinlock_tests::pamhost::run(&["-s", "ours", "-u", "alice", "000000"]);
        if run.prompts()[0].starts_with("Too many") {
            waits.push(run.prompts()[0].to_owned());
            time += 3600;
            daemon.set_clock(time);
            daemon = daemon.crash_and_restart();
        }
    }
    assert!(waits.len() >= 3, "{waits:?}");
    assert!(waits[0].contains("Wait 30 s") && waits[1].contains("Wait 1 min"), "{waits:?}");
    assert!(waits[2].contains("Wait 2 min"), "{waits:?}");
    time += 3600;
    daemon.set_clock(time);
    let run = twinlock_tests::pamhost::run(&["-s", "ours", "-u", "alice", &phone.code_at(time)]);
    assert_eq!(run.code, 0, "{run:?}");
    assert_eq!(world.failures("alice"), 0, "a success forgives the failures of its own source");
}
