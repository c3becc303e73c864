//! A store that is put back, by `twinlock db restore` or by hand: what was used since is not good again, whatever is wrong
//! changes nothing, and whoever pulls the plug finds the one store or the other.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::Path,
    process::{Command, Output, Stdio},
};

use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, pam},
    phone::{Phone, early_in_a_step, now},
    terminal::Terminal,
    wait,
    world::{self, PASSWORD, World, as_user, root, sh},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";
const STATE: &str = "/var/lib/twinlock";
const BACKUP: &str = "/root/store.db";
/// "12345678901234567890", of RFC 4226.
const KEY: &str = "3132333435363738393031323334353637383930";

fn hotp(counter: i64) -> String {
    let out = Command::new("oathtool").args(["-c", &counter.to_string(), KEY]).output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn json(out: &Output) -> serde_json::Value {
    serde_json::from_slice(&out.stdout).unwrap()
}

fn log_in(user: &str, code: &str) -> i32 {
    pamhost::run(&["-s", "ours", "-u", user, code]).code
}

fn sql(statement: &str) -> String {
    sh(&format!("sqlite3 {STATE}/twinlock.db \"{statement}\"")).trim().to_owned()
}

fn restore() -> Output {
    root(&["db", "restore", BACKUP, "--yes"])
}

/// The reasons of the trail's restores.
fn restores() -> Vec<String> {
    let out = root(&["audit", "--event", "restore", "--json"]);
    let reason = |line: &str| {
        let entry: serde_json::Value = serde_json::from_str(line).unwrap();
        entry["reason"].as_str().unwrap().to_owned()
    };
    text(&out.stdout).lines().map(reason).collect()
}

/// alice enrolls at the terminal; her phone, and the recovery codes that she was shown.
fn enroll_alice() -> (Phone, Vec<String>) {
    let mut command = as_user("alice", "twinlock");
    command.args(["enroll", "totp"]);
    let mut terminal = Terminal::run(command);
    terminal.answer("Login password of alice: ", PASSWORD);
    terminal.expect("Key:  ");
    let phone = Phone::with_key(terminal.expect("Add this").trim());
    terminal.answer("code it shows: ", &phone.code(-1));
    terminal.expect("They are not shown again.");
    let codes = terminal.expect("Press Enter when you have saved them: ");
    terminal.type_line("");
    assert_eq!(terminal.finish().1, 0);
    (phone, codes.split_whitespace().map(ToOwned::to_owned).collect())
}

/// What was used between the copy and the day that it was brought back.
struct Used {
    phone: Phone,
    /// A recovery code, another that was not used, a bypass code.
    once: [String; 3],
}

/// alice with an app, recovery codes and a bypass code, bob with a token by counter; `copy` is made, then all of them are used,
/// and a token is revoked.
fn used_since(copy: impl FnOnce(Daemon) -> Daemon) -> (World, Daemon, Used) {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    early_in_a_step(20);
    let (phone, codes) = enroll_alice();
    fs::write(
        "/root/tokens",
        format!("serial,type,secret hex,digits,counter\nH1,hotp,{KEY},6,0\nH2,hotp,41{KEY},6,0\n"),
    )
    .unwrap();
    assert!(root(&["token", "import", "/root/tokens"]).status.success());
    assert!(root(&["token", "assign", "H1", "bob"]).status.success());
    let bypass = json(&root(&["user", "bypass", "alice", "--reason", "lost", "--json"]));
    let once = [codes[0].clone(), codes[1].clone(), bypass["code"].as_str().unwrap().to_owned()];
    let daemon = copy(daemon);
    for (user, code) in
        [("alice", &phone.code(0)), ("alice", &once[0]), ("alice", &once[2]), ("bob", &hotp(0))]
    {
        assert_eq!(log_in(user, code), pam::SUCCESS, "{user} {code}");
    }
    assert_eq!(log_in("bob", &hotp(1)), pam::SUCCESS);
    assert!(root(&["token", "revoke", "H2"]).status.success());
    (world, daemon, Used { phone, once })
}

/// The daemon runs on what was put back: nothing old lets in, and what is new does.
fn nothing_used_is_good_again(used: &Used) {
    let then = now() / 30;
    for code in [used.phone.code(0), used.once[0].clone(), used.once[1].clone(), used.once[2].clone()] {
        assert_ne!(log_in("alice", &code), pam::SUCCESS, "{code}");
    }
    for counter in 0..3 {
        assert_ne!(log_in("bob", &hotp(counter)), pam::SUCCESS, "{counter}");
    }
    let alice = json(&root(&["user", "show", "alice", "--json"]));
    assert_eq!(
        (&alice["recovery_codes_left"], &alice["factors"][0]["resync_required"]),
        (&0.into(), &false.into())
    );
    let bob = json(&root(&["user", "show", "bob", "--json"]));
    assert_eq!((&bob["enrolled"], &bob["factors"][0]["resync_required"]), (&true.into(), &true.into()));
    let own = as_user("bob", "twinlock").output().unwrap();
    assert!(text(&own.stdout).contains("does not count until an administrator"), "{own:?}");
    let tokens = json(&root(&["token", "list", "--json"]));
    assert_eq!(tokens[0]["resync_required"], true);

    // bob at the help desk; by the factor's own identifier, where there is no serial number to read.
    let id = bob["factors"][0]["id"].as_str().unwrap();
    assert_eq!(root(&["token", "resync", "nobody's", &hotp(2), &hotp(3)]).status.code(), Some(1));
    assert!(!root(&["token", "resync", id, &hotp(2), &hotp(4)]).status.success(), "not in a row");
    assert!(root(&["token", "resync", id, &hotp(2), &hotp(3)]).status.success());
    assert_ne!(log_in("bob", &hotp(3)), pam::SUCCESS, "spent");
    assert_eq!(log_in("bob", &hotp(4)), pam::SUCCESS);
    let bob = json(&root(&["user", "show", "bob", "--json"]));
    assert_eq!(bob["factors"][0]["resync_required"], false);
    // alice with the first code that could not have been used.
    let _ = root(&["user", "unlock", "alice"]);
    wait::until("the next step", 31, || (now() / 30 > then).then_some(()));
    assert_eq!(log_in("alice", &used.phone.code(1)), pam::SUCCESS);
}

#[test]
fn what_was_used_since_a_backup_is_not_good_again() {
    let (world, daemon, used) = used_since(|daemon| {
        assert!(root(&["db", "backup", BACKUP]).status.success());
        daemon
    });
    let logins = world.logins("alice").len();
    let running = restore();
    assert_eq!(running.status.code(), Some(1), "{running:?}");
    assert!(text(&running.stderr).contains("systemctl stop 'twinlockd*'"), "{running:?}");
    let plain = as_user("bob", "twinlock").args(["db", "restore", "/etc/passwd", "--yes"]).output().unwrap();
    assert_eq!(plain.status.code(), Some(77), "{plain:?}");
    assert!(daemon.stop().success());
    let unasked =
        Command::new("twinlock").args(["db", "restore", BACKUP]).stdin(Stdio::null()).output().unwrap();
    assert!(unasked.status.code() == Some(2) && text(&unasked.stderr).contains("--yes"), "{unasked:?}");
    let asked = |answer: &str| {
        let mut command = Command::new("twinlock");
        command.args(["db", "restore", BACKUP]);
        let mut terminal = Terminal::run(command);
        terminal.answer("Type yes to go on: ", answer);
        terminal.finish()
    };
    let (said, code) = asked("y");
    assert!(code == 1 && said.contains("nothing has changed"), "{said}");
    let (said, code) = asked("yes");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("the store is the backup of 20") && said.contains(", by uid 0"), "the log: {said}");
    for part in [
        "systemctl start twinlockd",
        "twinlock.db.before-restore",
        "Since the backup: token-revoke, ",
        "do it again: twinlock token revoke H2",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains("10 recovery code(s)") && said.contains("1 bypass code(s)"), "{said}");
    let before = fs::metadata(format!("{STATE}/twinlock.db.before-restore")).unwrap();
    assert_eq!((before.mode() & 0o777, before.nlink()), (0o600, 1));

    let _daemon = world.daemon();
    assert_eq!(world.logins("alice").len(), logins, "the trail of the store before is in it");
    let told = restores();
    assert!(told.len() == 1 && told[0].starts_with("backup of 20"), "{told:?}");
    nothing_used_is_good_again(&used);
    assert!(root(&["db", "check"]).status.success());
}

