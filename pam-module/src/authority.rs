//! Whoever decides: twinlockd, or a scripted one in tests.

use std::time::{Duration, Instant};

use twinlock_proto::v1::{Answer, Open, Step};

/// One answer of the daemon.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Why there is no step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The socket is missing or refuses: nobody is there.
    Absent,
    /// Somebody is there and did not answer in time.
    Late,
    /// The connection ended without a verdict.
    Broken,
    /// The other end is not the daemon, or does not talk like it. The text is for the log.
    Untrusted(String),
}

/// Opens conversations.
pub trait Authority {
    /// A conversation in progress.
    type Talk: Talk;

    /// Connects and sends the opening message, before `deadline`.
    ///
    /// # Errors
    ///
    /// See [`Fault`].
    fn begin(&mut self, open: Open, deadline: Instant) -> Result<Self::Talk, Fault>;
}

/// A conversation in progress. Dropping it ends it.
pub trait Talk {
    /// The next step, if it comes before `deadline`.
    ///
    /// # Errors
    ///
    /// See [`Fault`].
    fn next(&mut self, deadline: Instant) -> Result<Step, Fault>;

    /// Queues an answer; it travels with the next call of [`Talk::next`].
    ///
    /// # Errors
    ///
    /// When the conversation has ended.
    fn reply(&mut self, answer: Answer) -> Result<(), Fault>;
}
