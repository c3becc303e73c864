//! A host whose kernel confines our programs, and what is done there every day: nothing of it may be refused.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

use crate::{
    machine::Machine,
    phone::{Phone, early_in_a_step},
    ssh::{at_the_prompt, outcome},
    terminal::Terminal,
    wait,
    world::{PASSWORD, as_user, enroll, sh},
};

const WEB: &str =
    "[web]\nurl = 'https://twofactor.example.test'\nlisten = '127.0.0.1:8443'\nproxies = ['127.0.0.1']\n";
const FIGURES: &str = "/var/lib/prometheus/node-exporter/twinlock.prom";

/// The packages, with a sealing key that systemd hands over, figures and a page; ssh asks for password and code.
pub fn install(machine: &Machine) {
    sh("mkdir -p /etc/credstore /var/lib/prometheus/node-exporter");
    sh("head -c 32 /dev/urandom >/etc/credstore/twinlock.key && chmod 0600 /etc/credstore/twinlock.key");
    machine.install(&["twinlock", "libpam-twinlock", "twinlock-web"]);
    fs::write("/etc/twinlock/twinlock.d/test.toml", format!("[metrics]\nfile = '{FIGURES}'\n{WEB}")).unwrap();
    sh("chmod 0640 /etc/twinlock/twinlock.d/test.toml");
    // The guide's lines.
    let lines = "auth requisite pam_unix.so\\nauth required pam_twinlock.so after_first_factor";
    sh(&format!("sed -i 's/^@include common-auth/{lines}/' /etc/pam.d/sshd"));
    fs::write(
        "/etc/ssh/sshd_config.d/twinlock.conf",
        "KbdInteractiveAuthentication yes\nPasswordAuthentication no\n",
    )
    .unwrap();
    sh("systemctl restart ssh");
}

/// What is done every day, each with its result.
#[track_caller]
pub fn every_day() {
    let phone = logins();
    own_account(&phone);
    administration();
    page();
    wait::until("figures", 60, || Path::new(FIGURES).exists().then_some(()));
    assert!(!Path::new("/var/lib/twinlock/key").exists(), "systemd's credential is the key");
}

/// A right code lets in, a wrong one does not; and so does a daemon that was started anew.
fn logins() -> Phone {
    let phone = enroll("alice");
    let mut ssh = at_the_prompt("alice");
    ssh.type_line(&fresh(&phone));
    assert!(outcome(ssh, "alice").0, "the right code");
    let mut ssh = at_the_prompt("alice");
    ssh.type_line(&phone.wrong_code());
    ssh.expect("Wrong code");
    ssh.interrupt();
    assert!(!outcome(ssh, "alice").0, "a wrong code");

    sh("systemctl restart twinlockd");
    let mut ssh = at_the_prompt("alice");
    ssh.type_line(&fresh(&phone));
    assert!(outcome(ssh, "alice").0, "after a restart");
    phone
}

/// The code of a step that has just begun: it holds for the next one too, and emulation is slow.
fn fresh(phone: &Phone) -> String {
    early_in_a_step(28);
    phone.code(0)
}

/// alice tries a code; bob, who has nothing yet, proves his password.
fn own_account(alices: &Phone) {
    let twinlock = |user, arguments: &[&str]| {
        let mut command = as_user(user, "twinlock");
        command.args(arguments);
        Terminal::run(command)
    };
    let mut terminal = twinlock("alice", &["verify"]);
    terminal.expect("code: ");
    terminal.type_line(&fresh(alices));
    let (said, code) = terminal.finish();
    assert_eq!(code, 0, "{said}");

    let mut terminal = twinlock("bob", &["enroll", "totp"]);
    terminal.answer("Login password of bob: ", "not his");
    terminal.answer("Login password of bob: ", PASSWORD);
    terminal.expect("otpauth://totp/");
    terminal.interrupt();
}

/// Backup and restore in root's home, another key, the configuration checked and read anew.
fn administration() {
    for command in [
        "twinlock db backup /root/backup",
        "twinlock key rotate",
        "cp /etc/twinlock/twinlock.toml /root/new.toml && twinlock policy check /root/new.toml",
        "systemctl reload twinlockd",
        "systemctl stop twinlockd.socket twinlockd-user.socket twinlockd-web.socket twinlockd",
        // systemd hands the key to the unit, not to this.
        "install -m 0600 /etc/credstore/twinlock.key /var/lib/twinlock/key",
        "twinlock db restore --yes /root/backup",
        "rm /var/lib/twinlock/key",
        "systemctl start twinlockd",
        "twinlock daemon status",
    ] {
        sh(command);
    }
}

/// The page answers: it has read its settings from the daemon.
fn page() {
    sh("systemctl restart twinlock-web");
    let answer = wait::until("the page", 30, || {
        let mut stream = TcpStream::connect("127.0.0.1:8443").ok()?;
        stream
            .write_all(
                b"GET /robots.txt HTTP/1.1\r\nHost: twofactor.example.test\r\nX-Forwarded-Proto: https\r\n\
                  X-Forwarded-For: 192.0.2.1\r\nConnection: close\r\n\r\n",
            )
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok().map(|_| answer)
    });
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