#[test]
fn a_copy_that_is_put_back_by_hand_is_found_at_the_start() {
    let (world, daemon, used) = used_since(|daemon| {
        assert!(daemon.stop().success());
        sh(&format!("mkdir /root/copy && cp -a {STATE}/twinlock.db* /root/copy"));
        Daemon::start(&[])
    });
    assert!(restores().is_empty(), "the store itself is suspected of nothing");
    assert!(daemon.stop().success());
    sh(&format!("rm {STATE}/twinlock.db* && cp -a /root/copy/* {STATE}"));
    let _daemon = world.daemon();
    let _log = world.log_with("the store was put back behind twinlockd's back");
    let told = restores();
    assert!(told.len() == 1 && told[0].starts_with("found at the start: it is of generation"), "{told:?}");
    nothing_used_is_good_again(&used);
}

#[test]
fn a_lost_host_comes_back_from_its_backup_and_its_key() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    assert!(root(&["user", "require", "bob"]).status.success());
    let exempt = ["user", "exempt", "alice", "--until", "7d", "--reason", "ticket 1"];
    assert!(root(&exempt).status.success());
    assert!(root(&["db", "backup", BACKUP]).status.success());
    assert!(root(&["user", "exempt", "alice", "--off"]).status.success());
    assert!(daemon.stop().success());
    // All that is left is the key, which was kept elsewhere; systemd gives it.
    sh(&format!("install -D -m 0600 {STATE}/key /run/given/twinlock.key && rm -r {STATE}"));
    let without = restore();
    assert!(text(&without.stderr).contains("bring the sealing key of its day back first"), "{without:?}");
    let out = Command::new("twinlock")
        .args(["db", "restore", BACKUP, "--yes", "--json"])
        .env("CREDENTIALS_DIRECTORY", "/run/given")
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    let report = json(&out);
    assert_eq!((&report["required"][0], &report["before"]), (&"bob".into(), &serde_json::Value::Null));
    assert_eq!(
        (&report["exempt"][0]["user"], &report["exempt"][0]["reason"]),
        (&"alice".into(), &"ticket 1".into())
    );
    assert!(report["warnings"][0].as_str().unwrap().contains("there was no store"), "{report}");
    assert!(!Path::new(&format!("{STATE}/key")).exists(), "none is made");
    sh(&format!("install -m 0600 /run/given/twinlock.key {STATE}/key"));
    let then = now() / 30;
    let _daemon = world.daemon();
    assert_eq!(restores().len(), 1);
    assert!(root(&["user", "exempt", "alice", "--off"]).status.success());
    assert_ne!(log_in("alice", &phone.code(0)), pam::SUCCESS);
    wait::until("the next step", 31, || (now() / 30 > then).then_some(()));
    assert_eq!(log_in("alice", &phone.code(1)), pam::SUCCESS);
}

