//! `twinlock pam`: on Debian's own stacks, with a real sshd; whatever ends in between, there is a way back.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use twinlock_tests::{
    pamhost::{self, pam},
    phone::{Phone, early_in_a_step},
    ssh::{self, Sshd, client, outcome},
    terminal::Terminal,
    wait,
    world::{self, PASSWORD, World, root, sh},
};

const STACK: &str = "/etc/pam.d/sshd";
const LEDGER: &str = "/var/lib/twinlock/pam";

/// Debian's sshd, as it is installed.
fn debians_sshd(world: &World) -> Sshd {
    let stack = fs::read_to_string(STACK).unwrap();
    let config = fs::read_to_string("/etc/ssh/sshd_config").unwrap();
    world.sshd(&stack, &config)
}

#[track_caller]
fn done(out: &Output) -> String {
    assert!(out.status.success(), "{out:?}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Refused, with this sentence; the exit code is that of an answer that is no.
#[track_caller]
fn refused(arguments: &[&str], sentence: &str) {
    let out = root(arguments);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!out.status.success() && said.contains(sentence), "{arguments:?}: {out:?}");
}

fn status() -> Value {
    serde_json::from_str(&done(&root(&["pam", "status", "--json"]))).unwrap()
}

/// Everything that the command may write, byte for byte; while it is at it, a draft may be gone before it is read.
fn files() -> String {
    sh("cd / && find etc/pam.d etc/ssh -type f | sort | xargs sha256sum 2>/dev/null || true")
}

fn enable(more: &[&str]) -> Output {
    root(&[&["pam", "enable", "--yes", "--try-as", "alice"][..], more].concat())
}

/// Logs in by password and code.
#[track_caller]
fn with_code(code: &str) -> (bool, String) {
    let mut terminal = client("alice", &["-o", "PubkeyAuthentication=no"]);
    terminal.answer("assword: ", PASSWORD);
    terminal.expect("Verification code: ");
    terminal.type_line(code);
    if terminal.expect_either("in as alice", "Wrong code. ") {
        return (true, terminal.finish().0);
    }
    terminal.interrupt();
    (false, terminal.finish().0)
}

fn next_code(phone: &mut Phone) -> String {
    let _ = done(&root(&["user", "reset", "alice"]));
    let out = done(&root(&["user", "enroll", "alice", "totp", "--activate", "--json"]));
    let json: Value = serde_json::from_str(&out).unwrap();
    *phone = Phone::with_key(json["secret"].as_str().unwrap());
    early_in_a_step(5);
    phone.code(0)
}

#[test]
fn enabled_it_asks_confirmed_it_stays_disabled_the_bytes_are_those_of_before() {
    let world = World::new();
    let daemon = world.daemon();
    let mut phone = world.enroll("alice");
    let _sshd = debians_sshd(&world);
    let before = files();
    let said = done(&enable(&[]));
    for part in
        ["+auth\trequired\tpam_twinlock.so after_first_factor", "asked now at: sshd", "twinlock pam confirm"]
    {
        assert!(said.contains(part), "{part:?}: {said}");
    }
    let seen = status();
    assert_eq!(seen["waiting"]["services"], serde_json::json!(["sshd"]));
    let service = &seen["services"][0];
    for (field, value) in [
        ("service", "sshd"),
        ("written_by", "command"),
        ("first_factor", "password"),
        ("state", "waiting"),
        ("doctor", "well"),
    ] {
        assert_eq!(service[field], value, "{seen}");
    }
    // With the code in, with a wrong one not, and behind a wrong password nobody is asked.
    let code = next_code(&mut phone);
    assert!(with_code(&code).0);
    assert!(!with_code(&phone.wrong_code()).0);
    let mut terminal = client("alice", &["-o", "PubkeyAuthentication=no"]);
    terminal.answer("assword: ", "wrong horse");
    let (inside, said) = outcome(terminal, "alice");
    assert!(!inside && !said.contains("Verification"), "{said}");
    assert_eq!(done(&root(&["pam", "confirm"])), "Confirmed: sshd.\n");
    assert_eq!(status()["services"][0]["state"], "confirmed");
    refused(&["pam", "confirm"], "nothing waits");
    assert!(done(&enable(&[])).contains("asked there already"));
    let trail = done(&root(&["audit", "--event", "pam-enable", "--json"]));
    let events: Vec<Value> = trail.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let reasons: Vec<&str> = events.iter().map(|event| event["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["written, waits to be confirmed", "confirmed"]);
    assert_eq!(events[0]["service"], "sshd");
    let _ = world.log_with("pam-enable service=sshd");
    // Neither daemon nor module is needed to get out of it.
    assert!(daemon.stop().success());
    sh("rm /usr/lib/*/security/pam_twinlock.so");
    assert!(done(&root(&["pam", "disable", "--yes"])).contains("asked any more at: sshd"));
    assert_eq!(files(), before);
    let _ = world.log_with("pam-disable service=sshd");
    let mut terminal = client("alice", &["-o", "PubkeyAuthentication=no"]);
    terminal.answer("assword: ", PASSWORD);
    assert!(outcome(terminal, "alice").0);
    assert_eq!(
        done(&root(&["pam", "disable", "--all", "--yes"])),
        "No line of ours is there; nothing has changed.\n"
    );
    assert_eq!(root(&["pam", "status", "--service", "sshd"]).status.code(), Some(1));
}

#[test]
fn a_key_and_a_code_in_place_of_the_password() {
    let world = World::new();
    let _daemon = world.daemon();
    let mut phone = world.enroll("alice");
    let _sshd = debians_sshd(&world);
    let before = files();
    let key = ssh::key_for("alice");
    let _ = done(&enable(&["--key"]));
    let identity = ["-i", &key];
    let code = next_code(&mut phone);
    let mut terminal = client("alice", &identity);
    terminal.answer("Verification code: ", &code);
    assert!(outcome(terminal, "alice").0);
    // Neither is enough by itself.
    let (inside, said) = outcome(client("alice", &["-o", "PubkeyAuthentication=no"]), "alice");
    assert!(!inside && said.contains("Permission denied"), "{said}");
    assert_eq!(status()["services"][0]["first_factor"], "key");
    refused(&["pam", "enable", "--yes", "--try-as", "alice"], "waits to be confirmed");
    let _ = done(&root(&["pam", "confirm"]));
    refused(&["pam", "enable", "--yes", "--try-as", "alice"], "by the other stack already");
    let _ = done(&root(&["pam", "disable", "--yes"]));
    assert_eq!(files(), before);
}

#[test]
fn a_host_of_keys_lets_no_password_in_unless_that_is_said() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let sshd = debians_sshd(&world);
    sh("sed -i '1i PasswordAuthentication no' /etc/ssh/sshd_config; passwd -l alice");
    let before = files();
    refused(&["pam", "enable", "--yes", "--try-as", "alice"], "so far nobody logs in by a password alone");
    assert_eq!(files(), before);
    // Who is going to be locked out is said, and by whom.
    let said = done(&enable(&["--passwords"]));
    for part in [
        "Logins by publickey alone, which sshd allows now, end: whoever has no password is locked out.",
        "Root cannot log in by ssh then: with PermitRootLogin without-password",
        "alice has no password to log in by",
        "root is refused at keyboard-interactive, the only way there is",
    ] {
        assert!(said.contains(part), "{part:?}: {said}");
    }
    // Policy asks root nothing, and root is locked out all the same.
    let doctor = String::from_utf8_lossy(&root(&["doctor"]).stdout).into_owned();
    assert!(doctor.contains("root is refused at keyboard-interactive, the only way there is"), "{doctor}");
    let _ = done(&root(&["pam", "undo"]));
    let said = done(&enable(&["--key"]));
    assert!(!said.contains("has no password") && said.contains("a code is asked too"), "{said}");
    let _ = done(&root(&["pam", "undo"]));
    // Not even with a key before the password: that would be less than there was.
    sh(
        "sed -i 1d /etc/ssh/sshd_config; echo 'AuthenticationMethods publickey,password' >>/etc/ssh/sshd_config",
    );
    refused(&["pam", "enable", "--yes", "--try-as", "alice"], "so far nobody logs in by a password alone");
    assert!(done(&enable(&["--key"])).contains("So far a key alone lets nobody in"));
    let _ = done(&root(&["pam", "undo"]));
    // Where systemd listens for sshd, its folder is not there yet.
    drop(sshd);
    sh("rmdir /run/sshd");
    let _ = done(&enable(&["--key"]));
    assert_eq!(sh("stat -c '%a %U' /run/sshd").trim(), "755 root");
}

#[test]
fn while_it_waits_for_an_answer_files_are_edited_and_others_work() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let asked = |service: &str| {
        let mut command = Command::new("twinlock");
        command.args(["pam", "enable", "--try-as", "alice", "--service", service]);
        let mut terminal = Terminal::run(command);
        terminal.expect("Type yes to go on: ");
        terminal
    };
    let mut terminal = asked("sudo");
    sh("echo '# a word of somebody' >>/etc/pam.d/sudo");
    let before = files();
    // Whoever forgot the question keeps nobody from anything.
    let _ = done(&enable(&["--service", "su"]));
    let _ = done(&root(&["pam", "undo"]));
    assert_eq!(files(), before);
    terminal.type_line("yes");
    let said = terminal.finish().0;
    assert!(said.contains("a file was changed since the difference was shown"), "{said}");
    assert_eq!(files(), before);
    // Another change came first.
    let mut terminal = asked("su");
    let _ = done(&enable(&["--service", "sudo"]));
    terminal.type_line("yes");
    let said = terminal.finish().0;
    assert!(said.contains("sudo waits to be confirmed"), "{said}");
    let _ = done(&root(&["pam", "undo"]));
    assert_eq!(files(), before);
}

#[test]
fn nobody_confirms_and_it_is_undone_though_the_shell_is_gone() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let _sshd = debians_sshd(&world);
    let before = files();
    // The shell's whole session dies with it.
    sh(
        "setsid sh -c 'twinlock pam enable --yes --try-as alice --undo-after 4s >/root/said; kill -HUP 0' || true",
    );
    assert_ne!(files(), before);
    let said = fs::read_to_string("/root/said").unwrap();
    assert!(said.contains("Else all of this is undone at") && said.contains("not by a reboot"), "{said}");
    wait::until("the undo", 20, || (files() == before).then_some(()));
    wait::until("the ledger", 5, || status()["waiting"].is_null().then_some(()));
    let trail = wait::until("the trail", 5, || {
        Some(done(&root(&["audit", "--event", "pam-disable"]))).filter(|trail| !trail.is_empty())
    });
    assert!(trail.contains("undone: nobody confirmed"), "{trail}");
    let mut terminal = client("alice", &["-o", "PubkeyAuthentication=no"]);
    terminal.answer("assword: ", PASSWORD);
    assert!(outcome(terminal, "alice").0);
}

