//! The Debian packages, on a host where systemd runs: from `apt install` to `apt purge`. At every step a login works or is
//! refused as it should be, and no stack names a module that is not there.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
    process::{Command, Output},
};

use twinlock_tests::{
    machine::{self, Machine},
    packages::{ALL, apt, broken_lines, dpkg, later, quiet, stacks, state},
    phone::Phone,
    ssh::{client, outcome},
    terminal::Terminal,
    world::{self, PASSWORD, root, script, sh},
};

const CODE_PROMPT: &str = "Verification code";
/// What dpkg says of a package of the first build, and of the later one.
const FIRST: &str = concat!("installed ", env!("CARGO_PKG_VERSION"), "-1");
const LATER: &str = concat!("installed ", env!("CARGO_PKG_VERSION"), "-2");

/// sshd as an administrator sets it up for codes.
fn sshd() {
    fs::write(
        "/etc/ssh/sshd_config.d/code.conf",
        "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n",
    )
    .unwrap();
    sh("systemctl restart ssh");
}

/// What `twinlock` says with `--json`.
#[track_caller]
fn json(arguments: &[&str]) -> serde_json::Value {
    let out = root(arguments);
    assert!(out.status.success(), "{out:?}");
    serde_json::from_slice(&out.stdout).unwrap()
}

/// Gives a user an app.
fn enroll(user: &str) -> Phone {
    let app = json(&["user", "enroll", user, "totp", "--activate", "--json"]);
    Phone::with_key(app["secret"].as_str().unwrap())
}

/// A code for one login, of which there are more than an app has in a minute.
fn bypass(user: &str) -> String {
    json(&["user", "bypass", user, "--reason", "test", "--json"])["code"].as_str().unwrap().to_owned()
}

/// Types the password; says whether that was enough, or a code is asked for.
fn password(user: &str) -> (Terminal, bool) {
    let mut ssh = client(user, &[]);
    ssh.answer("Password: ", PASSWORD);
    let inside = ssh.expect_either("in as", CODE_PROMPT);
    (ssh, inside)
}

/// The password alone lets in, and nothing is broken.
#[track_caller]
fn asks_nobody(user: &str) {
    assert!(password(user).1, "a code is asked for");
    assert_eq!(broken_lines(), [""; 0]);
}

/// Password and code let in, the password and a wrong code do not; and nothing is broken.
#[track_caller]
fn asks(user: &str) {
    assert_eq!(broken_lines(), [""; 0]);
    let (mut ssh, inside) = password(user);
    assert!(!inside, "no code is asked for");
    ssh.type_line(&bypass(user));
    assert!(ssh.expect_either("in as", CODE_PROMPT), "the code does not let in");

    let (mut ssh, _) = password(user);
    ssh.type_line("000000");
    ssh.expect("Wrong code");
    ssh.interrupt();
    assert!(!outcome(ssh, user).0);
}

/// The profile of pam-auth-update, on or off.
fn profile(verb: &str) {
    let out = quiet(Command::new("pam-auth-update").args([verb, "twinlock"]));
    assert!(out.status.success(), "{out:?}");
}

/// What was printed; apt gives dpkg a terminal.
fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr[..]].concat()).replace('\r', "")
}

/// When a unit was last started.
fn started(unit: &str) -> String {
    sh(&format!("systemctl show --value --property=ActiveEnterTimestampMonotonic {unit}"))
}

/// The programs, enrolled alice, and a host that asks by pam-auth-update's profile.
fn host_that_asks() -> (Machine, Phone) {
    let host = Machine::new();
    sshd();
    host.install(&["libpam-twinlock", "twinlock"]);
    let phone = enroll("alice");
    profile("--enable");
    asks("alice");
    (host, phone)
}

/// `dpkg --install` of module, daemon and command: the later ones are an upgrade.
fn dpkg_install(build: fn(&str) -> PathBuf) -> Command {
    let mut dpkg = Command::new("dpkg");
    dpkg.arg("--install").args(["libpam-twinlock", "twinlock"].map(build));
    dpkg
}

