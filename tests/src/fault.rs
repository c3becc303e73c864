//! System calls of a running program that fail, or kill it: strace's fault injection.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{daemon::Daemon, wait};

/// How long a tracer may take to let go.
const PATIENCE: Duration = Duration::from_secs(5);

/// A tracer; what it does to the program ends when it is dropped.
pub struct Fault(Child);

impl Fault {
    /// `inject` in strace's words: `pwrite64:error=EROFS`.
    #[must_use]
    pub fn inject(daemon: &Daemon, inject: &str) -> Self {
        let pid = daemon.pid().to_string();
        let calls = inject.split(':').next().unwrap_or_default();
        let (trace, inject) = (format!("trace={calls}"), format!("inject={inject}"));
        let strace = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, "-p", &pid])
            .stderr(Stdio::null())
            .spawn()
            .expect("strace is installed");
        wait::until("strace attached", 10, || {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
            let traced = |task: fs::DirEntry| {
                fs::read_to_string(task.path().join("status"))
                    .is_ok_and(|text| !text.contains("TracerPid:\t0"))
            };
            tasks.flatten().all(traced).then_some(())
        });
        Self(strace)
    }
}

impl Drop for Fault {
    /// Told to end, it lets go of the program; killed, it might leave it stopped.
    fn drop(&mut self) {
        let pid = i32::try_from(self.0.id()).unwrap();
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        // Now and then strace waits for ever for a program that it killed itself: all threads are zombies, and it does not
        // see the end of one. There is nothing left then that could stay stopped.
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if matches!(self.0.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::yield_now();
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
