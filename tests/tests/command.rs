//! The `twinlock` command, typed like a person: right, wrong, repeated, as another user, with the daemon down.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::{Command, Output};

use twinlock_tests::{
    pamhost::{self, pam},
    phone::{Phone, early_in_a_step},
    terminal::Terminal,
    world::{self, PASSWORD, World, as_user, root},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";

fn user(name: &str, arguments: &[&str]) -> Command {
    let mut command = as_user(name, "twinlock");
    command.args(arguments);
    command
}

/// Enrolls alice at the terminal; returns her phone.
fn enroll_at_the_terminal(arguments: &[&str]) -> Phone {
    let mut terminal = Terminal::run(user("alice", &[&["enroll", "totp"], arguments].concat()));
    terminal.answer("Login password of alice: ", PASSWORD);
    let phone = key_on(&mut terminal);
    terminal.answer("then type the code it shows: ", &phone.code(0));
    terminal.answer("Press Enter when you have saved them: ", "");
    let (said, code) = terminal.finish();
    assert!(code == 0 && said.contains("counts from now on"), "{said}");
    phone
}

fn key_on(terminal: &mut Terminal) -> Phone {
    terminal.expect("Key:  ");
    Phone::with_key(terminal.expect("Add this").trim())
}

fn json(out: &Output) -> serde_json::Value {
    assert!(out.status.success(), "{out:?}");
    serde_json::from_slice(&out.stdout).unwrap()
}

#[track_caller]
fn refused(out: &Output, code: i32, expected: &str) {
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{said}");
    assert!(said.contains(expected), "{said}");
    assert_eq!(said.lines().count(), 1, "one clear line: {said}");
}

#[test]
fn a_user_enrolls_at_the_terminal_and_is_asked_from_then_on() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    assert_eq!(pamhost::run(&["-s", "ours", "-u", "alice"]).code, pam::PERM_DENIED, "not asked: ignored");
    let phone = enroll_at_the_terminal(&["--label", "phone"]);
    let status = json(&user("alice", &["status", "--json"]).output().unwrap());
    assert_eq!((&status["enrolled"], &status["requirement"]), (&true.into(), &"optional".into()));
    assert_eq!(
        (&status["factors"][0]["label"], &status["factors"][0]["kind"]),
        (&"phone".into(), &"totp".into())
    );
    assert_eq!(status["uid"], 1000);
    let login = |code: &str| pamhost::run(&["-s", "ours", "-u", "alice", code]).code;
    assert_ne!(login(&phone.code(0)), pam::SUCCESS, "the code of the enrollment is spent");
    assert_eq!(login(&phone.code(1)), pam::SUCCESS);
}

#[test]
fn the_qr_code_on_the_screen_holds_the_link() {
    let world = World::new();
    let _daemon = world.daemon();
    let mut command = Command::new("sh");
    // An 80 x 24 terminal of the user's own.
    command.args(["-c", "stty rows 24 cols 80; exec runuser -u alice -- twinlock enroll totp --qr utf8"]);
    let mut terminal = Terminal::run(command);
    terminal.answer("Login password of alice: ", PASSWORD);
    let shown = terminal.expect("then type the code it shows: ");
    let mut parser = vt100::Parser::new(24.try_into().unwrap(), 80.try_into().unwrap(), 0);
    parser.process(shown.as_bytes());
    let screen = parser.screen().contents();
    let key = screen.lines().find_map(|line| line.strip_prefix("Key:  ")).unwrap().replace(' ', "");
    let read = qr_text(&screen);
    assert!(read.starts_with("otpauth://totp/") && read.contains(&format!("secret={key}")), "{read}");
    assert!(shown.contains("\u{1b}[?1049h"), "on the alternate screen");
    terminal.interrupt();
    let (said, code) = terminal.finish();
    assert!(
        said.contains("\u{1b}[?1049l") && said.contains("\u{1b}[3J"),
        "wiped even after Ctrl-C: {said:?}"
    );
    assert_eq!(code, 130);
    assert_eq!(json(&root(&["user", "show", "alice", "--json"]))["enrolled"], false, "nothing has changed");
}

