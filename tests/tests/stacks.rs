//! Each stack that the documentation shows, on a real libpam, with each thing that can come of our module and of the
//! password: in only with both right, or exempt.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;

use twinlock_tests::{
    daemon::Daemon,
    pamhost::{self, pam},
    phone::{Phone, early_in_a_step},
    world::{self, PASSWORD, World, root},
};

const PASSWORD_THEN_CODE: &str =
    "auth requisite pam_unix.so nodelay\nauth required pam_twinlock.so after_first_factor\n";
const COMMON_AUTH_THEN_CODE: &str =
    "@include common-auth\nauth required pam_twinlock.so after_first_factor\nauth required pam_permit.so\n";
const TOLERANT: &str = "auth requisite pam_unix.so nodelay\nauth required pam_twinlock.so after_first_factor unavailable=ignore\n";
const HIDDEN: &str =
    "auth requisite pam_unix.so nodelay\nauth required pam_twinlock.so after_first_factor hidden\n";
/// At the console, where root passes without a code.
const ROOT_PASSES: &str = "auth requisite pam_unix.so nodelay\nauth [success=1 default=ignore] pam_succeed_if.so quiet uid = 0\n\
                           auth required pam_twinlock.so after_first_factor\nauth required pam_permit.so\n";
/// What pam-auth-update makes of packaging/pam/twinlock.
const PROFILE: &str = "auth [success=1 default=ignore] pam_unix.so nodelay\nauth requisite pam_deny.so\nauth required pam_permit.so\n\
                       auth required pam_twinlock.so after_first_factor\n";
/// The shape that `twinlock pam enable` gives to the profiles of authselect.
const JUMPS: &str = "auth required pam_env.so\nauth [success=1 default=ignore] pam_unix.so nodelay\nauth requisite pam_deny.so\n\
                     auth required pam_twinlock.so after_first_factor\nauth required pam_permit.so\n";
const KEY_THEN_CODE: &str = "auth required pam_twinlock.so after_key\nauth required pam_permit.so\n";

/// What comes of our module, and what the person types for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Module {
    Right,
    Wrong,
    Used,
    Throttled,
    NoAnswer,
    Exempt,
    Absent,
    Stopped,
    BadArgument,
}

const MODULES: [Module; 9] = [
    Module::Right,
    Module::Wrong,
    Module::Used,
    Module::Throttled,
    Module::NoAnswer,
    Module::Exempt,
    Module::BadArgument,
    Module::Stopped,
    Module::Absent,
];

struct Trial {
    phone: Phone,
    daemon: Option<Daemon>,
}

impl Trial {
    /// Makes it so, and says what is typed.
    fn prepare(&mut self, module: Module) -> Vec<String> {
        let ran = |out: std::process::Output| assert!(out.status.success(), "{out:?}");
        ran(root(&["user", "unlock", "alice"]));
        ran(root(&["user", "exempt", "alice", "--off"]));
        match module {
            Module::Right | Module::Stopped | Module::Absent | Module::BadArgument => {
                self.fresh();
                vec![self.phone.code(0)]
            }
            Module::Wrong => vec![self.phone.wrong_code(); 3],
            Module::Used => {
                self.fresh();
                let code = self.phone.code(0);
                assert_eq!(pamhost::run(&["-s", "spend", "-u", "alice", &code]).code, pam::SUCCESS);
                vec![code; 3]
            }
            Module::Throttled => {
                self.fresh();
                let wrong = self.phone.wrong_code();
                for _ in 0..2 {
                    let _ = pamhost::run(&["-s", "spend", "-u", "alice", &wrong, &wrong, &wrong]);
                }
                vec![self.phone.code(0); 3]
            }
            Module::NoAnswer => vec!["@null".to_owned()],
            Module::Exempt => {
                ran(root(&["user", "exempt", "alice", "--until", "1h", "--reason", "test"]));
                vec![]
            }
        }
    }

    /// A key of its own for each right code: there is no waiting for the next.
    fn fresh(&mut self) {
        let out = root(&["user", "reset", "alice"]);
        assert!(out.status.success(), "{out:?}");
        let out = root(&["user", "enroll", "alice", "totp", "--activate", "--json"]);
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        self.phone = Phone::with_key(json["secret"].as_str().unwrap());
        early_in_a_step(2);
    }

