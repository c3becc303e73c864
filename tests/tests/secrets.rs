//! Secrets at rest and in the logs.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, process::Command};

use twinlock_tests::{
    pamhost::{self, pam},
    ssh::{KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, client, outcome},
    terminal::Terminal,
    world::{self, PASSWORD, World, as_user},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";
const DB: &str = "/var/lib/twinlock/twinlock.db";

fn sql(statement: &str) -> String {
    world::sh(&format!("sqlite3 {DB} \"{statement}\""))
}

#[test]
fn a_copy_of_the_store_alone_holds_no_key() {
    let world = World::new();
    let daemon = world.daemon();
    let phone = world.enroll("alice");
    assert!(daemon.stop().success());
    let key = data_of(&phone.key);
    for entry in fs::read_dir("/var/lib/twinlock").unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        assert!(!contains(&bytes, &key) && !contains(&bytes, phone.key.as_bytes()), "{}", path.display());
    }
    // With another sealing key in place of the lost one, the daemon does not even start.
    world::sh("head -c 32 /dev/urandom >/var/lib/twinlock/key");
    let out = Command::new("twinlockd").args(["--log-to", "stderr"]).output().unwrap();
    assert_eq!(out.status.code(), Some(69));
}

/// What is behind Base32, by coreutils.
fn data_of(key: &str) -> Vec<u8> {
    let out = Command::new("sh").args(["-c", &format!("printf %s {key} | base32 -d")]).output().unwrap();
    assert_eq!(out.stdout.len(), 20);
    out.stdout
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn swapped_and_flipped_blobs_are_refused() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let (alice, bob) = (world.enroll("alice"), world.enroll("bob"));
    let log_in = |user: &str, code: &str| pamhost::run(&["-s", "ours", "-u", user, code]).code;
    assert_eq!(log_in("alice", &alice.code(0)), pam::SUCCESS);
    assert!(daemon.stop().success());

    // bob's key in alice's row: bob's phone must not open alice's account, nor alice's.
    // All of it into the database, so that the file alone is a whole copy.
    sql("PRAGMA wal_checkpoint(TRUNCATE)");
    world::sh(&format!("cp -p {DB} /root/before.db"));
    sql(
        "UPDATE factor SET sealed = (SELECT sealed FROM factor f JOIN account a ON a.id = f.account WHERE a.name = 'bob') \
         WHERE account = (SELECT id FROM account WHERE name = 'alice')",
    );
    let daemon = world.daemon();
    assert_eq!(log_in("alice", &bob.code(1)), pam::AUTHINFO_UNAVAIL);
    assert_eq!(log_in("alice", &alice.code(1)), pam::AUTHINFO_UNAVAIL);
    assert_eq!(log_in("bob", &bob.code(1)), pam::SUCCESS, "others are not affected");
    assert!(daemon.stop().success());

    world::sh(&format!("cp -p /root/before.db {DB}; rm -f {DB}-wal {DB}-shm"));
    sql("UPDATE factor SET sealed = CAST(substr(sealed, 1, 30) || x'ff' || substr(sealed, 32) AS BLOB) \
         WHERE account = (SELECT id FROM account WHERE name = 'alice')");
    let _daemon = world.daemon();
    assert_eq!(log_in("alice", &alice.code(1)), pam::AUTHINFO_UNAVAIL);
    assert!(world.log_with("a sealed secret was changed").contains("no decision"));
}

#[test]
fn the_most_verbose_log_of_enrollment_and_login_holds_no_secret_code_or_password() {
    let world = World::new();
    // The daemon logs at trace, the module with `debug`, sshd at VERBOSE.
    let (_daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE));
    let mut enroll = as_user("alice", "twinlock");
    enroll.args(["enroll", "totp", "--label", "phone"]);
    let mut terminal = Terminal::run(enroll);
    terminal.answer("Login password of alice: ", PASSWORD);
    terminal.expect("Key:  ");
    let shown = terminal.expect("Add this");
    let phone = twinlock_tests::phone::Phone::with_key(shown.trim());
    let confirmed = phone.code(0);
    terminal.answer("code it shows: ", &confirmed);
    terminal.expect("not shown again.");
    let shown = terminal.expect("Press Enter when you have saved them: ");
    terminal.type_line("");
    let recovery = shown.split_whitespace().next().unwrap().to_owned();
    terminal.expect("counts from now on");

    let typed = phone.code(1);
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", "correct battery staple");
    ssh.answer("Wrong code. Verification code: ", &typed);
    assert!(outcome(ssh, "alice").0);
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", &recovery);
    assert!(outcome(ssh, "alice").0);

    let wrong = phone.wrong_code();
    let mut verify = Terminal::run({
        let mut command = as_user("alice", "twinlock");
        command.arg("verify");
        command
    });
    verify.answer("Verification code: ", &wrong);
    verify.expect("wrong code");

    let log = world.log_with("session opened");
    let audit = String::from_utf8(world::root(&["audit", "--json"]).stdout).unwrap();
    assert!(
        log.contains("twinlockd[") && log.contains("pam_twinlock(sshd:auth)") && audit.contains("granted")
    );
    for secret in [
        phone.key.as_str(),
        &confirmed,
        &recovery,
        &recovery[3..],
        &typed,
        &wrong,
        PASSWORD,
        "correct battery staple",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log");
        assert!(!audit.contains(secret), "{secret} is in the trail");
    }
    let store = fs::read(DB).unwrap();
    assert!(!contains(&store, &data_of(&phone.key)));
}
