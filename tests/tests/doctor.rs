//! `twinlock doctor` on real stacks and a real sshd: what it names is true, and a sound installation has no error.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::fs;

use twinlock_tests::{
    ssh::{self, KEYBOARD_INTERACTIVE, client, outcome},
    world::{self, PASSWORD, World, as_user, root},
};

const SOUND: &str = "\
auth     requisite pam_unix.so nodelay
auth     required  pam_twinlock.so after_first_factor
account  required  pam_twinlock.so
account  required  pam_unix.so
session  required  pam_permit.so
";
const NO_ROOT: &str = "PermitRootLogin no\n";

/// The box has files of Debian's that have nothing to do with us; the shipped configuration is in force.
fn installed() -> World {
    let world = World::new();
    world::sh("install -d -m 0755 /etc/twinlock");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/config/twinlock.toml");
    world::sh(&format!("install -m 0640 {shipped} /etc/twinlock/twinlock.toml"));
    world
}

struct Seen {
    code: i32,
    findings: Vec<(String, String)>,
}

/// Severity and sentence with its place and remedy.
fn doctor() -> Seen {
    let out = root(&["doctor", "--json"]);
    let found: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap_or_else(|_| panic!("{out:?}"));
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = found.as_array().unwrap().iter().map(|finding| {
        assert!(!text(finding, "remedy").is_empty(), "{finding}");
        (
            text(finding, "severity"),
            format!("{}: {}; {}", text(finding, "place"), text(finding, "sentence"), text(finding, "remedy")),
        )
    });
    Seen { code: out.status.code().unwrap(), findings: findings.collect() }
}

impl Seen {
    fn errors(&self) -> Vec<&str> {
        self.findings
            .iter()
            .filter(|(severity, _)| severity == "error")
            .map(|(_, text)| text.as_str())
            .collect()
    }

    #[track_caller]
    fn has(&self, severity: &str, parts: &[&str]) {
        let fits =
            |(how, text): &&(String, String)| how == severity && parts.iter().all(|part| text.contains(part));
        assert!(
            self.findings.iter().any(|finding| fits(&finding)),
            "{severity} {parts:?} in {:#?}",
            self.findings
        );
        assert_eq!(self.code, i32::from(!self.errors().is_empty()));
    }
}