#[test]
fn what_is_no_sound_backup_of_this_host_changes_nothing() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    assert!(root(&["db", "backup", BACKUP]).status.success());
    assert!(daemon.stop().success());
    let state = || sh(&format!("cd {STATE} && ls -A && sha256sum twinlock.db key generation"));
    let before = state();
    let refused = |file: &str, why: &str| {
        let out = root(&["db", "restore", file, "--yes"]);
        let said = text(&out.stderr);
        assert!(out.status.code() == Some(1) && said.contains(why), "{file}: {out:?}");
        assert_eq!(state(), before, "{file}");
    };
    for (name, spoil) in [
        ("garbage", "head -c 90000 /dev/urandom >$f"),
        ("empty", ": >$f"),
        ("cut", "head -c 60000 $b >$f"),
        ("newer", "cp $b $f; sqlite3 $f 'PRAGMA user_version = 99'"),
        ("orphan", "cp $b $f; sqlite3 $f 'PRAGMA foreign_keys = 0; UPDATE factor SET account = 77'"),
        (
            "trigger",
            "cp $b $f; sqlite3 $f 'CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM factor; END'",
        ),
        (
            "replaced",
            "cp $b $f; sqlite3 $f 'DROP TRIGGER audit_is_counted; \
             CREATE TRIGGER audit_is_counted AFTER INSERT ON audit BEGIN DELETE FROM factor; END'",
        ),
        ("sealed", "cp $b $f; sqlite3 $f 'UPDATE factor SET sealed = zeroblob(60)'"),
        ("pipe", "mkfifo $f"),
        ("link", "ln -s $b $f"),
        ("folder", "mkdir $f"),
    ] {
        sh(&format!("b={BACKUP}; f=/root/{name}; {spoil}"));
    }
    for (file, why) in [
        ("/root/garbage", "not a database"),
        ("/root/empty", "none of a Twinlock store"),
        ("/root/cut", "cannot be used"),
        ("/root/newer", "newer twinlockd"),
        ("/root/orphan", "a row of factor belongs to no account"),
        ("/root/trigger", "none of a Twinlock store"),
        ("/root/replaced", "none of a Twinlock store"),
        ("/root/sealed", "of alice: a sealed secret was changed"),
        ("/root/pipe", "it is no file"),
        ("/root/link", "it is a link"),
        ("/root/folder", "it is no file"),
        ("/root/nothing", "No such file"),
    ] {
        refused(file, why);
    }
    sh(&format!("cp {STATE}/key /root/key && head -c 32 /dev/urandom >{STATE}/key"));
    let foreign = restore();
    assert!(
        foreign.status.code() == Some(1)
            && text(&foreign.stderr).contains("another key than the one that is here"),
        "{foreign:?}"
    );
    sh(&format!("cp /root/key {STATE}/key"));
    assert_eq!(state(), before);
    let daemon = world.daemon();
    assert_eq!(log_in("alice", &phone.code(0)), pam::SUCCESS);

    // A backup from before the keys were changed needs the key of its day.
    assert!(root(&["key", "rotate"]).status.success());
    assert!(daemon.stop().success());
    let out = restore();
    assert!(out.status.code() == Some(1) && text(&out.stderr).contains("another key"), "{out:?}");
    sh(&format!("mv {STATE}/key {STATE}/key.now && cp /root/key {STATE}/key"));
    let out = restore();
    let _log = world.log_with("the store is the backup of 20");
    assert!(
        out.status.success() && text(&out.stdout).contains("do it again: twinlock key rotate"),
        "{out:?}"
    );
    let _daemon = world.daemon();
    assert!(root(&["db", "check"]).status.success() && root(&["key", "rotate"]).status.success());
}

