//! A key as a picture: what a reader of codes reads, and where it is written.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
    process::{Command, Output, Stdio},
};

use twinlock_tests::{
    pamhost::{self, pam},
    phone::Phone,
    world::{self, World, root},
};

const OURS: &str = "auth required pam_twinlock.so after_first_factor\n";

fn enroll(user: &str, more: &[&str]) -> Output {
    root(&[&["user", "enroll", user, "totp", "--activate"], more].concat())
}

fn read(picture: &str) -> String {
    let out = Command::new("zbarimg").args(["-q", "--raw", picture]).output().expect("zbarimg is installed");
    String::from_utf8(out.stdout).unwrap().trim().to_owned()
}

fn factors(user: &str) -> usize {
    let out = root(&["user", "show", user, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    json["factors"].as_array().map_or(0, Vec::len)
}

#[track_caller]
fn refused(out: &Output, code: i32, expected: &str) {
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(code) && said.contains(expected), "{out:?}");
}

#[test]
fn a_picture_holds_the_link_and_nothing_else_shows_it() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("ours", OURS);
    let out = enroll("alice", &["--json", "--png", "/root/alice.png"]);
    assert!(out.status.success(), "{out:?}");
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(
        (read("/root/alice.png").as_str(), &json["png"]),
        (json["uri"].as_str().unwrap(), &"/root/alice.png".into())
    );
    assert_eq!(fs::metadata("/root/alice.png").unwrap().mode() & 0o7777, 0o600);
    let phone = Phone::with_key(json["secret"].as_str().unwrap());
    assert_eq!(pamhost::run(&["-s", "ours", "-u", "alice", &phone.code(0)]).code, pam::SUCCESS);
    let described = world::sh("file /root/alice.png 2>/dev/null || od -An -tx1 -j16 -N13 /root/alice.png");
    assert!(described.contains("1-bit grayscale") || described.contains(" 01 00 00 00 00"), "{described}");

    // For a person: where it is, and not a word of the key.
    let out = enroll("bob", &["--png", "/root/bob.png"]);
    let said = String::from_utf8(out.stdout).unwrap();
    let link = read("/root/bob.png");
    let secret = link.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    assert!(link.starts_with("otpauth://totp/") && secret.len() >= 32, "{link}");
    assert!(said.contains("counts at once.\nIts key is in /root/bob.png, and nowhere else"), "{said}");
    assert!(!said.contains(secret) && !said.contains("otpauth") && said.lines().count() == 2, "{said}");
    let log = world.log();
    assert!(!log.contains(secret), "{log}");
}

#[test]
fn nothing_is_written_over_and_no_link_is_followed() {
    let world = World::new();
    let _daemon = world.daemon();
    fs::write("/root/there.png", "as it was").unwrap();
    symlink("/root/victim", "/root/link.png").unwrap();
    for path in ["/root/there.png", "/root/link.png"] {
        let out = enroll("alice", &["--png", path]);
        refused(&out, 1, &format!("{path} is there already and stays as it is: choose another name"));
    }
    assert_eq!(fs::read_to_string("/root/there.png").unwrap(), "as it was");
    assert!(!Path::new("/root/victim").exists());
    refused(&enroll("alice", &["--png", "/nowhere/a.png"]), 1, "cannot write /nowhere/a.png");
    refused(&enroll("alice", &["--png", "-", "--json"]), 2, "cannot both go to standard output");
    refused(&enroll("alice", &["--png", "/root/a.png", "--qr", "utf8"]), 2, "cannot be used with");
    assert_eq!(factors("alice"), 0, "no factor was left behind");

    // No factor: no picture either.
    refused(&enroll("nobody-here", &["--png", "/root/a.png"]), 1, "nobody-here");
    assert!(!Path::new("/root/a.png").exists());
}

#[test]
fn a_picture_can_go_to_a_program_and_not_to_a_terminal() {
    let world = World::new();
    let _daemon = world.daemon();
    let out = Command::new("sh")
        .args(["-c", "twinlock user enroll alice totp --png - >/root/piped.png"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success() && said.starts_with("Factor ") && said.lines().count() == 1, "{said}");
    assert!(read("/root/piped.png").starts_with("otpauth://totp/"));
    let mut command = Command::new("twinlock");
    command.args(["user", "enroll", "bob", "totp", "--png", "-"]);
    let mut terminal = twinlock_tests::terminal::Terminal::run(command);
    terminal.expect("a picture is no text");
    assert_eq!((terminal.finish().1, factors("bob")), (2, 0));
}

#[test]
fn a_disk_that_fills_up_leaves_no_half_picture_and_says_what_to_do() {
    let world = World::new();
    let _daemon = world.daemon();
    world::sh(
        "mkdir /small && mount -t tmpfs -o size=4k small /small && head -c 4096 /dev/zero >/small/fill",
    );
    let out = enroll("alice", &["--png", "/small/a.png"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.code() == Some(1) && said.contains("cannot write /small/a.png"), "{said}");
    assert!(said.contains("nobody has its key") && said.contains("twinlock user reset alice"), "{said}");
    assert!(!Path::new("/small/a.png").exists());
    assert!(root(&["user", "reset", "alice"]).status.success());
    assert_eq!(factors("alice"), 0);
}