#[test]
fn installing_asks_nobody_and_changes_no_stack() {
    let host = Machine::new();
    sshd();
    let before = stacks();
    let out = host.try_install(&ALL.map(machine::package));
    assert!(out.status.success(), "{out:?}");
    let hint: Vec<_> =
        said(&out).lines().filter(|line| line.contains("twinlock pam enable")).map(str::to_owned).collect();
    assert_eq!(hint.len(), 1, "{out:?}");

    let mut after = stacks();
    assert!(after.remove("twinlock-password").is_some(), "ours, and asked by twinlockd alone");
    assert_eq!(after, before);
    asks_nobody("alice");
    enroll("alice");
    asks_nobody("alice");
    assert_eq!(said(&dpkg(&["--verify"])), "");
    assert_eq!(sh("systemctl list-units --failed --quiet 'twinlock*'"), "");
    for unit in [
        "twinlockd.service",
        "twinlockd.socket",
        "twinlockd-user.socket",
        "twinlockd-web.socket",
        "twinlock-password.socket",
        "twinlock-sendmail.socket",
        "twinlock-web.service",
    ] {
        assert_eq!(sh(&format!("systemctl is-enabled {unit}")), "enabled\n", "{unit}");
        assert_eq!(sh(&format!("systemctl is-active {unit}")), "active\n", "{unit}");
    }
}

#[test]
fn from_install_to_purge_a_login_works_or_is_refused_as_it_should() {
    let host = Machine::new();
    sshd();
    let before = stacks();
    host.install(&["libpam-twinlock", "twinlock"]);
    enroll("alice");
    asks_nobody("alice");
    profile("--enable");
    asks("alice");
    asks_nobody("bob");

    fs::write("/etc/twinlock/twinlock.toml", "issuer = 'mine'\n").unwrap();
    assert!(quiet(&mut dpkg_install(later)).status.success());
    assert_eq!(state("twinlock"), LATER);
    asks("alice");
    assert_eq!(fs::read_to_string("/etc/twinlock/twinlock.toml").unwrap(), "issuer = 'mine'\n");

    profile("--disable");
    asks_nobody("alice");
    profile("--enable");
    asks("alice");
    assert!(apt("remove", &["libpam-twinlock"]).status.success());
    asks_nobody("alice");
    host.install(&["libpam-twinlock"]);
    asks_nobody("alice");
    profile("--enable");
    asks("alice");

    let out = apt("purge", &["twinlock", "libpam-twinlock"]);
    assert!(out.status.success() && said(&out).contains("Removing /var/lib/twinlock:"), "{out:?}");
    asks_nobody("alice");
    assert_eq!(stacks(), before);
    for left in ["/var/lib/twinlock", "/etc/twinlock", "/usr/share/twinlock", "/usr/share/doc/twinlock"] {
        assert!(fs::symlink_metadata(left).is_err(), "{left} is left");
    }
    assert_eq!(sh("systemctl list-units --failed --quiet 'twinlock*'"), "");
}

#[test]
fn what_the_command_enabled_goes_with_the_package() {
    let host = Machine::new();
    sshd();
    host.install(&["libpam-twinlock", "twinlock"]);
    enroll("alice");
    let before = stacks();
    let drop_in = "/etc/ssh/sshd_config.d/00-twinlock.conf";
    for package in ["libpam-twinlock", "twinlock"] {
        for words in
            [&["pam", "enable", "--service", "sshd", "--try-as", "alice", "--yes"][..], &["pam", "confirm"]]
        {
            let out = root(words);
            assert!(out.status.success(), "{out:?}");
        }
        assert!(fs::exists(drop_in).unwrap());
        asks("alice");
        assert!(quiet(&mut dpkg_install(later)).status.success());
        asks("alice");

        let out = apt("remove", &[package]);
        assert!(out.status.success(), "{out:?}");
        assert_eq!(stacks(), before);
        assert!(!fs::exists(drop_in).unwrap());
        asks_nobody("alice");
        assert!(quiet(&mut dpkg_install(machine::package)).status.success());
    }
}

