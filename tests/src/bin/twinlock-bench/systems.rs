//! Ours and the peers: how each is set up, and its next logins.

use std::{
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
};

use twinlock_tests::{
    phone::{Phone, now},
    world,
};

use super::driver::{self, Login};

pub const ROUNDS: usize = 5;
/// Logins of each kind, in each round.
pub const LOGINS: usize = 50;
pub const ALL: [(&str, &str); 4] = [
    ("pam_permit", "pam_permit.so"),
    ("google-authenticator", "pam_google_authenticator.so"),
    ("pam_oath", "pam_oath.so"),
    ("twinlock", "pam_twinlock.so"),
];

/// RFC 4226's key, in hexadecimal and Base32.
const HEX: &str = "3132333435363738393031323334353637383930";
const BASE32: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

/// A system under test, and its times in microseconds.
pub struct System {
    pub name: &'static str,
    module: &'static str,
    counter: usize,
    pub fresh: Vec<f64>,
    /// All of it, and what came behind the answer.
    pub resident: Vec<(f64, f64)>,
}

impl System {
    pub const fn new((name, module): (&'static str, &'static str)) -> Self {
        Self { name, module, counter: 0, fresh: Vec::new(), resident: Vec::new() }
    }

    /// One round.
    pub fn measure(&mut self, users: &mut Users) {
        let logins = self.logins(users);
        self.fresh.extend(driver::fresh(self.name, &logins));
        let logins = self.logins(users);
        self.resident.extend(driver::resident(self.name, self.module, &logins));
    }

    fn logins(&mut self, users: &mut Users) -> Vec<Login> {
        match self.name {
            "twinlock" => users.take(LOGINS),
            "google-authenticator" => google(),
            "pam_oath" => {
                let out = world::sh(&format!("oathtool --hotp -c {} -w {} {HEX}", self.counter, LOGINS - 1));
                self.counter += LOGINS; // HOTP, one user, the counter moves
                out.lines().map(|code| ("u0".to_owned(), code.to_owned())).collect()
            }
            _ => vec![("root".to_owned(), "0".to_owned()); LOGINS],
        }
    }
}

/// Enrolled users, each for one login.
pub struct Users(Vec<String>);

impl Users {
    pub fn enroll(count: usize) -> Self {
        let users: Vec<String> = (0..count).map(|n| format!("u{n}")).collect();
        let mut passwd = fs::OpenOptions::new().append(true).open("/etc/passwd").unwrap();
        for (n, user) in users.iter().enumerate() {
            writeln!(passwd, "{user}:x:{}:100::/nonexistent:/bin/sh", 5000 + n).unwrap();
        }
        fs::write("/root/key", BASE32).unwrap();
        for user in &users {
            let out =
                world::root(&["user", "enroll", user, "totp", "--secret-file", "/root/key", "--activate"]);
            assert!(out.status.success(), "{out:?}");
        }
        Self(users)
    }

    pub fn left(&self) -> usize {
        self.0.len()
    }

    /// The next ones, with a code of now.
    pub fn take(&mut self, count: usize) -> Vec<Login> {
        let code = Phone::with_key(BASE32).code_at(now());
        self.0.drain(..count).map(|user| (user, code.clone())).collect()
    }
}

/// A new state file for each login, so that each has one new record.
fn google() -> Vec<Login> {
    let code = Phone::with_key(BASE32).code_at(now());
    fs::create_dir_all("/var/lib/otp").unwrap();
    let mut login = |n: usize| {
        let path = format!("/var/lib/otp/u{n}");
        let _ = fs::remove_file(&path);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
        write!(file, "{BASE32}\n\" WINDOW_SIZE 3\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n").unwrap();
        (format!("u{n}"), code.clone())
    };
    (0..LOGINS).map(&mut login).collect()
}

pub fn stacks() {
    world::stack("pam_permit", "auth required pam_permit.so\n");
    world::stack("twinlock", "auth required pam_twinlock.so after_first_factor\n");
    world::stack(
        "google-authenticator",
        "auth required pam_google_authenticator.so secret=/var/lib/otp/${USER} user=root\n",
    );
    world::stack("pam_oath", "auth required pam_oath.so usersfile=/var/lib/oath/users window=20\n");
    fs::create_dir_all("/var/lib/oath").unwrap();
    fs::write("/var/lib/oath/users", format!("HOTP u0 - {HEX}\n")).unwrap();
    fs::set_permissions("/var/lib/oath/users", fs::Permissions::from_mode(0o600)).unwrap();
}