#[test]
fn at_boot_what_nobody_confirmed_is_undone_by_the_units_command() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let before = files();
    let _ = done(&enable(&[]));
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/systemd/twinlock-pam-undo.service");
    let unit = fs::read_to_string(unit).unwrap();
    let of = |key: &str| unit.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned();
    assert!(Path::new(&of("ConditionPathExists=")).exists());
    sh(&of("ExecStart="));
    assert_eq!(files(), before);
    assert!(!Path::new(&of("ConditionPathExists=")).exists());
}

#[test]
fn what_it_refuses_leaves_everything_as_it_was() {
    let world = World::new();
    let before = files();
    refused(&["pam", "enable", "--yes"], "does not listen");
    assert_eq!(root(&["pam", "enable", "--yes"]).status.code(), Some(69));
    let _daemon = world.daemon();
    refused(&["pam", "enable"], "there is nobody to ask: say --yes");
    refused(&["pam", "enable", "--yes", "--try-as", "alice"], "policy does not ask alice");
    let phone = world.enroll("alice");
    let mut command = Command::new("twinlock");
    command.args(["pam", "enable", "--try-as", "alice", "--service", "sudo"]);
    let mut terminal = Terminal::run(command);
    let shown = terminal.expect("Type yes to go on: ");
    for part in ["--- /etc/pam.d/sudo", "+auth\trequired\tpam_twinlock.so", "sudo -i is the service sudo-i"] {
        assert!(shown.contains(part), "{part:?}: {shown}");
    }
    terminal.type_line("no");
    assert!(terminal.finish().0.contains("nothing has changed"));
    refused(&["pam", "enable", "--yes", "--service", "nowhere"], "there is no stack /etc/pam.d/nowhere");
    refused(&["pam", "enable", "--yes", "--service", "../shadow"], "there is no stack");
    refused(&["pam", "enable", "--yes", "--service", "su", "--key"], "--key is for sshd alone");
    refused(&["pam", "enable", "--yes", "--undo-after", "soon"], "write a time like 10m");
    refused(&["pam", "undo"], "nothing waits");
    let alice = world::as_user("alice", "twinlock").args(["pam", "status"]).output().unwrap();
    assert_eq!(alice.status.code(), Some(77));
    assert_eq!(files(), before);
    // A stack that goes on after a wrong password, one that a password alone passes, one with a line by hand.
    for (stack, sentence) in [
        ("auth required pam_unix.so\naccount required pam_unix.so\n", "after a wrong password"),
        (
            "auth sufficient pam_unix.so\nauth required pam_deny.so\naccount required pam_unix.so\n",
            "succeeds without the second factor",
        ),
        ("auth required pam_echo.so hello\naccount required pam_unix.so\n", "no line that asks the password"),
        (
            "auth requisite pam_unix.so\nauth required pam_twinlock.so\naccount required pam_unix.so\n",
            "somebody wrote by hand",
        ),
    ] {
        world::stack("sshd", stack);
        let before = files();
        refused(&["pam", "enable", "--yes", "--try-as", "alice"], sentence);
        assert_eq!(files(), before);
    }
    // The module is not where libpam looks.
    world::stack("sshd", "auth requisite pam_unix.so\naccount required pam_unix.so\n");
    sh("mv /usr/lib/*/security/pam_twinlock.so /root/");
    refused(&["pam", "enable", "--yes", "--try-as", "alice"], "the file of pam_twinlock.so is missing");
    assert!(phone.wrong_code().len() == 6 && world.failures("alice") == 0, "nobody was tried");
    assert!(!Path::new(LEDGER).join("pending.json").exists());
}

