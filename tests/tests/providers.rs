//! Who carries codes: providers that misbehave, programs, presets of one's own; seeing and trying them.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use twinlock_tests::{
    delivery::{bob, sends},
    kannel::{ASK, CONFIG, KEY, NUMBER, SENT, configure, ready},
    provider::{Manner, Provider},
    ssh::{KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, outcome},
    wait,
    world::{self, World, root},
};

#[test]
fn whatever_a_provider_does_the_prompt_comes_and_the_next_one_is_asked_once() {
    let world = World::new();
    world::sh(
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=elsewhere -keyout /tmp/k.pem -out /tmp/c.pem 2>/dev/null",
    );
    let mut tls = Command::new("openssl")
        .args([
            "s_server",
            "-quiet",
            "-accept",
            "127.0.0.1:8443",
            "-cert",
            "/tmp/c.pem",
            "-key",
            "/tmp/k.pem",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait::until("openssl", 10, || std::net::TcpStream::connect("127.0.0.1:8443").ok());
    let elsewhere = Provider::that(&Manner::answers(200, String::new()));
    let redirect = Manner::Answers(302, format!("Location: {}/\r\n", elsewhere.base), String::new());
    let echo = |status, headers: &str| Manner::Answers(status, headers.to_owned(), format!("{KEY} 123456"));
    let manners = [
        ("slow", Some(Manner::Sleeps(Duration::from_secs(30))), "unknown"),
        ("broken", Some(echo(500, "")), "outage"),
        ("busy", Some(echo(429, "Retry-After: 600\r\n")), "rate"),
        (
            "refusing",
            Some(Manner::answers(200, r#"{"messages":[{"status":"4"}]}"#.to_owned())),
            "account (4)",
        ),
        ("endless", Some(Manner::Pours), "unknown"),
        ("elsewhere", Some(redirect), "account"),
        ("poor", Some(echo(402, "")), "account"),
        ("wrong-certificate", None, "tls"),
        ("dead", None, "connection"),
        ("nameless", None, "connection"),
    ];
    for (name, manner, expected) in manners {
        fails_over(&world, name, manner.as_ref(), expected);
    }
    assert_eq!(elsewhere.asked().len(), 0);
    let _ = tls.kill();
    let _ = tls.wait();
}

/// A login with two providers, the first of which has this manner (`None`: it listens with a wrong certificate, or not).
fn fails_over(world: &World, name: &str, manner: Option<&Manner>, expected: &str) {
    let first = manner.map(Provider::that);
    let second = Provider::that(&Manner::answers(200, r#"{"messages":[{"status":"0"}]}"#.to_owned()));
    let base = first.as_ref().map_or_else(
        || {
            match name {
                "dead" => "http://127.0.0.1:9",
                "nameless" => "https://provider.invalid",
                _ => "https://127.0.0.1:8443",
            }
            .to_owned()
        },
        |first| first.base.clone(),
    );
    let provider = |name: &str, base: &str| {
        format!(
            "[[provider]]\nname = '{name}'\npreset = 'vonage'\nsecret = 'key'\nuser = 'abcd1234'\nfrom = 'x'\nvalues = {{ base = '{base}' }}\n"
        )
    };
    configure(&format!(
        "[codes]\nper-hour = 30\nper-day = 30\n[sms]\nregions = ['DE']\n{}{}",
        provider("first", &base),
        provider("second", &second.base)
    ));
    let daemon = world.daemon();
    let sshd = world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE);
    assert!(root(&["user", "contact", "bob", "--phone", NUMBER, "--verified"]).status.success());
    let before = sends().len();
    let mut ssh = bob();
    ssh.expect(ASK);
    let begin = Instant::now();
    ssh.type_line("");
    ssh.expect(SENT);
    assert!(begin.elapsed() < Duration::from_secs(2), "{name}: {:?}", begin.elapsed());
    let body = wait::until("the second provider", 15, || second.asked().into_iter().next());
    let text = percent_decoded(&body, "text=");
    let code = text.split(' ').next().unwrap().to_owned();
    wait::until("the trail", 15, || (sends().len() >= before + 2).then_some(()));
    assert_eq!(
        sends()[before..],
        [format!("sms denied first: {expected}"), "sms granted second: accepted".to_owned()],
        "{name}"
    );
    if let Some(first) = &first {
        assert_eq!(first.asked().len(), 1, "{name}: {:?}", first.asked());
        assert!(first.asked()[0].contains(&code), "the same code");
    }
    assert_eq!(second.asked().len(), 1, "{name}");
    ssh.type_line(&code);
    assert!(outcome(ssh, "bob").0, "{name}");
    let log = world.log();
    assert!(!log.contains(KEY) && !log.contains(&code) && !log.contains("15112345678"), "{name}: {log}");
    drop((sshd, daemon));
}

/// A field of a form.
fn percent_decoded(form: &str, field: &str) -> String {
    let value = form.split('&').find_map(|pair| pair.strip_prefix(field)).unwrap();
    value.replace("%20", " ").replace("%2C", ",")
}

#[test]
fn a_program_of_the_administrator_sends_and_nobody_else_may_have_written_it() {
    let world = World::new();
    world::script(
        "/usr/local/bin/send",
        "#!/bin/sh\ncat > /tmp/sent; env > /tmp/env; echo \"$0 $*\" > /tmp/args\nexit $(cat /tmp/exit)\n",
    );
    fs::write("/tmp/exit", "0").unwrap();
    let config = "[sms]\nregions = ['DE']\n[[provider]]\nname = 'mine'\npreset = 'exec'\nsecret = 'key'\nvalues = { program = '/usr/local/bin/send' }\n";
    let (_daemon, _sshd) = ready(&world, config);
    let mut ssh = bob();
    ssh.answer(ASK, "");
    ssh.expect(SENT);
    let sent: serde_json::Value = serde_json::from_str(&fs::read_to_string("/tmp/sent").unwrap()).unwrap();
    assert_eq!((&sent["to"], &sent["secret"], &sent["ttl"]), (&NUMBER.into(), &KEY.into(), &300.into()));
    let code = sent["text"].as_str().unwrap().split(' ').next().unwrap().to_owned();
    let seen =
        format!("{}{}", fs::read_to_string("/tmp/env").unwrap(), fs::read_to_string("/tmp/args").unwrap());
    assert!(!seen.contains(&code) && !seen.contains(KEY) && !seen.contains("TWINLOCK"), "{seen}");
    ssh.type_line(&code);
    assert!(outcome(ssh, "bob").0);
    for (exit, expected) in [("67", "address"), ("75", "outage"), ("1", "program"), ("77", "account")] {
        fs::write("/tmp/exit", exit).unwrap();
        let test = root(&["provider", "test", "mine", "--to", NUMBER]);
        assert_eq!((test.status.code(), String::from_utf8_lossy(&test.stdout).trim()), (Some(1), expected));
    }
    fs::write("/tmp/exit", "0").unwrap();
    // By a link: what it led to when it was looked at is what runs, whatever it leads to by then.
    world::sh("mv /usr/local/bin/send /usr/local/bin/real && ln -s real /usr/local/bin/send");
    assert!(root(&["provider", "test", "mine", "--to", NUMBER]).status.success());
    assert_eq!(fs::read_to_string("/tmp/args").unwrap().trim(), "/usr/local/bin/real");
    world::sh("chmod o+w /usr/local/bin/send; rm /tmp/sent");
    assert!(!root(&["provider", "test", "mine", "--to", NUMBER]).status.success());
    let _told = world.log_with("others than root can change it");
    assert!(!fs::exists("/tmp/sent").unwrap());
}

#[test]
fn providers_are_listed_tried_and_shown_without_their_secrets() {
    let world = World::new();
    let provider = Provider::that(&Manner::answers(401, "{}".to_owned()));
    let config = format!(
        "{CONFIG}[[provider]]\nname = 'main'\npreset = 'twilio'\nsecret = 'key'\nuser = 'ACx'\nfrom = '+491'\n\
         values = {{ account = 'AC1', base = '{}' }}\n[[provider]]\nname = 'none'\npreset = 'webhook'\nsecret = 'absent'\nfrom = 'x'\nvalues = {{ url = 'https://x.invalid' }}\n",
        provider.base
    );
    configure(&config);
    let _daemon = world.daemon();
    let list = || -> serde_json::Value {
        serde_json::from_slice(&root(&["provider", "list", "--json"]).stdout).unwrap()
    };
    let names: Vec<String> =
        list().as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["house", "main", "none"]);
    assert_eq!(list()[2]["problem"], "there is no credential \"absent\" that only root can read");
    let dry = root(&["provider", "test", "main", "--to", NUMBER, "--dry-run"]);
    let said = String::from_utf8(dry.stdout).unwrap();
    assert!(
        dry.status.success()
            && said.contains("/2010-04-01/Accounts/AC1/Messages.json")
            && said.contains("authorization: ********"),
        "{said}"
    );
    assert!(!said.contains(KEY) && provider.asked().is_empty());
    let test = root(&["provider", "test", "main", "--to", NUMBER, "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&test.stdout).unwrap();
    assert_eq!(
        (test.status.code(), &said["outcome"], &said["status"]),
        (Some(1), &"account".into(), &401.into())
    );
    // We are not welcome: it is left alone for a while.
    assert!(
        list()[1]["open_for_s"].as_u64().unwrap() > 200 && list()[1]["last_outcome"] == "account",
        "{}",
        list()
    );
    let none = root(&["provider", "test", "nobody", "--to", NUMBER]);
    assert!(
        none.status.code() == Some(1)
            && String::from_utf8_lossy(&none.stderr).contains("no provider \"nobody\""),
        "{none:?}"
    );
    let presets: serde_json::Value =
        serde_json::from_slice(&root(&["provider", "list", "--presets", "--json"]).stdout).unwrap();
    let of = |name: &str| {
        presets
            .as_array()
            .unwrap()
            .iter()
            .any(|preset| preset["name"] == name && preset["verified_live"].is_null())
    };
    assert!(["exec", "kannel", "twilio", "vonage", "webhook"].into_iter().all(of), "{presets}");
    assert!(!world::as_user("bob", "twinlock").args(["provider", "list"]).output().unwrap().status.success());
    let doctor = root(&["doctor", "--json"]);
    let findings = String::from_utf8(doctor.stdout).unwrap();
    assert!(
        findings.contains("provider none: there is no credential")
            && findings.contains("provider main is not asked for"),
        "{findings}"
    );
}

#[test]
fn a_preset_of_ones_own_is_a_file_and_its_mistakes_are_named() {
    let world = World::new();
    fs::create_dir_all("/etc/twinlock/providers.d").unwrap();
    let preset = |text: &str| {
        fs::write("/etc/twinlock/providers.d/mine.toml", text).unwrap();
        world::sh("chmod 0644 /etc/twinlock/providers.d/mine.toml");
    };
    let provider = Provider::that(&Manner::answers(200, "OK 1".to_owned()));
    configure(&format!(
        "[sms]\nregions = ['DE']\n[[provider]]\nname = 'a'\npreset = 'mine'\nvalues = {{ base = '{}' }}\n",
        provider.base
    ));
    let check = || {
        let out = root(&["policy", "check"]);
        (
            out.status.code(),
            String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr),
        )
    };
    let begin = "about = 'x'\n[values]\nbase = { about = 'x' }\n[sms.http]\nmethod = 'POST'\n";
    for (text, expected) in [
        ("", "missing field `about`"),
        ("about = 'x'\nfoo = 1\n", "unknown field `foo`"),
        ("about = 'x'\n", "it sends nothing"),
        (&format!("{begin}url = '{{base}}/{{nothing}}'\n"), "{nothing} stands for nothing"),
        (&format!("{begin}url = '{{base}}/{{to'\n"), "do not close"),
        (
            &format!("{begin}url = '{{base}}'\n[sms.http.form]\na = '{{secret}}'\n"),
            "provider.secret is missing",
        ),
        (&format!("{begin}url = 'ftp://x'\n"), "begins neither with https://"),
        (&format!("{begin}url = 'http://x.example'\n"), "without TLS"),
        (&format!("{begin}url = 'http://localhost:x@x.example/'\n"), "a user or a password"),
        (&format!("{begin}url = '{{base}}'\n[sms.http.headers]\n'a b' = 'x'\n"), "no name of a header"),
    ] {
        preset(text);
        let (code, said) = check();
        assert!(code == Some(1) && said.contains(expected), "{text}: {said}");
    }
    preset(&format!(
        "{begin}url = '{{base}}/a?b=c'\n[sms.http.form]\nnumber = '{{to_00}}'\nwords = '{{text}}'\n[sms.http.reply]\nsuccess = {{ begins = 'OK' }}\n"
    ));
    assert_eq!(check().0, Some(0), "{}", check().1);
    fs::write("/etc/twinlock/providers.d/other.toml", "about = 1").unwrap();
    world::sh("chmod 0644 /etc/twinlock/providers.d/other.toml");
    let (code, said) = check();
    assert!(code == Some(0) && said.contains("other.toml: warning: line 1"), "nobody names it: {said}");
    let _daemon = world.daemon();
    let test = root(&["provider", "test", "a", "--to", NUMBER]);
    assert!(test.status.success(), "{test:?}");
    assert_eq!(provider.asked()[0].split('&').next(), Some("number=004915112345678"));
    world::sh("chmod o+w /etc/twinlock/providers.d/mine.toml");
    assert!(check().1.contains("can be changed by others than root"), "{}", check().1);
    configure(
        "[sms]\nregions = ['DE']\n[[provider]]\nname = 'a'\npreset = 'webhook'\nsecret = 'key'\nfrom = 'x'\nvalues = { url = 'https://x.invalid' }\n",
    );
    assert_eq!(check().0, Some(0), "{}", check().1);
    fs::write("/etc/twinlock/providers.d/webhook.toml", "about = 1").unwrap();
    world::sh("chmod 0644 /etc/twinlock/providers.d/webhook.toml");
    let (code, said) = check();
    assert!(
        code == Some(1) && said.contains("webhook.toml"),
        "the shipped one of its name is hidden: {said}"
    );
}