#[test]
fn a_login_that_waits_goes_on_after_an_upgrade() {
    let (_host, phone) = host_that_asks();
    let (mut waiting, inside) = password("alice");
    assert!(!inside);
    let restarted = ["twinlockd.service"];
    let untouched = ["twinlockd.socket", "twinlockd-user.socket", "twinlock-password.socket", "ssh.service"];
    let before = (restarted.map(started), untouched.map(started));

    assert!(quiet(&mut dpkg_install(later)).status.success());
    assert_eq!(state("twinlock"), LATER);
    assert_ne!(restarted.map(started), before.0);
    assert_eq!(untouched.map(started), before.1);

    waiting.type_line(&phone.code(0));
    waiting.expect("in as alice");
    assert_eq!(waiting.finish().1, 0);
    asks("alice");
}

/// Ways for dpkg to die in the middle: it, and what it has called, are gone at once.
fn deaths() -> Vec<(String, Command)> {
    let upgrade_with = |program: &str, arguments: &[String]| {
        let upgrade = dpkg_install(later);
        let mut command = Command::new(program);
        command.args(arguments).arg(upgrade.get_program()).args(upgrade.get_args());
        command
    };
    // Each file takes its name by a rename, and so does dpkg's own state.
    let traced = "/root/renames";
    let out = quiet(&mut upgrade_with("strace", &["-o", traced, "-e", "trace=rename"].map(str::to_owned)));
    assert!(out.status.success(), "{out:?}");
    let renames = fs::read_to_string(traced).unwrap().matches("rename(").count();
    assert!(renames > 20, "{renames}");
    let mut deaths: Vec<_> = (1..=3)
        .map(|part| {
            let inject = format!("inject=rename:signal=KILL:when={}", renames * part / 4);
            let arguments = ["-o", "/dev/null", "-e", "trace=rename", "-e", &inject].map(str::to_owned);
            (format!("rename {part}/4"), upgrade_with("strace", &arguments))
        })
        .collect();
    // The scripts of the packages call these.
    for helper in ["pam-auth-update", "deb-systemd-helper", "deb-systemd-invoke"] {
        fs::create_dir_all(format!("/root/{helper}")).unwrap();
        script(&format!("/root/{helper}/{helper}"), "#!/bin/sh\nkill -KILL 0\n");
        let path = format!("PATH=/root/{helper}:/usr/sbin:/usr/bin:/sbin:/bin");
        let arguments = ["--wait", "env", &path].map(str::to_owned);
        deaths.push((helper.to_owned(), upgrade_with("setsid", &arguments)));
    }
    deaths
}

#[test]
fn an_upgrade_that_dies_locks_nobody_out() {
    let (_host, _) = host_that_asks();
    for (point, mut dying) in deaths() {
        assert!(quiet(&mut dpkg_install(machine::package)).status.success());
        let out = quiet(&mut dying);
        assert!(!out.status.success(), "{point}: {out:?}");
        assert_ne!(said(&dpkg(&["--audit"])) + &state("twinlock"), LATER, "{point}: {out:?}");
        asks("alice");
        // As dpkg says; it may want the file of what was half unpacked.
        let _ = dpkg(&["--configure", "--pending"]);
        let out = quiet(&mut dpkg_install(later));
        assert!(out.status.success(), "{point}: {out:?}");
        assert_eq!((said(&dpkg(&["--audit"])), state("twinlock")), (String::new(), LATER.to_owned()));
        asks("alice");
    }
}