#[test]
fn the_new_stack_is_tried_with_a_wrong_code_that_is_charged_once() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let _ = done(&enable(&["--service", "sudo", "--service", "su"]));
    assert_eq!(world.failures("alice"), 2, "one for each stack");
    let _ = done(&root(&["pam", "undo"]));
    // Whom nobody knows is asked all the same: an administrator who has nothing enrolled can try too.
    let said = done(&root(&["pam", "enable", "--yes", "--service", "sudo"]));
    assert!(said.contains("policy asks root for no second factor at sudo"), "{said}");
}

#[test]
fn every_service_of_debian_and_root_at_the_console() {
    let world = World::new();
    let daemon = world.daemon();
    let _phone = world.enroll("alice");
    let before = files();
    let services = ["login", "su", "sudo", "sshd"];
    let arguments: Vec<&str> = services.iter().flat_map(|service| ["--service", service]).collect();
    let _ = done(&enable(&[&arguments[..], &["--undo-after", "0"]].concat()));
    let seen = status();
    assert!(seen["waiting"].is_null(), "{seen}");
    let names: Vec<&str> =
        seen["services"].as_array().unwrap().iter().map(|each| each["service"].as_str().unwrap()).collect();
    // sudo-i and su-l include the others' files.
    for service in services {
        assert!(names.contains(&service), "{seen}");
    }
    assert!(daemon.stop().success());
    let log_in = |service: &str, user: &str| pamhost::run(&["-s", service, "-u", user, PASSWORD]).code;
    assert_eq!(log_in("login", "root"), pam::SUCCESS, "root passes while the daemon is down");
    assert_ne!(log_in("login", "alice"), pam::SUCCESS);
    assert_ne!(log_in("sudo", "root"), pam::SUCCESS);
    let _ = done(&root(&["pam", "disable", "--all", "--yes"]));
    assert_eq!(files(), before);
}

