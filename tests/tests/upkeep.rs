//! The store looked after: check, backup, change of keys; and a preference, kept and taken back.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use twinlock_tests::{
    fault::Fault,
    pamhost::{self, pam},
    phone::{Phone, early_in_a_step, now},
    race::Racers,
    wait,
    world::{self, World, as_user, root},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";
const STATE: &str = "/var/lib/twinlock";

fn log_in(user: &str, code: &str) -> i32 {
    pamhost::run(&["-s", "ours", "-u", user, code]).code
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(out: &Output) -> serde_json::Value {
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Whether the trail has such an entry: outcome and reason.
fn trail(event: &str) -> Vec<(String, String)> {
    let out = root(&["audit", "--event", event, "--json"]);
    let entry = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        let word = |key: &str| entry[key].as_str().unwrap().to_owned();
        (word("outcome"), word("reason"))
    };
    text(&out.stdout).lines().map(entry).collect()
}

#[test]
fn a_preference_is_kept_and_taken_back() {
    let world = World::new();
    let _daemon = world.daemon();
    let prefer = |method: &str| as_user("alice", "twinlock").args(["prefer", method]).output().unwrap();
    let preferred = || json(&root(&["user", "show", "alice", "--json"]))["preferred"].clone();

    let nothing = prefer("totp");
    assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
    assert!(text(&nothing.stderr).contains("you have nothing of that kind"), "{nothing:?}");
    let _phone = world.enroll("alice");
    let unknown = prefer("pigeon");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("there are totp, hotp, sms, call, email"), "{unknown:?}");
    assert_eq!(prefer("sms").status.code(), Some(1), "no contact");
    assert!(preferred().is_null());

    assert_eq!(text(&prefer("totp").stdout), "You are offered totp first.\n");
    assert_eq!(preferred(), "totp");
    assert!(prefer("default").status.success());
    assert!(preferred().is_null());
    assert_eq!(trail("prefer").len(), 2);
}

#[test]
fn a_check_finds_what_is_damaged_and_says_where() {
    let world = World::new();
    let daemon = world.daemon();
    let _phone = world.enroll("alice");
    let out = root(&["db", "check"]);
    assert_eq!(
        (out.status.code(), text(&out.stdout)),
        (Some(0), "The store is sound: 1 account(s), 1 factor(s).\n".into())
    );
    assert_eq!(trail("store-check"), [("granted".into(), "sound".into())]);

    // One bit of a sealed key.
    let sql = |sql: &str| world::sh(&format!("sqlite3 {STATE}/twinlock.db \"{sql}\""));
    let sealed = sql("SELECT hex(sealed) FROM factor");
    let sealed = sealed.trim();
    let flipped = format!("{}{}", &sealed[..sealed.len() - 1], if sealed.ends_with('0') { "1" } else { "0" });
    sql(&format!("UPDATE factor SET sealed = x'{flipped}'"));
    let out = root(&["db", "check", "--json"]);
    assert_eq!(out.status.code(), Some(1));
    let report = json(&out);
    assert_eq!(report["sound"], false);
    let problem = report["problems"][0].as_str().unwrap();
    assert!(problem.starts_with("factor ") && problem.contains(" of alice: "), "{problem}");
    sql(&format!("UPDATE factor SET sealed = x'{sealed}'"));
    assert!(root(&["db", "check"]).status.success(), "and well again");

    // An index page of zeros, one that the start does not need.
    assert!(daemon.stop().success());
    sql("PRAGMA wal_checkpoint(TRUNCATE)");
    world::sh(&format!("rm -f {STATE}/twinlock.db-*"));
    let page: u64 = sql("SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_spare_1'")
        .trim()
        .parse()
        .unwrap();
    world::sh(&format!(
        "dd if=/dev/zero of={STATE}/twinlock.db bs=4096 seek={} count=1 conv=notrunc status=none",
        page - 1
    ));
    let _daemon = world.daemon();
    let out = root(&["db", "check"]);
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    assert!(text(&out.stderr).contains("the store is damaged"), "{out:?}");
}

