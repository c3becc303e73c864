//! `twinlock pam enable`, `disable` and `status`: on Debian's own stacks, with a real sshd.

use std::{fs, path::Path, process::Command};

use serde_json::Value;
use twinlock_tests::{
    pam_command::{
        LEDGER, STACK, a_wrong_password_ends_it, debians_sshd, enable, files, next_code, refused, status,
        with_code,
    },
    pamhost::{self, pam},
    ssh::{self, client, outcome},
    terminal::Terminal,
    world::{self, PASSWORD, World, done, root, sh},
};

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
    a_wrong_password_ends_it();
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
