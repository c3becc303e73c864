//! Links to set up an app: who gets one, and what becomes of an account. The page itself is in page.rs.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::process::Output;

use twinlock_tests::{
    daemon::Daemon,
    delivery::{self, bob},
    mail::{Postfix, link_in, mail, mails},
    pamhost::{self, pam},
    phone::Phone,
    ssh::{KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, Sshd, outcome},
    terminal::Terminal,
    world::{self, World, as_user, root},
};

const PAGE: &str = "[web]\nurl = 'https://twofactor.example.test'\nproxies = ['127.0.0.1']\n";
/// bob and alice must have an app, and are sent a link.
const BY_LINK: &str = "[email]\nfrom = 'login@example.com'\n[[role]]\nname = 'invited'\nusers = ['alice', 'bob']\n\
                       second-factor = 'required'\nmethods = ['totp']\nenrollment = 'link'\n";
const ADDRESS: [&str; 5] = ["user", "contact", "bob", "--email", "bob@example.com"];

fn configure(text: &str) {
    delivery::configure(text, &[]);
}

fn ready(world: &World, config: &str) -> (Daemon, Sshd) {
    configure(config);
    (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE))
}

fn json(out: &Output) -> serde_json::Value {
    assert!(out.status.success(), "{out:?}");
    serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {out:?}"))
}

fn refused(arguments: &[&str], code: i32, said: &str) {
    let out = root(arguments);
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(code) && told.contains(said), "{arguments:?}: {out:?}");
}

/// What the login of bob shows: where the link went, and its binding code.
fn shown(ssh: &mut Terminal) -> (String, String) {
    let text = ssh.expect(" there, then type the code your app shows: ");
    let (before, code) = text.rsplit_once(", type ").expect("a binding code");
    let masked = before.rsplit_once("Open the link mailed to ").expect("an address").1;
    (masked.to_owned(), code.trim_end_matches(" there").to_owned())
}

fn events(event: &str) -> Vec<String> {
    let out = root(&["audit", "--event", event, "--json"]);
    let text = String::from_utf8(out.stdout).unwrap();
    let entry = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| entry[key].as_str().unwrap().to_owned();
        format!("{} {} {}", word("user"), word("outcome"), word("reason")).trim().to_owned()
    };
    text.lines().map(entry).collect()
}

