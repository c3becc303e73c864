//! Who may say what: programs that do not run as root.
#![expect(clippy::expect_used, reason = "a test stops at the first surprise")]

use std::process::Command;

use twinlock_tests::{
    pamhost::{self, PROGRAM, Run, pam},
    world::{self, PASSWORD, World, as_user},
};

/// A stack as a screen locker has it: claims that the first factor passed.
const LOCKER: &str = "auth required pam_twinlock.so after_first_factor\n";

/// A program that runs as `user` and authenticates `of`.
fn as_locker(user: &str, of: &str, answers: &[&str]) -> Run {
    world::sh(&format!("install -m 0755 {PROGRAM} /usr/local/bin/pamhost"));
    let mut command: Command = as_user(user, "/usr/local/bin/pamhost");
    command.args(["-s", "locker", "-u", of]).args(answers);
    pamhost::finish(&command.output().expect("runuser"))
}

#[test]
fn a_screen_locker_verifies_its_own_user_and_nobody_else() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("locker", LOCKER);
    let (alice, bob) = (world.enroll("alice"), world.enroll("bob"));
    assert_eq!(as_locker("alice", "alice", &[&alice.code(0)]).code, pam::SUCCESS);

    // Another user's right code, an enrolled, an unenrolled and an unknown user: no difference to be seen.
    let foreign = as_locker("alice", "bob", &[bob.code(1).as_str(); 3]);
    assert_eq!(foreign.code, pam::AUTH_ERR);
    for of in ["root", "daemon", "nobody-here"] {
        assert_eq!(as_locker("alice", of, &["123456"; 3]).said, foreign.said, "{of}");
    }
    // bob's code was not looked at: it is still good for bob.
    assert_eq!(as_locker("bob", "bob", &[&bob.code(1)]).code, pam::SUCCESS);
}

#[test]
fn on_user_sock_a_claimed_first_factor_is_not_believed() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack("locker", LOCKER);
    let alice = world.enroll("alice");
    // Not told that the code was used, and not charged to the account: somebody who runs a program as alice could
    // otherwise lock her out of sudo.
    let used = alice.code(0);
    assert_eq!(as_locker("alice", "alice", &[&used]).code, pam::SUCCESS);
    let again = as_locker("alice", "alice", &[used.as_str(); 3]);
    assert_eq!(again.prompts()[1..], ["Wrong code. Verification code: "; 2]);
    for _ in 0..7 {
        let wrong = alice.wrong_code();
        assert_eq!(as_locker("alice", "alice", &[&wrong, &wrong, &wrong]).code, pam::AUTH_ERR);
    }
    assert_eq!(world.failures("alice"), 0);
    // The source is spent: right and wrong codes get the same answer from there,
    let right = as_locker("alice", "alice", &[alice.code(1).as_str(); 3]);
    assert_eq!(right.code, pam::AUTH_ERR);
    assert_eq!(right.said, again.said);
    // and root's own logins go on.
    assert_eq!(pamhost::run(&["-s", "locker", "-u", "alice", &alice.code(1)]).code, pam::SUCCESS);
}

#[test]
fn su_asks_for_the_code_of_the_target_and_says_so() {
    let world = World::new();
    let _daemon = world.daemon();
    world::stack(
        "su",
        "auth requisite pam_unix.so nodelay\nauth required pam_twinlock.so after_first_factor\n\
         account required pam_unix.so\nsession required pam_permit.so\n",
    );
    let bob = world.enroll("bob");
    let mut su = as_user("alice", "su");
    su.args(["bob", "-c", "id -un"]);
    let mut terminal = twinlock_tests::terminal::Terminal::run(su);
    terminal.answer("Password: ", PASSWORD);
    terminal.answer("Verification code for bob: ", &bob.code(1));
    terminal.expect("bob");
    assert_eq!(terminal.finish().1, 0);
}
