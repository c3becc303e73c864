//! What the Debian packages put where: every file, and where systemd does not run or may not start anything.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    process::Command,
};

use twinlock_tests::{
    host::{asks, asks_nobody, host_that_asks, password, profile, sshd, started},
    machine::{self, Machine},
    packages::{ALL, apt, broken_lines, quiet},
    world::{bypass, enroll, script, sh},
};

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
    let _phone = enroll("alice");
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
