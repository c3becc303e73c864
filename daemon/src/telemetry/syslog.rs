//! syslog, facility AUTHPRIV, by the `syslog` crate, which neither escapes nor reconnects: that is done here.

use std::{
    fmt::{self, Write},
    io,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
    time::Duration,
};

use syslog::{Facility, Formatter3164, Logger, LoggerBackend};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use crate::audit::LOGIN_LINE;

/// Longest line, in bytes: receivers cut at 1024.
const LINE: usize = 900;

type Connection = Logger<LoggerBackend, Formatter3164>;

/// Lines that wait for a syslogd that hangs; what comes behind them is dropped and counted.
const WAITING: usize = 1024;

/// How long the last lines may take, as the log ends.
const LAST: Duration = Duration::from_secs(2);

/// Hands events to a thread that writes them: a hanging syslogd must not make logins wait.
pub(super) struct Syslog {
    lines: Option<SyncSender<(Level, String)>>,
    written: Mutex<Receiver<()>>,
    dropped: AtomicU64,
}

impl Syslog {
    pub(super) fn start() -> io::Result<Self> {
        let (lines, waiting) = mpsc::sync_channel(WAITING);
        let (end, written) = mpsc::channel();
        thread::Builder::new().name("syslog".to_owned()).spawn(move || {
            write_all(waiting);
            drop(end);
        })?;
        Ok(Self { lines: Some(lines), written: Mutex::new(written), dropped: AtomicU64::new(0) })
    }
}

impl Drop for Syslog {
    /// Waits until what was said is written.
    fn drop(&mut self) {
        self.lines = None;
        let _ = self.written.get_mut().map(|written| written.recv_timeout(LAST));
    }
}

/// Connects when there is something to write, and again when that fails: syslogd may have been restarted.
fn write_all(waiting: Receiver<(Level, String)>) {
    let mut connection = None;
    for (level, text) in waiting {
        for _ in 0..2 {
            if connection.is_none() {
                connection = connect();
            }
            let Some(logger) = connection.as_mut() else { break };
            if write(logger, level, &text).is_ok() {
                break;
            }
            connection = None;
        }
    }
}

fn connect() -> Option<Connection> {
    syslog::unix(Formatter3164 {
        facility: Facility::LOG_AUTHPRIV,
        hostname: None,
        process: "twinlockd".to_owned(),
        pid: std::process::id(),
    })
    .ok()
}

impl<S: Subscriber> Layer<S> for Syslog {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // What its fields say is in the message, in the order that is promised; they are for the journal.
        let whole = event.metadata().target() == LOGIN_LINE;
        let mut line = Line { text: String::new(), whole };
        event.record(&mut line);
        let mut text = escape(&line.text);
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let _ = write!(text, " ({dropped} lines before this were dropped: syslogd was too slow)");
        }
        let sent = self.lines.as_ref().map(|lines| lines.try_send((*event.metadata().level(), text)));
        if !matches!(sent, Some(Ok(()))) {
            self.dropped.fetch_add(dropped + 1, Ordering::Relaxed);
        }
    }
}

fn write(logger: &mut Connection, level: Level, text: &str) -> syslog::Result<()> {
    match level {
        Level::ERROR => logger.err(text),
        Level::WARN => logger.warning(text),
        Level::INFO => logger.info(text),
        Level::DEBUG | Level::TRACE => logger.debug(text),
    }
}

/// The message, then the fields, in quotes.
struct Line {
    text: String,
    /// The message says everything.
    whole: bool,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.text, "{value:?}"),
            _ if self.whole => Ok(()),
            name => write!(self.text, " {name}=\"{value:?}\""),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => self.text.write_str(value),
            _ if self.whole => Ok(()),
            name => write!(self.text, " {name}=\"{}\"", value.replace('"', "'")),
        };
    }
}

/// One line, without control characters: nothing foreign can forge a second one, or a terminal sequence.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if line.len() >= LINE {
            line.push_str("...");
            break;
        }
        if character == ' ' || character.is_ascii_graphic() {
            line.push(character);
        } else {
            line.extend(character.escape_unicode());
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_line_without_control_characters() {
        let text = escape("a\nb\u{1b}[2J\u{202e}\r\0\u{9b}c\u{e9}");
        assert_eq!(text, "a\\u{a}b\\u{1b}[2J\\u{202e}\\u{d}\\u{0}\\u{9b}c\\u{e9}");
        assert!(escape(&"\n".repeat(100_000)).len() < 1024);
    }
}
