//! `twinlock pam` and doctor where systemd runs: the timer, the unit for boots, the units that doctor looks at.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, process::Command};

use serde_json::Value;
use twinlock_tests::{
    machine::Machine,
    pam_command::{enable, files},
    ssh::{client, outcome},
    wait,
    world::{PASSWORD, done, enroll, root, sh},
};

/// A client that does not give up in the moment in which sshd begins anew, as a reload has it do.
const RELOADED: [&str; 4] = ["-o", "PubkeyAuthentication=no", "-o", "ConnectionAttempts=10"];

/// A host with the packages, where nothing asks for a code yet.
fn installed() -> Machine {
    let machine = Machine::new();
    machine.install(&["libpam-twinlock", "twinlock"]);
    sh("systemctl start ssh");
    machine
}

/// Severity, place and sentence of everything that doctor says.
fn doctor() -> Vec<String> {
    let out = root(&["doctor", "--json"]);
    let found: Vec<Value> = serde_json::from_slice(&out.stdout).unwrap_or_default();
    assert!(!found.is_empty() || out.status.success(), "{out:?}");
    let text = |each: &Value, key: &str| each[key].as_str().unwrap().to_owned();
    found
        .iter()
        .map(|each| format!("{} {}: {}", text(each, "severity"), text(each, "place"), text(each, "sentence")))
        .collect()
}

#[track_caller]
fn says(beginning: &str, part: &str) {
    let seen = doctor();
    assert!(
        seen.iter().any(|each| each.starts_with(beginning) && each.contains(part)),
        "{beginning} {part}: {seen:#?}"
    );
}

#[test]
fn a_timer_of_systemds_undoes_it_and_a_confirmation_stops_that() {
    let _machine = installed();
    let phone = enroll("alice");
    let before = files();
    let _ = done(&enable(&["--undo-after", "8s"]));
    assert!(sh("systemctl list-timers --no-legend 'twinlock-pam-undo-*'").contains("twinlock-pam-undo-"));
    let mut terminal = client("alice", &RELOADED);
    terminal.answer("assword: ", PASSWORD);
    terminal.answer("Verification code: ", &phone.code(0));
    assert!(outcome(terminal, "alice").0, "sshd was reloaded");
    wait::until("the undo", 30, || (files() == before).then_some(()));
    // sshd reads its configuration anew by beginning anew.
    let pending = std::path::Path::new("/var/lib/twinlock/pam/pending.json");
    wait::until("its end", 10, || (!pending.exists()).then_some(()));
    wait::until("sshd", 10, || std::net::TcpStream::connect("127.0.0.1:22").ok());
    let mut terminal = client("alice", &RELOADED);
    terminal.answer("assword: ", PASSWORD);
    assert!(outcome(terminal, "alice").0, "without a code");
    let _ = done(&enable(&["--undo-after", "1h"]));
    assert!(root(&["pam", "confirm"]).status.success());
    assert_eq!(sh("systemctl list-timers --no-legend 'twinlock-pam-undo-*'"), "");
    assert_ne!(files(), before);
}

#[test]
fn the_unit_for_boots_undoes_what_nobody_confirmed_before_anybody_can_log_in() {
    let _machine = installed();
    let _phone = enroll("alice");
    let before = files();
    sh("systemctl start twinlock-pam-undo.service");
    assert_eq!(sh("systemctl show -p ConditionResult --value twinlock-pam-undo").trim(), "no");
    let _ = done(&enable(&[]));
    assert_ne!(files(), before);
    sh("systemctl start twinlock-pam-undo.service");
    assert_eq!(files(), before);
    let order = sh("systemctl show -p Before --value twinlock-pam-undo");
    for later in ["ssh.service", "systemd-user-sessions.service"] {
        assert!(order.split_whitespace().any(|unit| unit == later), "{order}");
    }
    let out = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "twinlock-pam-undo.service"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!said.contains("twinlock-pam-undo"), "{said}");
}

#[test]
fn doctor_names_units_that_are_off_have_failed_or_are_not_there() {
    let _machine = installed();
    let _phone = enroll("alice");
    let _ = done(&enable(&["--undo-after", "0"]));
    assert!(
        !doctor().iter().any(|each| each.contains("twinlockd.service") || each.contains("unit")),
        "{:#?}",
        doctor()
    );
    sh("systemctl disable twinlockd.socket twinlock-pam-undo.service");
    says("error twinlockd.socket", "after a reboot every login");
    says("error twinlock-pam-undo.service", "the unit is not enabled");
    sh("systemctl enable twinlockd.socket twinlock-pam-undo.service");
    sh("systemctl stop twinlockd.service twinlockd.socket twinlockd-user.socket");
    says("error twinlockd.service", "the unit does not run");
    sh("systemctl start twinlockd.socket twinlockd.service");
    // A helper that failed once.
    sh("systemd-run --wait --unit=twinlock-helper false || true");
    says("warning twinlock-helper.service", "this helper has failed");
    // A page is wanted, and there is none.
    fs::create_dir_all("/etc/twinlock/twinlock.d").unwrap();
    fs::write("/etc/twinlock/twinlock.d/web.toml", "[web]\nurl = \"https://id.example.com\"\ncertificate = \"/etc/twinlock/page.pem\"\nkey = \"/etc/twinlock/page.pem\"\n").unwrap();
    sh(
        "chmod 0640 /etc/twinlock/twinlock.d/web.toml; useradd --system twinlock-web; touch /etc/twinlock/page.pem; chmod 0600 /etc/twinlock/page.pem",
    );
    sh("systemctl reload twinlockd");
    wait::until("the new configuration", 10, || {
        doctor().iter().any(|each| each.contains("page.pem")).then_some(())
    });
    says("error /etc/twinlock/page.pem", "twinlock-web cannot read it");
    says("error /run/twinlock/web.sock", "");
    says("warning twinlock-web.service", "links to the enrollment page lead nowhere");
}
