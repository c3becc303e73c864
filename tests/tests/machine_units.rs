//! The units as the packages bring them, where systemd was booted: its sockets, starting again, the watchdog, credentials.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use twinlock_tests::{
    machine::{Machine, drop_in, property, systemctl},
    phone::Phone,
    ssh::{at_the_prompt, outcome},
    terminal::Terminal,
    wait,
    world::{as_user, bypass, enroll, root, sh},
};

const DAEMON: &str = "twinlockd.service";
const LOGIN: &str = "/run/twinlock/login.sock";

/// A host with the packages, where alice has an app and ssh asks for its codes.
fn ready() -> (Machine, Phone) {
    let machine = Machine::new();
    machine.install(&["libpam-twinlock", "twinlock"]);
    machine.ssh_asks_for_codes();
    (machine, enroll("alice"))
}

#[track_caller]
fn gets_in(mut ssh: Terminal, code: &str) {
    ssh.type_line(code);
    let (inside, said) = outcome(ssh, "alice");
    assert!(inside, "{said}");
}

fn pid() -> u32 {
    property(DAEMON, "MainPID").parse().unwrap()
}

fn runs() -> bool {
    property(DAEMON, "ActiveState") == "active"
}

/// Waits until another process than this one serves.
#[track_caller]
fn another_than(before: u32, seconds: u64) {
    wait::until("another twinlockd", seconds, || (runs() && ![0, before].contains(&pid())).then_some(()));
}

#[test]
fn systemd_has_the_sockets_and_whoever_comes_starts_the_daemon() {
    let (machine, phone) = ready();
    let of = |name: &str| {
        let about = fs::metadata(format!("/run/twinlock/{name}")).unwrap();
        (about.permissions().mode() & 0o7777, about.uid(), about.ino())
    };
    let modes =
        ["login.sock", "admin.sock", "user.sock", "password.sock", "sendmail.sock"].map(|name| of(name).0);
    assert_eq!(modes, [0o600, 0o600, 0o666, 0o600, 0o600]);
    assert_eq!(fs::metadata("/run/twinlock").unwrap().permissions().mode() & 0o7777, 0o755);
    let login = of("login.sock").2;
    let comers: [&dyn Fn(); 3] = [
        &|| gets_in(at_the_prompt("alice"), &phone.code(-1)),
        &|| assert!(as_user("alice", "twinlock").arg("status").output().unwrap().status.success()),
        &|| assert!(root(&["daemon", "status"]).status.success()),
    ];
    for come in comers {
        systemctl("stop twinlockd");
        assert!(!runs());
        come();
        assert!(runs());
    }
    assert_eq!(of("login.sock").2, login, "it is the same all the time");
    // The page's package comes later: its socket is handed over by a restart.
    assert!(!Path::new("/run/twinlock/web.sock").exists());
    machine.install(&["twinlock-web"]);
    let page: u32 = sh("id -u twinlock-web").trim().parse().unwrap();
    assert_eq!((of("web.sock").0, of("web.sock").1, of("login.sock").2), (0o600, page, login));
    wait::until("an answer of the daemon to the page", 20, || {
        sh("journalctl -u twinlock-web -o cat").contains("[web] url is not set").then_some(())
    });
    // Stopped for good: the sockets too, and logins are denied.
    systemctl("stop 'twinlockd*'");
    assert!(!Path::new(LOGIN).exists());
    assert_eq!(root(&["daemon", "status"]).status.code(), Some(69));
    systemctl("start twinlockd");
    assert!(Path::new("/run/twinlock/user.sock").exists() && Path::new("/run/twinlock/web.sock").exists());
    gets_in(at_the_prompt("alice"), &phone.code(0));
}

#[test]
fn a_restart_loses_no_login_that_waits_and_none_that_comes_meanwhile() {
    let (_machine, phone) = ready();
    let ssh = at_the_prompt("alice");
    systemctl("restart twinlockd");
    gets_in(ssh, &phone.code(-1));
    // It takes its time to be there again: who waits, and who comes, wait in the socket.
    let ssh = at_the_prompt("alice");
    drop_in(DAEMON, "[Service]\nExecStartPre=/bin/sleep 2\n");
    systemctl("restart --no-block twinlockd");
    wait::until("the stop", 10, || (property(DAEMON, "SubState") == "start-pre").then_some(()));
    let coming = at_the_prompt("alice");
    gets_in(ssh, &phone.code(0));
    gets_in(coming, &phone.code(1));
    let said = sh("journalctl -u ssh -t sshd -o cat");
    assert!(!said.contains("Authentication failure"), "{said}");
}