/// Reads a QR code out of half blocks on a screen.
fn qr_text(screen: &str) -> String {
    let rows: Vec<Vec<char>> = screen
        .lines()
        .filter(|line| line.contains('\u{2588}') || line.contains('\u{2580}'))
        .map(|line| line.chars().collect())
        .collect();
    let width = rows.iter().map(Vec::len).max().unwrap();
    let light = |x: usize, y: usize| match rows[y / 2].get(x) {
        Some('\u{2588}') => true,
        Some('\u{2580}') => y.is_multiple_of(2),
        Some('\u{2584}') => !y.is_multiple_of(2),
        _ => false,
    };
    let scale = 4;
    let (w, h) = (width * scale, rows.len() * 2 * scale);
    let pixel = |x: usize, y: usize| if light(x / scale, y / scale) { 255 } else { 0 };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(w, h, pixel);
    let grids = image.detect_grids();
    grids[0].decode().unwrap().1
}

#[test]
fn a_wrong_password_enrolls_nothing_and_is_throttled() {
    let world = World::new();
    let _daemon = world.daemon();
    let attempt = |tries: usize| {
        let mut terminal = Terminal::run(user("alice", &["enroll", "totp"]));
        for _ in 0..tries {
            terminal.answer("Login password of alice: ", "guess");
        }
        terminal.finish()
    };
    // Four are free; after the fifth even a right one has to wait.
    let (said, code) = attempt(3);
    assert!(code == 1 && said.contains("wrong three times; nothing has changed"), "{said}");
    let (said, code) = attempt(2);
    assert!(code == 75 && said.contains("too many failures; try again in"), "{said}");
    assert_eq!(json(&root(&["user", "show", "alice", "--json"]))["enrolled"], false);
    // The login itself is another family, and others are not concerned.
    assert_eq!(world.failures("alice"), 0);
    assert!(root(&["user", "unlock", "alice"]).status.success());
    let _phone = enroll_at_the_terminal(&[]);
}

#[test]
fn a_second_factor_needs_a_code_of_the_first_and_not_just_the_password() {
    let world = World::new();
    let _daemon = world.daemon();
    early_in_a_step(12); // the code that confirms is still the one of now when it is tried again
    let first = enroll_at_the_terminal(&["--label", "phone"]);
    let mut terminal = Terminal::run(user("alice", &["enroll", "totp", "--label", "tablet"]));
    terminal.answer("Verification code of a factor you have: ", &first.wrong_code());
    terminal.answer("Wrong code. ", &first.code(0));
    terminal.answer("That code was used", &first.code(1));
    let second = key_on(&mut terminal);
    terminal.answer("code it shows: ", &second.code(0));
    terminal.expect("counts from now on");
    world::stack("ours", OURS);
    assert_eq!(pamhost::run(&["-s", "ours", "-u", "alice", &second.code(1)]).code, pam::SUCCESS);
    let same = user("alice", &["enroll", "totp", "--label", "tablet", "--no-terminal"]).output().unwrap();
    refused(&same, 1, "there is a factor with the label \"tablet\" already; choose another --label");
}

