//! The operator's log: journald, else syslog AUTHPRIV, else standard error. Never a secret, and never foreign text
//! that was not made printable.

mod syslog;

use std::io::{self, IsTerminal};

use tracing::{Dispatch, Level};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, filter_fn},
    fmt,
    layer::SubscriberExt,
    registry::Registry,
};

pub use self::syslog::escape;
use crate::{
    audit::LOGIN_LINE,
    options::{LogLevel, LogTo},
};

const JOURNAL: &str = "/run/systemd/journal/socket";
/// Before the names of our fields in the journal.
const FIELDS: &str = "TWINLOCK";
/// AUTHPRIV, so that syslogd puts lines of the journal where those of logins are.
const FACILITY: (&str, &str) = ("SYSLOG_FACILITY", "10");

/// Starts logging.
///
/// # Errors
///
/// When the place asked for cannot be reached.
pub fn start(to: LogTo, level: LogLevel) -> io::Result<()> {
    tracing::dispatcher::set_global_default(log(to, level)?).map_err(io::Error::other)
}

/// Logs while an errand is run, to the end of its last line.
///
/// # Errors
///
/// As above; it is not run then.
pub fn during<T>(to: LogTo, level: LogLevel, errand: impl FnOnce() -> T) -> io::Result<T> {
    Ok(tracing::dispatcher::with_default(&log(to, level)?, errand))
}

fn log(to: LogTo, level: LogLevel) -> io::Result<Dispatch> {
    let to = match to {
        LogTo::Auto if std::path::Path::new(JOURNAL).exists() => LogTo::Journal,
        LogTo::Auto if io::stderr().is_terminal() => LogTo::Stderr,
        LogTo::Auto => LogTo::Syslog,
        to @ (LogTo::Journal | LogTo::Syslog | LogTo::Stderr) => to,
    };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match to {
        LogTo::Journal => Box::new(
            tracing_journald::layer()?
                .with_syslog_identifier("twinlockd".to_owned())
                .with_field_prefix(Some(FIELDS.to_owned()))
                .with_custom_fields([FACILITY]),
        ),
        LogTo::Syslog => Box::new(syslog::Syslog::start()?),
        LogTo::Stderr | LogTo::Auto => stderr(),
    };
    // A level is always set: h2 writes every frame at TRACE.
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    Ok(Registry::default().with(layer.with_filter(LevelFilter::from_level(level))).into())
}

fn stderr() -> Box<dyn Layer<Registry> + Send + Sync> {
    let plain = || fmt::layer().with_writer(io::stderr).with_ansi(false);
    // What the fields of a line about a login say is in its message; they are for the journal.
    let message = fmt::format::debug_fn(|writer, field, value| match field.name() {
        "message" => write!(writer, "{value:?}"),
        _ => Ok(()),
    });
    let of_login = filter_fn(|metadata| metadata.target() == LOGIN_LINE);
    let others = filter_fn(|metadata| metadata.target() != LOGIN_LINE);
    Box::new(plain().fmt_fields(message).with_filter(of_login).and_then(plain().with_filter(others)))
}