#[test]
fn all_services_at_once_by_pam_auth_update() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    refused(
        &["pam", "enable", "--yes", "--service", "common-auth", "--try-as", "alice"],
        "there is no /usr/share/pam-configs/twinlock",
    );
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/pam/twinlock");
    fs::copy(profile, "/usr/share/pam-configs/twinlock").unwrap();
    // As the package's script does: shipped, and off.
    sh("DEBIAN_FRONTEND=noninteractive pam-auth-update --package");
    let before = files();
    assert!(!sh("cat /etc/pam.d/common-auth").contains("twinlock"));
    let _ = done(&enable(&["--service", "common-auth"]));
    assert!(sh("cat /etc/pam.d/common-auth").contains("pam_twinlock.so after_first_factor"));
    let seen = status();
    let service = seen["services"].as_array().unwrap().iter().find(|each| each["service"] == "sudo").unwrap();
    assert_eq!(service["written_by"], "/etc/pam.d/common-auth");
    let _ = done(&root(&["pam", "undo"]));
    assert_eq!(files(), before);
    // Nobody is asked twice, and the ledger keeps what it knows of sshd.
    let _ = done(&enable(&["--undo-after", "0"]));
    let all = ["pam", "enable", "--yes", "--service", "common-auth", "--try-as", "alice"];
    refused(&all, "sshd would be asked twice");
    refused(&[&all[..], &["--service", "sudo"]].concat(), "sshd, sudo would be asked twice");
    let _ = done(&root(&["pam", "disable", "--yes"]));
    assert_eq!(files(), before);
    // sshd's methods go with it.
    let _ = done(&enable(&["--service", "common-auth"]));
    let _ = done(&root(&["pam", "confirm"]));
    let _ = done(&root(&["pam", "disable", "--service", "common-auth", "--yes"]));
    assert_eq!(files(), before);
    // Switched on by hand: it goes the same way.
    sh("DEBIAN_FRONTEND=noninteractive pam-auth-update --enable twinlock");
    refused(&["pam", "disable", "--yes"], "sshd still asks, by /etc/pam.d/common-auth");
    let _ = done(&root(&["pam", "disable", "--all", "--yes"]));
    assert_eq!(files(), before);
}

