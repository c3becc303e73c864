//! `pam_twinlock.so`: shows the prompts that twinlockd sends and returns the answers.
//!
//! It decides nothing, stores nothing, reads no file and no environment variable of the process. What it
//! promises its host: no threads, no signal handlers, no output, no SIGPIPE; every descriptor is close-on-exec
//! and closed; every wait has a deadline; a panic becomes PAM_SYSTEM_ERR; whatever goes wrong denies.
//!
//! A login reads like this: `ffi` (an entry point of libpam) → [`options`] → [`dialogue`] (step, prompt, reply)
//! over [`wire`] (gRPC on a Unix socket) → [`outcome`] (the PAM code). [`application`] is what the loading program
//! offers, [`authority`] is what the daemon offers: traits, so that tests can play either.
//!
//! Dependencies, each paid for in every login: pam-bindings (entry points, items, conversation), nix (socket
//! calls), hyper + tonic (gRPC), tokio `sync` and tokio-stream (the queue of replies; no runtime), getrandom
//! (nonce), subtle and zeroize (answers), libc (syslog, pam_getenv).

pub mod application;
pub mod authority;
pub mod dialogue;
mod ffi;
pub mod options;
pub mod outcome;
pub mod record;
pub mod wire;