#[test]
fn a_sound_installation_has_no_error() {
    let world = installed();
    let (_daemon, _sshd) = (world.daemon(), world.sshd(SOUND, &format!("{KEYBOARD_INTERACTIVE}{NO_ROOT}")));
    let seen = doctor();
    assert_eq!((seen.errors(), seen.code), (vec![], 0));
    let out = root(&["doctor"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(said.contains("The second factor is asked at: sshd (auth, account)."), "{said}");
    assert!(said.contains("do not resist phishing"), "{said}");
    let out = as_user("alice", "twinlock").arg("doctor").output().unwrap();
    assert!(
        out.status.code() == Some(77) && String::from_utf8_lossy(&out.stderr).contains("root"),
        "{out:?}"
    );
}

/// Stacks that let somebody in without a code, and what doctor says of them. Each is shown by a login.
#[test]
fn every_stack_that_it_calls_open_lets_in_without_a_code() {
    let world = installed();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let rest = "account required pam_unix.so\nsession required pam_permit.so\n";
    for (auth, named) in [
        ("auth sufficient pam_unix.so\nauth required pam_twinlock.so\n", "/etc/pam.d/sshd:1"),
        ("auth requisite pam_unix.so\nauth optional pam_twinlock.so\n", "/etc/pam.d/sshd:2"),
        ("auth requisite pam_unix.so\nauth [default=ignore] pam_twinlock.so\n", "/etc/pam.d/sshd:2"),
        (
            "auth [success=1 default=die] pam_unix.so\nauth required pam_twinlock.so\nauth required pam_permit.so\n",
            "/etc/pam.d/sshd:1",
        ),
        ("auth include ours\nauth required pam_twinlock.so\n", "/etc/pam.d/ours:1"),
    ] {
        world::stack("ours", "auth sufficient pam_unix.so\n");
        let sshd = world.sshd(&format!("{auth}{rest}"), &format!("{KEYBOARD_INTERACTIVE}{NO_ROOT}"));
        doctor().has("error", &[named, "a login succeeds without the second factor"]);
        let mut ssh = client("alice", &[]);
        ssh.answer("Password: ", PASSWORD);
        while ssh.expect_either("Verification code: ", "in as") {
            ssh.type_line("000000");
        }
        drop((ssh, sshd));
    }
}

#[test]
fn a_stack_for_keys_without_after_key_is_open() {
    let world = installed();
    let _daemon = world.daemon();
    let phone = world.enroll("alice");
    let stack = "auth required pam_twinlock.so\nauth required pam_permit.so\naccount required pam_unix.so\n";
    let _sshd = world.sshd(stack, &format!("{KEYBOARD_INTERACTIVE}{NO_ROOT}"));
    doctor().has("error", &["/etc/pam.d/sshd:1", "the stack is open", "after_key"]);
    let mut ssh = client("alice", &[]);
    ssh.answer("Verification code: ", &phone.code(0));
    assert!(outcome(ssh, "alice").0, "a code alone");
}

#[test]
fn a_line_that_believes_in_a_password_that_was_wrong_is_named() {
    let world = installed();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let stack = "auth required pam_unix.so nodelay\nauth required pam_twinlock.so after_first_factor\naccount required pam_unix.so\n";
    let _sshd = world.sshd(stack, &format!("{KEYBOARD_INTERACTIVE}{NO_ROOT}"));
    doctor()
        .has("error", &["/etc/pam.d/sshd:2", "after a wrong password", "auth requisite pam_unix.so nodelay"]);
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", "wrong horse");
    ssh.answer("Verification code: ", "000000");
    assert!(
        ssh.expect("Verification code: ").contains("Wrong code"),
        "whoever has no password spends the user's tries"
    );
    assert_eq!(world.failures("alice"), 1);
}

#[test]
fn every_way_through_sshd_that_asks_nobody_is_named() {
    let world = installed();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let key = ssh::key_for("alice");
    let without_account = SOUND.replace("account  required  pam_twinlock.so\n", "");
    // A key alone, for everybody or under a Match block.
    for (config, named) in [
        (
            format!("KbdInteractiveAuthentication yes\nPasswordAuthentication no\n{NO_ROOT}"),
            "AuthenticationMethods any allows publickey",
        ),
        (
            format!("{KEYBOARD_INTERACTIVE}{NO_ROOT}Match User alice\n AuthenticationMethods publickey\n"),
            "sshd (/etc/ssh/sshd_config:9 Match User alice)",
        ),
        (
            format!(
                "{KEYBOARD_INTERACTIVE}{NO_ROOT}Match Group alice Address 127.0.0.0/8\n AuthenticationMethods publickey\n"
            ),
            "Match Group alice",
        ),
    ] {
        let sshd = world.sshd(&without_account, &config);
        doctor().has("error", &[named, "reaches a shell without the second factor"]);
        assert!(outcome(client("alice", &["-i", &key]), "alice").0, "{config}");
        drop(sshd);
        // With our account line the key alone is refused, and that is said.
        let sshd = world.sshd(SOUND, &config);
        let seen = doctor();
        seen.has("warning", &["the account line of pam_twinlock.so refuses"]);
        assert_eq!(seen.errors(), Vec::<&str>::new());
        assert!(!outcome(client("alice", &["-i", &key]), "alice").0, "{config}");
        drop(sshd);
    }
    // What is read is the configuration, whether an sshd runs with it or not.
    fs::write("/etc/ssh/sshd_config", format!("UsePAM no\n{KEYBOARD_INTERACTIVE}{NO_ROOT}")).unwrap();
    doctor().has("error", &["UsePAM is off", "every login succeeds without the second factor"]);
    fs::write("/etc/ssh/sshd_config", "Nonsense yes\n").unwrap();
    doctor().has("error", &["sshd does not say what holds", "Nonsense"]);
    let both = "KbdInteractiveAuthentication yes\nAuthenticationMethods publickey,keyboard-interactive:pam\nPermitRootLogin prohibit-password\n";
    let _sshd = world.sshd(ssh::KEY_THEN_CODE, both);
    // As long as policy asks root nothing there, it does not matter.
    assert_eq!(doctor().errors(), Vec::<&str>::new());
    assert!(root(&["user", "require", "root"]).status.success());
    doctor().has("error", &["PermitRootLogin", "replaces the code that root types by junk"]);
}

#[test]
fn what_is_wrong_beside_the_stacks_is_named() {
    let world = installed();
    let daemon = world.daemon();
    let _sshd = world.sshd(SOUND, &format!("{KEYBOARD_INTERACTIVE}{NO_ROOT}"));
    assert_eq!(doctor().errors(), Vec::<&str>::new());
    world::sh("chmod 0644 /var/lib/twinlock/twinlock.db");
    doctor().has(
        "error",
        &["/var/lib/twinlock/twinlock.db", "0644", "run chmod 0600 /var/lib/twinlock/twinlock.db"],
    );
    world::sh("chmod 0600 /var/lib/twinlock/twinlock.db; chown alice /etc/twinlock/twinlock.toml");
    doctor().has("error", &["/etc/twinlock/twinlock.toml", "run chown root: /etc/twinlock/twinlock.toml"]);
    world::sh(
        "chown root /etc/twinlock/twinlock.toml; printf '[[role]]\\nname = 1\\n' >> /etc/twinlock/twinlock.toml",
    );
    doctor().has("error", &["/etc/twinlock/twinlock.toml:", "expected a string"]);
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/config/twinlock.toml");
    world::sh(&format!("install -m 0640 {shipped} /etc/twinlock/twinlock.toml"));
    world::sh(
        "mkdir -p /etc/twinlock/credentials; touch /etc/twinlock/credentials/smtp; chmod 0644 /etc/twinlock/credentials/smtp",
    );
    doctor().has("error", &["run chmod 0600 /etc/twinlock/credentials/smtp"]);
    world::sh("chmod 0600 /etc/twinlock/credentials/smtp; chmod 0666 /etc/pam.d/sshd");
    doctor().has("error", &["/etc/pam.d/sshd", "run chmod go-w /etc/pam.d/sshd"]);
    world::sh("chmod 0644 /etc/pam.d/sshd");
    // A mistyped argument, a module that is not there.
    world::stack("su", "auth required pam_unix.so\nauth required pam_twinlock.so failmode=open\n");
    doctor().has("error", &["/etc/pam.d/su:2", "failmode=open", "every login is denied"]);
    world::stack("su", "auth requisite pam_unix.so\nauth required /usr/lib/gone/pam_twinlock.so\n");
    doctor().has("error", &["/etc/pam.d/su:2", "is missing, and every login is denied"]);
    fs::remove_file("/etc/pam.d/su").unwrap();
    // Root at the console needs a factor: nobody could mend this host.
    world::stack("login", SOUND);
    fs::write(
        "/etc/twinlock/twinlock.toml",
        "[[role]]\nname = 'all'\ngroups = ['*']\nsecond-factor = 'required'\n",
    )
    .unwrap();
    world::sh("chmod 0640 /etc/twinlock/twinlock.toml");
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    twinlock_tests::wait::until("the new rules", 10, || {
        let seen = doctor();
        seen.findings
            .iter()
            .any(|(_, text)| text.contains("root needs a second factor at the console"))
            .then_some(())
    });
    assert!(daemon.stop().success());
    doctor().has(
        "error",
        &["twinlockd", "every login of a stack with its line is denied", "systemctl start twinlockd"],
    );
}
