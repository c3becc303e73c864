//! A year of guessing from outside, with a clock that is moved; and what the owner is told.

use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, Run, pam},
    phone::now,
    world::{self, World, root},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";
const STRANGER: &str = "auth required pam_twinlock.so\n";
const DAY: i64 = 86_400;

fn try_from(service: &str, rhost: &str, code: &str) -> Run {
    pamhost::run(&["-s", service, "-u", "alice", "-r", rhost, code, code, code])
}

/// Seconds to wait, by the prompt; `None`: waiting does not help.
fn told_to_wait(prompt: &str) -> Option<i64> {
    let rest = prompt.strip_prefix("Too many wrong codes. Wait ")?;
    let mut words = rest.split([' ', '.']);
    let number: i64 = words.next()?.parse().ok()?;
    let unit = [("s", 1), ("min", 60), ("h", 3600), ("d", DAY)];
    let unit =
        unit.into_iter().zip(std::iter::repeat(words.next()?)).find(|((name, _), word)| name == word)?;
    Some(number * unit.0.1)
}

/// Wrong codes that were evaluated.
fn evaluated(world: &World) -> usize {
    world.logins("alice").iter().filter(|login| *login == "denied wrong").count()
}

#[test]
fn a_guesser_with_the_password_has_a_hundred_tries_in_a_year_and_then_none() {
    let world = World::new();
    let mut time = now() / 30 * 30 + 15;
    let daemon = Daemon::with_clock(time);
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    assert_eq!(try_from("ours", "192.0.2.1", &phone.code_at(time)).code, pam::SUCCESS);
    let mut rounds = 0;
    loop {
        rounds += 1;
        assert!(rounds < 300, "it never stops: {} evaluated", evaluated(&world));
        let run = try_from("ours", "198.51.100.9", "000000");
        assert_ne!(run.code, pam::SUCCESS);
        let first = run.prompts()[0].to_owned();
        if first.starts_with("Too many wrong codes. Ask your administrator.") {
            break;
        }
        if let Some(wait) = told_to_wait(&first) {
            assert_eq!(run.code, pam::MAXTRIES, "{run:?}");
            time += wait;
            daemon.set_clock(time);
        }
    }
    assert_eq!(evaluated(&world), 100);
    // However long one waits, it stays shut, for right codes too; the owner's own logins do not open it.
    for _ in 0..12 {
        time += 30 * DAY;
        daemon.set_clock(time);
        assert_eq!(try_from("ours", "198.51.100.9", "000000").code, pam::MAXTRIES);
        assert_eq!(try_from("ours", "192.0.2.1", &phone.code_at(time)).code, pam::MAXTRIES);
    }
    assert_eq!(evaluated(&world), 100);
    let shown = root(&["user", "list", "--throttled"]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("stopped: twinlock user unlock"), "{shown:?}");
    assert!(root(&["user", "unlock", "alice"]).status.success());
    assert_eq!(try_from("ours", "192.0.2.1", &phone.code_at(time)).code, pam::SUCCESS);
}

#[test]
fn strangers_lock_the_owner_out_of_no_usual_place_and_see_no_difference() {
    let world = World::new();
    let mut time = now() / 30 * 30 + 15;
    let daemon = Daemon::with_clock(time);
    world::stack("stranger", STRANGER);
    let phone = world.enroll("alice");
    assert_eq!(try_from("stranger", "192.0.2.1", &phone.code_at(time)).code, pam::SUCCESS);
    let wrong = try_from("stranger", "203.0.113.1", "000000");
    // Two months here; daemon/tests/year.rs plays the year.
    for months in 1..=2 {
        time += 31 * DAY;
        daemon.set_clock(time);
        // Once a month at home, or it is no usual place any more; more tries than there are, from many places.
        assert_eq!(
            try_from("stranger", "192.0.2.1", &phone.code_at(time)).code,
            pam::SUCCESS,
            "month {months}"
        );
        let before = evaluated(&world);
        for host in 1..=40 {
            let run = try_from("stranger", &format!("203.0.113.{host}"), "000000");
            assert_eq!((run.code, run.prompts()), (wrong.code, wrong.prompts()), "they all look the same");
        }
        assert_eq!(evaluated(&world) - before, 100, "month {months}");
        time += 60;
        daemon.set_clock(time);
        // A right code from elsewhere looks like a wrong one; at home it is right.
        let right = phone.code_at(time);
        let run = try_from("stranger", "203.0.113.99", &right);
        assert_eq!((run.code, run.prompts()), (wrong.code, wrong.prompts()));
        assert_eq!(try_from("stranger", "192.0.2.1", &right).code, pam::SUCCESS, "month {months}");
    }
}

