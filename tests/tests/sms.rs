//! Codes by SMS, through a real gateway.

use std::process::Stdio;

use twinlock_tests::{
    delivery::{bob, sends},
    kannel::{self, ASK, CONFIG, Kannel, NUMBER, SENT, code_in, configure, ready},
    provider::{Manner, Provider},
    ssh::{client, outcome},
    terminal::Terminal,
    world::{self, PASSWORD, World, root},
};

#[test]
fn a_login_by_sms_through_a_real_gateway() {
    let world = World::new();
    let _kannel = Kannel::start();
    let _running = ready(&world, CONFIG);
    let mut ssh = bob();
    ssh.expect(ASK);
    assert!(kannel::messages().is_empty(), "nothing before the answer");
    ssh.type_line("");
    ssh.expect(SENT);
    let message = kannel::message(1);
    let code = code_in(&message);
    assert_eq!(
        message,
        format!(
            "4900 {NUMBER} text {code} is the login code of bob on box, good for 5 min. If this is not you, tell your administrator."
        )
    );
    ssh.type_line(&code);
    assert!(outcome(ssh, "bob").0);
    assert_eq!(
        (sends(), world.logins("bob")),
        (vec!["sms granted house: accepted".to_owned()], vec!["granted".to_owned()])
    );
    // It was for that login, and a wrong password sends nothing.
    let mut ssh = bob();
    ssh.answer(ASK, &code);
    ssh.expect("Wrong code. ");
    ssh.kill();
    let mut ssh = client("bob", &[]);
    ssh.answer("Password: ", "wrong horse");
    assert!(!outcome(ssh, "bob").0);
    assert_eq!(kannel::messages().len(), 1);
    let log = world.log();
    assert!(
        ![code.as_str(), "15112345678", kannel::PASSWORD].iter().any(|secret| log.contains(secret)),
        "{log}"
    );
    let shown = root(&["user", "show", "bob", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(
        shown["contacts"][0],
        serde_json::json!({"kind": "phone", "masked": "+49*******78", "verified": true})
    );
}

#[test]
fn a_number_counts_when_its_owner_typed_the_code_and_the_old_one_is_told() {
    let world = World::new();
    let _kannel = Kannel::start();
    configure(CONFIG);
    let _daemon = world.daemon();
    let enroll = |number: &str| {
        let mut command = world::as_user("bob", "twinlock");
        command.args(["enroll", "sms", number]);
        let mut enroll = Terminal::run(command);
        enroll.answer("Login password of bob: ", PASSWORD);
        enroll
    };
    let mut command = enroll("+49 1511 234-5678");
    command.answer("Code sent by sms to +49*******78. Type it: ", &code_in(&kannel::message(1)));
    let (said, code) = command.finish();
    assert!(
        code == 0 && said.contains("codes can be sent to +49*******78") && said.contains("restricted"),
        "{said}"
    );
    let mut command = enroll("+33612345679");
    command.answer("Code sent by sms to +49*******78. Type it: ", &code_in(&kannel::message(2)));
    command.answer("Code sent by sms to +33*******79. Type it: ", &code_in(&kannel::message(3)));
    assert_eq!(command.finish().1, 0);
    assert!(kannel::message(4).contains("now go to +33*******79"), "{:?}", kannel::messages());
    let refused = |number: &str| {
        let mut command = world::as_user("bob", "twinlock");
        let out = command.args(["enroll", "sms", number]).stdin(Stdio::null()).output().unwrap();
        assert!(!out.status.success(), "{number}");
        String::from_utf8(out.stderr).unwrap()
    };
    for (number, why) in [
        ("+18765550123", "a country (JM) to which nothing is sent here"),
        ("+493012345678", "a landline"),
        ("+33972123456", "Internet telephony"),
        ("+19005550123", "no number of a person's telephone"),
        ("+33612345679", "you have this number already"),
        ("0151 12345678", "with + and the country's code"),
    ] {
        assert!(refused(number).contains(why), "{number}: {}", refused(number));
    }
    assert_eq!(kannel::messages().len(), 4);
    let preferred = world::as_user("bob", "twinlock").args(["prefer", "sms"]).output().unwrap();
    assert!(preferred.status.success(), "{preferred:?}");
}

#[test]
fn each_language_crosses_the_gateway_as_it_is_written() {
    let world = World::new();
    let _kannel = Kannel::start();
    let (daemon, _sshd) = ready(&world, CONFIG);
    for (n, (language, words)) in [
        ("de", "Anmeldecode von bob auf box, gültig 5 min"),
        ("fr", "code d'accès de bob sur box"),
        ("es", "clave de acceso de bob en box"),
    ]
    .into_iter()
    .enumerate()
    {
        configure(&format!("{CONFIG}[codes]\nlanguage = '{language}'\n"));
        daemon.reload();
        let mut ssh = bob();
        ssh.answer(ASK, "");
        ssh.expect(SENT);
        let message = kannel::message(n + 1);
        assert!(message.contains(words), "{message}");
        ssh.type_line(&code_in(&message));
        assert!(outcome(ssh, "bob").0);
    }
    configure(&format!("{CONFIG}[codes]\nlanguage = 'xx'\n"));
    let check = root(&["policy", "check"]);
    assert!(String::from_utf8_lossy(&check.stdout).contains("there are de, en, es, fr"), "{check:?}");
}

#[test]
fn a_country_that_is_not_listed_never_reaches_a_provider() {
    let world = World::new();
    let provider = Provider::that(&Manner::answers(200, String::new()));
    let config = |regions: &str| {
        format!(
            "[sms]\nregions = {regions}\n[[provider]]\nname = 'main'\npreset = 'webhook'\nsecret = 'key'\nfrom = 'x'\nvalues = {{ url = '{}' }}\n",
            provider.base
        )
    };
    let (daemon, _sshd) = ready(&world, &config("['FR']"));
    // The number is set, and nothing can be sent there: it is no way in, and no way around.
    let mut ssh = bob();
    ssh.answer("No code can be sent to you; ask your administrator. Verification code: ", "sms");
    for answer in ["", "resend"] {
        ssh.answer("Wrong code. Verification code: ", answer);
    }
    assert!(!outcome(ssh, "bob").0);
    let test = root(&["provider", "test", "main", "--to", NUMBER]);
    assert!(
        String::from_utf8_lossy(&test.stderr).contains("a country (DE) to which nothing is sent here"),
        "{test:?}"
    );
    assert_eq!(provider.asked().len(), 0);
    configure(&config("['DE']"));
    daemon.reload();
    let mut ssh = bob();
    ssh.answer(ASK, "");
    ssh.expect(SENT);
    assert_eq!(provider.asked().len(), 1);
}

#[test]
fn what_policy_does_not_let_count_lets_nobody_in_and_vouches_for_nothing() {
    let world = World::new();
    let _kannel = Kannel::start();
    let role = |name: &str, services: &str, methods: &str| {
        format!(
            "[[role]]\nname = '{name}'\ngroups = ['*']\nsecond-factor = 'optional'\nservices = ['{services}']\nmethods = {methods}\n"
        )
    };
    let sms_at_sudo = role("sudo", "sudo", "['sms']");
    let config = format!(
        "[email]\nfrom = 'x@example.com'\n{CONFIG}{}{sms_at_sudo}",
        role("ssh", "sshd", "['sms', 'email']")
    );
    let (daemon, _sshd) = ready(&world, &config);
    // An app beside the telephone, where an app does not count.
    let phone = world.enroll("bob");
    let mut ssh = bob();
    ssh.answer("Verification code (or type sms): ", &phone.code(0));
    ssh.expect("Wrong code. ");
    ssh.answer("Verification code", "sms");
    ssh.answer("Verification code (or type resend): ", &code_in(&kannel::message(1)));
    assert!(outcome(ssh, "bob").0);
    // A mailbox does not vouch for a telephone that opens a door which takes no mail.
    assert!(
        root(&["user", "contact", "alice", "--email", "alice@example.com", "--verified"]).status.success()
    );
    let mut command = world::as_user("alice", "twinlock");
    command.args(["enroll", "sms", "+33612345679"]);
    let mut enroll = Terminal::run(command);
    enroll.answer("Login password of alice: ", PASSWORD);
    let (said, code) = enroll.finish();
    assert!(code == 1 && said.contains("does not let what you have count for that"), "{code} {said}");
    // One that is not confirmed takes no place of one that is.
    let out = root(&["user", "contact", "bob", "--phone", "+33612345679"]);
    assert!(
        out.status.code() == Some(1) && String::from_utf8_lossy(&out.stderr).contains("add --verified"),
        "{out:?}"
    );
    // What was sent to a number that is gone meanwhile is of no use.
    assert!(root(&["user", "reset", "bob"]).status.success());
    assert!(root(&["user", "contact", "bob", "--phone", NUMBER, "--verified"]).status.success());
    let mut ssh = bob();
    ssh.answer(ASK, "");
    ssh.expect(SENT);
    let code = code_in(&kannel::message(2));
    assert!(root(&["user", "contact", "bob", "--phone", "+33612345679", "--verified"]).status.success());
    ssh.type_line(&code);
    ssh.expect("Verification code");
    ssh.kill();
    assert_eq!(
        world.logins("bob").iter().filter(|login| *login == "granted").count(),
        1,
        "{:?}",
        world.logins("bob")
    );
    drop(daemon);
}