#[test]
fn lines_by_hand_are_taken_out_only_where_that_leaves_a_stack() {
    let world = World::new();
    let by_hand = "@include common-auth\nauth required pam_twinlock.so after_first_factor\nauth required pam_permit.so\n@include common-account\n";
    world::stack("sshd", by_hand);
    world::stack("su", "auth required pam_twinlock.so after_key\nauth required pam_permit.so\n");
    let seen = status();
    assert_eq!(seen["services"][0]["written_by"], "hand");
    let _ = done(&root(&["pam", "disable", "--yes"]));
    assert_eq!(
        fs::read_to_string(STACK).unwrap(),
        by_hand.replace("auth required pam_twinlock.so after_first_factor\n", "")
    );
    let before = files();
    refused(&["pam", "disable", "--all", "--yes"], "lets everybody in, with no password and no key");
    assert_eq!(files(), before);
    drop(world);
}

#[test]
fn what_somebody_wrote_since_stays_and_doctor_tells() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    sh("sed -i '/^Include/!d' /etc/ssh/sshd_config; echo 'PermitRootLogin no' >>/etc/ssh/sshd_config");
    let before = fs::read_to_string(STACK).unwrap();
    let _ = done(&enable(&[]));
    let doctor = || String::from_utf8_lossy(&root(&["doctor"]).stdout).into_owned();
    assert!(doctor().contains("sshd waits to be confirmed"), "{}", doctor());
    let _ = done(&root(&["pam", "confirm"]));
    assert!(!doctor().contains("twinlock pam"), "{}", doctor());
    sh(&format!("echo '# a word of somebody' >>{STACK}"));
    assert!(
        doctor().contains("/etc/pam.d/sshd: warning: it is not as \"twinlock pam enable\" wrote it for sshd"),
        "{}",
        doctor()
    );
    assert_eq!(status()["services"][0]["changed"], true);
    let _ = done(&root(&["pam", "disable", "--yes"]));
    assert_eq!(fs::read_to_string(STACK).unwrap(), format!("{before}# a word of somebody\n"));
    // A line by hand at the console: nobody gets in there while the daemon is down, whatever is exempt.
    world::stack(
        "login",
        "auth requisite pam_unix.so\nauth required pam_twinlock.so after_first_factor\naccount required pam_unix.so\n",
    );
    assert!(
        doctor().contains("while twinlockd does not run, root cannot log in at the console either"),
        "{}",
        doctor()
    );
    world::stack(
        "login",
        "auth requisite pam_unix.so\nauth [success=1 default=ignore] pam_succeed_if.so quiet uid = 0\nauth required pam_twinlock.so after_first_factor\nauth required pam_permit.so\naccount required pam_unix.so\n",
    );
    assert!(!doctor().contains("root cannot log in at the console either"), "{}", doctor());
    // A change that was cut off.
    let out = Command::new("strace")
        .args(["-o", "/dev/null", "-e", "trace=rename", "-e", "inject=rename:signal=KILL:when=6"])
        .args(["twinlock", "pam", "enable", "--yes", "--try-as", "alice"])
        .output()
        .unwrap();
    assert!(!out.status.success());
    assert!(doctor().contains("twinlock pam: error: a change of sshd was interrupted"), "{}", doctor());
}

