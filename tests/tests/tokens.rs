//! Hard tokens: imported, given out, used, resynchronised, revoked. The codes are oathtool's.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fmt::Write as _, fs, process::Command};

use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, Run, pam},
    phone::now,
    race::Racers,
    ssh::{KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, client, outcome},
    terminal::Terminal,
    world::{self, PASSWORD, World, root},
};

/// "12345678901234567890", of RFC 4226.
const KEY: &str = "3132333435363738393031323334353637383930";
const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";
const CSV: &str = "serial,type,secret hex,digits,counter,period\n";

/// The code of a counter.
fn hotp(counter: i64) -> String {
    let out = Command::new("oathtool").args(["-c", &counter.to_string(), KEY]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn totp(seconds: i64) -> String {
    let at = format!("@{seconds}");
    let out = Command::new("oathtool")
        .args(["--totp=sha256", "-N", &at, "-d", "8", &KEY.repeat(2)])
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn import(text: &str, more: &[&str]) -> (Option<i32>, String) {
    fs::write("/root/tokens", text).unwrap();
    let out = root(&[&["token", "import", "/root/tokens"], more].concat());
    (
        out.status.code(),
        String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr),
    )
}

fn tokens() -> serde_json::Value {
    serde_json::from_slice(&root(&["token", "list", "--json"]).stdout).unwrap()
}

fn log_in(code: &str) -> Run {
    pamhost::run(&["-s", "ours", "-u", "alice", code])
}

/// alice with the token H1, whose next counter is this.
fn holder(next: i64) {
    world::stack("ours", OURS);
    assert_eq!(import(&format!("{CSV}H1,hotp,{KEY},6,{next},\n"), &[]).0, Some(0));
    assert!(root(&["token", "assign", "H1", "alice"]).status.success());
}

fn resync(first: i64, second: i64) -> bool {
    root(&["token", "resync", "H1", &hotp(first), &hotp(second)]).status.success()
}

#[test]
fn a_login_with_a_hard_token_of_each_kind() {
    let world = World::new();
    let _daemon = world.daemon();
    let file = format!("{CSV}H1,hotp,{KEY},6,0,\nT1,totp,{KEY}{KEY},8,,30\n")
        .replace("period\n", "period,algorithm\n");
    let file = file.replace("6,0,\n", "6,0,,SHA1\n").replace("8,,30\n", "8,,30,SHA256\n");
    let (code, said) = import(&file, &[]);
    assert!(code == Some(0) && said.contains("Imported 2 tokens"), "{said}");
    for (serial, user) in [("H1", "alice"), ("T1", "bob")] {
        let out = root(&["token", "assign", serial, user, "--label", "key ring", "--json"]);
        let account: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        assert_eq!(
            (&account["factors"][0]["serial"], &account["factors"][0]["label"]),
            (&serial.into(), &"key ring".into())
        );
    }
    let _sshd = world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE);
    let login = |user: &str, code: &str| {
        let mut ssh = client(user, &[]);
        ssh.answer("Password: ", PASSWORD);
        ssh.answer("Verification code: ", code);
        ssh
    };
    assert!(outcome(login("alice", &hotp(0)), "alice").0);
    login("alice", &hotp(0)).expect("That code was used");
    assert!(outcome(login("bob", &totp(now())), "bob").0);
    assert_eq!(world.logins("bob"), ["granted"]);
    let listed = tokens();
    assert_eq!(
        (&listed[0]["state"], &listed[0]["user"], &listed[0]["kind"]),
        (&"assigned".into(), &"alice".into(), &"hotp".into())
    );
    let raw = fs::read("/var/lib/twinlock/twinlock.db").unwrap();
    assert!(!raw.windows(20).any(|window| window == b"12345678901234567890"), "it is sealed");
    assert!(root(&["key", "rotate"]).status.success() && root(&["db", "check"]).status.success());
    assert!(outcome(login("alice", &hotp(1)), "alice").0, "after the keys were changed");
}

#[test]
fn the_look_ahead_has_its_edge_and_a_wrong_code_moves_nothing() {
    let world = World::new();
    let _daemon = world.daemon();
    holder(0);
    for wrong in [hotp(6), hotp(7), "000000".to_owned()] {
        assert_ne!(log_in(&wrong).code, pam::SUCCESS, "{wrong}");
    }
    assert!(root(&["user", "unlock", "alice"]).status.success());
    assert_eq!(log_in(&hotp(5)).code, pam::SUCCESS, "the last of the look-ahead");
    let again = log_in(&hotp(5));
    assert!(again.code != pam::SUCCESS && again.prompts()[1].starts_with("That code was used"), "{again:?}");
    for old in 0..5 {
        assert_ne!(log_in(&hotp(old)).code, pam::SUCCESS, "{old} is behind");
        assert!(root(&["user", "unlock", "alice"]).status.success());
    }
    assert_eq!(log_in(&hotp(6)).code, pam::SUCCESS);
    // Two codes in a row bring a token back that counted too far; old ones do not, nor a gap, nor the wrong order.
    assert!(!resync(3, 4) && !resync(6, 7) && !resync(50, 52) && !resync(51, 50));
    assert_eq!(log_in(&hotp(7)).code, pam::SUCCESS, "and nothing has changed");
    assert!(resync(50, 51) && !resync(50, 51) && !resync(51, 52));
    assert_ne!(log_in(&hotp(51)).code, pam::SUCCESS, "both were spent");
    assert_eq!(log_in(&hotp(52)).code, pam::SUCCESS);
    assert!(resync(152, 153) && !resync(254, 255), "a hundred, and no further");
    let trail = String::from_utf8(root(&["audit", "--event", "token-resync", "--json"]).stdout).unwrap();
    assert!(trail.lines().count() >= 9 && trail.contains("denied") && trail.contains("granted"), "{trail}");
}

#[test]
fn one_counter_used_by_many_at_once_lets_in_one() {
    let world = World::new();
    let _daemon = world.daemon();
    holder(0);
    for counter in 0..5 {
        let logins: Vec<(&str, &str, String)> = (0..6).map(|_| ("ours", "alice", hotp(counter))).collect();
        let passed =
            Racers::at_the_prompt(&logins, &[]).answer().into_iter().filter(|passed| *passed).count();
        assert_eq!(passed, 1, "counter {counter}");
    }
}

#[test]
fn a_token_counts_when_the_clock_does_not() {
    let world = World::new();
    let start = now() / 30 * 30 + 15;
    let daemon = Daemon::with_clock(start);
    holder(0);
    let phone = world.enroll("alice");
    assert_eq!(log_in(&hotp(0)).code, pam::SUCCESS);
    daemon.move_clock(start - 86_400);
    assert_eq!(log_in(&hotp(1)).code, pam::SUCCESS);
    assert_ne!(log_in(&phone.code_at(start - 86_400)).code, pam::SUCCESS);
}

#[test]
fn a_token_goes_from_hand_to_hand_and_out_of_use() {
    let world = World::new();
    let _daemon = world.daemon();
    holder(0);
    let out = root(&["token", "assign", "H1", "bob"]);
    assert!(
        out.status.code() == Some(1) && String::from_utf8_lossy(&out.stderr).contains("is alice's"),
        "{out:?}"
    );
    assert_eq!(log_in(&hotp(3)).code, pam::SUCCESS);
    assert!(root(&["user", "reset", "alice"]).status.success());
    assert_eq!(tokens()[0]["state"], "free");
    assert!(root(&["token", "assign", "H1", "bob"]).status.success());
    let bob = |code: &str| pamhost::run(&["-s", "ours", "-u", "bob", code]).code;
    assert_ne!(bob(&hotp(3)), pam::SUCCESS, "what alice used stays used");
    assert_eq!(bob(&hotp(4)), pam::SUCCESS);
    assert!(root(&["token", "revoke", "H1"]).status.success());
    assert_eq!((tokens()[0]["state"].as_str(), tokens()[0]["user"].as_str()), (Some("revoked"), None));
    let shown = String::from_utf8(root(&["user", "show", "bob", "--json"]).stdout).unwrap();
    assert!(shown.contains("\"enrolled\": false") || shown.contains("\"enrolled\":false"), "{shown}");
    for (arguments, why) in [
        (&["token", "revoke", "H1"][..], "revoked already"),
        (&["token", "assign", "H1", "bob"], "is revoked"),
        (&["token", "assign", "H9", "bob"], "no token H9"),
        (&["token", "resync", "H1", "123456", "234567"], "nobody's"),
    ] {
        let out = root(arguments);
        assert!(
            out.status.code() == Some(1) && String::from_utf8_lossy(&out.stderr).contains(why),
            "{out:?}"
        );
    }
    for command in [&["token", "list"][..], &["token", "import", "/root/tokens"]] {
        let out = world::as_user("bob", "twinlock").args(command).output().unwrap();
        assert!(!out.status.success(), "{out:?}");
    }
    let events = String::from_utf8(root(&["audit"]).stdout).unwrap();
    assert!(
        ["token-import", "token-assign", "token-revoke"].iter().all(|event| events.contains(event)),
        "{events}"
    );
}

/// Figure 6 of RFC 6030: encrypted with a key that both sides have.
fn encrypted(value: &str, mac: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<KeyContainer Version="1.0" xmlns="urn:ietf:params:xml:ns:keyprov:pskc" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" xmlns:xenc="http://www.w3.org/2001/04/xmlenc#">
 <EncryptionKey><ds:KeyName>Pre-shared-key</ds:KeyName></EncryptionKey>
 <MACMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"><MACKey>
  <xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
  <xenc:CipherData><xenc:CipherValue>ESIzRFVmd4iZABEiM0RVZgKn6WjLaTC1sbeBMSvIhRejN9vJa2BOlSaMrR7I5wSX</xenc:CipherValue></xenc:CipherData>
 </MACKey></MACMethod>
 <KeyPackage><DeviceInfo><Manufacturer>Manufacturer</Manufacturer><SerialNo>987654321</SerialNo></DeviceInfo>
  <Key Id="12345678" Algorithm="urn:ietf:params:xml:ns:keyprov:pskc:hotp"><Issuer>Issuer</Issuer>
   <AlgorithmParameters><ResponseFormat Length="6" Encoding="DECIMAL"/></AlgorithmParameters>
   <Data><Secret><EncryptedValue>
     <xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/>
     <xenc:CipherData><xenc:CipherValue>{value}</xenc:CipherValue></xenc:CipherData>
    </EncryptedValue>{mac}</Secret><Counter><PlainValue>0</PlainValue></Counter></Data></Key></KeyPackage>
</KeyContainer>"#
    )
}

