//! What happened, what to do, and the exit code (product.md section 5).
#![deny(clippy::wildcard_enum_match_arm)]

use std::{fmt, time::Duration};

use tonic::Code;
use twinlock_proto::connect::ConnectError;

/// The answer is no.
pub const NO: u8 = 1;
/// Bad usage.
const USAGE: u8 = 2;
/// The daemon is not reachable.
const UNREACHABLE: u8 = 69;
/// Try again later.
pub const LATER: u8 = 75;
/// Not allowed.
pub const NOT_ALLOWED: u8 = 77;
/// Interrupted by the keyboard.
const INTERRUPTED: u8 = 130;

/// Why a command ends without success.
#[derive(Debug)]
pub struct Failure {
    /// Exit code.
    pub code: u8,
    /// What happened and what to do; empty if it was said already.
    pub text: String,
}

impl Failure {
    pub fn new(code: u8, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(USAGE, text)
    }

    /// A file that somebody named could not be used.
    pub fn of_file(what: impl Into<String>, error: &std::io::Error) -> Self {
        let forbidden = error.kind() == std::io::ErrorKind::PermissionDenied;
        Self::new(if forbidden { NOT_ALLOWED } else { NO }, what)
    }

    pub fn interrupted() -> Self {
        Self::new(INTERRUPTED, "interrupted")
    }
}

/// One answer of the daemon, which waits 4 s for its store at most.
const ANSWER: Duration = Duration::from_secs(10);
/// An answer that may have to wait for a password to be confirmed.
const SLOW_ANSWER: Duration = Duration::from_secs(40);
/// An answer that takes as long as the store is large.
const LONG_ANSWER: Duration = Duration::from_secs(600);

/// Waits for an answer, but not for ever.
pub async fn answered<T>(answer: impl Future<Output = Result<T, tonic::Status>>) -> Result<T, Failure> {
    within(ANSWER, answer).await
}

/// The same, where a password may have to be confirmed first.
pub async fn answered_slowly<T>(
    answer: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, Failure> {
    within(SLOW_ANSWER, answer).await
}

/// The same, where the whole store is read.
pub async fn answered_at_length<T>(
    answer: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, Failure> {
    within(LONG_ANSWER, answer).await
}

async fn within<T>(
    time: Duration,
    answer: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, Failure> {
    let late = |_| Failure::new(UNREACHABLE, "twinlockd does not answer; see its log, or restart it");
    Ok(tokio::time::timeout(time, answer).await.map_err(late)??)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match &error {
            ConnectError::Absent(_) => Self::new(
                UNREACHABLE,
                format!("{error}; start it (systemctl start twinlockd) or see its log"),
            ),
            ConnectError::Forbidden(_) => Self::new(NOT_ALLOWED, format!("{error}; this needs root")),
            ConnectError::Untrusted(..) | ConnectError::Failed(..) => {
                Self::new(UNREACHABLE, error.to_string())
            }
        }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let text = crate::output::clean(status.message());
        match status.code() {
            Code::NotFound | Code::FailedPrecondition => Self::new(NO, text),
            Code::PermissionDenied | Code::Unauthenticated => Self::new(NOT_ALLOWED, text),
            Code::InvalidArgument => Self::new(USAGE, text),
            Code::ResourceExhausted => Self::new(LATER, text),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::AlreadyExists
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => {
                Self::new(UNREACHABLE, format!("twinlockd could not answer ({text}); see its log"))
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(UNREACHABLE, error.to_string())
    }
}