#[test]
fn after_crashes_it_serves_again_however_many_there_were() {
    let (_machine, phone) = ready();
    let ssh = at_the_prompt("alice");
    for _ in 0..12 {
        let before = pid();
        sh(&format!("kill -9 {before}"));
        another_than(before, 10);
    }
    gets_in(ssh, &phone.code(-1));
    // One that cannot start is tried again for ever, and is there once it can.
    systemctl("stop twinlockd");
    sh("cp -a /etc/twinlock/twinlock.toml /root/good && rm /var/lib/twinlock/last-good.toml && \
        echo nonsense > /etc/twinlock/twinlock.toml");
    systemctl("start --no-block twinlockd");
    let mut knocking =
        Command::new("twinlock").args(["daemon", "status"]).stderr(Stdio::null()).spawn().unwrap();
    let restarts = || property(DAEMON, "NRestarts").parse::<u32>().unwrap();
    wait::until("30 tries", 60, || (restarts() >= 30).then_some(()));
    let _ = knocking.kill().and_then(|()| knocking.wait());
    assert!(
        ["twinlockd.socket", "twinlockd-user.socket"]
            .iter()
            .all(|unit| property(unit, "ActiveState") == "active")
    );
    sh("cp -a /root/good /etc/twinlock/twinlock.toml");
    wait::until("the daemon", 10, || runs().then_some(()));
    gets_in(at_the_prompt("alice"), &phone.code(0));
}

/// A thread of the daemon that hangs in the next of these system calls, for as long as this lives.
struct Hung(Child);