#[test]
fn a_backup_brought_back_lets_its_users_in_and_holds_no_key() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    let out = root(&["db", "backup", "/root/store.db"]);
    assert!(out.status.success() && text(&out.stdout).contains("The sealing key is not in it"), "{out:?}");
    assert_eq!(fs::metadata("/root/store.db").unwrap().mode() & 0o777, 0o600);
    assert_eq!(trail("backup").len(), 1);
    let bytes = fs::read("/root/store.db").unwrap();
    let key = fs::read(format!("{STATE}/key")).unwrap();
    world::sh(&format!("printf %s {} | base32 -d >/root/secret", phone.key));
    let secret = fs::read("/root/secret").unwrap();
    for (what, key) in [("the sealing key", key), ("alice's key", secret)] {
        assert!(key.len() >= 20 && !bytes.windows(key.len()).any(|at| at == key), "{what} is in the backup");
    }

    // What is there is never overwritten, and a failure leaves nothing behind.
    let again = root(&["db", "backup", "/root/store.db"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(
        text(&again.stderr)
            .contains("/root/store.db is there already and stays as it is: choose another name"),
        "{again:?}"
    );
    assert_eq!(fs::read("/root/store.db").unwrap(), bytes);
    assert!(!Path::new("/root/store.db.part").exists());
    assert_eq!(root(&["db", "backup", "/nowhere/store.db"]).status.code(), Some(1));
    let pipe = root(&["db", "backup", "-"]);
    assert!(pipe.stdout.starts_with(b"SQLite format 3\0"), "a backup for a pipe");

    assert_eq!(log_in("alice", &phone.code(0)), pam::SUCCESS);
    assert!(root(&["user", "reset", "alice"]).status.success());
    assert!(daemon.stop().success());
    assert!(root(&["db", "restore", "/root/store.db", "--yes"]).status.success());
    let then = now() / 30;
    let _daemon = world.daemon();
    assert!(root(&["db", "check"]).status.success());
    wait::until("a code that could not have been used", 31, || (now() / 30 > then).then_some(()));
    assert_eq!(log_in("alice", &phone.code(1)), pam::SUCCESS);
}

#[test]
fn a_backup_that_the_disk_has_no_room_for_leaves_nothing_behind() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    world::sh("mkdir /small && mount -t tmpfs -o size=16k small /small");
    let out = root(&["db", "backup", "/small/store.db"]);
    assert_eq!(out.status.code(), Some(1), "{out:?}");
    assert!(
        text(&out.stderr).contains("No space left") && text(&out.stderr).contains("there is no backup"),
        "{out:?}"
    );
    assert_eq!(world::sh("ls -A /small"), "");
}

#[test]
fn a_backup_that_failed_is_none_in_the_trail() {
    let world = World::new();
    let _daemon = world.daemon();
    // Where the copy would be written there is something else.
    world::sh("mkdir -p /var/lib/twinlock/backup.draft/x");
    let out = root(&["db", "backup", "/root/store.db"]);
    assert!(!out.status.success() && !Path::new("/root/store.db").exists(), "{out:?}");
    let told = || trail("backup").into_iter().map(|(outcome, _)| outcome).collect::<Vec<_>>();
    assert_eq!(told(), ["denied"]);
    world::sh("rm -r /var/lib/twinlock/backup.draft");
    assert!(root(&["db", "backup", "/root/store.db"]).status.success());
    assert_eq!(told(), ["denied", "granted"]);
}

/// So many users, each with an app.
fn enrolled(world: &World, count: usize) -> Vec<(String, Phone)> {
    let new = |n| {
        let user = format!("u{n}");
        world::sh(&format!("useradd --no-create-home {user}"));
        let phone = world.enroll(&user);
        (user, phone)
    };
    (0..count).map(new).collect()
}