#[test]
fn a_key_of_ones_own_is_taken_and_a_short_one_refused() {
    let world = World::new();
    let _daemon = world.daemon();
    let mut terminal = Terminal::run(user("alice", &["enroll", "totp", "--secret"]));
    terminal.answer("Your key (Base32): ", "JBSWY3DPEHPK3PXP");
    let (said, code) = terminal.finish();
    assert!(code == 1 && said.contains("under 128 bits"), "{said}");
    let mut terminal = Terminal::run(user("alice", &["enroll", "totp", "--secret"]));
    terminal.answer("Your key (Base32): ", "gezd gnbv gy3t qojq gezd gnbv gy3t qojq");
    terminal.answer("Login password of alice: ", PASSWORD);
    let phone = key_on(&mut terminal);
    assert_eq!(phone.key, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    terminal.answer("code it shows: ", &phone.code(1));
    terminal.answer("Press Enter when you have saved them: ", "");
    terminal.expect("counts from now on");
}

#[test]
fn verify_says_right_wrong_used_and_spends() {
    let world = World::new();
    let _daemon = world.daemon();
    let verify = |code: &str| {
        let mut terminal = Terminal::run(user("alice", &["verify"]));
        terminal.answer("Verification code: ", code);
        terminal.finish()
    };
    let (said, code) = verify("123456");
    assert!(code == 1 && said.contains("you have no factor; add one: twinlock enroll totp"), "{said}");
    let phone = world.enroll("alice");
    for (typed, code, expected) in [
        (phone.code(0), 0, "Right."),
        (phone.code(0), 1, "used before"),
        (phone.wrong_code(), 1, "wrong code"),
        ("hello".to_owned(), 1, "cannot be a code"),
    ] {
        let (said, exit) = verify(&typed);
        assert!(exit == code && said.contains(expected), "{typed}: {exit} {said}");
    }
    world::stack("ours", OURS);
    assert_ne!(pamhost::run(&["-s", "ours", "-u", "alice", &phone.code(0)]).code, pam::SUCCESS, "spent");
    // Guessing here costs the guesser, not the owner's logins.
    for _ in 0..20 {
        verify(&phone.wrong_code());
    }
    let (said, code) = verify(&phone.code(1));
    assert!(code == 75 && said.contains("too many wrong codes; try again in"), "{said}");
    assert_eq!(pamhost::run(&["-s", "ours", "-u", "alice", &phone.code(1)]).code, pam::SUCCESS);
}

#[test]
fn a_person_may_take_their_time_to_type_a_code() {
    let world = World::new();
    let _daemon = world.daemon();
    let phone = world.enroll("alice");
    let factor = json(&root(&["user", "show", "alice", "--json"]))["factors"][0]["id"].to_string();
    let waiting: Vec<Terminal> = [&["verify"][..], &["recovery"], &["remove", factor.trim_matches('"')]]
        .map(|command| Terminal::run(user("alice", command)))
        .map(|mut terminal| {
            terminal.expect("Verification code: ");
            terminal
        })
        .into();
    // Longer than the daemon keeps a connection on which nothing is asked.
    world::sh("sleep 7");
    early_in_a_step(10);
    for (mut terminal, step) in waiting.into_iter().zip([-1, 0, 1]) {
        terminal.type_line(&phone.code(step));
        let (said, code) = terminal.finish();
        assert_eq!(code, 0, "{said}");
    }
}

#[test]
fn an_administrator_provisions_shows_resets() {
    let world = World::new();
    let _daemon = world.daemon();
    let provisioned = json(&root(&["user", "enroll", "alice", "totp", "--label", "card", "--json"]));
    let phone = Phone::with_key(provisioned["secret"].as_str().unwrap());
    assert!(provisioned["uri"].as_str().unwrap().starts_with("otpauth://totp/box:alice?secret="));
    let show = || json(&root(&["user", "show", "alice", "--json"]));
    assert_eq!((&show()["enrolled"], &show()["factors"][0]["active"]), (&false.into(), &false.into()));
    let mut verify = Terminal::run(user("alice", &["verify"]));
    verify.answer("Verification code: ", &phone.code(1));
    assert_eq!(verify.finish().1, 0);
    assert_eq!((&show()["enrolled"], &show()["factors"][0]["active"]), (&true.into(), &true.into()));
    assert!(!show().to_string().contains(&phone.key), "a stored key is never shown again");

    let list = json(&root(&["user", "list", "--json"]));
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(json(&root(&["user", "reset", "alice", "--json"]))["factors_removed"], 1);
    assert_eq!(json(&root(&["user", "reset", "alice", "--json"]))["factors_removed"], 0, "repeated");
    assert_eq!(show()["enrolled"], false);
    let trail = String::from_utf8(root(&["audit", "--user", "alice"]).stdout).unwrap();
    for event in ["provision granted", "verify granted", "reset granted"] {
        assert!(trail.contains(event), "{trail}");
    }
    assert!(trail.contains("actor=\"uid 0\"") && trail.contains("actor=\"uid 1000\""));
}

#[test]
fn policy_explain_says_what_a_login_would_meet() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let outcome = |user: &str| json(&root(&["policy", "explain", user, "--service", "sshd", "--json"]));
    assert_eq!((&outcome("alice")["outcome"], &outcome("bob")["outcome"]), (&"ask".into(), &"skip".into()));
    assert_eq!(outcome("alice")["because"][0]["rule"], "built-in: everyone");
}

