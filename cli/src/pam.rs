//! `twinlock pam`: our lines in PAM stacks, put in and taken out.
//!
//! What a text becomes is decided in `lines.rs` and `redhat.rs`, without a file; whether that is a stack to log in by, doctor
//! says, and libpam itself (`trial.rs`). `ledger.rs` remembers how to go back before anything is written.

mod announce;
mod arm;
mod authselect;
mod debian;
mod diff;
mod disable;
mod doubts;
mod enable;
mod entry;
mod file;
mod ledger;
mod lines;
mod make;
mod methods;
mod plan;
mod redhat;
mod removal;
mod sshd;
mod status;
mod trial;
mod undo;

use std::path::Path;

use crate::{
    args::Pam,
    failure::{Failure, NOT_ALLOWED},
};
pub use doubts::{Doubt, doubts};
pub use ledger::FOLDER;
pub use trial::{errand, run_errand};

/// Carries a command out.
pub async fn run(runtime_dir: &Path, command: &Pam, json: bool) -> Result<(), Failure> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::new(NOT_ALLOWED, "this needs root"));
    }
    match command {
        Pam::Enable(options) => enable::run(runtime_dir, options, json).await,
        Pam::Confirm => undo::confirm(runtime_dir, json).await,
        Pam::Undo(options) => undo::undo(runtime_dir, options, json).await,
        Pam::Disable(options) => disable::run(runtime_dir, options, json).await,
        Pam::Status { service, root } => status::run(service.as_deref(), root, json),
    }
}
