//! Domain errors to gRPC statuses: the only place. "No" is not among them: it is a value in the contract. What
//! went wrong inside is logged, not told.
#![deny(clippy::wildcard_enum_match_arm)]

use tonic::Status;

use crate::{accounts::DirectoryError, random::NoRandomness, seal::SealError, store::StoreError};

/// The daemon could not decide.
pub(super) fn undecided(error: &Undecided) -> Status {
    match error {
        Undecided::Store(error) => {
            tracing::error!(%error, "no decision");
            match error {
                StoreError::Unavailable(_) | StoreError::Stopped => {
                    Status::unavailable("the store is unavailable")
                }
                StoreError::Corrupt(_) => Status::data_loss("the store is damaged"),
            }
        }
        Undecided::Directory(error) => {
            tracing::error!(%error, "no decision");
            Status::unavailable("users cannot be looked up")
        }
        Undecided::Seal(error) => {
            tracing::error!(%error, "no decision");
            match error {
                SealError::Refused | SealError::UnknownKey(_) => {
                    Status::data_loss("a stored secret cannot be opened")
                }
                SealError::NoRandomness => Status::unavailable("no randomness"),
            }
        }
        Undecided::Malformed(what) => Status::invalid_argument(*what),
        Undecided::Usage(what) => Status::invalid_argument(what),
        Undecided::NotFound(what) => Status::not_found(what),
        Undecided::Conflict(what) => Status::failed_precondition(what),
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Undecided {
    /// The store.
    Store(StoreError),
    /// NSS or PAM.
    Directory(DirectoryError),
    /// A sealed secret.
    Seal(SealError),
    /// The request cannot be meant.
    Malformed(&'static str),
    /// It asks for something that there is not; says what there is.
    Usage(String),
    /// It is about something that does not exist.
    NotFound(String),
    /// It cannot be done as things are; says what to do.
    Conflict(String),
}

impl From<StoreError> for Undecided {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<DirectoryError> for Undecided {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}

impl From<SealError> for Undecided {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl From<NoRandomness> for Undecided {
    fn from(_: NoRandomness) -> Self {
        Self::Seal(SealError::NoRandomness)
    }
}