#[test]
fn each_mistake_gets_one_clear_line_and_its_exit_code() {
    let world = World::new();
    let down = root(&["user", "list"]);
    refused(&down, 69, "twinlockd does not listen on /run/twinlock/admin.sock; start it");
    let daemon = world.daemon();
    refused(&root(&["user", "show", "nobody-here"]), 1, "there is no user nobody-here");
    refused(&root(&["user", "enroll", "alice", "totp", "--secret-file", "/nonexistent"]), 1, "/nonexistent");
    refused(&root(&["audit", "--since", "yesterday"]), 2, "write a date");
    refused(&root(&["audit", "--event", "logn"]), 2, "there is no event \"logn\"; there are login,");
    std::fs::write("/root/twice", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
    let twice = || root(&["user", "enroll", "bob", "totp", "--secret-file", "/root/twice"]);
    assert!(twice().status.success());
    refused(&twice(), 1, "bob has this key already, as \"app\"");
    std::fs::write("/root/short", "JBSWY3DPEHPK3PXP").unwrap();
    let short = root(&["user", "enroll", "alice", "totp", "--secret-file", "/root/short"]);
    refused(&short, 1, "under 128 bits");
    assert!(
        root(&["user", "enroll", "alice", "totp", "--secret-file", "/root/short", "--allow-short"])
            .status
            .success()
    );
    refused(&user("alice", &["user", "list"]).output().unwrap(), 77, "this needs root");
    refused(&user("alice", &["enroll", "totp"]).output().unwrap(), 2, "run this at a terminal");
    let mut sudo = Command::new("twinlock");
    refused(&sudo.env("SUDO_USER", "alice").output().unwrap(), 77, "say --user root");
    let mut sudo = Command::new("twinlock");
    refused(
        &sudo.args(["--user", "root", "verify"]).output().unwrap(),
        2,
        "--user stands behind the command",
    );
    let mut sudo = Command::new("twinlock");
    assert!(
        sudo.env("SUDO_USER", "alice").args(["status", "--user", "root"]).output().unwrap().status.success()
    );
    assert_eq!(Command::new("twinlock").arg("enrol").output().unwrap().status.code(), Some(2));

    // A daemon that hangs: an answer, and not for ever.
    daemon.signal(nix::sys::signal::Signal::SIGSTOP);
    refused(&root(&["user", "list"]), 69, "twinlockd does not answer");
    daemon.signal(nix::sys::signal::Signal::SIGCONT);

    // A socket that somebody else put there is not used.
    world::sh("mkdir /tmp/squat && chown alice /tmp/squat");
    drop(std::os::unix::net::UnixListener::bind("/tmp/squat/user.sock").unwrap());
    refused(&root(&["--runtime-dir", "/tmp/squat"]), 69, "its folder is not root's alone");
    drop(daemon);
}

#[test]
fn an_administrator_behind_sudo_is_named_in_the_trail() {
    let world = World::new();
    let _daemon = world.daemon();
    let mut command = Command::new("twinlock");
    command.env("SUDO_USER", "alice\nforged").args(["user", "unlock", "bob"]);
    assert!(command.output().unwrap().status.success());
    let trail = String::from_utf8(root(&["audit", "--event", "unlock", "--json"]).stdout).unwrap();
    let entry: serde_json::Value = serde_json::from_str(trail.trim()).unwrap();
    assert!(entry["claimed_by"].as_str().unwrap().contains("sudo=alice?forged"), "{entry}");
}