#[test]
fn a_disk_that_is_full_anywhere_on_the_way_changes_nothing() {
    let world = World::new();
    sh(&format!("mkdir -m 0700 {STATE} && mount -t tmpfs -o size=1m,mode=0700 small {STATE}"));
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let _alice = world.enroll("alice");
    assert!(root(&["db", "backup", BACKUP]).status.success());
    let bob = world.enroll("bob");
    assert!(daemon.stop().success());
    let mut refused = 0;
    for room in (0..400).step_by(8) {
        // A disk with so many KiB left.
        sh(&format!(
            "rm -f {STATE}/filler; cat /dev/zero >{STATE}/filler 2>/dev/null; truncate -s -{room}K {STATE}/filler"
        ));
        let out = restore();
        if out.status.success() {
            break;
        }
        refused += 1;
        let said = text(&out.stderr);
        assert!(said.contains("No space left") || said.contains("full"), "{room}: {said}");
        assert!(said.contains("nothing has changed"), "{room}: {said}");
        let left = sh(&format!("ls -A {STATE}"));
        assert!(!left.contains("draft") && !left.contains("before"), "{room}: {left}");
        // Looked at elsewhere: sqlite3 needs room too.
        let look = "sqlite3 /root/look/twinlock.db 'SELECT count(*) FROM account'";
        let users =
            sh(&format!("rm -rf /root/look; mkdir /root/look; cp {STATE}/twinlock.db* /root/look; {look}"));
        assert_eq!(users.trim(), "2", "{room}");
    }
    assert!(refused > 5, "{refused}");
    sh(&format!("rm {STATE}/filler"));
    // The store before, which it went on to put aside, is whole.
    assert_eq!(sql("SELECT name FROM account"), "alice");
    sh(&format!("cp {STATE}/twinlock.db.before-restore {BACKUP}2"));
    assert!(root(&["db", "restore", &format!("{BACKUP}2"), "--yes"]).status.success());
    let then = now() / 30;
    let _daemon = world.daemon();
    wait::until("the next step", 31, || (now() / 30 > then).then_some(()));
    assert_eq!(log_in("bob", &bob.code(1)), pam::SUCCESS);
}

