//! The account phase: a login that skipped the auth phase, at the doors where that happens.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use twinlock_tests::{
    pamhost::{self, pam},
    ssh::{self, client, outcome},
    wait,
    world::{self, PASSWORD, World, as_user, root},
};

/// Password and code for whoever has no key; and the account phase for whoever has.
const STACK: &str = "\
auth     requisite pam_unix.so nodelay
auth     required  pam_twinlock.so after_first_factor debug
account  required  pam_unix.so
account  required  pam_twinlock.so debug
session  required  pam_permit.so
";
/// A key alone is enough for sshd.
const KEY_OR_PASSWORD: &str =
    "KbdInteractiveAuthentication yes\nPasswordAuthentication no\nPubkeyAuthentication yes\n";

#[test]
fn a_key_alone_is_refused_where_a_second_factor_is_asked_and_nowhere_else() {
    let world = World::new();
    let (daemon, _sshd) = (world.daemon(), world.sshd(STACK, KEY_OR_PASSWORD));
    let (phone, key) = (world.enroll("alice"), ssh::key_for("alice"));
    let bobs = ssh::key_for("bob");
    // Enrolled, so asked; by a key alone nobody was. Not enrolled and optional: not asked.
    assert!(!outcome(client("alice", &["-i", &key]), "alice").0);
    assert!(outcome(client("bob", &["-i", &bobs]), "bob").0);
    let log = world.log_with("pam_twinlock(sshd:account): a second factor is needed and was not asked");
    assert!(!log.contains("authentication failure"), "who has the key is no guesser");
    assert_eq!(world.logins("alice"), ["denied auth-skipped"]);
    // Password and code: the account phase knows that the auth phase passed, and asks nobody.
    let mut ssh = client("alice", &["-o", "PubkeyAuthentication=no"]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", &phone.code(0));
    assert!(outcome(ssh, "alice").0);
    assert_eq!(world.logins("alice"), ["denied auth-skipped", "granted"]);
    // Exempt: the key alone is enough, for as long as that lasts.
    assert!(root(&["user", "exempt", "alice", "--until", "1h", "--reason", "deploy"]).status.success());
    assert!(outcome(client("alice", &["-i", &key]), "alice").0);
    assert!(root(&["user", "exempt", "alice", "--off"]).status.success());
    // Required and not enrolled.
    assert!(root(&["user", "require", "bob"]).status.success());
    assert!(!outcome(client("bob", &["-i", &bobs]), "bob").0);
    // The daemon hangs, then is gone: refused, and no failure of anybody's.
    daemon.signal(Signal::SIGSTOP);
    assert!(!outcome(client("alice", &["-i", &key]), "alice").0);
    daemon.signal(Signal::SIGCONT);
    assert!(daemon.stop().success());
    assert!(!outcome(client("alice", &["-i", &key]), "alice").0);
    assert!(!world.log().contains("authentication failure"));
}

/// Programs that use ssh without a person: scp, rsync, git, ssh itself; each says whether it got through, and how long it
/// took.
fn programs(key: &str) -> Vec<(&'static str, bool, Duration)> {
    let ssh = format!(
        "ssh -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes"
    );
    let options = ssh.trim_start_matches("ssh ").to_owned();
    world::sh("echo something > /root/file");
    let commands = [
        ("scp -B", format!("scp -B {options} /root/file alice@127.0.0.1:by-scp")),
        ("rsync", format!("rsync -e '{ssh}' /root/file alice@127.0.0.1:by-rsync")),
        ("git", format!("GIT_SSH_COMMAND='{ssh}' git ls-remote alice@127.0.0.1:repository")),
        (
            "ssh, nobody there",
            format!("setsid {} alice@127.0.0.1 true", ssh.replace(" -o BatchMode=yes", "")),
        ),
    ];
    let run = |(name, command): (&'static str, String)| {
        let begin = Instant::now();
        let out = Command::new("sh").args(["-c", &command]).stdin(Stdio::null()).output().unwrap();
        (name, out.status.success(), begin.elapsed())
    };
    commands.into_iter().map(run).collect()
}

#[test]
fn programs_without_a_terminal_fail_fast_or_pass_when_exempt() {
    let world = World::new();
    let _daemon = world.daemon();
    let sshd = world.sshd(STACK, &format!("{KEY_OR_PASSWORD}Subsystem sftp internal-sftp\n"));
    let (_phone, key) = (world.enroll("alice"), ssh::key_for("alice"));
    world::sh("runuser -u alice -- git init -q --bare /home/alice/repository");
    for (program, inside, took) in programs(&key) {
        assert!(!inside && took < Duration::from_secs(2), "{program}: {took:?}");
    }
    assert!(!std::path::Path::new("/home/alice/by-scp").exists());
    assert!(root(&["user", "exempt", "alice", "--until", "1h", "--reason", "deploy"]).status.success());
    for (program, inside, _) in programs(&key) {
        assert!(inside, "{program}");
    }
    assert!(std::path::Path::new("/home/alice/by-rsync").exists());
    assert!(root(&["user", "exempt", "alice", "--off"]).status.success());
    drop(sshd);
    // A key and then a code: where nobody can type, the code is what is missing.
    let both = "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n\
                AuthenticationMethods publickey,keyboard-interactive:pam\n";
    let _sshd = world.sshd(ssh::KEY_THEN_CODE, both);
    for (program, inside, took) in programs(&key) {
        assert!(!inside && took < Duration::from_secs(2), "{program}: {took:?}");
    }
    assert_eq!(world.failures("alice"), 0, "nobody guessed");
}

#[test]
fn doors_that_have_no_auth_phase_are_not_touched() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    world::sh("mkdir -p /etc/twinlock");
    // Everything asks our account line; only sshd has opted in.
    for service in ["su", "cron", "atd", "systemd-user"] {
        world::stack(
            service,
            "auth sufficient pam_rootok.so\nauth required pam_deny.so\naccount required pam_unix.so\n\
             account required pam_twinlock.so\nsession required pam_permit.so\n",
        );
        let run = pamhost::run(&["-A", "-s", service, "-u", "alice"]);
        assert!(run.said.contains("acct_mgmt 0 "), "{service}: {run:?}");
    }
    assert_eq!(world::sh("su alice -c 'id -un'").trim(), "alice", "root's su has no auth phase of ours");
    let sshd = "account required pam_unix.so\naccount required pam_twinlock.so\n";
    world::stack("sshd", sshd);
    let run = pamhost::run(&["-A", "-s", "sshd", "-u", "alice"]);
    assert!(run.said.contains(&format!("acct_mgmt {} ", pam::PERM_DENIED)), "{run:?}");
    // A program that runs as the user says that it is sshd: its own account, and the strictest of all rules.
    world::sh(&format!("install -m 0755 {} /usr/local/bin/pamhost", pamhost::PROGRAM));
    world::stack("sshd", "account required pam_twinlock.so\n");
    let own = as_user("alice", "/usr/local/bin/pamhost").args(["-A", "-s", "sshd", "-u", "alice"]).output();
    let said = own.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    assert!(said.contains(&format!("acct_mgmt {} ", pam::PERM_DENIED)), "{said}");
}

#[test]
fn a_job_of_cron_runs_whatever_is_asked_of_its_owner() {
    let world = World::new();
    let _daemon = world.daemon();
    let _phone = world.enroll("alice");
    assert!(root(&["user", "require", "alice"]).status.success());
    let account = std::fs::read_to_string("/etc/pam.d/common-account").unwrap();
    std::fs::write("/etc/pam.d/common-account", format!("account required pam_twinlock.so\n{account}"))
        .unwrap();
    assert!(world::sh("cat /etc/pam.d/cron").contains("common-account"), "cron asks what all do");
    std::fs::write("/etc/cron.d/job", "* * * * * alice id -un > /tmp/by-cron\n").unwrap();
    world::sh("chmod 0644 /etc/cron.d/job && cron");
    let done = || std::fs::read_to_string("/tmp/by-cron").ok().filter(|text| !text.is_empty());
    assert_eq!(wait::until("the job", 75, done), "alice\n");
    world::sh("pkill -x cron");
}
