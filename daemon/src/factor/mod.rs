//! What proves possession: one file a factor. A factor computes whether a code matches and tells nobody; only
//! the store's commit decides ([`crate::engine::proof`]).

pub mod code;
pub mod delivered;
pub mod spare;
pub mod totp;