#[test]
fn what_would_be_open_without_our_lines_is_set_aside_and_sshds_file_keeps_what_is_not_ours() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let _sshd = debians_sshd(&world);
    let before = files();
    let _ = done(&enable(&["--key"]));
    let _ = done(&root(&["pam", "confirm"]));
    sh(&format!("sed -i '1i auth sufficient pam_succeed_if.so quiet user ingroup automation' {STACK}"));
    let methods = "/etc/ssh/sshd_config.d/00-twinlock.conf";
    let theirs = "Match User backup\n    PasswordAuthentication no\n";
    sh(&format!("printf '{}' >>{methods}", theirs.replace('\n', "\\n")));
    let out = root(&["pam", "disable", "--yes"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && said.contains("is as it was before"), "{out:?}");
    assert!(said.contains("what somebody else wrote there stays"), "{said}");
    assert_eq!(fs::read_to_string(methods).unwrap(), theirs);
    let aside = sh(&format!("cat {LEDGER}/*/changed{STACK}"));
    assert!(aside.contains("ingroup automation"), "{aside}");
    let _ = root(&["pam", "disable", "--yes"]);
    assert_eq!(fs::read_to_string(methods).unwrap(), theirs);
    fs::remove_file(methods).unwrap();
    assert_eq!(files(), before);
}

#[test]
fn what_a_person_tidied_away_is_had_from_before() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let _sshd = debians_sshd(&world);
    let before = files();
    let _ = done(&enable(&["--key"]));
    sh(&format!("sed -i '/^#was#/d' {STACK}"));
    let _ = done(&root(&["pam", "undo"]));
    assert_eq!(files(), before);
    // No ledger to have it from: nothing is taken out that would leave the stack open.
    let _ = done(&enable(&["--key", "--undo-after", "0"]));
    sh(&format!("sed -i '/^#was#/d; 1i auth optional pam_permit.so' {STACK}; rm -r {LEDGER}"));
    refused(&["pam", "disable", "--yes"], "lets everybody in, with no password and no key");
}

#[test]
fn what_cannot_be_put_back_keeps_nothing_else_in_and_is_tried_again() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let _sshd = debians_sshd(&world);
    let before = files();
    let _ = done(&enable(&["--service", "sshd", "--service", "sudo"]));
    let blocked = files();
    sh("mv /etc/pam.d/sudo /root/sudo && ln -s /root/sudo /etc/pam.d/sudo");
    refused(&["pam", "undo"], "not put back: sudo: /etc/pam.d/sudo is a symbolic link");
    assert_eq!(status()["waiting"]["services"], serde_json::json!(["sudo"]));
    let names =
        |service: &str| fs::read_to_string(format!("/etc/pam.d/{service}")).unwrap().contains("pam_twinlock");
    assert!(!names("sshd") && names("sudo") && files() != blocked);
    sh("mv -f /root/sudo /etc/pam.d/sudo");
    assert_eq!(done(&root(&["pam", "undo"])), "Put back: sudo.\n");
    assert_eq!(files(), before);
}

#[test]
fn without_a_ledger_that_can_be_read_it_goes_by_the_files() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let before = files();
    let _ = done(&enable(&[]));
    sh(&format!("echo '{{' >{LEDGER}/pending.json"));
    refused(&["pam", "undo"], "twinlock pam disable goes without it");
    let out = root(&["pam", "disable", "--all", "--yes"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && said.contains("pending.json.broken-"), "{out:?}");
    assert_eq!(files(), before);
}

#[test]
fn a_file_outside_libpams_folders_that_has_our_line_is_named() {
    let world = World::new();
    sh(
        "mkdir /etc/pam.local && echo 'auth required pam_twinlock.so after_first_factor' >/etc/pam.local/second",
    );
    world::stack(
        "sshd",
        "auth requisite pam_unix.so\n@include /etc/pam.local/second\naccount required pam_unix.so\n",
    );
    refused(&["pam", "disable", "--all", "--yes"], "sshd still asks, by /etc/pam.local/second:1");
    drop(world);
}

#[test]
fn a_disk_that_a_rescue_system_mounted() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let before = files();
    let _ = done(&enable(&[]));
    // The disk, seen from elsewhere.
    sh(
        "mkdir /mnt/disk /mnt/disk/var /mnt/disk/var/lib && cp -a /etc /mnt/disk/ && cp -a /var/lib/twinlock /mnt/disk/var/lib/",
    );
    let _ = done(&root(&["pam", "undo"]));
    let out = done(&root(&["pam", "status", "--root", "/mnt/disk", "--json"]));
    assert!(out.contains("\"waiting\""), "{out}");
    let _ = done(&root(&["pam", "disable", "--all", "--yes", "--root", "/mnt/disk"]));
    let there = sh("cd /mnt/disk && find etc/pam.d etc/ssh -type f | sort | xargs sha256sum");
    assert_eq!(there, before);
    assert!(!Path::new("/mnt/disk/var/lib/twinlock/pam/pending.json").exists());
}

