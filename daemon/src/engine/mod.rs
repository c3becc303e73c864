//! Decisions, and nothing else: facts and answers come in, what to do next goes out. Nothing here knows a
//! runtime, a socket, SQL or the system's clock.

pub mod checking;
pub mod clock_guard;
pub mod conversation;
pub mod delivery;
pub mod enrolling;
pub mod enrollment;
pub mod invitation;
pub mod inviting;
pub mod policy;
pub mod prompt;
pub mod proof;
pub mod sending;
pub mod throttle;