#[test]
fn removal_is_refused_while_a_line_would_deny_every_login() {
    let (_host, _) = host_that_asks();
    // Where it stands, taking our line out would make another one jump too far.
    let stack = "auth requisite pam_unix.so\n\
                 auth [success=1 default=ignore] pam_succeed_if.so quiet user = bob\n\
                 auth required pam_twinlock.so after_first_factor\n\
                 auth required pam_permit.so\n\
                 account required pam_unix.so\nsession required pam_permit.so\n";
    world::stack("sudo", stack);
    // Copies of dpkg's and of editors are no stacks.
    world::stack("su.dpkg-old", stack);
    world::stack("sudo.bak", stack);
    for package in ["libpam-twinlock", "twinlock"] {
        let out = apt("remove", &[package]);
        assert!(!out.status.success(), "{out:?}");
        let all = said(&out);
        assert!(all.contains(&format!("{package} is not removed: these PAM stacks")), "{all}");
        assert!(all.contains("\n/etc/pam.d/sudo\nTake those lines out"), "{all}");
        assert_eq!(state(package), FIRST);
        assert_eq!(fs::read_to_string("/etc/pam.d/sudo").unwrap(), stack);
        assert_eq!(sh("systemctl is-active twinlockd twinlockd.socket"), "active\nactive\n");
        asks_nobody("alice");
    }
    world::stack(
        "sudo",
        "@include common-auth\n@include common-account\n@include common-session-noninteractive\n",
    );
    assert!(apt("remove", &["libpam-twinlock", "twinlock"]).status.success());
    asks_nobody("alice");
}

#[test]
fn the_daemon_goes_alone_and_takes_its_lines_along() {
    let (host, _) = host_that_asks();
    let out = apt("remove", &["twinlock"]);
    assert!(out.status.success(), "{out:?}");
    assert!(stacks().iter().all(|(file, text)| file == "twinlock-password" || !text.contains("twinlock")));
    asks_nobody("alice");
    assert!(fs::exists("/var/lib/twinlock/twinlock.db").unwrap(), "only a purge forgets who is enrolled");
    assert!(!fs::exists("/run/twinlock/login.sock").unwrap());
    host.install(&["twinlock"]);
    profile("--enable");
    asks("alice");
}

#[test]
fn the_module_alone_changes_nothing() {
    let host = Machine::new();
    sshd();
    let before = stacks();
    host.install(&["libpam-twinlock"]);
    assert_eq!(stacks(), before);
    asks_nobody("alice");
    let out = apt("purge", &["libpam-twinlock"]);
    assert!(out.status.success(), "{out:?}");
    assert_eq!(stacks(), before);
    asks_nobody("alice");
}

#[test]
fn packages_install_where_systemd_does_not_run() {
    let _host = Machine::new();
    // Without what is mounted at /run, /proc and /sys: as in the making of an image.
    sh("mkdir /srv/image && mount --bind / /srv/image && mount --bind /dev /srv/image/dev");
    let files = ALL.map(|name| machine::package(name).display().to_string());
    for file in &files {
        sh(&format!("cp {file} /srv/image/root/"));
    }
    let run = |line: &str| quiet(Command::new("chroot").args(["/srv/image", "sh", "-c", line]));
    let out = run("apt-get install --yes --no-install-recommends /root/*.deb");
    assert!(out.status.success(), "{out:?}");
    for unit in ["multi-user.target.wants/twinlockd.service", "sockets.target.wants/twinlockd.socket"] {
        assert!(fs::symlink_metadata(format!("/etc/systemd/system/{unit}")).is_ok(), "{unit} is not enabled");
    }
    assert_eq!(started("twinlockd.service"), "0\n");
    assert_eq!(broken_lines(), [""; 0]);
    let out =
        run("pam-auth-update --enable twinlock && apt-get purge --yes twinlock libpam-twinlock twinlock-web");
    assert!(out.status.success(), "{out:?}");
    assert_eq!(broken_lines(), [""; 0]);
    assert!(fs::symlink_metadata("/etc/systemd/system/multi-user.target.wants/twinlockd.service").is_err());
}