#[test]
fn a_login_mails_one_link_and_shows_a_code_that_is_not_in_the_mail() {
    let world = World::new();
    let _postfix = Postfix::start(false);
    let (daemon, _sshd) = ready(&world, &format!("{BY_LINK}{PAGE}"));
    // Without an address of an administrator's there is no link.
    let mut ssh = bob();
    ssh.answer("No second factor is set up; ask your administrator. Press Enter: ", "");
    assert!(!outcome(ssh, "bob").0);
    assert!(root(&ADDRESS).status.success());
    let (mut ssh, mut again) = (bob(), bob());
    let (masked, code) = shown(&mut ssh);
    assert_eq!(shown(&mut again), (masked.clone(), code.clone()), "the same, and nothing is mailed");
    let letter = mail("bob", 1);
    let link = link_in(&letter);
    let token = link.strip_prefix("https://twofactor.example.test/enroll/").expect("a link of ours");
    assert_eq!((token.len(), masked.as_str(), code.len()), (43, "b***@e***.com", 9));
    assert!(!letter.contains(&code) && !letter.contains(&code.replace('-', "")), "{letter}");
    assert!(letter.contains("Subject: Set up your second factor for box"), "{letter}");
    // By itself the code is nothing: whoever sits at bob's account has not read his mail.
    let mut command = as_user("bob", "twinlock");
    command.args(["enroll", "totp", "--invite", "--qr", "none"]);
    let mut alone = Terminal::run(command);
    alone.expect("there is no invitation for you, or it is over");
    // No code is right, for there is no app; and that is charged to bob.
    ssh.type_line("123456");
    ssh.expect(&format!("Wrong code. Open the link mailed to {masked}, type {code} there"));
    ssh.kill();
    again.kill();
    assert_eq!((mails("bob").len(), world.failures("bob")), (1, 1));
    assert_eq!(
        (events("invite"), events("send")),
        (vec!["bob granted b***@e***.com".to_owned()], vec!["bob granted accepted".to_owned()])
    );
    // Nobody who has not proven the first factor sees or sends anything.
    world::stack("stranger", "auth required pam_twinlock.so\n");
    let run = pamhost::run(&["-s", "stranger", "-u", "bob", "1", "2", "3"]);
    assert_eq!((run.code, run.prompts()[0]), (pam::AUTH_ERR, "Verification code: "), "{run:?}");
    // Another address ends the link, and so does a reset; the next login mails another.
    let open = || world::sh("sqlite3 /var/lib/twinlock/twinlock.db 'select count(*) from invitation'");
    assert_eq!(open().trim(), "1");
    assert!(root(&["user", "contact", "bob", "--email", "bob@localhost"]).status.success());
    assert_eq!(open().trim(), "0");
    assert!(root(&["user", "reset", "bob"]).status.success());
    assert!(root(&ADDRESS).status.success());
    let mut ssh = bob();
    let (_, other) = shown(&mut ssh);
    ssh.kill();
    assert_ne!(other, code);
    assert_ne!(link_in(&mail("bob", 2)), link);
    // What the log has is neither link nor code.
    let log = world.log();
    for secret in [token, &code, &other] {
        assert!(!log.contains(secret), "{secret} in the log");
    }
    // Of an administrator's link a login shows no code: that is handed over.
    let given = json(&root(&["user", "invite", "bob", "--no-mail", "--json"]));
    let mut ssh = bob();
    ssh.expect("Open the link that you were given, type the binding code from your administrator there");
    ssh.kill();
    assert!(given["binding_code"].as_str().is_some_and(|code| !world.log().contains(code)));
    // Without a page there are no links.
    configure(BY_LINK);
    daemon.reload();
    let mut ssh = bob();
    ssh.expect("No second factor is set up; ask your administrator. Press Enter: ");
}

#[test]
fn a_mail_server_that_is_away_is_said_and_the_next_login_tries_again() {
    let world = World::new();
    let _running = ready(&world, &format!("{BY_LINK}{PAGE}"));
    assert!(root(&ADDRESS).status.success());
    let mut ssh = bob();
    ssh.answer("could not be mailed; try again later, or ask your administrator. Press Enter: ", "");
    assert!(!outcome(ssh, "bob").0);
    let _postfix = Postfix::start(false);
    let mut ssh = bob();
    let _shown = shown(&mut ssh);
    ssh.kill();
    assert_eq!(link_in(&mail("bob", 1)).len(), "https://twofactor.example.test/enroll/".len() + 43);
}

#[test]
fn a_mail_server_that_says_no_late_is_waited_for_by_an_administrator() {
    let world = World::new();
    let slow = BY_LINK.replace("[[role]]", "port = 2525\n[[role]]");
    let (_daemon, _sshd) = ready(&world, &format!("{slow}{PAGE}"));
    assert!(root(&ADDRESS).status.success());
    let server = std::net::TcpListener::bind("127.0.0.1:2525").unwrap();
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            std::thread::spawn(move || refuse_slowly(stream));
        }
    });
    let began = std::time::Instant::now();
    refused(&["user", "invite", "bob"], 1, "could not be mailed to b***@e***.com, and is dead");
    assert!(began.elapsed().as_secs() >= 3);
    // A login does not wait; but when the answer comes, the link is over, and the next login tries again.
    let mut ssh = bob();
    let _shown = shown(&mut ssh);
    ssh.kill();
    twinlock_tests::wait::until("the end of the link", 15, || {
        (world::sh("sqlite3 /var/lib/twinlock/twinlock.db 'select count(*) from invitation'").trim() == "0")
            .then_some(())
    });
    assert_eq!(events("send").len(), 2);
}