    fn log_in(&mut self, stack: &str, module: Module, password: Option<&str>, evidence: &[&str]) -> i32 {
        let typed = self.prepare(module);
        let stack = match module {
            Module::BadArgument => stack.replace("pam_twinlock.so", "pam_twinlock.so failmode=opne"),
            _ => stack.to_owned(),
        };
        world::stack("matrix", &stack);
        match module {
            Module::Absent => drop(self.daemon.take()),
            Module::Stopped => self.signal(nix::sys::signal::Signal::SIGSTOP),
            _ => {}
        }
        let mut arguments = vec!["-s", "matrix", "-u", "alice"];
        arguments.extend(evidence);
        arguments.extend(password);
        arguments.extend(typed.iter().map(String::as_str));
        let code = pamhost::run(&arguments).code;
        match module {
            Module::Absent => self.daemon = Some(Daemon::quiet()),
            Module::Stopped => self.signal(nix::sys::signal::Signal::SIGCONT),
            _ => {}
        }
        code
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        self.daemon.as_ref().unwrap().signal(signal);
    }
}

fn trial(world: &World) -> Trial {
    world::stack("spend", "auth required pam_twinlock.so after_first_factor\n");
    let daemon = Some(Daemon::quiet());
    Trial { phone: world.enroll("alice"), daemon }
}

/// What lets in, with the right password.
fn lets_in(stack: &str, module: Module) -> bool {
    match module {
        Module::Right | Module::Exempt => true,
        // Only where the administrator says so, and only when the daemon is not there at all.
        Module::Absent => stack == TOLERANT,
        _ => false,
    }
}

#[test]
fn password_and_code_are_both_needed_in_every_stack_by_hand() {
    both_are_needed(&[PASSWORD_THEN_CODE, COMMON_AUTH_THEN_CODE, TOLERANT, HIDDEN]);
}

#[test]
fn password_and_code_are_both_needed_in_every_stack_that_is_made() {
    both_are_needed(&[ROOT_PASSES, PROFILE, JUMPS]);
}

fn both_are_needed(stacks: &[&str]) {
    let world = World::new();
    let mut trial = trial(&world);
    for stack in stacks {
        for module in MODULES {
            let code = trial.log_in(stack, module, Some(PASSWORD), &[]);
            assert_eq!(
                code == pam::SUCCESS,
                lets_in(stack, module),
                "{module:?}, right password: {code}\n{stack}"
            );
            let code = trial.log_in(stack, module, Some("wrong horse"), &[]);
            assert_ne!(code, pam::SUCCESS, "{module:?}, wrong password\n{stack}");
        }
    }
}

#[test]
fn a_stack_for_keys_lets_in_with_key_and_code_only() {
    let world = World::new();
    let mut trial = trial(&world);
    let key = ["-t", "ssh", "-e", "SSH_AUTH_INFO_0=publickey ssh-ed25519 AAAA"];
    for module in MODULES {
        let code = trial.log_in(KEY_THEN_CODE, module, None, &key);
        assert_eq!(code == pam::SUCCESS, lets_in(KEY_THEN_CODE, module), "{module:?}, with the key: {code}");
        let code = trial.log_in(KEY_THEN_CODE, module, None, &[]);
        assert_ne!(code, pam::SUCCESS, "{module:?}, without the key");
    }
}

#[test]
fn the_stacks_of_the_matrix_are_those_of_the_documentation() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let words = |line: &str| {
        let words = line.split_whitespace().filter(|word| !word.starts_with("timeout="));
        words.map(str::to_owned).collect::<Vec<_>>()
    };
    let ours = [PASSWORD_THEN_CODE, KEY_THEN_CODE, COMMON_AUTH_THEN_CODE, ROOT_PASSES].concat();
    let known: Vec<_> = ours.replace(" nodelay", "").lines().map(words).collect();
    for (file, lines) in [
        ("docs/guide.md", 10),
        ("docs/delivery.md", 1),
        ("packaging/man/pam_twinlock.8", 4),
        ("packaging/man/twinlock.7", 2),
    ] {
        let written = fs::read_to_string(format!("{folder}/{file}")).unwrap();
        let shown = written.lines().filter(|line| line.starts_with("    ")).map(words);
        let shown: Vec<_> = shown.filter(|line| line.first().is_some_and(|word| word == "auth")).collect();
        assert!(shown.len() >= lines, "{file}: {shown:?}");
        for line in shown {
            assert!(known.contains(&line), "{file}: {line:?} is in no stack of the matrix");
        }
    }
    // What the package brings is what was tried.
    let profile = fs::read_to_string(format!("{folder}/packaging/pam/twinlock")).unwrap();
    let line = profile.lines().find(|line| line.contains("pam_twinlock.so")).unwrap();
    assert!(
        PROFILE.lines().any(|known| words(known) == [vec!["auth".to_owned()], words(line)].concat()),
        "{line}"
    );
}