#[test]
fn a_policy_that_starts_nothing_is_heeded() {
    let host = Machine::new();
    sshd();
    script("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n");
    host.install(&ALL);
    assert_eq!(started("twinlockd.service"), "0\n");
    assert!(!fs::exists("/run/twinlock").unwrap());
    asks_nobody("alice");
    fs::remove_file("/usr/sbin/policy-rc.d").unwrap();
    sh("systemctl start twinlockd");
    enroll("alice");
    profile("--enable");
    asks("alice");
}

#[test]
fn the_page_has_its_socket_once_it_is_installed() {
    let (host, _) = host_that_asks();
    assert!(!fs::exists("/run/twinlock/web.sock").unwrap());
    let (mut waiting, _) = password("alice");
    host.install(&["twinlock-web"]);
    let socket = fs::metadata("/run/twinlock/web.sock").unwrap();
    assert_eq!(format!("{}\n", socket.uid()), sh("id -u twinlock-web"));
    assert_eq!(socket.mode() & 0o777, 0o600);
    assert_eq!(sh("systemctl is-active twinlock-web twinlockd"), "active\nactive\n");
    waiting.type_line(&bypass("alice"));
    waiting.expect("in as alice");

    let before = started("twinlockd.service");
    assert!(apt("remove", &["twinlock-web"]).status.success());
    assert!(!fs::exists("/run/twinlock/web.sock").unwrap());
    assert_eq!(started("twinlockd.service"), before);
    asks("alice");
}

/// Rows of packaging/README.md: path, package, mode.
fn table() -> Vec<(String, String, u32)> {
    include_str!("../../packaging/README.md")
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("| `/")?.split(" | ").collect();
            let mode = u32::from_str_radix(cells[2].trim(), 8).ok()?;
            Some((format!("/{}", cells[0].trim_end_matches(['`', '/'])), cells[1].trim().to_owned(), mode))
        })
        .collect()
}

/// Whether a path is meant: one `*` stands for anything. Debian 12 has units in /lib, which is /usr/lib.
fn means(pattern: &str, path: &str) -> bool {
    let path = path.strip_prefix("/lib/").map_or_else(|| path.to_owned(), |rest| format!("/usr/lib/{rest}"));
    let (head, tail) = pattern.split_once('*').unwrap_or((pattern, ""));
    path.len() >= head.len() + tail.len()
        && path.starts_with(head)
        && path.ends_with(tail)
        && (pattern.contains('*') || path == pattern)
}

#[test]
fn every_file_is_in_the_table_with_its_package_and_mode() {
    let host = Machine::new();
    host.install(&ALL);
    let table = table();
    let mut seen = vec![false; table.len()];
    for package in ALL {
        for path in sh(&format!("dpkg-query --listfiles {package}")).lines().filter(|path| *path != "/.") {
            let file = fs::metadata(path).unwrap();
            let row = table.iter().position(|(pattern, whose, _)| whose == package && means(pattern, path));
            let wanted = match row {
                Some(row) => {
                    seen[row] = true;
                    table[row].2
                }
                None if file.is_dir() => 0o755,
                // What dpkg wants of every package.
                None if path.starts_with(&format!("/usr/share/doc/{package}/c")) => 0o644,
                None if path.starts_with("/usr/share/lintian/") => 0o644,
                None => panic!("{path} of {package} is not in packaging/README.md"),
            };
            let shared = file.is_dir() && row.is_none();
            let found = (file.permissions().mode() & 0o7777, file.uid(), file.gid());
            assert!(shared || found == (wanted, 0, 0), "{path}: {found:?}, not {wanted:o}");
        }
    }
    for (row, seen) in table.iter().zip(seen) {
        assert!(seen, "{row:?} of packaging/README.md is not shipped");
    }
}