#[test]
fn keys_change_while_users_log_in() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let users = enrolled(&world, 24);
    let old_key = fs::read(format!("{STATE}/key")).unwrap();
    let rotating = thread::spawn(|| {
        for _ in 0..10 {
            let out = root(&["key", "rotate", "--json"]);
            assert!(out.status.success(), "{out:?}");
            assert_eq!(json(&out)["resealed"], 24);
        }
    });
    for (user, phone) in &users {
        assert_eq!(log_in(user, &phone.code(0)), pam::SUCCESS, "{user}");
    }
    rotating.join().unwrap();
    let sql = |sql: &str| world::sh(&format!("sqlite3 {STATE}/twinlock.db \"{sql}\""));
    assert_eq!(sql("SELECT group_concat(version) FROM keyring").trim(), "11");
    assert_eq!(trail("key-rotate").last().unwrap().1, "data key 11, new sealing key");
    assert_ne!(fs::read(format!("{STATE}/key")).unwrap(), old_key);
    assert_eq!(fs::metadata(format!("{STATE}/key")).unwrap().mode() & 0o777, 0o600);

    assert!(daemon.stop().success());
    let new_key = fs::read(format!("{STATE}/key")).unwrap();
    fs::write(format!("{STATE}/key"), &old_key).unwrap();
    let refused = Command::new("twinlockd").args(["--log-to", "stderr"]).output().unwrap();
    assert!(text(&refused.stderr).contains("not the key that this store was sealed with"), "{refused:?}");
    fs::write(format!("{STATE}/key"), &new_key).unwrap();
    let _daemon = world.daemon();
    assert_eq!(log_in("u0", &users[0].1.code(1)), pam::SUCCESS);
}

#[test]
fn fifty_who_log_in_at_once_do_not_notice_that_keys_change() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    let users = enrolled(&world, 50);
    let changing = Arc::new(AtomicBool::new(true));
    let still = Arc::clone(&changing);
    let rotating = thread::spawn(move || {
        let mut changes = 0;
        while still.load(Ordering::Relaxed) {
            let out = root(&["key", "rotate"]);
            assert!(out.status.success(), "{out:?}");
            changes += 1;
        }
        changes
    });
    // Each with the code of before, of now, and of the next step: three rounds without waiting.
    early_in_a_step(20);
    for round in -1..2 {
        let logins: Vec<_> =
            users.iter().map(|(user, phone)| ("ours", user.as_str(), phone.code(round))).collect();
        let granted = Racers::at_the_prompt(&logins, &[]).answer();
        assert_eq!(granted.iter().filter(|granted| **granted).count(), 50, "round {round}");
    }
    changing.store(false, Ordering::Relaxed);
    let changes = rotating.join().unwrap();
    assert!(changes >= 3, "{changes}");
    assert!(root(&["db", "check"]).status.success());
}

#[test]
fn a_daemon_that_is_killed_while_keys_change_loses_nothing() {
    let world = World::new();
    let mut daemon = world.daemon();
    world::stack("ours", OURS);
    let phones: Vec<Phone> = ["alice", "bob"].map(|user| world.enroll(user)).to_vec();
    let mut finished = 0;
    for round in 0..30 {
        let rotating = thread::spawn(|| root(&["key", "rotate"]));
        #[expect(clippy::disallowed_methods, reason = "each round kills it a little later")]
        thread::sleep(Duration::from_micros(2000 + 500 * round));
        daemon = daemon.crash_and_restart();
        finished += u32::from(rotating.join().unwrap().status.success());
        let out = root(&["db", "check"]);
        assert!(out.status.success(), "round {round}: {out:?}");
        assert!(!Path::new(&format!("{STATE}/key.next")).exists(), "round {round}");
    }
    assert!(finished < 30, "never cut off");
    assert!(root(&["key", "rotate"]).status.success(), "what was cut off can be done again");
    for (user, phone) in ["alice", "bob"].iter().zip(&phones) {
        assert_eq!(log_in(user, &phone.code(0)), pam::SUCCESS, "{user}");
    }
}

#[test]
fn a_change_of_keys_whose_end_is_not_known_is_not_followed_by_another() {
    let world = World::new();
    let daemon = world.daemon();
    let _phone = world.enroll("alice");
    let failing = Fault::inject(&daemon, "pwrite64:error=EIO"); // the store, and not the key file
    assert!(!root(&["key", "rotate"]).status.success());
    drop(failing);
    let again = root(&["key", "rotate"]);
    assert!(again.status.code() == Some(1) && text(&again.stderr).contains("restart twinlockd"), "{again:?}");
    assert!(root(&["db", "check"]).status.success());
    let _daemon = daemon.crash_and_restart();
    assert!(root(&["db", "check"]).status.success());
    assert!(root(&["key", "rotate"]).status.success());
}
