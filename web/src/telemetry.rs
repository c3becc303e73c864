//! The operator's log: journald, else standard error. Never what a person typed, and no path of a request: it holds the token.

use std::{
    io::{self, IsTerminal},
    path::Path,
};

use tracing::Level;
use tracing_subscriber::{Layer, filter::LevelFilter, fmt, layer::SubscriberExt, registry::Registry};

use crate::options::{LogLevel, LogTo};

const JOURNAL: &str = "/run/systemd/journal/socket";

/// Starts logging.
///
/// # Errors
///
/// When the place asked for cannot be reached.
pub fn start(to: LogTo, level: LogLevel) -> io::Result<()> {
    let journal = match to {
        LogTo::Auto => Path::new(JOURNAL).exists() && !io::stderr().is_terminal(),
        LogTo::Journal => true,
        LogTo::Stderr => false,
    };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = if journal {
        Box::new(tracing_journald::layer()?.with_syslog_identifier("twinlock-web".to_owned()))
    } else {
        Box::new(fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()))
    };
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let subscriber = Registry::default().with(layer.with_filter(LevelFilter::from_level(level)));
    tracing::subscriber::set_global_default(subscriber).map_err(io::Error::other)
}
