//! `twinlock doctor`: what sshd does with our PAM lines.
//!
//! The caller asks sshd itself: `sshd -T -C SPEC` for each of [`probes`], [`Effective::parse`] for each answer, and
//! [`judge`] over all of them; where it
//! answers nothing, [`unanswered`]. Nothing here guesses what an option's default is.

mod effective;
mod matching;
mod methods;
mod pattern;
mod source;
mod verdict;

#[cfg(test)]
mod tests;

pub use self::{
    effective::Effective,
    matching::{People, probes},
    methods::{Way, ways},
    source::Disk,
    verdict::{Pam, judge, unanswered},
};
