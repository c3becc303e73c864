//! Codes by email, through a real mail server.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use twinlock_tests::{
    daemon::Daemon,
    delivery::{self, bob},
    mail::{AUTHORITY, Postfix, SASL_PASSWORD, code_in, mail, mails},
    pamhost::{self, pam},
    ssh::{KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, Sshd, client, outcome},
    terminal::Terminal,
    world::{self, PASSWORD, World, root},
};

const PLAIN: &str = "[email]\nfrom = 'Login <login@example.com>'\n";
const ASK: &str = "Send a code by email to b***@e***.com? Press Enter: ";
const SENT: &str = "Code sent by email to b***@e***.com. Verification code (or type resend): ";

fn configure(text: &str) {
    delivery::configure(text, &[]);
}

fn ready(world: &World, config: &str) -> (Daemon, Sshd) {
    configure(config);
    delivery::reachable(world, ["--email", "bob@example.com"])
}

/// Outcomes and reasons.
fn sends() -> Vec<String> {
    delivery::sends().into_iter().map(|send| send.replacen("email ", "", 1)).collect()
}

#[test]
fn a_login_by_mail_and_nothing_is_sent_before_it_is_asked_for() {
    let world = World::new();
    let _postfix = Postfix::start(false);
    let _running = ready(&world, PLAIN);
    let mut ssh = bob();
    ssh.expect(ASK);
    assert!(mails("bob").is_empty(), "nothing before the answer");
    ssh.type_line("");
    ssh.expect(SENT);
    let letter = mail("bob", 1);
    let code = code_in(&letter);
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{letter}");
    for part in [
        "Subject: Login code for box",
        "Auto-Submitted: auto-generated",
        "From: Login <login@example.com>",
        "login of bob at sshd on box from 127.0.0.1",
    ] {
        assert!(letter.contains(part), "{part:?} in {letter}");
    }
    assert!(!letter.lines().any(|line| line.starts_with("Subject") && line.contains(&code)));
    ssh.type_line(&code);
    assert!(outcome(ssh, "bob").0);
    assert_eq!(
        (sends(), world.logins("bob")),
        (vec!["granted accepted".to_owned()], vec!["granted".to_owned()])
    );
    // It was for that login.
    let mut ssh = bob();
    ssh.answer(ASK, &code);
    ssh.expect("Wrong code. ");
    ssh.kill();
    // A wrong password sends nothing, whatever is typed.
    let mut ssh = client("bob", &[]);
    ssh.answer("Password: ", "wrong horse");
    assert!(!outcome(ssh, "bob").0);
    assert_eq!(mails("bob").len(), 1);
    let log = world.log();
    assert!(!log.contains(&code) && !log.contains("bob@example.com\""), "no code, no address in our log");
    let shown = root(&["user", "show", "bob", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(shown["contacts"][0]["masked"], "b***@e***.com");
    assert_eq!(
        (&shown["contacts"][0]["kind"], &shown["contacts"][0]["verified"]),
        (&"email".into(), &true.into())
    );
}

#[test]
fn beside_an_app_mail_is_a_word_away_and_a_stranger_sees_neither() {
    let world = World::new();
    let _postfix = Postfix::start(false);
    let _running = ready(&world, PLAIN);
    let phone = world.enroll("bob");
    let mut ssh = bob();
    ssh.answer("Verification code (or type email): ", "email");
    ssh.expect(SENT);
    ssh.type_line(&code_in(&mail("bob", 1)));
    assert!(outcome(ssh, "bob").0);
    let mut ssh = bob();
    ssh.answer("Verification code (or type email): ", &phone.code(0));
    assert!(outcome(ssh, "bob").0);
    // Where the first factor is not known, nothing is offered and nothing is sent.
    world::stack("stranger", "auth required pam_twinlock.so\n");
    let run = pamhost::run(&["-s", "stranger", "-u", "bob", "email", "", "resend"]);
    assert_eq!((run.code, run.prompts()[0]), (pam::AUTH_ERR, "Verification code: "), "{run:?}");
    assert_eq!(mails("bob").len(), 1);
    // Taken away, it is no way any more.
    assert!(root(&["user", "contact", "bob", "--remove", "email"]).status.success());
    let mut ssh = bob();
    ssh.expect("Verification code: ");
    ssh.kill();
}

#[test]
fn a_code_is_of_one_conversation_and_dies_with_it() {
    let world = World::new();
    let _postfix = Postfix::start(false);
    let (daemon, _sshd) = ready(&world, PLAIN);
    let asked = |count: usize| {
        let mut ssh = bob();
        ssh.answer(ASK, "");
        ssh.expect(SENT);
        (ssh, code_in(&mail("bob", count)))
    };
    let (mut first, of_first) = asked(1);
    let (mut second, of_second) = asked(2);
    assert_ne!(of_first, of_second);
    second.type_line(&of_first);
    second.expect("Wrong code. ");
    second.type_line(&of_second);
    assert!(outcome(second, "bob").0);
    first.type_line(&of_first);
    assert!(outcome(first, "bob").0, "the other's was not touched");
    // Who goes away takes the code along.
    let (gone, code) = asked(3);
    gone.kill();
    let mut ssh = bob();
    ssh.answer(ASK, &code);
    ssh.expect("Wrong code. ");
    ssh.kill();
    // A restart ends it, and says so.
    let (mut ssh, code) = asked(4);
    let daemon = daemon.crash_and_restart();
    ssh.type_line(&code);
    ssh.expect("Wrong code. ");
    ssh.kill();
    assert!(!world.logins("bob").is_empty());
    drop(daemon);
}

#[test]
fn limits_hold_across_restarts_and_in_parallel() {
    let world = World::new();
    let _postfix = Postfix::start(false);
    let (daemon, _sshd) = ready(&world, &format!("{PLAIN}[codes]\nper-hour = 3\n"));
    let sent = |ssh: &mut Terminal| {
        ssh.answer(ASK, "");
        ssh.expect_either("Code sent by email", "No more codes can be sent now. ")
    };
    let mut waiting: Vec<Terminal> = (0..4).map(|_| bob()).collect();
    let sent_now = waiting.iter_mut().map(sent).filter(|sent| *sent).count();
    assert_eq!(sent_now, 3);
    drop(waiting);
    let daemon = daemon.crash_and_restart();
    assert!(!sent(&mut bob()));
    assert_eq!(sends().iter().filter(|send| send.as_str() == "granted accepted").count(), 3);
    assert!(
        sends().iter().any(|send| send.contains("limit") || send.contains("live-codes")),
        "{:?}",
        sends()
    );
    drop(daemon);
}

#[test]
fn behind_starttls_with_a_password_and_never_without() {
    let world = World::new();
    let _postfix = Postfix::start(true);
    fs::create_dir_all("/etc/twinlock/credentials").unwrap();
    let secret = |text: &str| {
        fs::write("/etc/twinlock/credentials/smtp", text).unwrap();
        world::sh("chmod 0600 /etc/twinlock/credentials/smtp");
    };
    secret(&format!("{SASL_PASSWORD}\n"));
    let strict = "port = 25\ntls = 'starttls'\nuser = 'login@localhost'\nsecret = 'smtp'\n";
    let trusted = format!("ca-file = '{AUTHORITY}'\n");
    let (daemon, _sshd) = ready(&world, &format!("{PLAIN}{strict}{trusted}"));
    let mut ssh = bob();
    ssh.answer(ASK, "");
    ssh.expect(SENT);
    ssh.type_line(&code_in(&mail("bob", 1)));
    assert!(outcome(ssh, "bob").0);
    let fails = || {
        let mut ssh = bob();
        ssh.answer(ASK, "");
        ssh.expect("The code could not be sent. Send a code by email");
        ssh.kill();
    };
    // A wrong password, a certificate that nobody vouches for, no TLS at all.
    secret("wrong\n");
    fails();
    secret(&format!("{SASL_PASSWORD}\n"));
    world::sh("chmod 0644 /etc/twinlock/credentials/smtp");
    fails(); // others may have read it
    world::sh("chmod 0600 /etc/twinlock/credentials/smtp");
    assert!(daemon.stop().success());
    for config in [format!("{PLAIN}{strict}"), PLAIN.to_owned()] {
        configure(&config);
        let daemon = world.daemon();
        fails();
        drop(daemon);
    }
    assert_eq!(mails("bob").len(), 1);
    let daemon = world.daemon();
    let told = sends();
    assert_eq!(told[..3], ["granted accepted", "denied account", "denied no-credential"], "{told:?}");
    assert!(told[3..].iter().all(|send| send.starts_with("denied ")), "{told:?}");
    assert!(!world.log().contains(SASL_PASSWORD));
    drop(daemon);
}

#[test]
fn a_mail_server_that_is_silent_or_absent_keeps_nobody_waiting() {
    let world = World::new();
    let (daemon, _sshd) = ready(&world, &format!("{PLAIN}port = 2525\n"));
    let mut ssh = bob();
    let begin = Instant::now();
    ssh.answer(ASK, "");
    ssh.expect("The code could not be sent. ");
    assert!(begin.elapsed() < Duration::from_secs(2), "absent: {:?}", begin.elapsed());
    ssh.kill();
    let silent = TcpListener::bind("127.0.0.1:2525").unwrap();
    let mut ssh = bob();
    ssh.expect(ASK);
    let begin = Instant::now();
    ssh.type_line("");
    ssh.expect(SENT);
    assert!(begin.elapsed() < Duration::from_secs(3), "silent: {:?}", begin.elapsed());
    ssh.kill();
    drop((silent, daemon));
}

#[test]
fn without_a_mail_server_the_sendmail_of_the_host_is_asked_by_its_helper() {
    let world = World::new();
    let _postfix = Postfix::local();
    let (daemon, _sshd) = ready(&world, PLAIN);
    let fails = |why: &str| {
        let test = root(&["provider", "test", "email", "--to", "bob@example.com"]);
        assert_eq!(
            (test.status.code(), String::from_utf8_lossy(&test.stdout).trim()),
            (Some(1), why),
            "{test:?}"
        );
    };
    fails("connection");
    let doctor = String::from_utf8(root(&["doctor", "--json"]).stdout).unwrap();
    assert!(doctor.contains("provider email: the mail server localhost:25 does not answer"), "{doctor}");
    // The unit's own command, as systemd would run it.
    let unit = include_str!("../../packaging/systemd/twinlock-sendmail@.service");
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/bin/sh -c '")).unwrap();
    let command = command.trim_end_matches('\'').replace("$$", "$");
    let mut helper = Command::new("systemd-socket-activate")
        .args(["--accept", "--inetd", "-l", "/run/twinlock/sendmail.sock", "/bin/sh", "-c", &command])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    twinlock_tests::wait::until("the helper", 10, || {
        fs::exists("/run/twinlock/sendmail.sock").ok().filter(|there| *there)
    });
    let mut ssh = bob();
    ssh.answer(ASK, "");
    ssh.expect(SENT);
    let letter = mail("bob", 1);
    assert!(
        letter.contains("Subject: Login code for box") && letter.contains("From: Login <login@example.com>"),
        "{letter}"
    );
    ssh.type_line(&code_in(&letter));
    assert!(outcome(ssh, "bob").0);
    // What sendmail says is told.
    world::sh("chmod 0 /usr/sbin/sendmail /usr/lib/sendmail");
    fails("no-sendmail");
    world::sh("chmod 0755 /usr/sbin/sendmail");
    configure(&format!("{PLAIN}transport = 'smtp'\n"));
    daemon.reload();
    fails("connection");
    let _ = helper.kill();
    let _ = helper.wait();
}

#[test]
fn a_hosts_name_stays_a_name_whatever_is_in_it() {
    let world = World::new();
    // The daemon alone: Postfix does not live on such a host.
    nix::unistd::sethostname("h\r\nBcc: alice@example.com\r\n\r\n<Say>{code}<Say>").unwrap();
    let _running = ready(&world, PLAIN);
    nix::unistd::sethostname("box").unwrap();
    let _postfix = Postfix::start(false);
    let mut ssh = bob();
    ssh.answer(ASK, "");
    ssh.expect(SENT);
    let letter = mail("bob", 1);
    let (head, body) = letter.split_once("\n\n").unwrap();
    assert!(
        !head.lines().any(|line| line.starts_with("Bcc")) && head.contains("h??Bcc: alice@example.com"),
        "{head}"
    );
    assert!(body.contains("<Say>{code}<Say>"), "{body}");
    assert!(mails("alice").is_empty());
    ssh.type_line(&code_in(&letter));
    assert!(outcome(ssh, "bob").0);
}

#[test]
fn a_letter_speaks_the_language_of_the_configuration() {
    let world = World::new();
    let _postfix = Postfix::start(false);
    let _running = ready(&world, &format!("{PLAIN}[codes]\nlanguage = 'de'\n"));
    let mut ssh = bob();
    ssh.answer(ASK, "");
    ssh.expect(SENT);
    let letter = mail("bob", 1).replace("=\n", ""); // quoted-printable
    assert!(
        letter.contains("Subject: Anmeldecode =?utf-8?b?")
            && letter.contains("Content-Type: text/plain; charset=utf-8"),
        "{letter}"
    );
    assert!(
        letter.contains("Dies ist der Code f") && letter.contains("bei sshd auf box von 127.0.0.1"),
        "{letter}"
    );
    ssh.type_line(&code_in(&letter));
    assert!(outcome(ssh, "bob").0);
}

#[test]
fn an_address_is_parsed_and_never_shown_again() {
    let world = World::new();
    let _daemon = world.daemon();
    for wrong in ["bob", "bob@example.com\r\nBcc: eve@example.com", "bob@", "-oQ/tmp", "a b@example.com"] {
        let out = root(&["user", "contact", "bob", &format!("--email={wrong}")]);
        assert_eq!(out.status.code(), Some(1), "{wrong:?}: {out:?}");
        assert!(String::from_utf8_lossy(&out.stderr).contains("no mail address"), "{out:?}");
    }
    let out = root(&["user", "contact", "bob", "--email", "bob.secret@example.com"]);
    assert!(out.status.success() && !String::from_utf8_lossy(&out.stdout).contains("secret"), "{out:?}");
    for command in [&["user", "show", "bob"][..], &["user", "list"], &["audit"], &["audit", "--json"]] {
        let out = root(command);
        assert!(
            out.status.success() && !String::from_utf8_lossy(&out.stdout).contains("bob.secret"),
            "{out:?}"
        );
    }
    let store = fs::read("/var/lib/twinlock/twinlock.db").unwrap();
    let log = fs::read("/var/lib/twinlock/twinlock.db-wal").unwrap_or_default();
    let holds = |bytes: &[u8]| bytes.windows(10).any(|window| window == b"bob.secret");
    assert!(!holds(&store) && !holds(&log), "it is sealed");
    let key = root(&["key", "rotate"]);
    assert!(key.status.success() && root(&["db", "check"]).status.success(), "{key:?}");
    assert!(root(&["user", "contact", "bob", "--remove", "email"]).status.success());
    assert_eq!(root(&["user", "contact", "bob", "--remove", "email"]).status.code(), Some(1));
}

fn enroll_email(user: &str, address: &str) -> Terminal {
    let mut command = world::as_user(user, "twinlock");
    command.args(["enroll", "email", address]);
    Terminal::run(command)
}

#[test]
fn an_address_counts_when_its_owner_typed_the_code_and_the_old_one_is_told() {
    let world = World::new();
    let _postfix = Postfix::start(false);
    configure(&format!("{PLAIN}[codes]\nper-hour = 9\nper-day = 20\n"));
    let (_daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE));
    // Abandoned, wrong, of somebody who is not the owner: nothing has changed.
    let mut command = enroll_email("bob", "bob@example.com");
    command.answer("Login password of bob: ", PASSWORD);
    command.expect("Code sent by email to b***@e***.com. Type it: ");
    let first = code_in(&mail("bob", 1));
    command.kill();
    let mut command = enroll_email("bob", "bob@example.com");
    command.answer("Login password of bob: ", PASSWORD);
    command.answer("Type it: ", &first);
    for _ in 0..2 {
        command.answer("Wrong code. Type the code that was sent: ", "000000");
    }
    assert_ne!(command.finish().1, 0);
    // The password alone, while the owner enrolls an app: it is not enough any more.
    let mut command = enroll_email("bob", "bob@example.com");
    command.answer("Login password of bob: ", PASSWORD);
    command.expect("Type it: ");
    let _app = world.enroll("bob");
    command.type_line(&code_in(&mail("bob", 3)));
    let (said, code) = command.finish();
    assert!(code == 1 && said.contains("your factors changed meanwhile"), "{said}");
    assert!(root(&["user", "reset", "bob"]).status.success());
    let shown = || String::from_utf8(root(&["user", "show", "bob", "--json"]).stdout).unwrap();
    assert!(!shown().contains("b***@e***.com"), "{}", shown());
    let mut command = enroll_email("bob", "bob@example.com");
    command.answer("Login password of bob: ", PASSWORD);
    command.answer("Type it: ", &code_in(&mail("bob", 4)));
    let (said, code) = command.finish();
    assert!(code == 0 && said.contains("codes can be sent to b***@e***.com"), "{said}");
    let mut ssh = bob();
    ssh.answer(ASK, "");
    ssh.answer(SENT, &code_in(&mail("bob", 5)));
    assert!(outcome(ssh, "bob").0);
    // Another address: the password is not enough, a code that comes to the old one is asked too.
    let mut command = enroll_email("bob", "alice@example.com");
    command.answer("Login password of bob: ", PASSWORD);
    command.answer("Code sent by email to b***@e***.com. Type it: ", &code_in(&mail("bob", 6)));
    command.answer("Code sent by email to a***@e***.com. Type it: ", &code_in(&mail("alice", 1)));
    assert_eq!(command.finish().1, 0);
    let told = mail("bob", 7);
    assert!(told.contains("go to a***@e***.com from now on") && !told.contains("alice@"), "{told}");
    let mut ssh = bob();
    ssh.expect("Send a code by email to a***@e***.com? Press Enter: ");
    ssh.kill();
    // The same address, one that is none, a role without mail.
    for (address, why) in
        [("alice@example.com", "you have this address already"), ("nobody", "no mail address")]
    {
        let (said, code) = enroll_email("bob", address).finish();
        assert!(code == 1 && said.contains(why), "{said}");
    }
    let preferred = world::as_user("bob", "twinlock").args(["prefer", "email"]).output().unwrap();
    assert!(preferred.status.success(), "{preferred:?}");
}

#[test]
fn who_has_only_mail_adds_an_app_with_password_and_mail() {
    let world = World::new();
    let _postfix = Postfix::start(false);
    let _running = ready(&world, PLAIN);
    let mut command = world::as_user("bob", "twinlock");
    command.args(["enroll", "totp", "--no-terminal", "--qr", "none"]);
    let mut enroll = Terminal::run(command);
    enroll.answer("Login password of bob: ", PASSWORD);
    enroll.answer("Code sent by email to b***@e***.com. Type it: ", &code_in(&mail("bob", 1)));
    let offered = enroll.expect("Add this to your authenticator app");
    let key = offered.lines().find_map(|line| line.trim().strip_prefix("Key:")).unwrap().trim().to_owned();
    let phone = twinlock_tests::phone::Phone::with_key(&key);
    enroll.answer("shows: ", &phone.code(0));
    enroll.answer("Press Enter when you have saved them: ", "");
    assert_eq!(enroll.finish().1, 0);
    let mut ssh = bob();
    ssh.answer("Verification code (or type email): ", &phone.code(1));
    assert!(outcome(ssh, "bob").0);
    let status = world::as_user("bob", "twinlock").output().unwrap();
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        said.contains("email  b***@e***.com") && said.contains("do not accept it as a second factor"),
        "{said}"
    );
    // The app is worth more: the address is taken away with a code of it, here one of the recovery codes.
    let renewed = root(&["user", "bypass", "bob", "--reason", "test", "--json"]);
    let bypass: serde_json::Value = serde_json::from_slice(&renewed.stdout).unwrap();
    let mut command = world::as_user("bob", "twinlock");
    command.args(["remove", "email"]);
    let mut remove = Terminal::run(command);
    remove.answer("Verification code: ", bypass["code"].as_str().unwrap());
    assert_eq!(remove.finish().1, 0);
    let mut ssh = bob();
    assert_eq!(ssh.expect("Verification code").trim(), "(bob@127.0.0.1)");
    assert!(!ssh.expect(": ").contains("email"));
    ssh.kill();
}