#[test]
fn a_login_tells_what_was_wrong_since_the_last_one() {
    let world = World::new();
    let time = now() / 30 * 30 + 15;
    let daemon = Daemon::with_clock(time);
    for (service, line) in [("ours", OURS), ("stranger", STRANGER)] {
        world::stack(service, line);
    }
    let phone = world.enroll("alice");
    let quiet = try_from("ours", "192.0.2.1", &phone.code_at(time));
    assert!(quiet.code == pam::SUCCESS && !quiet.said.contains("wrong code"), "{quiet:?}");
    daemon.set_clock(time + 60);
    let _ = pamhost::run(&["-s", "ours", "-u", "alice", "-r", "198.51.100.9", "000000"]);
    let _ = pamhost::run(&["-s", "stranger", "-u", "alice", "-r", "203.0.113.5", "000000"]);
    daemon.set_clock(time + 120);
    // A slip of one's own in the same login is not counted.
    let run =
        pamhost::run(&["-s", "ours", "-u", "alice", "-r", "192.0.2.1", "000000", &phone.code_at(time + 120)]);
    assert_eq!(run.code, pam::SUCCESS);
    let told = "2 wrong codes were given for this account since your last login, some with your password or key known, \
                the last at ";
    assert!(run.said.contains(told), "{run:?}");
    daemon.set_clock(time + 180);
    let run = try_from("ours", "192.0.2.1", &phone.code_at(time + 180));
    assert!(run.code == pam::SUCCESS && !run.said.contains("wrong code"), "told once: {run:?}");
}

/// root, whom the allowance of requests a minute does not bind, at the socket where everybody else has one.
#[test]
fn a_program_in_the_owners_session_guesses_no_better_and_locks_out_only_itself() {
    let world = World::new();
    let mut time = now() / 30 * 30 + 15;
    let daemon = Daemon::with_clock(time);
    world::stack("ours", OURS);
    world::stack("locker", "auth required pam_twinlock.so socket=/run/twinlock/user.sock\n");
    let phone = world.enroll("root");
    let log_in =
        |service: &str, code: &str| pamhost::run(&["-s", service, "-u", "root", code, code, code]).code;
    assert_eq!(log_in("locker", &phone.code_at(time)), pam::SUCCESS);
    // As often as may be: an hour at a time, which is the longest wait.
    for _ in 0..110 {
        assert_ne!(log_in("locker", "000000"), pam::SUCCESS);
        time += 3600;
        daemon.set_clock(time);
    }
    let wrong = world.logins("root").iter().filter(|login| *login == "denied wrong").count();
    assert_eq!(wrong, 100);
    time += 364 * DAY;
    daemon.set_clock(time);
    assert_ne!(
        log_in("locker", &phone.code_at(time)),
        pam::SUCCESS,
        "right, and nobody there may try any more"
    );
    // The owner's own door, with the password known, is another matter.
    assert_eq!(log_in("ours", &phone.code_at(time)), pam::SUCCESS);
    assert!(root(&["user", "unlock", "root"]).status.success());
    daemon.set_clock(time + 60);
    assert_eq!(log_in("locker", &phone.code_at(time + 60)), pam::SUCCESS);
}