const VALUE: &str = "AAECAwQFBgcICQoLDA0OD+cIHItlB3Wra1DUpxVvOx2lef1VmNPCMl8jwZqIUqGv";
const MAC: &str = "<ValueMAC>Su+NvtQfmvfJzF6bmQiJqoLRExc=</ValueMAC>";

#[test]
fn an_encrypted_file_opens_with_its_key_and_hostile_ones_are_refused_with_the_place() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    fs::write("/root/key", "12345678901234567890123456789012\n").unwrap();
    fs::write("/root/wrong", "00345678901234567890123456789012\n").unwrap();
    let key = &["--key-file", "/root/key"][..];
    let good = encrypted(VALUE, MAC);
    let value = good.split("<EncryptedValue>").nth(1).unwrap().split("</Secret>").next().unwrap();
    let plain = "<PlainValue>MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=</PlainValue>";
    let plain = good.replace(&format!("<EncryptedValue>{value}"), plain);
    let entity = good.replacen('\n', "\n<!DOCTYPE x [<!ENTITY a SYSTEM \"file:///etc/shadow\">]>\n", 1);
    for (text, more, why) in [
        (good.clone(), &[][..], "line "),
        (good.clone(), &["--key-file", "/root/wrong"], "MAC does not fit"),
        (encrypted(VALUE, ""), key, "line "),
        (plain, key, "is not encrypted"),
        (encrypted(VALUE, &MAC.replace("Su+N", "Su+M")), key, "MAC does not fit"),
        (encrypted(&VALUE.replace("UqGv", "UqGw"), MAC), key, "MAC does not fit"),
        (entity, key, "line "),
        (good.replace("</KeyContainer>", ""), key, "line "),
        (
            good.replace("<Data>", "<Policy><ExpiryDate>2006-12-31T00:00:00Z</ExpiryDate></Policy><Data>"),
            key,
            "ExpiryDate",
        ),
        ("\u{0}\u{1}\u{2}".to_owned(), &[], "line 1"),
        (String::new(), &[], "it is empty"),
        (format!("{CSV}A,hotp,{KEY},6,0,\nB,hotp,xyz,6,0,\n"), &[], "line 3"),
        (format!("{CSV}A,hotp,{KEY},6,0,\nA,hotp,{KEY},6,0,\n"), &[], "line 3"),
        (format!("{CSV}A,hotp,{KEY},9,0,\n"), &[], "line 2"),
        (format!("{CSV}A,hotp,31323334,6,0,\n"), &[], "line 2"),
        (format!("{CSV}A,hotp,{KEY},6\n"), &[], "line 2"),
        ("serial,colour\nA,red\n".to_owned(), &[], "colour"),
    ] {
        let (code, said) = import(&text, more);
        assert!(
            code == Some(1) && said.contains(why) && said.contains("nothing is imported"),
            "{why}: {said}"
        );
        assert_eq!(tokens(), serde_json::json!([]), "{text}");
    }
    let huge = root(&["token", "import", "/dev/zero"]);
    assert!(
        huge.status.code() == Some(1) && String::from_utf8_lossy(&huge.stderr).contains("larger"),
        "{huge:?}"
    );
    let (code, said) = import(&good, key);
    assert!(code == Some(0), "{said}");
    assert!(root(&["token", "assign", "987654321", "alice"]).status.success());
    assert_eq!(log_in(&hotp(0)).code, pam::SUCCESS);
    for again in [good.clone(), good.replace("987654321", "123456789")] {
        let (code, said) = import(&again, key);
        assert!(code == Some(1) && said.contains("is here already, or another with its key"), "{said}");
    }
    let log = world.log();
    assert!(!log.contains(KEY) && !log.contains("123456789012345678"), "{log}");
}

#[test]
fn ten_thousand_tokens_come_in_at_once_and_are_watched() {
    let world = World::new();
    let _daemon = world.daemon();
    let mut file = String::from("serial,type,secret hex,counter\n");
    for n in 1..=10_000 {
        writeln!(file, "S{n:05},hotp,{n:040x},0").unwrap();
    }
    fs::write("/root/tokens", file).unwrap();
    let mut command = Command::new("twinlock");
    command.args(["token", "import", "/root/tokens"]);
    let mut watched = Terminal::run(command);
    watched.expect("Reading 100 %");
    let (said, code) = watched.finish();
    assert!(code == 0 && said.contains("Imported 10000 tokens"), "{said}");
    assert_eq!(tokens().as_array().unwrap().len(), 10_000);
    let trail = String::from_utf8(root(&["audit", "--event", "token-import"]).stdout).unwrap();
    assert_eq!(trail.lines().filter(|line| line.contains("10000 tokens")).count(), 1, "one commit: {trail}");
}
