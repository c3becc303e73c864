//! bench/driver.c: logins through libpam, timed where they happen.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use twinlock_tests::world;

const DRIVER: &str = env!("BENCH_DRIVER");

/// A user and the code to type.
pub type Login = (String, String);

/// Microseconds of each login in a new process.
pub fn fresh(service: &str, logins: &[Login]) -> Vec<f64> {
    drive(&["fresh", service], logins).into_iter().map(|times| times[0]).collect()
}

/// Microseconds of each login in a process that has the module loaded: all of it, and of that what came behind the
/// answer to the last prompt.
pub fn resident(service: &str, module: &str, logins: &[Login]) -> Vec<(f64, f64)> {
    let lines = drive(&["resident", service, &path(module)], logins);
    lines.into_iter().map(|times| (times[0], times[1])).collect()
}

/// Logins a second, each in a new process, so many at a time.
pub fn storm(width: usize, logins: &[Login]) -> f64 {
    rate(&drive(&["storm", "twinlock", &width.to_string()], logins), logins)
}

/// Logins a second, each on a new connection, in so many processes that have the module loaded.
pub fn crowd(width: usize, logins: &[Login]) -> f64 {
    let module = path("pam_twinlock.so");
    rate(&drive(&["crowd", "twinlock", &width.to_string(), &module], logins), logins)
}

/// Microseconds of five pages over a file that has grown, and their flush: what the disk takes of a login.
pub fn flush() -> f64 {
    let times = drive(&["flush", "/var/lib/flush"], &[]);
    super::report::median(times.iter().map(|times| times[0]))
}

/// Where libpam finds a module.
pub fn path(module: &str) -> String {
    let folder = world::sh("dirname $(find /usr/lib -name pam_permit.so)");
    format!("{}/{module}", folder.trim())
}

fn rate(times: &[Vec<f64>], logins: &[Login]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a hundred")]
    let count = logins.len() as f64;
    count / (times[0][0] / 1e6)
}

/// The lines that it printed, in microseconds.
fn drive(arguments: &[&str], logins: &[Login]) -> Vec<Vec<f64>> {
    let mut command = Command::new(DRIVER);
    let mut child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: String = logins.iter().map(|(user, code)| format!("{user} {code}\n")).collect();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{command:?}: {:?}", out.status);
    let words = |line: &str| line.split(' ').map(|word| word.parse::<f64>().unwrap() / 1000.0).collect();
    String::from_utf8(out.stdout).unwrap().lines().map(words).collect()
}
