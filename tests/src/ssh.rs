//! A real sshd, and real ssh clients.

use std::{
    fs,
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use crate::{terminal::Terminal, wait, world};

/// Password, then code: the usual stack.
pub const PASSWORD_THEN_CODE: &str = "\
auth     requisite pam_unix.so nodelay
auth     required  pam_twinlock.so after_first_factor debug
account  required  pam_unix.so
session  required  pam_permit.so
";

/// A key, then a code: our module alone.
pub const KEY_THEN_CODE: &str = "\
auth     required  pam_twinlock.so after_key debug
auth     required  pam_permit.so
account  required  pam_unix.so
session  required  pam_permit.so
";

/// What an administrator sets for codes.
pub const KEYBOARD_INTERACTIVE: &str = "\
KbdInteractiveAuthentication yes
PasswordAuthentication no
AuthenticationMethods keyboard-interactive:pam
";

/// A running sshd, which is stopped when dropped.
pub struct Sshd {
    child: Child,
}

impl Sshd {
    pub(crate) fn start(stack: &str, config: &str) -> Self {
        world::stack("sshd", stack);
        let common = "UsePAM yes\nLogLevel VERBOSE\nPrintMotd no\nPrintLastLog no\n";
        fs::write("/etc/ssh/sshd_config", format!("{common}{config}")).unwrap();
        let child = Command::new("/usr/sbin/sshd").arg("-D").stderr(Stdio::null()).spawn().unwrap();
        let sshd = Self { child };
        wait::until("sshd", 10, || TcpStream::connect("127.0.0.1:22").ok());
        sshd
    }

    /// Children of this sshd that serve a connection now.
    #[must_use]
    pub fn connections(&self) -> usize {
        let out = Command::new("pgrep").args(["-c", "-P", &self.child.id().to_string()]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).trim().parse().unwrap_or(0)
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives a user an SSH key pair; returns the path of the private half.
#[must_use]
pub fn key_for(user: &str) -> String {
    let (path, home) = (format!("/root/key-{user}"), if user == "root" { "/root" } else { "/home" });
    let home = if user == "root" { home.to_owned() } else { format!("{home}/{user}") };
    world::sh(&format!(
        "ssh-keygen -q -t ed25519 -N '' -f {path} && mkdir -p {home}/.ssh && cp {path}.pub {home}/.ssh/authorized_keys \
         && chown -R {user}: {home}/.ssh && chmod 700 {home}/.ssh"
    ));
    path
}

/// `ssh USER@127.0.0.1 id -un` on a terminal, with more options.
#[must_use]
pub fn client(user: &str, options: &[&str]) -> Terminal {
    Terminal::run(client_command(user, options))
}

/// The command behind [`client`].
#[must_use]
pub fn client_command(user: &str, options: &[&str]) -> Command {
    let mut command = Command::new("ssh");
    for option in [
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "NumberOfPasswordPrompts=1",
    ] {
        command.args(["-o", option]);
    }
    command.args(options).arg(format!("{user}@127.0.0.1")).args(["echo", "in", "as", "$(id", "-un)"]);
    command
}

/// Logs in as a user, behind the password and at the prompt for the code.
#[must_use]
#[track_caller]
pub fn at_the_prompt(user: &str) -> Terminal {
    let mut ssh = client(user, &[]);
    ssh.answer("Password: ", world::PASSWORD);
    ssh.expect("Verification code: ");
    ssh
}

/// What a login came to: whether the shell ran, and everything that ssh still printed.
#[track_caller]
pub fn outcome(terminal: Terminal, user: &str) -> (bool, String) {
    let (said, code) = terminal.finish();
    let inside = said.contains(&format!("in as {user}"));
    assert_eq!(inside, code == 0, "exit {code}: {said}");
    (inside, said)
}
