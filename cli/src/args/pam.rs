//! `twinlock pam`: our lines in PAM stacks.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Pam {
    /// Have a second factor asked: tries the new stack, then writes it; it is put back unless you confirm
    Enable(PamEnable),
    /// Say that all is well with what was enabled: it stays
    Confirm,
    /// Put back now what was enabled and not confirmed
    Undo(PamUndo),
    /// Have it asked no more; needs no daemon
    Disable(PamDisable),
    /// Where it is asked, who wrote that, and what waits to be confirmed
    Status {
        /// Only this PAM service: exit 1 if it asks nobody
        #[arg(long, value_name = "NAME")]
        service: Option<String>,
        /// A disk that is mounted here
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct PamEnable {
    /// The PAM service; may be given several times. common-auth is every service that includes it (Debian)
    #[arg(long, value_name = "NAME", default_value = "sshd")]
    pub service: Vec<String>,
    /// sshd: an SSH key and a code, in place of password and code
    #[arg(long)]
    pub key: bool,
    /// sshd: let passwords in (each with a code, where policy asks for one), though sshd takes none so far
    #[arg(long, conflicts_with = "key")]
    pub passwords: bool,
    /// login: ask root too, who then cannot log in at the console while twinlockd is down
    #[arg(long)]
    pub ask_root: bool,
    /// Put everything back after so long, unless you confirm; 0 for never
    #[arg(long, value_name = "TIME", default_value = "10m")]
    pub undo_after: String,
    /// Whose account the new stack is tried with, by a wrong code; your own unless said otherwise
    #[arg(long, value_name = "NAME")]
    pub try_as: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Args)]
pub struct PamUndo {
    /// Only if this change is the one that waits
    #[arg(long, value_name = "NAME", hide = true)]
    pub change: Option<String>,
    /// Wait until it is due, in a session of its own
    #[arg(long, hide = true, requires = "change")]
    pub later: bool,
    /// sshd does not run yet
    #[arg(long, hide = true)]
    pub boot: bool,
}

#[derive(Debug, Args)]
pub struct PamDisable {
    /// The PAM service; may be given several times
    #[arg(long, value_name = "NAME", default_value = "sshd")]
    pub service: Vec<String>,
    /// Every service
    #[arg(long, conflicts_with = "service")]
    pub all: bool,
    /// A disk that is mounted here, for rescue systems
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}
