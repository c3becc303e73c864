//! What proves possession: one file a factor. A factor computes whether a code matches and tells nobody; only
//! the store's commit decides ([`crate::engine::proof`]).

pub mod code;
pub mod delivered;
pub mod hotp;
pub mod link;
pub mod spare;
pub mod totp;

/// Kinds of factors that compute codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From the time (RFC 6238).
    Totp,
    /// From a counter (RFC 4226).
    Hotp,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Totp, Self::Hotp];

    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Hotp => "hotp",
        }
    }
}

/// How far a factor has come before it is one here: where it is from, codes of it were used already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// The last step, or counter, that was accepted.
    pub last_step: Option<i64>,
    /// The steps that its clock is ahead (or behind, if negative).
    pub drift: i64,
    /// It may be further than that: two codes in a row show where, before one counts.
    pub resync_required: bool,
}
