//! A newcomer's way: a bare host, the packages, and the guide. What is typed here is read from the guide, and a command that
//! stands there and is not known here fails: neither can change without the other.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{fs, path::Path, process::Command, time::Instant};

use twinlock_tests::{
    machine::{Machine, package},
    phone::{Phone, early_in_a_step},
    ssh::{client, outcome},
    terminal::Terminal,
    world::PASSWORD,
};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/guide.md");
/// Where the newcomer has the packages.
const FOLDER: &str = "/root/packages";

/// The commands of a section, without what is explained beside them.
fn commands(section: &str) -> Vec<String> {
    let guide = fs::read_to_string(GUIDE).unwrap();
    let (_, from) = guide.split_once(&format!("\n## {section}\n")).unwrap();
    let text = from.split("\n## ").next().unwrap();
    let code = text.lines().filter_map(|line| line.strip_prefix("    "));
    code.map(|line| line.split("  #").next().unwrap_or_default().trim().to_owned()).collect()
}

/// What root types, to its end; everything that was said.
#[track_caller]
fn root(line: &str, answers: &[(&str, &str)]) -> String {
    let mut command = Command::new("bash");
    command.args(["-c", line]).current_dir(FOLDER);
    let mut terminal = Terminal::run(command);
    let mut said = String::new();
    for (question, answer) in answers {
        said += &terminal.expect(question);
        terminal.type_line(answer);
    }
    let (rest, status) = terminal.finish();
    assert_eq!(status, 0, "{line}: {said}{rest}");
    said + &rest
}

/// What alice types.
fn hers(line: &str) -> Terminal {
    let mut command = Command::new("runuser");
    command.args(["-u", "alice", "--", "bash", "-c", line]);
    Terminal::run(command)
}

/// Sets up the app; the code of the step before, so that nobody waits for the next.
fn enroll(line: &str) -> Phone {
    let mut terminal = hers(line);
    terminal.answer("Login password of alice: ", PASSWORD);
    terminal.expect("Key:  ");
    let phone = Phone::with_key(terminal.expect("\n").trim());
    early_in_a_step(10);
    terminal.answer("code it shows: ", &phone.code(-1));
    terminal.answer("saved them: ", "");
    assert_eq!(terminal.finish().1, 0);
    phone
}

fn login(phone: &Phone) {
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", &phone.wrong_code());
    ssh.expect("Wrong code");
    ssh.interrupt();
    assert!(!outcome(ssh, "alice").0);
    let mut ssh = client("alice", &[]);
    ssh.answer("Password: ", PASSWORD);
    ssh.answer("Verification code: ", &phone.code(0));
    assert!(outcome(ssh, "alice").0);
}

#[test]
fn from_the_packages_to_the_first_login_with_a_code_by_the_guide_alone() {
    let _host = Machine::new();
    fs::create_dir(FOLDER).unwrap();
    for name in ["libpam-twinlock", "twinlock", "twinlock-web"] {
        let file = package(name);
        fs::copy(&file, Path::new(FOLDER).join(file.file_name().unwrap())).unwrap();
    }
    let began = Instant::now();
    let install = commands("Install");
    assert_eq!(install[0], "apt install ./twinlock_*.deb ./libpam-twinlock_*.deb");
    root(&install[0], &[]);

    let mut phone = None;
    for line in commands("First host in five minutes").iter().filter(|line| !line.is_empty()) {
        match line.as_str() {
            "twinlock enroll totp" => phone = Some(enroll(line)),
            "twinlock" => {
                let (said, status) = hers(line).finish();
                assert!(status == 0 && said.contains("totp"), "{said}");
            }
            "twinlock pam enable --service sshd" => {
                let said = root(line, &[("Type yes to go on: ", "yes")]);
                assert!(said.contains("twinlock pam confirm"), "{said}");
            }
            "ssh -o ControlPath=none you@host" => {
                login(phone.as_ref().unwrap());
                println!("the first login with a code after {} s", began.elapsed().as_secs());
            }
            "twinlock audit --user you" => {
                let said = root("twinlock audit --user alice", &[]);
                assert!(said.contains("granted"), "{said}");
            }
            "twinlock daemon status" | "twinlock pam confirm" | "twinlock doctor" => drop(root(line, &[])),
            "twinlock policy explain you --service sshd" => {
                let said = root("twinlock policy explain alice --service sshd", &[]);
                assert!(said.contains("ask"), "{said}");
            }
            other => panic!("the guide says {other:?}, which no newcomer here types"),
        }
    }
}
