//! The doors beside ssh: sudo in its ways, su. The factor is that of PAM_USER.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    fs,
    io::Write,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use twinlock_tests::{
    terminal::Terminal,
    world::{self, PASSWORD, World, as_user, root},
};

const STACK: &str = "auth requisite pam_unix.so nodelay\nauth required pam_twinlock.so after_first_factor\n\
                     account required pam_unix.so\nsession required pam_permit.so\n";

/// alice may do everything by sudo; nothing is remembered between two calls.
fn sudo(more: &str) {
    world::stack("sudo", STACK);
    fs::write(
        "/etc/sudoers.d/alice",
        format!("Defaults timestamp_timeout=0, lecture=never\n{more}\nalice ALL=(ALL) ALL\n"),
    )
    .unwrap();
    world::sh("chmod 0440 /etc/sudoers.d/alice && visudo -cq");
}

fn alice(arguments: &[&str]) -> Command {
    let mut command = as_user("alice", "sudo");
    command.args(arguments);
    command
}

/// Runs with these lines on standard input.
fn typing(mut command: Command, lines: &str) -> (Output, Duration) {
    let begin = Instant::now();
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    let out = child.wait_with_output().unwrap();
    (out, begin.elapsed())
}

fn said(out: &Output) -> String {
    String::from_utf8_lossy(&[&out.stdout[..], &out.stderr[..]].concat()).into_owned()
}

#[test]
fn sudo_asks_at_a_terminal_and_reads_a_pipe_and_fails_fast_without_either() {
    let world = World::new();
    let _daemon = world.daemon();
    sudo("");
    let phone = world.enroll("alice");
    let mut terminal = Terminal::run(alice(&["id", "-un"]));
    terminal.answer("[sudo] password for alice: ", PASSWORD);
    terminal.answer("Verification code", &phone.code(0));
    terminal.expect("root");
    assert_eq!(terminal.finish().1, 0);

    let (out, _) = typing(alice(&["-S", "id", "-un"]), &format!("{PASSWORD}\n{}\n", phone.code(1)));
    assert!(out.status.success() && said(&out).contains("root"), "{out:?}");
    for (arguments, lines) in
        [(&["-n", "id", "-un"][..], ""), (&["-S", "id", "-un"], ""), (&["-S", "id", "-un"], "x\n")]
    {
        let (out, took) = typing(alice(arguments), lines);
        assert!(!out.status.success() && !said(&out).contains("root\n"), "{arguments:?}: {out:?}");
        assert!(took < Duration::from_secs(2), "{arguments:?}: {took:?}");
    }
    // The code is not remembered, nor is what was typed for it anywhere.
    assert!(!world.log().contains(&phone.code(1)));
}

#[test]
fn with_targetpw_the_factor_is_that_of_the_target() {
    let world = World::new();
    let _daemon = world.daemon();
    sudo("Defaults targetpw");
    let (alices, roots) = (world.enroll("alice"), world.enroll("root"));
    let attempt =
        |code: &str| typing(alice(&["-S", "id", "-un"]), &format!("{PASSWORD}\n{code}\n{code}\n{code}\n")).0;
    assert!(!attempt(&alices.code(0)).status.success());
    assert!(attempt(&roots.code(0)).status.success());
}

#[test]
fn su_with_and_without_a_login_shell_asks_for_the_target() {
    let world = World::new();
    let _daemon = world.daemon();
    for service in ["su", "su-l"] {
        world::stack(service, STACK);
    }
    let bob = world.enroll("bob");
    for (n, options) in [&["bob", "-c", "id -un"][..], &["-", "bob", "-c", "id -un"]].into_iter().enumerate()
    {
        let mut su = as_user("alice", "su");
        su.args(options);
        let mut terminal = Terminal::run(su);
        terminal.answer("Password: ", PASSWORD);
        terminal.answer("Verification code for bob: ", &bob.code(i64::try_from(n).unwrap()));
        terminal.expect("bob");
        assert_eq!(terminal.finish().1, 0, "{options:?}");
    }
    // A closed standard input ends it at once, and is nobody's failure.
    let mut su = as_user("alice", "su");
    let begin = Instant::now();
    let out = su.args(["bob", "-c", "true"]).stdin(Stdio::null()).output().unwrap();
    assert!(!out.status.success() && begin.elapsed() < Duration::from_secs(2), "{out:?}");
    assert_eq!(world.failures("bob"), 0);
}

#[test]
fn a_role_for_sudo_alone_leaves_the_other_doors_alone() {
    let world = World::new();
    fs::create_dir_all("/etc/twinlock").unwrap();
    fs::write(
        "/etc/twinlock/twinlock.toml",
        "[[role]]\nname = 'sudo'\ngroups = ['*']\nservices = ['sudo']\nsecond-factor = 'required'\n",
    )
    .unwrap();
    world::sh("chmod 0640 /etc/twinlock/twinlock.toml");
    let _daemon = world.daemon();
    sudo("");
    world::stack(
        "su",
        &STACK.replace("after_first_factor\n", "after_first_factor\nauth required pam_permit.so\n"),
    );
    let phone = world.enroll("alice");
    let (out, _) = typing(alice(&["-S", "id", "-un"]), &format!("{PASSWORD}\n{}\n", phone.code(0)));
    assert!(out.status.success(), "{out:?}");
    let mut su = Terminal::run({
        let mut su = as_user("bob", "su");
        su.args(["alice", "-c", "id -un"]);
        su
    });
    su.answer("Password: ", PASSWORD);
    su.expect("alice");
    assert_eq!(su.finish().1, 0);
    let shown: serde_json::Value =
        serde_json::from_slice(&root(&["user", "show", "alice", "--json"]).stdout).unwrap();
    assert_eq!(shown["requirements"][0]["service"], "sudo");
}
