//! Logins by ssh: real sshd, real client on a pty.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use twinlock_tests::{
    phone::early_in_a_step,
    ssh::{self, KEY_THEN_CODE, KEYBOARD_INTERACTIVE, PASSWORD_THEN_CODE, client, outcome},
    wait,
    world::{PASSWORD, World},
};

const PASSWORD_PROMPT: &str = "Password: ";
const CODE_PROMPT: &str = "Verification code: ";

/// Password and code; says whether it went through.
fn log_in(user: &str, code: &str) -> (bool, String) {
    let mut ssh = client(user, &[]);
    ssh.answer(PASSWORD_PROMPT, PASSWORD);
    ssh.answer(CODE_PROMPT, code);
    if !ssh.expect_either("in as", CODE_PROMPT) {
        return (false, String::new());
    }
    ssh.expect(user);
    outcome_after(ssh)
}

fn outcome_after(ssh: twinlock_tests::terminal::Terminal) -> (bool, String) {
    let (said, code) = ssh.finish();
    (code == 0, said)
}

#[test]
fn a_password_and_then_a_code_let_in() {
    let world = World::new();
    let (_daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE));
    let phone = world.enroll("alice");
    assert!(log_in("alice", &phone.code(0)).0);
    assert_eq!(world.logins("alice"), ["granted"]);
}

#[test]
fn a_code_works_once_and_not_again_from_another_service() {
    let world = World::new();
    let (_daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE));
    let phone = world.enroll("alice");
    early_in_a_step(15);
    let code = phone.code(0);
    assert!(log_in("alice", &code).0);

    let mut again = client("alice", &[]);
    again.answer(PASSWORD_PROMPT, PASSWORD);
    again.answer(CODE_PROMPT, &code);
    again.expect("That code was used; wait for the next. Verification code: ");
    again.interrupt();
    assert_ne!(again.finish().1, 0);

    twinlock_tests::world::stack("second", "auth required pam_twinlock.so after_first_factor\n");
    let run = twinlock_tests::pamhost::run(&["-s", "second", "-u", "alice", &code]);
    assert_eq!(run.prompts()[1], "That code was used; wait for the next. Verification code: ");
    assert_ne!(run.code, 0);
    assert_eq!(world.failures("alice"), 0, "a used code is no guess");
}

#[test]
fn three_wrong_codes_end_the_login_and_are_charged() {
    let world = World::new();
    let (_daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE));
    let phone = world.enroll("alice");
    let mut ssh = client("alice", &[]);
    ssh.answer(PASSWORD_PROMPT, PASSWORD);
    ssh.answer(CODE_PROMPT, &phone.wrong_code());
    ssh.answer("Wrong code. Verification code: ", &phone.wrong_code());
    ssh.answer("Wrong code. Verification code: ", &phone.wrong_code());
    assert!(!outcome(ssh, "alice").0);
    assert_eq!(world.failures("alice"), 3);
    let line = "pam_twinlock(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= rhost=127.0.0.1  \
                user=alice\n";
    let log = world.log_with(line);
    assert_eq!(log.matches(line).count(), 1, "one line a conversation");
}

#[test]
fn a_key_and_then_a_code_let_in_with_our_module_alone() {
    let world = World::new();
    let config = "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n\
                  AuthenticationMethods publickey,keyboard-interactive:pam\n";
    let (_daemon, _sshd) = (world.daemon(), world.sshd(KEY_THEN_CODE, config));
    let (phone, key) = (world.enroll("alice"), ssh::key_for("alice"));
    let mut ssh = client("alice", &["-i", &key]);
    ssh.answer(CODE_PROMPT, &phone.code(0));
    assert!(outcome(ssh, "alice").0);
}

