//! The PAM application of tests/pamhost, for what no real program does.

use std::process::{Command, Output};

/// Where it was built.
pub const PROGRAM: &str = env!("PAMHOST");

/// What an authentication came to.
#[derive(Debug)]
pub struct Run {
    /// The PAM code.
    pub code: i32,
    /// Everything that was printed.
    pub said: String,
    /// Standard error, which must stay empty.
    pub errors: String,
}

impl Run {
    /// The prompts that were shown.
    #[must_use]
    pub fn prompts(&self) -> Vec<&str> {
        self.said.lines().filter_map(|line| line.strip_prefix("prompt echo-on: ")).collect()
    }
}

/// Runs it with these arguments (options, then answers).
#[must_use]
#[track_caller]
pub fn run(arguments: &[&str]) -> Run {
    finish(&Command::new(PROGRAM).args(arguments).output().expect("pamhost was built"))
}

/// Reads its output.
#[must_use]
#[track_caller]
pub fn finish(out: &Output) -> Run {
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let code = said
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("auth "))
        .and_then(|rest| rest.split(' ').next().and_then(|code| code.parse().ok()));
    let errors = String::from_utf8_lossy(&out.stderr).into_owned();
    let code = code.unwrap_or_else(|| panic!("no verdict: {:?} {said} {errors}", out.status));
    Run { code, said, errors }
}

/// PAM codes (security/_pam_types.h).
pub mod pam {
    /// PAM_SUCCESS
    pub const SUCCESS: i32 = 0;
    /// PAM_SERVICE_ERR
    pub const SERVICE_ERR: i32 = 3;
    /// PAM_SYSTEM_ERR
    pub const SYSTEM_ERR: i32 = 4;
    /// PAM_PERM_DENIED: what libpam says when every module ignored
    pub const PERM_DENIED: i32 = 6;
    /// PAM_AUTH_ERR
    pub const AUTH_ERR: i32 = 7;
    /// PAM_AUTHINFO_UNAVAIL
    pub const AUTHINFO_UNAVAIL: i32 = 9;
    /// PAM_MAXTRIES
    pub const MAXTRIES: i32 = 11;
    /// PAM_CONV_ERR
    pub const CONV_ERR: i32 = 19;
}