impl Hung {
    fn thread(name: &str, calls: &str) -> Self {
        let of_that_name = |task: &fs::DirEntry| {
            fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
        };
        let task =
            fs::read_dir(format!("/proc/{}/task", pid())).unwrap().flatten().find(of_that_name).unwrap();
        let (trace, inject) = (format!("trace={calls}"), format!("inject={calls}:delay_enter=120000000"));
        let strace = Command::new("strace")
            .args(["-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, "-p"])
            .arg(task.file_name())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait::until("strace attached", 10, || {
            let status = fs::read_to_string(task.path().join("status")).unwrap();
            (!status.contains("TracerPid:\t0")).then_some(())
        });
        Self(strace)
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn the_watchdog_ends_a_daemon_that_hangs_and_none_that_waits_for_others() {
    let (machine, phone) = ready();
    drop_in(DAEMON, "[Service]\nWatchdogSec=5\n");
    // Those whom it asks are slow: a directory, a mail server.
    let folder = sh("dirname $(find /usr/lib -name libnss_files.so.2 -o -name libnss_compat.so.2 | head -1)");
    fs::copy(env!("NSS_FAULT"), format!("{}/libnss_fault.so.2", folder.trim())).unwrap();
    sh("sed -i '/^passwd:/s/$/ fault/' /etc/nsswitch.conf && echo 'slow 60' > /etc/nss-fault");
    sh(
        "printf '\\n[email]\\nport = 2525\\nfrom = \"login@example.com\"\\n' > /etc/twinlock/twinlock.d/mail.toml && \
        chmod 0640 /etc/twinlock/twinlock.d/mail.toml",
    );
    let _silent = TcpListener::bind("127.0.0.1:2525").unwrap();
    systemctl("restart twinlockd");
    let served = pid();
    let begin = Instant::now();
    let waiting = [
        &["policy", "explain", "nobody-has-this-name", "--service", "sshd"][..],
        &["provider", "test", "email", "--to", "bob@example.com"],
    ];
    while begin.elapsed() < Duration::from_secs(12) {
        let waiting = waiting.map(|arguments| {
            Command::new("twinlock")
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        });
        for mut command in waiting {
            assert!(!command.wait().unwrap().success());
        }
    }
    assert_eq!(pid(), served);
    fs::remove_file("/etc/nss-fault").unwrap();
    let timed_out = || machine.journal(&["-u", DAEMON, "--grep", "Watchdog timeout"]).len();
    assert_eq!(timed_out(), 0);
    // All of it stands still.
    let ssh = at_the_prompt("alice");
    sh(&format!("kill -STOP {served}"));
    another_than(served, 30);
    gets_in(ssh, &phone.code(-1));
    // Its loop goes on, and the store does not: no timer helps there.
    let served = pid();
    let hung = Hung::thread("store-writer", "fcntl");
    wait::until("the watchdog", 30, || (timed_out() == 2).then_some(()));
    drop(hung); // strace holds even dead threads
    another_than(served, 30);
    assert!(!machine.journal(&["-u", DAEMON, "--grep", "request of twinlockd to itself"]).is_empty());
    gets_in(at_the_prompt("alice"), &phone.code(0));
    // And one that is well stays.
    let served = pid();
    wait::until("two periods", 20, || {
        let since: u64 = property(DAEMON, "ExecMainStartTimestampMonotonic").parse().unwrap();
        let now = sh("cut -d. -f1 /proc/uptime").trim().parse::<u64>().unwrap();
        (now > since / 1_000_000 + 10).then_some(())
    });
    assert_eq!((pid(), timed_out()), (served, 2));
}

const STORED_KEY: &str = "/var/lib/twinlock/key";

#[test]
fn the_sealing_key_may_be_a_credential_encrypted_or_not() {
    let (_machine, phone) = ready();
    assert!(runs() && Path::new(STORED_KEY).exists(), "without a credential it is a file");
    let given = "/run/credentials/twinlockd.service/twinlock.key";
    let uses = || Path::new(given).exists() && !Path::new(STORED_KEY).exists();
    sh(&format!(
        "install -d -m 0700 /etc/credstore /etc/credstore.encrypted && mv {STORED_KEY} /etc/credstore/twinlock.key"
    ));
    systemctl("restart twinlockd");
    assert!(uses());
    gets_in(at_the_prompt("alice"), &phone.code(-1));
    // Encrypted with the host's key (no TPM here), by the drop-in that twinlockd(8) shows.
    sh("systemd-creds encrypt --with-key=host --name=twinlock.key /etc/credstore/twinlock.key \
        /etc/credstore.encrypted/twinlock.key 2>/dev/null && rm /etc/credstore/twinlock.key");
    let load = "LoadCredentialEncrypted=twinlock.key:/etc/credstore.encrypted/twinlock.key";
    drop_in(DAEMON, &format!("[Service]\n{load}\n"));
    systemctl("restart twinlockd");
    assert!(uses());
    gets_in(at_the_prompt("alice"), &phone.code(0));
    // The data key is changed; the credential is the administrator's.
    let rotated = root(&["key", "rotate"]);
    assert!(rotated.status.success() && uses(), "{rotated:?}");
    // A restore runs outside the unit, and has to be given the credential too.
    assert!(root(&["db", "backup", "/root/backup"]).status.success());
    systemctl("stop 'twinlockd*'");
    let without = root(&["db", "restore", "/root/backup", "--yes"]);
    assert!(String::from_utf8_lossy(&without.stderr).contains("no key to open it with"), "{without:?}");
    sh(&format!("systemd-run -q --wait --pipe -p {load} twinlock db restore /root/backup --yes 2>&1"));
    systemctl("start twinlockd");
    gets_in(at_the_prompt("alice"), &bypass("alice"));
    // What systemd does not find is missed where it is needed.
    sh("rm /etc/credstore.encrypted/twinlock.key && rm -r /etc/systemd/system/twinlockd.service.d");
    systemctl("daemon-reload");
    systemctl("restart twinlockd || true");
    wait::until("a word about the key", 20, || {
        let said = sh("journalctl -u twinlockd -o cat");
        said.contains("neither a credential twinlock.key nor /var/lib/twinlock/key").then_some(())
    });
    assert!(!Path::new(STORED_KEY).exists(), "no other is made in its place");
}
