//! The arguments of our line, judged as the module does (pam-module/src/options.rs).

/// What our line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// `after_first_factor`
    pub after_first_factor: bool,
    /// `after_key`
    pub after_key: bool,
    /// `hidden`
    pub hidden: bool,
    /// `unavailable=ignore`
    pub unavailable_ignore: bool,
    /// `timeout=SECONDS`
    pub timeout: Option<u64>,
}

/// An argument that the module refuses.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// As written.
    pub argument: String,
    /// What to write.
    pub remedy: &'static str,
}

const KNOWN: &str = "write after_first_factor, after_key, socket=PATH, timeout=SECONDS, \
                     unavailable=deny|ignore, hidden or debug (pam_twinlock(8))";

impl Options {
    /// Reads the arguments; the last of two equal ones wins. Gives everything that is refused too.
    pub fn parse(arguments: &[String]) -> (Self, Vec<Refused>) {
        let mut options = Self::default();
        let mut refused = Vec::new();
        for argument in arguments {
            if let Err(remedy) = options.apply(argument) {
                refused.push(Refused { argument: argument.clone(), remedy });
            }
        }
        (options, refused)
    }

    fn apply(&mut self, argument: &str) -> Result<(), &'static str> {
        match argument.split_once('=') {
            None => match argument {
                "after_first_factor" => self.after_first_factor = true,
                "after_key" => self.after_key = true,
                "hidden" => self.hidden = true,
                "debug" => {}
                _ => return Err(KNOWN),
            },
            Some(("socket", path)) if path.starts_with('/') => {}
            Some(("socket", _)) => return Err("write an absolute path"),
            Some(("timeout", seconds)) => match seconds.parse() {
                Ok(seconds @ 1..=3600) => self.timeout = Some(seconds),
                _ => return Err("write 1 to 3600 seconds"),
            },
            Some(("unavailable", "deny")) => self.unavailable_ignore = false,
            Some(("unavailable", "ignore")) => self.unavailable_ignore = true,
            Some(("unavailable", _)) => return Err("write unavailable=deny or unavailable=ignore"),
            Some(_) => return Err(KNOWN),
        }
        Ok(())
    }
}
