//! twinlockd, running.

use std::{
    os::unix::net::UnixStream,
    process::{Child, Command, ExitStatus, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{wait, world::root};

/// A running daemon, which is stopped when dropped.
pub struct Daemon {
    child: Child,
    arguments: Vec<String>,
    clock: bool,
}

impl Daemon {
    /// Starts it with the usual paths and waits until it is ready.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        Self::launch(arguments.iter().map(ToString::to_string).collect(), false)
    }

    /// Starts it as it is run: logging what an operator wants to know.
    #[must_use]
    pub fn quiet() -> Self {
        Self::start(&["--log-level", "info"])
    }

    /// Starts it with a clock that [`Daemon::set_clock`] moves (libfaketime).
    #[must_use]
    pub fn with_clock(seconds: i64) -> Self {
        faketime::set(seconds);
        // libfaketime gives the real time to one of two threads that ask at once: the log's thread must seldom ask.
        Self::launch(vec!["--log-level".to_owned(), "warn".to_owned()], true)
    }

    fn launch(arguments: Vec<String>, clock: bool) -> Self {
        let mut command = Command::new("twinlockd");
        command.args(["--log-to", "syslog"]).args(&arguments).stdin(Stdio::null());
        if !arguments.iter().any(|argument| argument == "--log-level") {
            command.args(["--log-level", "trace"]);
        }
        if clock {
            command.envs(faketime::environment());
        }
        let mut child = command.spawn().expect("twinlockd is installed");
        wait::until("twinlockd ready", 10, || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("twinlockd ended: {status}");
            }
            UnixStream::connect("/run/twinlock/admin.sock").ok()
        });
        Self { child, arguments, clock }
    }

    /// Moves its clock, and says that this is right.
    pub fn set_clock(&self, seconds: i64) {
        self.move_clock(seconds);
        assert!(crate::world::root(&["clock", "accept"]).status.success());
    }

    /// Moves its clock; the daemon may not believe it.
    pub fn move_clock(&self, seconds: i64) {
        assert!(self.clock, "start it with_clock");
        faketime::set(seconds);
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Has it read its configuration again, and waits until it did.
    pub fn reload(&self) {
        let reloads = || root(&["audit", "--event", "reload", "--json"]).stdout.len();
        let before = reloads();
        self.signal(Signal::SIGHUP);
        wait::until("the reload in the trail", 10, || (reloads() > before).then_some(()));
    }

    /// Kills it as a crash would, and starts it again.
    #[must_use]
    pub fn crash_and_restart(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Self::launch(std::mem::take(&mut self.arguments), self.clock)
    }

    /// Stops it in good order.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.child.wait().unwrap()
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// libfaketime: one clock for all programs that are started with it.
pub mod faketime {
    use std::{fs, path::Path, process::Command};

    const FILE: &str = "/tmp/faketime";

    /// What a program needs to see that clock; timers go on as they are.
    #[must_use]
    pub fn environment() -> Vec<(&'static str, String)> {
        let library = fs::read_dir("/usr/lib")
            .unwrap()
            .map(|entry| entry.unwrap().path().join("faketime/libfaketime.so.1"))
            .find(|path| path.exists())
            .expect("libfaketime is installed");
        vec![
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", FILE.to_owned()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// Sets the clock, in seconds since 1970; it stands still there.
    pub fn set(seconds: i64) {
        let draft = Path::new(FILE).with_extension("new");
        let out =
            Command::new("date").args(["+%Y-%m-%d %H:%M:%S", "-d", &format!("@{seconds}")]).output().unwrap();
        fs::write(&draft, out.stdout).unwrap();
        fs::rename(draft, FILE).unwrap();
    }
}