#[test]
fn the_same_stack_without_a_key_is_refused_with_a_right_code_and_for_the_unenrolled() {
    let world = World::new();
    // The administrator forgot AuthenticationMethods: keyboard-interactive alone reaches the stack.
    let config = "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n";
    let (_daemon, _sshd) = (world.daemon(), world.sshd(KEY_THEN_CODE, config));
    let phone = world.enroll("alice");
    for (user, code) in
        [("alice", phone.code(0)), ("bob", "123456".to_owned()), ("nobody-here", "123456".to_owned())]
    {
        let mut ssh = client(user, &[]);
        ssh.answer(CODE_PROMPT, &code);
        assert!(!outcome(ssh, user).0, "{user}");
    }
    assert_eq!(world.logins("alice"), ["denied no-key"]);
    assert_eq!(world.failures("alice"), 0);
    // The code was not even looked at: it is still good.
    twinlock_tests::world::stack("second", "auth required pam_twinlock.so after_first_factor\n");
    let run = twinlock_tests::pamhost::run(&["-s", "second", "-u", "alice", &phone.code(0)]);
    assert_eq!(run.code, 0, "{run:?}");
}

/// A key and password with code, in this order of methods.
fn key_and_codes(order: &str) {
    let world = World::new();
    let config = format!(
        "KbdInteractiveAuthentication yes\nPasswordAuthentication no\nAuthenticationMethods {order}\n"
    );
    let (_daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, &config));
    let (phone, key) = (world.enroll("alice"), ssh::key_for("alice"));
    let mut ssh = client("alice", &["-i", &key]);
    ssh.answer(PASSWORD_PROMPT, PASSWORD);
    ssh.answer(CODE_PROMPT, &phone.code(0));
    assert!(outcome(ssh, "alice").0);
    // Without the key, everything else right is not enough.
    let mut ssh = client("alice", &["-o", "PubkeyAuthentication=no"]);
    if order.starts_with("keyboard") {
        ssh.answer(PASSWORD_PROMPT, PASSWORD);
        ssh.answer(CODE_PROMPT, &phone.code(1));
    }
    assert!(!outcome(ssh, "alice").0);
}

#[test]
fn a_key_before_password_and_code_works() {
    key_and_codes("publickey,keyboard-interactive:pam");
}

#[test]
fn a_key_after_password_and_code_works() {
    key_and_codes("keyboard-interactive:pam,publickey");
}

#[test]
fn an_after_key_stack_asked_before_the_key_is_refused() {
    let world = World::new();
    let config = "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n\
                  AuthenticationMethods keyboard-interactive:pam,publickey\n";
    let (_daemon, _sshd) = (world.daemon(), world.sshd(KEY_THEN_CODE, config));
    let (phone, key) = (world.enroll("alice"), ssh::key_for("alice"));
    let mut ssh = client("alice", &["-i", &key]);
    ssh.answer(CODE_PROMPT, &phone.code(0));
    assert!(!outcome(ssh, "alice").0);
}

#[test]
fn ctrl_c_a_closed_terminal_and_a_killed_client_leave_nothing_behind() {
    let world = World::new();
    let (daemon, sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE));
    let phone = world.enroll("alice");
    // One login first: it starts the helper process that looks users up.
    let mut ssh = client("bob", &[]);
    ssh.answer(PASSWORD_PROMPT, PASSWORD);
    assert!(outcome(ssh, "bob").0);
    let idle = settled(daemon.pid());
    for way in ["ctrl-c", "close", "kill"] {
        let mut ssh = client("alice", &[]);
        ssh.answer(PASSWORD_PROMPT, PASSWORD);
        ssh.expect(CODE_PROMPT);
        match way {
            "ctrl-c" => ssh.interrupt(),
            "close" => drop(ssh),
            _ => ssh.kill(),
        }
        wait::until(&format!("the end of the connection after {way}"), 10, || {
            (sshd.connections() == 0).then_some(())
        });
        wait::until("the daemon letting go", 10, || (open_files(daemon.pid()) <= idle).then_some(()));
    }
    wait::until("the trail", 5, || (world.logins("alice") == ["abandoned"; 3]).then_some(()));
    assert_eq!(world.failures("alice"), 0);
    assert!(log_in("alice", &phone.code(0)).0, "the next login is fine");
}

