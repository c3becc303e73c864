//! Enrollment at a login, on real programs.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;

use twinlock_tests::{
    daemon::Daemon,
    phone::Phone,
    screen::{self, Screen},
    ssh::{self, KEY_THEN_CODE, KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, client, outcome},
    terminal::Terminal,
    world::{self, PASSWORD, World, root},
};

const SSH: &str = "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
                   -o NumberOfPasswordPrompts=1 alice@127.0.0.1 echo in as alice";
const NEW_CODE: &str = "then type the code it shows: ";
const SAVED: &str = "Press Enter when you have saved them: ";

/// Everybody must have a factor, and may set one up at the login.
const AT_LOGIN: &str = "issuer = 'Example Corp'\n[[role]]\nname = 'everyone'\ngroups = ['*']\n\
                        second-factor = 'required'\nenrollment = 'at-login'\n";

fn configure(text: &str) {
    fs::create_dir_all("/etc/twinlock").unwrap();
    fs::write("/etc/twinlock/twinlock.toml", text).unwrap();
    world::sh("chmod 0640 /etc/twinlock/twinlock.toml");
}

fn required(world: &World, more: &str) -> (Daemon, ssh::Sshd) {
    configure(&format!("{AT_LOGIN}{more}"));
    (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE))
}

/// The key that stands below the picture.
fn key_on(text: &str) -> Phone {
    let line = text.lines().find_map(|line| line.trim_start().strip_prefix("Key: ")).unwrap();
    Phone::with_key(line.trim())
}

#[test]
fn the_wizard_fits_a_screen_of_80_by_24_and_its_picture_is_the_key() {
    let world = World::new();
    let _running = required(&world, "");
    let screen = Screen::run(SSH);
    screen.answer("Password: ", PASSWORD);
    let shown = screen.wait_for(NEW_CODE);
    let phone = key_on(&shown);
    let scanned = screen::scan(&shown).unwrap_or_else(|| panic!("nothing to scan in:\n{shown}"));
    assert!(scanned.contains(&format!("secret={}", phone.key)), "{scanned} and {}", phone.key);
    assert!(scanned.starts_with("otpauth://totp/Example%20Corp:alice?"), "{scanned}");
    assert!(shown.contains("otpauth://totp/Example%20Corp:alice?secret="), "{shown}");
    screen.type_line(&phone.code(0));
    let codes = screen.wait_for(SAVED);
    assert_eq!(codes.matches("-").count(), 30, "ten codes: {codes}");
    screen.type_line("");
    screen.wait_for("in as alice");
    assert_eq!(world.logins("alice"), ["granted"]);

    // From now on the app is what a login wants, and a recovery code does too.
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", &phone.code(1));
    assert!(outcome(ssh, "alice").0);
    let code = codes.split_whitespace().find(|word| word.starts_with("03-")).unwrap();
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", code);
    assert!(outcome(ssh, "alice").0);
}

