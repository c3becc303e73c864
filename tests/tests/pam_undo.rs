//! The way back from `twinlock pam enable`: whatever ends in between, and whoever was at the files since.

use std::{fs, path::Path, process::Command};

use twinlock_tests::{
    pam_command::{LEDGER, STACK, debians_sshd, enable, files, refused, status},
    ssh::{client, outcome},
    wait,
    world::{self, PASSWORD, World, done, root, sh},
};

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
    let (before, debians) = (files(), fs::read_to_string(STACK).unwrap());
    let _ = done(&enable(&["--key"]));
    sh(&format!("sed -i '/^#was#/d' {STACK}"));
    let _ = done(&root(&["pam", "undo"]));
    assert_eq!(files(), before);
    // Our comments alone: the lines are ours all the same.
    let _ = done(&enable(&["--undo-after", "0"]));
    sh(&format!("sed -i '/twinlock pam enable/d' {STACK}"));
    let _ = done(&root(&["pam", "disable", "--yes"]));
    assert!(!fs::read_to_string(STACK).unwrap().contains("pam_twinlock"));
    world::stack("sshd", &debians);
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
