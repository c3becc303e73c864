//! Without the phone: recovery codes of one's own, bypass codes of an administrator's.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::Command;

use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, Run, pam},
    phone::{Phone, now},
    race::Racers,
    terminal::Terminal,
    world::{self, PASSWORD, World, as_user, root},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";

/// alice enrolls at the terminal; her phone, and the recovery codes that she was shown.
fn enroll() -> (Phone, Vec<String>) {
    let mut command = as_user("alice", "twinlock");
    command.args(["enroll", "totp"]);
    let mut terminal = Terminal::run(command);
    terminal.answer("Login password of alice: ", PASSWORD);
    terminal.expect("Key:  ");
    let phone = Phone::with_key(terminal.expect("Add this").trim());
    terminal.answer("code it shows: ", &phone.code(0));
    terminal.expect("They are not shown again.");
    let codes = words(&terminal.expect("Press Enter when you have saved them: "));
    terminal.type_line("");
    assert_eq!(terminal.finish().1, 0);
    (phone, codes)
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(ToOwned::to_owned).collect()
}

fn log_in(user: &str, code: &str) -> Run {
    pamhost::run(&["-s", "ours", "-u", user, code])
}

fn left() -> u64 {
    let out = root(&["user", "show", "alice", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    json["recovery_codes_left"].as_u64().unwrap()
}

#[test]
fn a_recovery_code_lets_in_once_however_it_is_typed() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    let (_phone, codes) = enroll();
    assert_eq!((codes.len(), left()), (10, 10));
    let sloppy = codes[0].to_lowercase().replace('-', "").replace('0', "o").replace('1', "l");
    let spaced = codes[1].replace('-', " ");
    for (typed, hint) in [(&sloppy, "9 recovery codes are left."), (&spaced, "8 recovery codes are left.")] {
        let run = log_in("alice", typed);
        assert!(run.code == pam::SUCCESS && run.said.contains(hint), "{run:?}");
        let again = log_in("alice", typed);
        assert_ne!(again.code, pam::SUCCESS);
        assert!(again.prompts()[1].starts_with("That code was used"), "{again:?}");
    }
    for code in &codes[2..6] {
        assert_eq!(log_in("alice", code).code, pam::SUCCESS);
    }
    let run = log_in("alice", &codes[6]);
    assert!(run.said.contains("3 recovery codes are left. Make new ones: twinlock recovery"), "{run:?}");
    assert_eq!(world.logins("alice").iter().filter(|login| *login == "granted").count(), 7);
    assert_eq!(world.failures("alice"), 0, "used ones are no guesses");
}

#[test]
fn a_wrong_secret_is_charged_and_belongs_to_one_user() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    let (_phone, codes) = enroll();
    let _bob = world.enroll("bob");
    assert_ne!(log_in("bob", &codes[0]).code, pam::SUCCESS, "another user's");
    let mut wrong = codes[0].clone();
    wrong.replace_range(3..4, if wrong.as_bytes()[3] == b'A' { "B" } else { "A" });
    for (typed, failures) in [(wrong.as_str(), 1), ("99-AAAAA-AAAAA-AAAAA", 2)] {
        assert_ne!(log_in("alice", typed).code, pam::SUCCESS);
        assert_eq!(world.failures("alice"), failures, "{typed}: the budget of all methods");
    }
    assert_eq!(log_in("alice", &codes[0]).code, pam::SUCCESS);
}

#[test]
fn one_recovery_code_in_many_hands_lets_in_one_and_survives_no_crash() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let (_phone, codes) = enroll();
    let inside = Racers::at_the_prompt(&vec![("ours", "alice", codes[0].clone()); 8], &[]).answer();
    assert_eq!(inside.into_iter().filter(|inside| *inside).count(), 1);
    let _daemon = daemon.crash_and_restart();
    assert_ne!(log_in("alice", &codes[0]).code, pam::SUCCESS);
    assert_eq!(left(), 9);
}

#[test]
fn a_new_set_kills_the_old_one_and_needs_a_current_code() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    let (phone, old) = enroll();
    let renew = |code: &str| {
        let mut command = as_user("alice", "twinlock");
        command.arg("recovery");
        let mut terminal = Terminal::run(command);
        terminal.answer("Verification code: ", code);
        terminal.finish()
    };
    let (said, code) = renew(&phone.wrong_code());
    assert!(code == 1 && said.contains("wrong code"), "{said}");
    assert_eq!(log_in("alice", &old[9]).code, pam::SUCCESS, "the old set lives");
    let (said, code) = renew(&phone.code(1));
    assert_eq!(code, 0, "{said}");
    let new = words(said.split("not shown again.").nth(1).unwrap());
    assert_eq!((new.len(), left()), (10, 10));
    for dead in &old[..2] {
        assert_ne!(log_in("alice", dead).code, pam::SUCCESS);
    }
    assert_eq!(log_in("alice", &new[0]).code, pam::SUCCESS);
}

