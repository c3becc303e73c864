//! The operator's log: journald, else syslog AUTHPRIV, else standard error. Never a secret, and never foreign text
//! that was not made printable.

mod syslog;

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_subscriber::{Layer, filter::LevelFilter, fmt, layer::SubscriberExt, registry::Registry};

pub use self::syslog::escape;
use crate::options::{LogLevel, LogTo};

const JOURNAL: &str = "/run/systemd/journal/socket";

/// Starts logging.
///
/// # Errors
///
/// When the place asked for cannot be reached.
pub fn start(to: LogTo, level: LogLevel) -> io::Result<()> {
    let to = match to {
        LogTo::Auto if std::path::Path::new(JOURNAL).exists() => LogTo::Journal,
        LogTo::Auto if io::stderr().is_terminal() => LogTo::Stderr,
        LogTo::Auto => LogTo::Syslog,
        to @ (LogTo::Journal | LogTo::Syslog | LogTo::Stderr) => to,
    };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match to {
        LogTo::Journal => Box::new(tracing_journald::layer()?.with_syslog_identifier("twinlockd".to_owned())),
        LogTo::Syslog => Box::new(syslog::Syslog::start()?),
        LogTo::Stderr | LogTo::Auto => {
            Box::new(fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()))
        }
    };
    // A level is always set: h2 writes every frame at TRACE.
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