/// Open files of a process that has come to rest.
fn settled(pid: u32) -> usize {
    let (mut same, mut last) = (0, 0);
    wait::until("the daemon at rest", 10, || {
        let now = open_files(pid);
        same = if now == last { same + 1 } else { 0 };
        last = now;
        (same > 20).then_some(now)
    })
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

#[test]
fn the_password_method_of_sshd_is_refused_uncharged_and_leaks_nothing() {
    let world = World::new();
    let config = "PasswordAuthentication yes\nKbdInteractiveAuthentication no\n";
    let (_daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, config));
    let _phone = world.enroll("alice");
    let mut ssh = client("alice", &["-o", "PreferredAuthentications=password"]);
    ssh.answer("password: ", PASSWORD);
    assert!(!outcome(ssh, "alice").0);
    assert_eq!(world.failures("alice"), 0);
    assert!(!world.log_with("Failed password").contains(PASSWORD));
}

#[test]
fn a_hidden_prompt_under_the_password_method_keeps_the_password_in() {
    let world = World::new();
    let stack = PASSWORD_THEN_CODE.replace("debug", "debug hidden");
    let config = "PasswordAuthentication yes\nKbdInteractiveAuthentication no\n";
    let (_daemon, _sshd) = (world.daemon(), world.sshd(&stack, config));
    let _phone = world.enroll("alice");
    let mut ssh = client("alice", &["-o", "PreferredAuthentications=password"]);
    ssh.answer("password: ", PASSWORD);
    assert!(!outcome(ssh, "alice").0);
    assert_eq!(world.logins("alice"), ["denied malformed"], "sshd answered every prompt with the password");
    assert_eq!(world.failures("alice"), 0);
    assert!(!world.log_with("Failed password").contains(PASSWORD));
}

#[test]
fn an_unknown_user_sees_the_same_prompts() {
    let world = World::new();
    // `required`: a wrong password goes on to the code, as for an unknown user.
    let stack = PASSWORD_THEN_CODE.replace("requisite", "required").replace("after_first_factor ", "");
    let (_daemon, _sshd) = (world.daemon(), world.sshd(&stack, KEYBOARD_INTERACTIVE));
    let phone = world.enroll("alice");
    let transcript = |user: &str| {
        let mut ssh = client(user, &[]);
        ssh.answer(PASSWORD_PROMPT, "not the password");
        let mut said = ssh.expect(CODE_PROMPT);
        for _ in 0..2 {
            ssh.type_line(&phone.wrong_code());
            said += &ssh.expect("Wrong code. Verification code: ");
        }
        ssh.type_line(&phone.wrong_code());
        let (inside, rest) = outcome(ssh, user);
        assert!(!inside);
        (said + &rest).replace(user, "USER")
    };
    assert_eq!(transcript("alice"), transcript("nobody-here"));
    assert_eq!(world.failures("alice"), 0, "a stranger's tries are charged to the stranger");
}

#[test]
fn who_is_not_enrolled_is_not_asked() {
    let world = World::new();
    let (_daemon, _sshd) = (world.daemon(), world.sshd(PASSWORD_THEN_CODE, KEYBOARD_INTERACTIVE));
    let mut ssh = client("bob", &[]);
    ssh.answer(PASSWORD_PROMPT, PASSWORD);
    assert!(outcome(ssh, "bob").0);
    wait::until("the trail", 5, || (world.logins("bob") == ["not-needed"]).then_some(()));
}

#[test]
fn the_junk_that_sshd_sends_for_root_is_not_charged() {
    let world = World::new();
    let config =
        "KbdInteractiveAuthentication yes\nPasswordAuthentication no\nPermitRootLogin prohibit-password\n";
    // Our module first, so that it meets the junk whatever pam_unix thinks of it.
    let stack = "auth required pam_twinlock.so after_first_factor\nauth required pam_unix.so nodelay\n\
                 account required pam_unix.so\nsession required pam_permit.so\n";
    let (_daemon, _sshd) = (world.daemon(), world.sshd(stack, config));
    let phone = world.enroll("root");
    let mut ssh = client("root", &["-o", "PreferredAuthentications=keyboard-interactive"]);
    for _ in 0..3 {
        ssh.answer(CODE_PROMPT, &phone.code(0));
    }
    ssh.answer(PASSWORD_PROMPT, PASSWORD);
    assert!(!outcome(ssh, "root").0);
    assert_eq!(world.logins("root"), ["denied malformed"]);
    assert_eq!(world.failures("root"), 0);
}
