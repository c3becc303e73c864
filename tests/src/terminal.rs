//! A program on a pseudo-terminal, typed at like a person.

use std::process::Command;

use rexpect::{
    process::{Signal, WaitStatus},
    session::{PtySession, spawn_command},
};

/// How long a program may take to say what is expected.
const PATIENCE_MS: u64 = 20_000;

/// A terminal with a program on it.
pub struct Terminal {
    session: PtySession,
}

impl Terminal {
    /// Starts a program.
    #[must_use]
    pub fn run(command: Command) -> Self {
        let described = format!("{command:?}");
        let session = spawn_command(command, Some(PATIENCE_MS * crate::wait::slowness()));
        Self { session: session.unwrap_or_else(|error| panic!("{described}: {error}")) }
    }

    /// Waits for a text; returns what came before it.
    #[track_caller]
    pub fn expect(&mut self, text: &str) -> String {
        match self.session.exp_string(text) {
            Ok(before) => decode(&before),
            Err(error) => panic!("expected {text:?}: {error}"),
        }
    }

    /// Waits for one of two texts; says whether it was the first.
    #[track_caller]
    pub fn expect_either(&mut self, this: &str, that: &str) -> bool {
        use rexpect::ReadUntil;
        let needles = vec![ReadUntil::String(this.to_owned()), ReadUntil::String(that.to_owned())];
        match self.session.exp_any(needles) {
            Ok((_, found)) => found == this,
            Err(error) => panic!("expected {this:?} or {that:?}: {error}"),
        }
    }

    /// Types a line.
    pub fn type_line(&mut self, text: &str) {
        self.session.send_line(text).expect("the terminal is open");
    }

    /// Types keys, and no Enter behind them.
    pub fn type_keys(&mut self, keys: &str) {
        self.session.send(keys).and_then(|_| self.session.flush()).expect("the terminal is open");
    }

    /// Waits for a prompt and answers it.
    #[track_caller]
    pub fn answer(&mut self, prompt: &str, text: &str) {
        self.expect(prompt);
        self.type_line(text);
    }

    /// Types Ctrl-C.
    pub fn interrupt(&mut self) {
        self.session.send_control('c').expect("the terminal is open");
    }

    /// Waits for the end; returns what was still said, and the exit code (-1 after a signal).
    #[track_caller]
    pub fn finish(mut self) -> (String, i32) {
        let rest = match self.session.exp_eof() {
            Ok(rest) => decode(&rest),
            Err(error) => panic!("expected the end: {error}"),
        };
        let status = crate::wait::until("the program's end", 10, || match self.session.process().status() {
            Some(WaitStatus::StillAlive) => None,
            status => Some(status),
        });
        match status {
            Some(WaitStatus::Exited(_, code)) => (rest, code),
            _ => (rest, -1),
        }
    }

    /// Kills the program, which gets no chance to say goodbye.
    pub fn kill(mut self) {
        self.session.process_mut().signal(Signal::SIGKILL).expect("it runs");
    }
}

/// rexpect gives each byte as a character.
fn decode(text: &str) -> String {
    let bytes: Vec<u8> = text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