/// A mail server that thinks for three seconds, and then wants nothing.
#[expect(clippy::disallowed_methods, reason = "it is to be slow")]
fn refuse_slowly(mut stream: std::net::TcpStream) {
    use std::io::{BufRead, BufReader, Write};
    let _ = stream.write_all(b"220 slow.example ESMTP\r\n");
    let reader = BufReader::new(stream.try_clone().unwrap());
    for line in reader.lines().map_while(Result::ok) {
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" | "HELO" => "250 slow.example\r\n",
            "RCPT" => {
                std::thread::sleep(std::time::Duration::from_secs(3));
                "550 5.1.1 nobody of that name\r\n"
            }
            "QUIT" => "221 bye\r\n",
            _ => "250 ok\r\n",
        };
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

#[test]
fn an_account_without_a_password_enrolls_with_a_binding_code() {
    let world = World::new();
    let _running = ready(&world, PAGE);
    world::sh("passwd --delete --lock bob");
    let enroll = || {
        let mut command = as_user("bob", "twinlock");
        command.args(["enroll", "totp", "--invite", "--qr", "none"]);
        Terminal::run(command)
    };
    let mut uninvited = enroll();
    uninvited.expect("there is no invitation for you, or it is over");
    let invitation = json(&root(&["user", "invite", "bob", "--no-mail", "--json"]));
    let code = invitation["binding_code"].as_str().unwrap();
    assert!(invitation["link"].as_str().unwrap().starts_with("https://twofactor.example.test/enroll/"));
    assert!(invitation["mailed_to"].is_null(), "{invitation}");
    let mut terminal = enroll();
    terminal.answer("Binding code: ", "0000-0000");
    terminal.answer(
        "Wrong binding code, 4 more may be. Binding code: ",
        &code.to_ascii_lowercase().replace('-', " "),
    );
    let text = terminal.expect("then type the code it shows: ");
    let key = text.lines().find_map(|line| line.trim().strip_prefix("Key: ")).expect("a key");
    let phone = Phone::with_key(key.trim());
    terminal.type_line(&phone.code(0));
    terminal.answer("Press Enter when you have saved them: ", "");
    terminal.expect("counts from now on");
    assert_eq!(events("binding"), ["bob denied over", "bob denied wrong", "bob granted"][1..]);
    // It is over with that; and five wrong ones end another.
    let mut late = enroll();
    late.expect("there is no invitation for you, or it is over");
    let invitation = json(&root(&["user", "invite", "bob", "--no-mail", "--json"]));
    let mut terminal = enroll();
    for left in [4, 3, 2, 1] {
        terminal.answer("inding code: ", "ZZZZ-ZZZZ");
        terminal.expect(&format!("{left} more may be. B"));
    }
    terminal.answer("inding code: ", "ZZZZ-ZZZZ");
    terminal.expect("or it is over");
    let mut terminal = enroll();
    terminal.expect("or it is over");
    drop(invitation);
}

#[test]
fn a_group_is_invited_and_each_member_is_told_of() {
    let world = World::new();
    let _postfix = Postfix::start(false);
    let _running = ready(&world, &format!("[email]\nfrom = 'login@example.com'\n{PAGE}"));
    world::sh(
        "groupadd team; for n in carol dave erin; do useradd -m -G team $n; done; gpasswd -a bob team; useradd -m -N -g team frank",
    );
    let _phone = world.enroll("erin");
    assert!(root(&ADDRESS).status.success());
    for name in ["carol", "frank"] {
        assert!(root(&["user", "contact", name, "--email", &format!("{name}@example.com")]).status.success());
    }
    let out = root(&["user", "invite", "--group", "team"]);
    let (said, told) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    assert_eq!(out.status.code(), Some(1), "dave has no address: {said}{told}");
    for part in [
        "1/5 bob: binding code ",
        "link mailed to b***@e***.com",
        "3/5 dave: not invited: no mail address of dave is known: --email ADDRESS, or hand the link over yourself with --no-mail",
        "4/5 erin: not invited: has a factor already",
        "5/5 frank: binding code ",
        "3 invited, 1 with a factor already, 1 not invited.",
    ] {
        assert!(said.contains(part), "{part:?} in {said}");
    }
    for name in ["bob", "carol", "frank"] {
        assert!(link_in(&mail(name, 1)).starts_with("https://twofactor.example.test/enroll/"));
    }
    // Again: what was given out before is dead, and everybody gets a link by hand.
    let members = json(&{
        let mut out = root(&["user", "invite", "--group", "team", "--no-mail", "--json"]);
        assert_eq!(out.status.code(), Some(0), "{out:?}");
        out.stderr.clear();
        out
    });
    assert_eq!(members.as_array().unwrap().len(), 5);
    assert!(members[2]["invitation"]["link"].as_str().unwrap().contains("/enroll/"), "{members}");
    assert!(members[3]["invitation"].is_null() && members[3]["why_not"] == "has a factor already");
    refused(&["user", "invite", "--group", "nobody-here"], 1, "there is no group \"nobody-here\"");
}

#[test]
fn an_invitation_that_leads_nowhere_is_refused_with_the_remedy() {
    let world = World::new();
    let (daemon, _sshd) = ready(&world, "");
    refused(&["user", "invite", "bob"], 1, "set url in [web]");
    configure(PAGE);
    daemon.reload();
    refused(&["user", "invite", "nobody-here"], 1, "there is no user nobody-here");
    refused(&["user", "invite"], 2, "NAME");
    refused(&["user", "invite", "bob", "--email", "x", "--no-mail"], 2, "--no-mail");
    refused(&["user", "invite", "bob", "--email", "no address"], 1, "no address");
    refused(&["user", "invite", "bob"], 1, "no mail address of bob is known");
    assert!(root(&ADDRESS).status.success());
    refused(&["user", "invite", "bob"], 1, "set from in [email]");
    configure(&format!(
        "{PAGE}[[role]]\nname = 'x'\ngroups = ['*']\nsecond-factor = 'required'\nmethods = ['sms']\n"
    ));
    daemon.reload();
    refused(&["user", "invite", "bob", "--no-mail"], 1, "policy gives bob no authenticator app");
    assert_eq!(events("invite"), Vec::<String>::new());
}

#[test]
fn a_name_that_was_made_anew_is_adopted_or_forgotten() {
    let world = World::new();
    let (_daemon, _sshd) = ready(&world, "");
    let phone = world.enroll("bob");
    assert!(root(&["user", "contact", "bob", "--email", "bob@example.com", "--verified"]).status.success());
    world::sh("usermod --uid 4711 bob");
    let log_in = |code: &str| pamhost::run(&["-s", "proven", "-u", "bob", code]).code;
    world::stack("proven", "auth required pam_twinlock.so after_first_factor\n");
    let adopted = json(&root(&["user", "adopt", "bob", "--json"]));
    assert_eq!((&adopted["uid"], adopted["factors"].as_array().unwrap().len()), (&4711.into(), 1));
    assert_eq!(log_in(&phone.code(0)), pam::SUCCESS, "with what it had before");
    assert!(root(&["db", "check"]).status.success(), "every secret opens");
    assert!(json(&root(&["user", "adopt", "bob", "--json"]))["uid"] == 4711, "again changes nothing");
    assert_eq!(events("adopt"), ["bob granted uid 4711, was 1001"]);
    refused(&["user", "adopt", "alice"], 1, "nothing is known of alice here");
    refused(&["user", "adopt", "nobody-here"], 1, "there is no user nobody-here");
    // Forgotten, also when the system does not know them any more.
    world::sh("userdel bob");
    let out = root(&["user", "purge", "bob"]);
    assert!(out.status.success(), "{out:?}");
    refused(&["user", "purge", "bob"], 1, "nothing is known of bob here");
    refused(&["user", "show", "bob"], 1, "there is no user bob");
    let left = "select (select count(*) from account) + (select count(*) from contact) + (select count(*) from factor)";
    assert_eq!(world::sh(&format!("sqlite3 /var/lib/twinlock/twinlock.db '{left}'")).trim(), "0");
}
