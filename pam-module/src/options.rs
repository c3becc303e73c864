//! The arguments of the PAM line. An argument that is not understood is never ignored: it denies.

use std::{fmt, path::PathBuf, time::Duration};

/// What the administrator wrote behind `pam_twinlock.so`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `after_first_factor`: this line is reached only after the password was right.
    pub after_first_factor: bool,
    /// `after_key`: this stack has no other first factor than an SSH key.
    pub after_key: bool,
    /// `socket=PATH`.
    pub socket: Option<PathBuf>,
    /// `timeout=SECONDS`: the whole conversation.
    pub timeout: Option<Duration>,
    /// `unavailable=deny|ignore`.
    pub unavailable: Unavailable,
    /// `hidden`: prompts without echo. Off by default: under sshd's `password` method a hidden prompt would
    /// receive the login password.
    pub hidden: bool,
    /// `debug`: more syslog lines.
    pub debug: bool,
    /// `panic`: panics, to show that the host survives it.
    #[cfg(feature = "fault-injection")]
    pub panic: bool,
}

/// What an absent daemon means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unavailable {
    /// The login is denied.
    #[default]
    Deny,
    /// The line is ignored (never for root or an unknown user from the network).
    Ignore,
}

/// An argument that is not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadArgument {
    argument: String,
    remedy: &'static str,
}

impl fmt::Display for BadArgument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bad module argument \"{}\": {}", self.argument, self.remedy)
    }
}

const KNOWN: &str = "known are after_first_factor, after_key, socket=PATH, timeout=SECONDS, \
                     unavailable=deny|ignore, hidden, debug (see pam_twinlock(8))";

impl Options {
    /// Reads the arguments in order; the last of two equal ones wins.
    ///
    /// # Errors
    ///
    /// Names the first argument that is not understood.
    pub fn parse<'a>(arguments: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, BadArgument> {
        let mut options = Self::default();
        for argument in arguments {
            let text = std::str::from_utf8(argument).map_err(|_| bad(argument, KNOWN))?;
            options.apply(text)?;
        }
        Ok(options)
    }

    fn apply(&mut self, argument: &str) -> Result<(), BadArgument> {
        match argument.split_once('=') {
            None => match argument {
                "after_first_factor" => self.after_first_factor = true,
                "after_key" => self.after_key = true,
                "hidden" => self.hidden = true,
                "debug" => self.debug = true,
                #[cfg(feature = "fault-injection")]
                "panic" => self.panic = true,
                _ => return Err(bad(argument.as_bytes(), KNOWN)),
            },
            Some(("socket", path)) => self.socket = Some(absolute(argument, path)?),
            Some(("timeout", seconds)) => self.timeout = Some(duration(argument, seconds)?),
            Some(("unavailable", "deny")) => self.unavailable = Unavailable::Deny,
            Some(("unavailable", "ignore")) => self.unavailable = Unavailable::Ignore,
            Some(("unavailable", _)) => return Err(bad(argument.as_bytes(), "write deny or ignore")),
            Some(_) => return Err(bad(argument.as_bytes(), KNOWN)),
        }
        Ok(())
    }

    /// The whole conversation: below the host's own limit (sshd LoginGraceTime 120 s, login 60 s, sudo 5 min).
    #[must_use]
    pub fn timeout_for(&self, service: &str) -> Duration {
        self.timeout.unwrap_or(match service {
            "sshd" => Duration::from_secs(110),
            "login" => Duration::from_secs(50),
            _ => Duration::from_secs(240),
        })
    }
}

fn absolute(argument: &str, path: &str) -> Result<PathBuf, BadArgument> {
    let path = PathBuf::from(path);
    if path.is_absolute() { Ok(path) } else { Err(bad(argument.as_bytes(), "write an absolute path")) }
}

fn duration(argument: &str, seconds: &str) -> Result<Duration, BadArgument> {
    match seconds.parse() {
        Ok(seconds @ 1..=3600) => Ok(Duration::from_secs(seconds)),
        _ => Err(bad(argument.as_bytes(), "write 1 to 3600 seconds")),
    }
}

fn bad(argument: &[u8], remedy: &'static str) -> BadArgument {
    let argument = crate::record::printable(&String::from_utf8_lossy(argument), 64);
    BadArgument { argument, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(text.split_whitespace().map(str::as_bytes)).map_err(|bad| bad.to_string())
    }

    #[test]
    fn every_documented_argument_is_understood() {
        let options = parse(
            "after_first_factor after_key socket=/run/x.sock timeout=30 unavailable=ignore hidden debug",
        );
        let options = options.unwrap();
        assert!(options.after_first_factor && options.after_key && options.hidden && options.debug);
        assert_eq!(options.socket, Some("/run/x.sock".into()));
        assert_eq!(options.timeout_for("sshd"), Duration::from_secs(30));
        assert_eq!(options.unavailable, Unavailable::Ignore);
    }

    #[test]
    fn nothing_is_the_safe_default() {
        let options = parse("").unwrap();
        assert_eq!(options, Options::default());
        assert_eq!(options.unavailable, Unavailable::Deny);
        assert_eq!(options.timeout_for("sshd").as_secs(), 110);
        assert_eq!(options.timeout_for("login").as_secs(), 50);
        assert_eq!(options.timeout_for("sudo").as_secs(), 240);
    }

    #[test]
    fn a_misspelt_argument_is_named_with_a_remedy() {
        for (line, remedy) in [
            ("failmode=opne", "known are"),
            ("After_key", "known are"),
            ("after_key=yes", "known are"),
            ("unavailable=open", "deny or ignore"),
            ("socket=run/x", "absolute path"),
            ("timeout=0", "1 to 3600"),
            ("timeout=1e9", "1 to 3600"),
            ("timeout", "known are"),
        ] {
            let message = parse(line).unwrap_err();
            assert!(message.contains(line) && message.contains(remedy), "{line}: {message}");
        }
    }

    #[test]
    fn an_argument_that_is_not_text_is_refused_and_printable() {
        let message = Options::parse([&b"\xff\x1b[2Jdebug"[..]]).unwrap_err().to_string();
        assert!(!message.contains('\u{1b}'));
    }
}
