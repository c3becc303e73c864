//! The store full, read-only, locked, damaged: denied with PAM_AUTHINFO_UNAVAIL, nothing accepted twice, well again by
//! itself.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use twinlock_tests::{
    fault::Fault,
    pamhost::{self, pam},
    wait,
    world::{self, World},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";
const STATE: &str = "/var/lib/twinlock";

fn log_in(code: &str) -> (i32, Duration) {
    let start = Instant::now();
    let run = pamhost::run(&["-s", "ours", "-u", "alice", code]);
    (run.code, start.elapsed())
}

/// A state folder on a small file system of its own.
fn small_disk() {
    world::sh(&format!("mkdir -m 0700 {STATE} && mount -t tmpfs -o size=1m,mode=0700 small {STATE}"));
}

#[test]
fn a_full_disk_denies_and_accepts_nothing() {
    let world = World::new();
    small_disk();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    world::sh(&format!("cat /dev/zero >{STATE}/filler 2>/dev/null; true"));
    let code = phone.code(0);
    // What the log has allocated already may still take a few: fill that too.
    let mut refused = 0;
    for _ in 0..60 {
        let (result, took) = log_in(&phone.wrong_code());
        assert!(took < Duration::from_secs(5), "{took:?}");
        refused += u32::from(result == pam::AUTHINFO_UNAVAIL);
        if refused == 3 {
            break;
        }
        let _ = world::root(&["user", "unlock", "alice"]);
    }
    assert_eq!(refused, 3, "the disk never filled");
    assert_eq!(log_in(&code).0, pam::AUTHINFO_UNAVAIL, "a right code that cannot be written down");
    world::sh(&format!("rm {STATE}/filler"));
    let _ = world::root(&["user", "unlock", "alice"]);
    assert_eq!(log_in(&code).0, pam::SUCCESS, "well again by itself, and the code was not spent");
    assert_ne!(log_in(&code).0, pam::SUCCESS);
}

#[test]
fn a_store_that_is_locked_by_another_writer_for_30_s_denies_in_time_and_recovers() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    let mut writer = Command::new("sqlite3")
        .arg(format!("{STATE}/twinlock.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("sqlite3 is installed");
    let mut input = writer.stdin.take().expect("a pipe");
    input
        .write_all(b"BEGIN IMMEDIATE; UPDATE account SET uid = uid;\n.shell touch /tmp/locked\n")
        .expect("a pipe");
    wait::until("the lock", 5, || std::path::Path::new("/tmp/locked").exists().then_some(()));
    let locked = Instant::now();
    while locked.elapsed() < Duration::from_secs(30) {
        let (result, took) = log_in(&phone.code(0));
        assert_eq!(result, pam::AUTHINFO_UNAVAIL);
        assert!(took < Duration::from_secs(6), "{took:?}");
    }
    let code = phone.code(1); // half a minute later; not one of those above was spent, or this would not be the first
    assert!(world.logins("alice").iter().all(|login| login != "granted"), "{:?}", world.logins("alice"));
    input.write_all(b"ROLLBACK;\n").expect("a pipe");
    drop(input);
    writer.wait().expect("sqlite3");
    assert_eq!(
        log_in(&code).0,
        pam::SUCCESS,
        "nothing was spent by those who were told that nothing is known"
    );
    assert_ne!(log_in(&code).0, pam::SUCCESS);
}

#[test]
fn a_disk_that_fails_denies_and_accepts_nothing() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    for (n, fault) in
        ["pwrite64:error=EROFS", "pwrite64:error=EIO", "fsync:error=EIO", "pwrite64:error=ENOSPC:when=3"]
            .into_iter()
            .enumerate()
    {
        let user = format!("u{n}");
        world::sh(&format!("useradd --no-create-home {user}"));
        let code = world.enroll(&user).code(0);
        let log_in = || pamhost::run(&["-s", "ours", "-u", &user, &code]).code;
        let failing = Fault::inject(&daemon, fault);
        assert_eq!(log_in(), pam::AUTHINFO_UNAVAIL, "{fault}");
        drop(failing);
        assert_eq!(log_in(), pam::SUCCESS, "{fault}: well again by itself, and the code was not spent");
        assert_ne!(log_in(), pam::SUCCESS, "{fault}: spent");
    }
    assert!(world::root(&["db", "check"]).status.success());
}

/// A kill at the first, second, ... write of the login, until there are no more: before it, and by the next one behind it.
#[test]
fn killed_at_each_write_of_a_login_it_accepts_no_code_twice() {
    let world = World::new();
    let mut daemon = world.daemon();
    world::stack("ours", OURS);
    for (killed, write) in (1..40).enumerate() {
        let user = format!("u{write}");
        world::sh(&format!("useradd --no-create-home {user}"));
        let code = world.enroll(&user).code(0);
        let log_in = || pamhost::run(&["-s", "ours", "-u", &user, &code]).code;
        let fault = Fault::inject(&daemon, &format!("pwrite64,fsync,fdatasync:signal=SIGKILL:when={write}"));
        let first = log_in();
        drop(fault);
        if first == pam::SUCCESS {
            assert_ne!(log_in(), pam::SUCCESS);
            assert!(killed >= 5, "the login has {killed} writes: five pages and their flush were expected");
            return;
        }
        assert_eq!(first, pam::AUTHINFO_UNAVAIL, "write {write}");
        daemon = daemon.crash_and_restart();
        let check = world::root(&["db", "check"]);
        assert!(check.status.success(), "write {write}: {check:?}");
        // It may have been on the disk already; then it is spent, and else it is good once.
        let inside = (0..3).filter(|_| log_in() == pam::SUCCESS).count();
        assert!(inside <= 1, "write {write}: accepted {inside} times");
    }
    unreachable!("a login has no 40 writes");
}

#[test]
fn a_damaged_page_denies() {
    let world = World::new();
    let daemon = world.daemon();
    world::stack("ours", OURS);
    let phone = world.enroll("alice");
    assert!(daemon.stop().success());
    // Everything is in the database, nothing in the log, whose pages would still be good.
    world::sh(&format!(
        "sqlite3 {STATE}/twinlock.db 'PRAGMA wal_checkpoint(TRUNCATE)' && rm -f {STATE}/twinlock.db-*"
    ));
    // Every page but the first: whatever is read is damaged.
    world::sh(&format!(
        "size=$(stat -c %s {STATE}/twinlock.db); \
         dd if=/dev/urandom of={STATE}/twinlock.db bs=4096 seek=1 count=$((size / 4096 - 1)) conv=notrunc status=none"
    ));
    let started = Command::new("twinlockd").args(["--log-to", "stderr"]).stderr(Stdio::piped()).spawn();
    let mut daemon = started.expect("twinlockd is installed");
    wait::until("the daemon's end, or its sockets", 10, || {
        let ended = daemon.try_wait().expect("a child").is_some();
        (ended || std::os::unix::net::UnixStream::connect("/run/twinlock/admin.sock").is_ok()).then_some(())
    });
    assert_eq!(log_in(&phone.code(0)).0, pam::AUTHINFO_UNAVAIL);
    let _ = daemon.kill();
    let out = daemon.wait_with_output().expect("a child");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("damaged") || said.contains("malformed"), "{said}");
}