/// What the store has of a user: factors, recovery codes.
fn stored(user: &str) -> (usize, u64) {
    let out = root(&["user", "show", user, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    (json["factors"].as_array().unwrap().len(), json["recovery_codes_left"].as_u64().unwrap())
}

/// A client that sees a new key.
fn at_the_key(user: &str, options: &[&str]) -> (Terminal, Phone) {
    let mut ssh = client(user, options);
    ssh.answer("Password: ", PASSWORD);
    let phone = key_on(&ssh.expect(NEW_CODE));
    (ssh, phone)
}

#[test]
fn a_client_that_cannot_show_the_picture_shows_key_and_link() {
    let world = World::new();
    let _running = required(&world, "");
    let screen = Screen::run(&format!("env LC_ALL=C {SSH}"));
    screen.answer("Password: ", PASSWORD);
    let shown = screen.wait_for(NEW_CODE);
    assert!(
        !shown.contains('\u{2588}') && shown.contains("\\342\\226\\210"),
        "no blocks in that locale: {shown}"
    );
    let phone = key_on(&shown);
    assert!(shown.replace('\n', "").contains(&format!("?secret={}", phone.key)), "{shown}");
    screen.type_line(&phone.code(0));
    screen.answer(SAVED, "");
    screen.wait_for("in as alice");
}

#[test]
fn the_ascii_form_is_read_from_everything_that_was_shown() {
    let world = World::new();
    let _running = required(&world, "[enrollment]\nlogin-qr = 'ascii'\n");
    let screen = Screen::run(&format!("env LC_ALL=C {SSH}"));
    screen.answer("Password: ", PASSWORD);
    let phone = key_on(&screen.wait_for(NEW_CODE));
    let all = screen.all();
    assert!(all.is_ascii(), "{all}");
    let scanned = screen::scan(&all).unwrap_or_else(|| panic!("nothing to scan in:\n{all}"));
    assert!(scanned.contains(&format!("secret={}", phone.key)), "{scanned}");
}

#[test]
fn the_wizard_at_the_console_and_at_sudo() {
    let world = World::new();
    configure(AT_LOGIN);
    let _daemon = world.daemon();
    for service in ["login", "sudo"] {
        world::stack(service, PASSWORD_THEN_CODE);
    }
    world::sh("echo 'alice ALL=(ALL) ALL' > /etc/sudoers.d/alice; chmod 0440 /etc/sudoers.d/alice");
    let screen = Screen::run("login");
    screen.answer("login:", "bob");
    screen.answer("Password: ", PASSWORD);
    let shown = screen.wait_for(NEW_CODE);
    let phone = key_on(&shown);
    assert!(screen::scan(&shown).unwrap().contains(&phone.key));
    screen.type_line(&phone.code(0));
    screen.answer(SAVED, "");
    screen.answer("$", "id -un");
    screen.wait_for("bob\n");

    let screen = Screen::run("runuser -u alice -- sudo id -un");
    screen.answer("password for alice: ", PASSWORD);
    let shown = screen.wait_for(NEW_CODE);
    let phone = key_on(&shown);
    // sudo wants no messages (PAM_SILENT), so there is no picture; key and link are in the prompt.
    assert!(shown.replace('\n', "").contains(&format!("?secret={}", phone.key)), "{shown}");
    screen.type_line(&phone.code(0));
    screen.answer(SAVED, "");
    screen.wait_for("root");
}

#[test]
fn a_wizard_that_is_left_at_any_point_leaves_all_or_nothing() {
    let world = World::new();
    let _running = required(&world, "");
    let nothing = (0, 0);
    // The key is shown: Ctrl-C, a connection that is gone, three wrong codes, three times nothing.
    let (mut ssh, _) = at_the_key("alice", &[]);
    ssh.interrupt();
    assert!(!outcome(ssh, "alice").0);
    let (ssh, _) = at_the_key("alice", &[]);
    ssh.kill();
    for typed in ["000000", ""] {
        let (mut ssh, _) = at_the_key("alice", &[]);
        ssh.type_line(typed);
        for _ in 0..2 {
            ssh.expect("Wrong code. Is the clock of your phone right?");
            ssh.answer(NEW_CODE, typed);
        }
        assert!(!outcome(ssh, "alice").0);
    }
    assert_eq!((stored("alice"), world.failures("alice")), (nothing, 0));
    // The recovery codes are shown: the factor counts, and so do they, whether anybody saw them or not.
    let (mut ssh, phone) = at_the_key("alice", &[]);
    ssh.type_line(&phone.code(0));
    let codes = ssh.expect(SAVED);
    let code = codes.split_whitespace().find(|word| word.starts_with("07-")).unwrap();
    ssh.kill();
    assert_eq!(stored("alice"), (1, 10));
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", &phone.code(1));
    assert!(outcome(ssh, "alice").0);
    let log = world.log_with("somebody set up a factor at a login");
    for secret in [phone.key.as_str(), &phone.key[..8], code] {
        assert!(!log.contains(secret), "no secret is in a log, not even at the level of traces");
    }
}

#[test]
fn two_logins_at_once_make_one_factor() {
    let world = World::new();
    let _running = required(&world, "");
    let (mut first, phone) = at_the_key("alice", &[]);
    let (mut second, other) = at_the_key("alice", &[]);
    assert_ne!(phone.key, other.key);
    first.type_line(&phone.code(0));
    first.expect(SAVED);
    second.type_line(&other.code(0));
    second.answer("A second factor was set up meanwhile; log in again with it. Press Enter: ", "");
    assert!(!outcome(second, "alice").0);
    first.type_line("");
    assert!(outcome(first, "alice").0);
    assert_eq!(stored("alice"), (1, 10));
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", &phone.code(1));
    assert!(outcome(ssh, "alice").0);
}

#[test]
fn a_daemon_that_is_restarted_while_a_key_is_shown_shows_another() {
    let world = World::new();
    let (daemon, _sshd) = required(&world, "");
    let (mut ssh, lost) = at_the_key("alice", &[]);
    let daemon = daemon.crash_and_restart();
    ssh.type_line(&lost.code(0));
    let said = ssh.expect(NEW_CODE);
    assert!(said.contains("This is a new key; remove the one that you added before."), "{said}");
    let phone = key_on(&said);
    assert_ne!(phone.key, lost.key);
    assert!(screen::scan(&said).unwrap().contains(&phone.key));
    ssh.type_line(&phone.code(0));
    ssh.answer(SAVED, "");
    assert!(outcome(ssh, "alice").0);
    drop(daemon);
}

#[test]
fn a_daemon_that_is_killed_while_it_stores_leaves_all_or_nothing() {
    let world = World::new();
    let (mut daemon, _sshd) = required(&world, "");
    let mut seen = [0; 2];
    for wait in [0, 30, 60, 90, 120, 150, 180, 900] {
        assert!(root(&["user", "reset", "alice"]).status.success());
        let (mut ssh, phone) = at_the_key("alice", &[]);
        ssh.type_line(&phone.code(0));
        world::sh(&format!("sleep 0.{wait:03}"));
        daemon = daemon.crash_and_restart();
        ssh.kill();
        let left = stored("alice");
        assert!([(0, 0), (1, 10)].contains(&left), "killed after {wait} ms: {left:?}");
        seen[left.0] += 1;
    }
    assert!(root(&["db", "check"]).status.success());
    assert!(seen[1] > 0, "it was always killed too early: {seen:?}");
}

#[test]
fn without_the_first_factor_nobody_enrolls_and_nobody_learns_that_they_could() {
    let world = World::new();
    configure(AT_LOGIN);
    let (_daemon, _sshd) =
        (world.daemon(), world.sshd("auth required pam_twinlock.so\n", KEYBOARD_INTERACTIVE));
    let mut ssh = client("alice", &[]);
    for _ in 0..3 {
        ssh.answer("Verification code: ", "123456");
    }
    assert!(!outcome(ssh, "alice").0);
    let out = root(&["user", "show", "alice", "--json"]);
    assert!(out.status.success() && !world.log().contains("set up a factor"), "{out:?}");
}

#[test]
fn the_time_of_a_rule_ends_and_an_administrator_opens_it_again() {
    let world = World::new();
    let (daemon, sshd) = required(&world, "");
    let explain = || {
        let out = root(&["policy", "explain", "alice"]);
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    assert!(explain().contains("alice at sshd: enroll (second factor required)"), "{}", explain());
    assert!(daemon.stop().success());
    world::sh("sqlite3 /var/lib/twinlock/twinlock.db 'UPDATE opening SET at = at - 7 * 24 * 3600 * 1000'");
    let daemon = world.daemon();
    assert!(explain().contains("alice at sshd: deny") && explain().contains("ended"), "{}", explain());
    let denied = || {
        let mut ssh = client("alice", &[]);
        ssh.answer("Password: ", PASSWORD);
        ssh.answer("No second factor is set up; ask your administrator. Press Enter: ", "");
        assert!(!outcome(ssh, "alice").0);
    };
    denied();
    let would_deny = || {
        let out = root(&["user", "list", "--would-deny", "--json"]);
        let users: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        users
            .as_array()
            .unwrap()
            .iter()
            .map(|user| user["user"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(would_deny(), ["alice", "bob", "root"], "whom nobody ever enrolled too");
    // For one user, once; the rule's time stays over.
    assert!(root(&["user", "open-enrollment", "alice", "--for", "1h"]).status.success());
    assert_eq!(would_deny(), ["bob", "root"]);
    let (mut ssh, phone) = at_the_key("alice", &[]);
    ssh.type_line(&phone.code(0));
    ssh.answer(SAVED, "");
    assert!(outcome(ssh, "alice").0);
    assert!(!root(&["user", "open-enrollment", "alice"]).status.success(), "she has a factor");
    assert!(root(&["user", "reset", "alice"]).status.success());
    denied();
    assert!(root(&["user", "open-enrollment", "alice"]).status.success());
    assert!(root(&["user", "open-enrollment", "alice", "--off"]).status.success());
    denied();
    // For all members.
    let out = root(&["policy", "open-enrollment", "everyone"]);
    assert!(
        String::from_utf8_lossy(&out.stdout).starts_with("Members of role everyone may enroll"),
        "{out:?}"
    );
    drop(at_the_key("alice", &[]));
    let out = root(&["policy", "open-enrollment", "nobody"]);
    assert!(
        !out.status.success() && String::from_utf8_lossy(&out.stderr).contains("there are: everyone"),
        "{out:?}"
    );
    let trail = root(&["audit", "--event", "open-enrollment", "--json"]);
    assert_eq!(String::from_utf8_lossy(&trail.stdout).lines().count(), 4);
    drop((daemon, sshd));
}

#[test]
fn whom_a_role_offers_a_factor_takes_it_or_leaves_it() {
    let world = World::new();
    configure(
        "[[role]]\nname = 'everyone'\ngroups = ['*']\nsecond-factor = 'optional'\noffer-enrollment = true\n",
    );
    let (_daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE));
    let offer = "Set up a second factor now? Type yes, or press Enter to skip: ";
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer(offer, "");
    assert!(outcome(ssh, "alice").0);
    assert_eq!(world.logins("alice"), ["not-needed"]);
    // Who tries and fails is let in as before, and told.
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer(offer, "yes");
    for _ in 0..3 {
        ssh.answer(NEW_CODE, "000000");
    }
    assert!(outcome(ssh, "alice").0);
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer(offer, "yes");
    let phone = key_on(&ssh.expect(NEW_CODE));
    ssh.type_line(&phone.code(0));
    ssh.answer(SAVED, "");
    assert!(outcome(ssh, "alice").0);
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", &phone.code(1));
    assert!(outcome(ssh, "alice").0);
}

#[test]
fn a_key_is_a_first_factor_too() {
    let world = World::new();
    configure(AT_LOGIN);
    let both = "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n\
                AuthenticationMethods publickey,keyboard-interactive:pam\n";
    let (_daemon, _sshd) = (world.daemon(), world.sshd(KEY_THEN_CODE, both));
    let key = ssh::key_for("alice");
    let mut ssh = client("alice", &["-i", &key]);
    let phone = key_on(&ssh.expect(NEW_CODE));
    ssh.type_line(&phone.code(0));
    ssh.answer(SAVED, "");
    assert!(outcome(ssh, "alice").0);
    assert_eq!(stored("alice"), (1, 10));
}

#[test]
fn what_changes_while_a_key_is_shown_is_seen_before_it_counts() {
    let world = World::new();
    let (daemon, _sshd) = required(&world, "");
    // The rule is another one by then.
    let (mut ssh, phone) = at_the_key("alice", &[]);
    configure(&AT_LOGIN.replace("at-login", "admin"));
    daemon.reload();
    ssh.type_line(&phone.code(0));
    ssh.answer("Press Enter: ", "");
    assert!(!outcome(ssh, "alice").0);
    assert_eq!(stored("alice"), (0, 0));
}

#[test]
fn a_name_that_was_made_anew_enrolls_over_nobody() {
    let world = World::new();
    let _running = required(&world, "");
    let old = world.enroll("alice");
    world::sh("usermod -u 4711 alice");
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("No second factor is set up; ask your administrator. Press Enter: ", "");
    assert!(!outcome(ssh, "alice").0);
    for verb in [
        &["user", "require", "alice"][..],
        &["user", "open-enrollment", "alice"],
        &["user", "enroll", "alice", "totp"],
    ] {
        let out = root(verb);
        assert!(
            !out.status.success()
                && String::from_utf8_lossy(&out.stderr).contains("twinlock user reset alice"),
            "{out:?}"
        );
    }
    // The uid is what it was: nothing is lost.
    world::sh("usermod -u 1000 alice");
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", &old.code(0));
    assert!(outcome(ssh, "alice").0);
    // It stays another: an administrator makes room.
    world::sh("usermod -u 4711 alice");
    assert!(root(&["user", "reset", "alice"]).status.success());
    let (mut ssh, phone) = at_the_key("alice", &[]);
    ssh.type_line(&phone.code(0));
    ssh.answer(SAVED, "");
    assert!(outcome(ssh, "alice").0);
}