#[test]
fn where_a_file_cannot_be_written_all_is_as_it_was() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let before = files();
    // sshd's folder, the second that is written to; then the stacks; then the ledger, which is full.
    sh(
        "mount --bind /etc/ssh/sshd_config.d /etc/ssh/sshd_config.d && mount -o remount,bind,ro /etc/ssh/sshd_config.d",
    );
    refused(
        &["pam", "enable", "--yes", "--try-as", "alice"],
        "cannot write /etc/ssh/sshd_config.d/00-twinlock.conf: Read-only file system",
    );
    assert_eq!(files(), before);
    assert!(status()["waiting"].is_null());
    sh("umount /etc/ssh/sshd_config.d");
    sh("mount --bind /etc/pam.d /etc/pam.d && mount -o remount,bind,ro /etc/pam.d");
    refused(&["pam", "enable", "--yes", "--try-as", "alice"], "everything is as it was");
    sh("umount /etc/pam.d");
    sh(&format!(
        "mkdir -p {LEDGER} && mount -t tmpfs -o size=64k,nr_inodes=1k full {LEDGER}; head -c 1M /dev/zero >{LEDGER}/ballast || true"
    ));
    refused(&["pam", "enable", "--yes", "--try-as", "alice"], "No space left on device");
    sh(&format!("umount {LEDGER}"));
    assert_eq!(files(), before);
    // sshd that does not take it: a file that it reads before says otherwise.
    fs::write("/etc/ssh/sshd_config.d/00-before.conf", "AuthenticationMethods any\n").unwrap();
    refused(
        &["pam", "enable", "--yes", "--try-as", "alice"],
        "sshd does not take what the new file would say: /etc/ssh/sshd_config.d/00-before.conf line 1",
    );
    fs::write("/etc/ssh/sshd_config.d/00-before.conf", "AuthenticationMethods publickey\n").unwrap();
    let before = files();
    refused(
        &["pam", "enable", "--yes", "--passwords", "--try-as", "alice"],
        "sshd does not take what /etc/ssh/sshd_config.d/00-twinlock.conf says",
    );
    assert_eq!(files(), before);
    assert!(status()["waiting"].is_null());
}

#[test]
fn killed_at_any_step_it_leaves_a_way_back() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    let before = files();
    let (mut whole, mut midway) = (false, 0);
    for step in 1..40 {
        let _ = done(&root(&["user", "unlock", "alice"]));
        // The command alone: what it starts goes on.
        let out = Command::new("strace")
            .args(["-o", "/dev/null", "-e", "trace=rename,unlink"])
            .args(["-e", &format!("inject=rename,unlink:signal=KILL:when={step}")])
            .args(["twinlock", "pam", "enable", "--yes", "--try-as", "alice"])
            .output()
            .unwrap();
        whole = out.status.success();
        let waits = !status()["waiting"].is_null();
        assert!(waits || files() == before, "step {step}: {}", files());
        midway += usize::from(!whole && files() != before);
        if waits {
            refused(&["pam", "enable", "--yes", "--try-as", "alice"], "twinlock pam undo");
            let _ = done(&root(&["pam", "undo"]));
        }
        assert_eq!(files(), before, "step {step}");
        if whole {
            break;
        }
        assert!(step < 39);
    }
    assert!(whole && midway >= 2, "{midway}");
}

/// Fedora's sshd, and its shared files as authselect makes them of the profile local.
const FEDORA: &str = r##"
mv /usr/sbin/pam-auth-update /root/
mkdir -p /usr/share/authselect/default/local /etc/authselect/custom
cd /usr/share/authselect/default/local
cat >system-auth <<'FILE'
auth     required   pam_env.so
auth     required   pam_faildelay.so delay=200000
auth     required   pam_faillock.so preauth silent     {include if "with-faillock"}
auth     sufficient pam_unix.so {if not "without-nullok":nullok}
auth     required   pam_faillock.so authfail           {include if "with-faillock"}
auth     required   pam_deny.so

account  required   pam_faillock.so                    {include if "with-faillock"}
account  required   pam_unix.so

