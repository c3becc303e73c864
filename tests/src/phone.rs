//! An authenticator app: oathtool, which is nobody's code here.

use std::{
    process::Command,
    time::{SystemTime, UNIX_EPOCH},
};

/// A key in an app.
#[derive(Debug, Clone)]
pub struct Phone {
    /// Base32.
    pub key: String,
    algorithm: &'static str,
    digits: u8,
}

impl Phone {
    /// The usual: SHA-1, 6 digits, 30 seconds.
    #[must_use]
    pub fn with_key(key: &str) -> Self {
        Self { key: key.replace(' ', ""), algorithm: "sha1", digits: 6 }
    }

    /// Another hash and length.
    #[must_use]
    pub fn with(self, algorithm: &'static str, digits: u8) -> Self {
        Self { algorithm, digits, ..self }
    }

    /// The code at a time, in seconds since 1970.
    #[must_use]
    pub fn code_at(&self, seconds: i64) -> String {
        let output = Command::new("oathtool")
            .arg(format!("--totp={}", self.algorithm))
            .args(["-b", "-d", &self.digits.to_string(), "-N", &format!("@{seconds}"), &self.key])
            .output()
            .expect("oathtool is installed");
        assert!(output.status.success(), "oathtool: {output:?}");
        String::from_utf8(output.stdout).expect("digits").trim().to_owned()
    }

    /// The code of now, or of so many steps away from it: the daemon takes one step either way, so a test has three
    /// codes without waiting, if it uses them in order.
    #[must_use]
    pub fn code(&self, steps: i64) -> String {
        self.code_at(now() + 30 * steps)
    }

    /// A code that is not right now, nor two steps either way.
    #[must_use]
    pub fn wrong_code(&self) -> String {
        let right: Vec<String> = (-2..=2).map(|steps| self.code(steps)).collect();
        let candidates = (0..10).map(|digit| digit.to_string().repeat(usize::from(self.digits)));
        candidates.into_iter().find(|code| !right.contains(code)).expect("ten candidates, five right ones")
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    #[expect(clippy::disallowed_methods, reason = "the wall clock that the phone shows")]
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("before the end of time")
}

/// Returns early in a 30 s step, so that the codes a test computes now stay in the window while it runs.
pub fn early_in_a_step(seconds: i64) {
    crate::wait::until("the next time step", 31, || (now() % 30 < 30 - seconds).then_some(()));
}