/// Everything that changes a file.
const CHANGES: &str =
    "write,pwrite64,fsync,fdatasync,ftruncate,?rename,?renameat,?renameat2,?unlink,unlinkat,?link,linkat";

/// Has twinlockd bring the backup back, and kills it at its so-manieth change of a file; says whether it came to the end.
fn killed_at(change: u32) -> bool {
    let backup = fs::File::open(BACKUP).unwrap();
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CHANGES}")])
        .args(["-e", &format!("inject={CHANGES}:signal=SIGKILL:when={change}")])
        .args(["twinlockd", "--restore", "--json"])
        .stdin(backup)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    status.success()
}

#[test]
fn killed_at_any_change_of_a_file_it_leaves_the_one_store_or_the_other() {
    let world = World::new();
    let daemon = world.daemon();
    let _alice = world.enroll("alice");
    assert!(root(&["db", "backup", BACKUP]).status.success());
    let _bob = world.enroll("bob");
    // It crashed: what bob has is in the log alone.
    daemon.signal(nix::sys::signal::Signal::SIGKILL);
    drop(daemon);
    sh(&format!("cp -a {STATE} /root/state"));
    let (mut old, mut new) = (0, 0);
    for change in 1.. {
        sh(&format!("rm -r {STATE} && cp -a /root/state {STATE}"));
        let finished = killed_at(change);
        // Whoever is told to try again, or looks after it, finds something that works.
        if change % 3 == 0 && !finished {
            assert!(restore().status.success(), "change {change}");
        }
        let daemon = world.daemon();
        let check = root(&["db", "check"]);
        assert!(check.status.success(), "change {change}: {check:?}");
        let users = json(&root(&["user", "list", "--json"]));
        let (users, told) = (users.as_array().unwrap().len(), restores());
        assert!(
            (users, told.len()) == (2, 0) || (users, told.len()) == (1, 1),
            "change {change}: {users} {told:?}"
        );
        if users == 2 {
            old += 1;
        } else {
            new += 1;
        }
        let left = sh(&format!("ls -A {STATE}"));
        assert!(!left.contains("draft"), "change {change}: {left}");
        drop(daemon);
        if finished {
            break;
        }
        assert!(change < 300, "it never comes to the end");
    }
    assert!(old > 20 && new > 5, "old {old}, new {new}");
}

#[test]
fn a_copy_under_the_log_of_a_daemon_that_crashed_is_found() {
    let (world, daemon, used) = used_since(|daemon| {
        assert!(daemon.stop().success());
        sh(&format!("cp {STATE}/twinlock.db /root/copy.db"));
        Daemon::start(&[])
    });
    daemon.signal(nix::sys::signal::Signal::SIGKILL);
    drop(daemon);
    assert!(fs::metadata(format!("{STATE}/twinlock.db-wal")).unwrap().len() > 0);
    sh(&format!("cat /root/copy.db >{STATE}/twinlock.db"));
    let _daemon = world.daemon();
    let _log = world.log_with("the store was put back behind twinlockd's back");
    let told = restores();
    assert!(told.len() == 1 && told[0].starts_with("found at the start: "), "{told:?}");
    for code in [used.phone.code(0), used.once[0].clone(), used.once[2].clone()] {
        assert_ne!(log_in("alice", &code), pam::SUCCESS, "{code}");
    }
}

