//! The edge to libpam, and the only folder with `unsafe` code: what pam-bindings lacks (PAM variables, syslog),
//! the entry points, and the catching of panics.
#![expect(unsafe_code, reason = "libpam and libc calls; each block names the contract it relies on")]

mod entry;
mod handle;
mod sys;
