//! The command line of `twinlockd`.

use std::path::PathBuf;

use crate::accounts::helper::Kind;

/// The Twinlock daemon: holds the secrets, decides, keeps the audit trail.
#[derive(Debug, clap::Parser)]
#[command(name = "twinlockd", version, group = clap::ArgGroup::new("errand"))]
pub struct Options {
    /// Configuration file; drop-ins are read from the folder beside it (twinlock.d)
    #[arg(long, value_name = "FILE", default_value = crate::config::DEFAULT_FILE)]
    pub config: PathBuf,

    /// Where the sockets are
    #[arg(long, value_name = "DIR", default_value = twinlock_proto::RUNTIME_DIR)]
    pub runtime_dir: PathBuf,

    /// Where the store is
    #[arg(long, value_name = "DIR", default_value = "/var/lib/twinlock")]
    pub state_dir: PathBuf,

    /// Check the configuration, print what is wrong, and exit: 0 usable, 1 not
    #[arg(long, group = "errand")]
    pub check: bool,

    /// Put the backup on standard input in the place of the store, and exit: 0 done, 1 nothing has changed
    #[arg(long, group = "errand")]
    pub restore: bool,

    /// Print what --check finds, or --restore does, as JSON
    #[arg(long, requires = "errand")]
    pub json: bool,

    /// Who stands behind root, for the trail: a claim
    #[arg(long, hide = true, requires = "restore", default_value = "")]
    pub claimed_by: String,

    /// Lowest level that is logged
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LogLevel,

    /// Where the log goes
    #[arg(long, value_name = "WHERE", default_value = "auto")]
    pub log_to: LogTo,

    /// Run as a helper process of a running daemon
    #[arg(long, hide = true)]
    pub helper: Option<Kind>,
}

/// Lowest level that is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Something is out of order.
    Error,
    /// Something may become so.
    Warn,
    /// What an operator wants to know.
    Info,
    /// More.
    Debug,
    /// Everything, other crates' too.
    Trace,
}

/// Where the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogTo {
    /// The journal if there is one, else a terminal on standard error, else syslog.
    Auto,
    /// systemd's journal.
    Journal,
    /// syslog, facility AUTHPRIV.
    Syslog,
    /// Standard error.
    Stderr,
}
