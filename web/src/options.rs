//! The command line of `twinlock-web`.

use std::path::PathBuf;

/// The Twinlock enrollment page. What it is to do stands in the daemon's configuration, [web]
#[derive(Debug, clap::Parser)]
#[command(name = "twinlock-web", version)]
pub struct Options {
    /// Where the daemon's sockets are
    #[arg(long, value_name = "DIR", default_value = twinlock_proto::RUNTIME_DIR)]
    pub runtime_dir: PathBuf,

    /// Lowest level that is logged
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log_level: LogLevel,

    /// Where the log goes
    #[arg(long, value_name = "WHERE", default_value = "auto")]
    pub log_to: LogTo,
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
    /// The journal if there is one, else standard error.
    Auto,
    /// systemd's journal.
    Journal,
    /// Standard error.
    Stderr,
}