#[test]
fn a_bypass_code_has_a_reason_a_time_and_a_number_of_uses() {
    let world = World::new();
    let start = now() / 30 * 30;
    let daemon = Daemon::with_clock(start);
    world::stack("ours", OURS);
    let _phone = world.enroll("alice");
    let _bob = world.enroll("bob");
    let bypass = |arguments: &[&str]| root(&[&["user", "bypass", "alice", "--json"], arguments].concat());
    let refused = |arguments: &[&str], expected: &str| {
        let out = bypass(arguments);
        assert!(!out.status.success() && String::from_utf8_lossy(&out.stderr).contains(expected), "{out:?}");
    };
    refused(&[], "--reason");
    refused(&["--reason", " "], "needs a --reason");
    refused(&["--reason", "x", "--for", "25h"], "between 1s and 24h");
    refused(&["--reason", "x", "--uses", "0"], "1 to 10 uses");
    let code = |arguments: &[&str]| {
        let out = bypass(arguments);
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        json["code"].as_str().unwrap().to_owned()
    };
    let once = code(&["--reason", "phone lost, ticket 7"]);
    assert_ne!(log_in("bob", &once).code, pam::SUCCESS, "another user's");
    assert_eq!(log_in("alice", &once).code, pam::SUCCESS);
    assert_ne!(log_in("alice", &once).code, pam::SUCCESS);

    let late = code(&["--reason", "x", "--for", "1h", "--uses", "2"]);
    daemon.set_clock(start + 3599);
    assert_eq!(log_in("alice", &late).code, pam::SUCCESS);
    daemon.set_clock(start + 3600);
    assert_ne!(log_in("alice", &late).code, pam::SUCCESS, "its time is over");
    let trail = String::from_utf8(root(&["audit", "--event", "bypass"]).stdout).unwrap();
    assert!(
        trail.contains("reason=\"phone lost, ticket 7\"") && trail.contains("actor=\"uid 0\""),
        "{trail}"
    );
    assert!(!trail.contains(&once));
    let logins = String::from_utf8(root(&["audit", "--event", "login", "--user", "alice"]).stdout).unwrap();
    assert!(logins.contains("method=\"bypass\""), "{logins}");
}

#[test]
fn a_factor_is_removed_with_a_code_and_not_without() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    let (phone, codes) = enroll();
    let remove = |factor: &str, code: &str| {
        let mut command = as_user("alice", "twinlock");
        command.args(["remove", factor]);
        let mut terminal = Terminal::run(command);
        terminal.answer("Verification code: ", code);
        terminal.finish()
    };
    let (said, code) = remove("app", &phone.wrong_code());
    assert!(code == 1 && said.contains("wrong code"), "{said}");
    let (said, code) = remove("tablet", &phone.code(1));
    assert!(code == 1 && said.contains("no such factor"), "{said}");
    let (said, code) = remove("app", &phone.code(1));
    assert!(code == 0 && said.contains("is removed"), "{said}");
    assert_eq!(left(), 0, "recovery codes stand in for a factor, and go with the last one");
    // Optional and not enrolled: not asked.
    assert_eq!(log_in("alice", &codes[0]).code, pam::PERM_DENIED);
    assert!(log_in("alice", &codes[0]).prompts().is_empty());
}

#[test]
fn a_lost_phone_is_replaced_with_a_recovery_code_and_the_old_one_is_worth_nothing() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    let (lost, codes) = enroll();
    assert_eq!(log_in("alice", &codes[0]).code, pam::SUCCESS, "in, without the phone");
    let mut command = as_user("alice", "twinlock");
    command.args(["enroll", "totp", "--label", "new phone", "--qr", "none"]);
    let mut terminal = Terminal::run(command);
    terminal.answer("Verification code of a factor you have: ", &codes[1]);
    let text = terminal.expect("then type the code it shows: ");
    let key = text.lines().find_map(|line| line.trim().strip_prefix("Key: ")).unwrap();
    let found = Phone::with_key(key.trim());
    terminal.type_line(&found.code(0));
    terminal.expect("counts from now on");
    let mut command = as_user("alice", "twinlock");
    command.args(["remove", "app"]);
    let mut terminal = Terminal::run(command);
    terminal.answer("Verification code: ", &found.code(1));
    assert_eq!(terminal.finish().1, 0);
    let finder = pamhost::run(&["-s", "ours", "-u", "alice", &lost.code(1), "x", "x", "x"]);
    assert_eq!(finder.code, pam::AUTH_ERR, "whoever has it now");
    assert_eq!(log_in("alice", &codes[2]).code, pam::SUCCESS, "the rest of the set goes on");
}

#[test]
fn completions_are_scripts_that_their_shells_read() {
    let _world = World::new();
    let script = root(&["completions", "bash"]);
    assert!(script.status.success());
    std::fs::write("/root/completions", &script.stdout).unwrap();
    assert!(Command::new("bash").args(["-n", "/root/completions"]).status().unwrap().success());
    let text = String::from_utf8(script.stdout).unwrap();
    for word in ["enroll", "recovery", "--json", "explain"] {
        assert!(text.contains(word), "{word}");
    }
    for shell in ["zsh", "fish"] {
        assert!(root(&["completions", shell]).status.success());
    }
}