#[test]
fn a_daemon_that_is_killed_at_any_change_of_a_file_as_it_starts_is_no_other_store() {
    let world = World::new();
    drop(world.daemon());
    // Each start goes on from what the one before left: numbers that only the log has, files that were not written.
    for change in 1.. {
        let mut start = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CHANGES}")])
            .args(["-e", &format!("inject={CHANGES}:signal=SIGKILL:when={change}")])
            .args(["twinlockd", "--log-to", "syslog"])
            .spawn()
            .unwrap();
        let ready = wait::until("the end of it, or that it is ready", 20, || {
            let ended = start.try_wait().unwrap().map(|_| false);
            ended.or_else(|| UnixStream::connect("/run/twinlock/admin.sock").ok().map(|_| true))
        });
        sh("pkill -KILL -x twinlockd; true");
        let _ = start.wait();
        if ready {
            break;
        }
        assert!(change < 200, "it never gets ready");
        if change % 4 == 0 {
            drop(world.daemon());
        }
    }
    let _daemon = world.daemon();
    assert_eq!(restores(), Vec::<String>::new());
}

#[test]
fn a_store_that_the_key_does_not_open_is_left_as_it_is() {
    let world = World::new();
    let daemon = world.daemon();
    let (_phone, _codes) = enroll_alice();
    assert!(daemon.stop().success());
    // The key of another host, and a number that says that the store was put back.
    sh(&format!("cp {STATE}/key /root/key && head -c 32 /dev/urandom >{STATE}/key"));
    let kept = fs::read_to_string(format!("{STATE}/generation")).unwrap();
    fs::write(format!("{STATE}/generation"), "700\n").unwrap();
    let out = Command::new("twinlockd").args(["--log-to", "stderr"]).output().unwrap();
    assert!(text(&out.stderr).contains("the sealing key does not open the store"), "{out:?}");
    assert_eq!(sql("SELECT count(*) FROM spare"), "10");
    assert_eq!(fs::read_to_string(format!("{STATE}/generation")).unwrap(), "700\n");
    // Both as they were: it is the store of this host, and nothing is void.
    sh(&format!("cp /root/key {STATE}/key"));
    fs::write(format!("{STATE}/generation"), kept).unwrap();
    let _daemon = world.daemon();
    assert!(restores().is_empty());
}

#[test]
fn a_store_of_an_older_version_is_kept_as_it_was_or_not_touched() {
    let world = World::new();
    sh(&format!("mkdir -m 0700 {STATE} && mount -t tmpfs -o size=300k,mode=0700 small {STATE}"));
    let migrations = concat!(env!("CARGO_MANIFEST_DIR"), "/../daemon/src/store/sqlite/migrations");
    sh(&format!(
        "cat $(ls {migrations}/*.sql | head -8) | sqlite3 {STATE}/twinlock.db && chmod 0600 {STATE}/twinlock.db && \
         sqlite3 {STATE}/twinlock.db \"PRAGMA user_version = 8; PRAGMA journal_mode = WAL; \
         INSERT INTO account (name, uid, created) VALUES ('dora', 7, 5)\""
    ));
    // Room for what a start needs, and not for a copy.
    sh(&format!("cat /dev/zero >{STATE}/filler 2>/dev/null; truncate -s -64K {STATE}/filler"));
    let full = Command::new("twinlockd").args(["--log-to", "stderr"]).output().unwrap();
    let said = text(&full.stderr);
    assert!(full.status.code() == Some(69) && said.contains("no copy of it can be kept"), "{full:?}");
    assert!(said.contains("make room, then start again"), "{said}");
    assert_eq!(sql("PRAGMA user_version"), "8");
    // There is if the copy of an upgrade before goes.
    let other = format!("{STATE}/twinlock.db.schema-7");
    sh(&format!(
        "rm {STATE}/filler && mount -o remount,size=10m {STATE} && head -c 8M /dev/zero >{other} && \
         {{ cat /dev/zero >{STATE}/filler 2>/dev/null; truncate -s -64K {STATE}/filler; }}"
    ));
    let _daemon = world.daemon();
    assert!(!Path::new(&other).exists());
    assert_eq!(sql("SELECT name FROM account"), "dora");
    let kept = format!("{STATE}/twinlock.db.schema-8");
    assert_eq!(fs::metadata(&kept).unwrap().mode() & 0o777, 0o600);
    assert_eq!(sh(&format!("sqlite3 {kept} 'PRAGMA user_version; SELECT name FROM account'")), "8\ndora\n");
}