password sufficient pam_unix.so yescrypt shadow use_authtok
password required   pam_deny.so

session  required   pam_unix.so
FILE
cp system-auth password-auth
touch README nsswitch.conf
cd /etc/pam.d
printf 'auth substack password-auth\nauth include postlogin\naccount required pam_nologin.so\naccount include password-auth\nsession include password-auth\n' >sshd
printf 'auth include system-auth\naccount include system-auth\n' >sudo
touch postlogin
ln -s /etc/authselect/system-auth system-auth
ln -s /etc/authselect/password-auth password-auth
authselect select local with-faillock
"##;

/// As much of authselect as the command calls: its features, its words, its refusals.
const AUTHSELECT: &str = r##"#!/bin/bash
set -euo pipefail
echo "$*" >>/root/authselect.log
folder() { case $1 in custom/*) echo "/etc/authselect/$1" ;; *) echo "/usr/share/authselect/default/$1" ;; esac; }
case $1 in
current)
    [ "$2" = --raw ]
    tr '\n' ' ' </etc/authselect/authselect.conf ;;
create-profile)
    base=$(folder "${3#--base-on=}") new=/etc/authselect/custom/$2
    mkdir "$new"
    for file in "$base"/*; do ln -s "$file" "$new/"; done ;;
select)
    shift
    from=$(folder "$1")
    [ -d "$from" ] || { echo "[error] Unable to find profile [$1]" >&2; exit 1; }
    for feature in "${@:2}"; do
        grep -q "if \"$feature\"" "$from"/* || { echo "[error] Unknown profile feature [$feature]" >&2; exit 1; }
    done
    [ ! -e /root/authselect-fails ] || { echo "[error] Unable to activate profile" >&2; exit 1; }
    for name in system-auth password-auth; do
        {
            echo "# Generated by authselect on $(date)"
            while IFS= read -r line; do
                if [[ $line =~ \{include\ if\ \"([^\"]*)\"\} ]]; then
                    [[ " ${*:2} " == *" ${BASH_REMATCH[1]} "* ]] || continue
                    line=${line/${BASH_REMATCH[0]}/}
                fi
                echo "${line/\{if not \"without-nullok\":nullok\}/nullok}"
            done <"$from/$name"
        } >"/etc/authselect/$name"
    done
    printf '%s\n' "$@" >/etc/authselect/authselect.conf ;;
*) echo "no such command: $1" >&2; exit 1 ;;
esac
"##;

#[test]
fn red_hats_stacks_by_a_profile_of_our_own_with_a_stand_in_for_authselect() {
    let world = World::new();
    let daemon = world.daemon();
    let mut phone = world.enroll("alice");
    world::script("/usr/bin/authselect", AUTHSELECT);
    sh(FEDORA);
    let stack = fs::read_to_string(STACK).unwrap();
    let config = fs::read_to_string("/etc/ssh/sshd_config").unwrap();
    let _sshd = world.sshd(&stack, &config);
    let generated = || {
        sh(
            "tail -qn +2 /etc/authselect/system-auth /etc/authselect/password-auth; cat /etc/authselect/authselect.conf",
        )
    };
    let (before, files_before) = (generated(), files());
    let _ = done(&enable(&[]));
    assert_eq!(sh("authselect current --raw").trim(), "custom/twinlock with-faillock");
    assert_eq!(status()["services"].as_array().unwrap().len(), 2, "{}", status());
    let code = next_code(&mut phone);
    assert!(with_code(&code).0);
    assert!(!with_code(&phone.wrong_code()).0);
    let mut terminal = client("alice", &["-o", "PubkeyAuthentication=no"]);
    terminal.answer("assword: ", "wrong horse");
    let (inside, said) = outcome(terminal, "alice");
    assert!(!inside && !said.contains("Verification"), "{said}");
    let _ = done(&root(&["pam", "confirm"]));
    assert!(daemon.stop().success());
    let _ = done(&root(&["pam", "disable", "--yes"]));
    assert_eq!(generated(), before);
    assert!(!Path::new("/etc/authselect/custom/twinlock").exists());
    assert_eq!(files(), files_before);
    // authselect that will not: nothing stays half done.
    let _daemon = world.daemon();
    sh("touch /root/authselect-fails");
    refused(&["pam", "enable", "--yes", "--try-as", "alice"], "Unable to activate profile");
    assert_eq!(generated(), before);
    assert!(status()["waiting"].is_null());
}
