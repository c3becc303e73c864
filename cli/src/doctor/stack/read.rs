//! Reads the stacks of a service with everything they include, as pam_handlers.c does.

use std::io;

use super::{
    control::Control,
    line::{Call, Line, Phase},
    text::{Words, lines},
};
use crate::doctor::finding::Finding;

/// Includes nest so deep at most. Linux-PAM 1.6 and later refuse more; earlier ones followed a loop until they
/// crashed.
const DEPTH: usize = 16;

/// Where stack files and modules are. The program reads folders, tests read maps.
pub trait Files {
    /// The file that libpam opens for a service or an included name, or for an absolute path: its path and its text.
    ///
    /// # Errors
    ///
    /// No such file, or it cannot be read.
    fn read(&self, name: &str) -> io::Result<(String, String)>;

    /// Whether the file of a module, as its line names it, can be found.
    fn has_module(&self, module: &str) -> bool;
}

/// What libpam holds for a service.
#[derive(Debug, Default)]
pub struct Stacks {
    /// The lines of `auth`, `account`, `password`, `session`.
    pub phases: [Vec<Line>; 4],
    /// What is wrong with the files.
    pub findings: Vec<Finding>,
    /// libpam refuses the whole service (`PAM_ABORT`): no login succeeds.
    pub refused: bool,
}

impl Stacks {
    /// The lines of a phase.
    #[must_use]
    pub fn phase(&self, phase: Phase) -> &[Line] {
        Phase::ALL.iter().zip(&self.phases).find(|(each, _)| **each == phase).map_or(&[], |(_, lines)| lines)
    }
}

/// Reads a service. Phases without any line are taken from the service `other`, which libpam always reads too.
pub fn read(service: &str, files: &dyn Files) -> Stacks {
    let mut own = Reader { files, stacks: Stacks::default() };
    let found = own.top(service);
    let mut other = Reader { files, stacks: Stacks::default() };
    let fallback = other.top("other");
    let mut stacks = own.stacks;
    stacks.refused |= other.stacks.refused;
    let mut borrowed = other.stacks.refused;
    for (lines, default) in stacks.phases.iter_mut().zip(other.stacks.phases) {
        if lines.is_empty() && !default.is_empty() {
            *lines = default;
            borrowed = true;
        }
    }
    if borrowed {
        stacks.findings.append(&mut other.stacks.findings);
    }
    if !found && !fallback {
        stacks.refused = true;
        stacks.findings.push(Finding::error(
            service,
            "there is neither a stack of this name nor one named other, so every login is denied",
            format!("write /etc/pam.d/{service}"),
        ));
    }
    stacks.findings.dedup();
    stacks
}

/// libpam gives up: on this file for one that includes it, on the service otherwise.
struct Abort;

/// Where a file stands among those that include it.
#[derive(Clone)]
struct Frame {
    path: String,
    /// Only lines of this phase count (`auth include NAME`).
    wanted: Option<Phase>,
    depth: usize,
    level: usize,
    included: Option<String>,
}

struct Reader<'a> {
    files: &'a dyn Files,
    stacks: Stacks,
}

impl Reader<'_> {
    /// Whether there is such a file.
    fn top(&mut self, service: &str) -> bool {
        let Ok((path, text)) = self.files.read(service) else { return false };
        let frame = Frame { path, wanted: None, depth: 0, level: 0, included: None };
        self.stacks.refused = self.file(&frame, &text).is_err();
        true
    }

    fn file(&mut self, frame: &Frame, text: &str) -> Result<(), Abort> {
        if text.contains('\r') {
            self.error(
                &frame.path,
                "the file has the line ends of another system, and libpam takes them for a part of the last \
                 word",
                &format!("run sed -i 's/\\r$//' {}", frame.path),
            );
        }
        let (lines, unfinished) = lines(text);
        for line in lines {
            self.line(frame, &format!("{}:{}", frame.path, line.number), &line.text)?;
        }
        let Some(unfinished) = unfinished else { return Ok(()) };
        self.error(
            &format!("{}:{}", frame.path, unfinished.number),
            "the file ends behind a \"\\\", and libpam gives it up",
            "take the \"\\\" away, or write the rest of the line",
        );
        Err(Abort)
    }

    fn line(&mut self, frame: &Frame, place: &str, text: &str) -> Result<(), Abort> {
        let mut words = Words::of(text);
        let first = words.next().unwrap_or_default();
        let kind = first.strip_prefix('-').unwrap_or(&first).to_ascii_lowercase();
        if kind == "@include" {
            let line = Line { level: frame.level, ..must_fail(frame, place) };
            return self.include(frame, frame.wanted, line, words.next(), false);
        }
        let phase = Phase::ALL.into_iter().find(|phase| phase.word() == kind);
        // libpam: a line of no known kind counts in the phase asked for, else in the "most sensitive" one.
        let counts = phase.or(frame.wanted).unwrap_or(Phase::Auth);
        if frame.wanted.is_some_and(|wanted| wanted != counts) {
            return Ok(());
        }
        let mut line = must_fail(frame, place);
        if phase.is_none() {
            self.broken(
                place,
                &format!("\"{first}\" is no phase"),
                "begin it with auth, account, password or session",
            );
        } else {
            line.call = Call::Module;
        }
        let control = words.next();
        match control.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("include") => return self.include(frame, Some(counts), line, words.next(), false),
            Some("substack") => return self.include(frame, Some(counts), line, words.next(), true),
            _ => {}
        }
        self.control(place, control.as_deref(), &mut line);
        match words.next() {
            Some(module) => line.module = module,
            None => {
                self.broken(
                    place,
                    "the line names no module",
                    "name one behind the control, or delete the line",
                );
                line.call = Call::MustFail;
            }
        }
        line.arguments = words.collect();
        self.add(counts, line)
    }

    fn control(&mut self, place: &str, control: Option<&str>, line: &mut Line) {
        let Some(word) = control else {
            self.broken(
                place,
                "the line has no control",
                "write required behind the phase, or delete the line",
            );
            line.call = Call::MustFail;
            return;
        };
        let (control, problem) = Control::parse(word);
        line.control = control;
        if let Some(expected) = problem {
            self.error(
                place,
                &format!(
                    "the control \"{word}\" cannot be read ({expected} is missing), so libpam takes every \
                     answer of the module as a failure"
                ),
                "write required, requisite, sufficient, optional, include, substack or [value=action ...]",
            );
        }
    }

    /// `include`, `substack` and Debian's `@include`.
    fn include(
        &mut self,
        frame: &Frame,
        phase: Option<Phase>,
        line: Line,
        name: Option<String>,
        substack: bool,
    ) -> Result<(), Abort> {
        let name = name.unwrap_or_else(|| "nothing".to_owned());
        let place = line.place.clone();
        if let (true, Some(phase)) = (substack, phase) {
            self.add(phase, Line { call: Call::Substack, module: name.clone(), ..line.clone() })?;
        }
        let depth = frame.depth + 1;
        let read = if depth >= DEPTH {
            Err(io::Error::other("includes nest too deep, or in a circle"))
        } else {
            self.files.read(&name)
        };
        let failure = match read {
            Ok((path, text)) => {
                let level = frame.level + usize::from(substack);
                let included = frame.included.clone().or_else(|| Some(place.clone()));
                match self.file(&Frame { path, wanted: phase, depth, level, included }, &text) {
                    Ok(()) => return Ok(()),
                    Err(Abort) => "it is broken".to_owned(),
                }
            }
            Err(error) => error.to_string(),
        };
        let Some(phase) = phase else {
            // Debian's @include adds its failure to no phase, which pam_handlers.c takes for an error of its own.
            self.error(
                &place,
                &format!("\"{name}\" cannot be included ({failure}), and libpam refuses the whole service"),
                "correct the name, or delete the line",
            );
            return Err(Abort);
        };
        self.broken(
            &place,
            &format!("\"{name}\" cannot be included ({failure})"),
            "correct the name, or delete the line",
        );
        self.add(phase, Line { call: Call::MustFail, control: Control::bad(), ..line })
    }

    fn add(&mut self, phase: Phase, line: Line) -> Result<(), Abort> {
        // extract_modulename: what stands behind the last slash and before the last point must be something.
        let file = line.module.rsplit('/').next().unwrap_or_default();
        let name = file.rsplit_once('.').map_or(file, |(name, _)| name);
        let nameless = matches!(name, "" | "?") && (line.call != Call::MustFail || !line.module.is_empty());
        if nameless {
            self.error(
                &line.place,
                &format!("\"{}\" is no name of a module, and libpam refuses the whole service", line.module),
                "correct the name, or delete the line",
            );
            return Err(Abort);
        }
        for (each, lines) in Phase::ALL.iter().zip(&mut self.stacks.phases) {
            if *each == phase {
                lines.push(line);
                break;
            }
        }
        Ok(())
    }

    fn broken(&mut self, place: &str, what: &str, remedy: &str) {
        self.error(place, &format!("{what}, so libpam puts a line there that always fails"), remedy);
    }

    fn error(&mut self, place: &str, sentence: &str, remedy: &str) {
        let finding = Finding::error(place, sentence, remedy);
        // A file that several phases include is read several times.
        if !self.stacks.findings.contains(&finding) {
            self.stacks.findings.push(finding);
        }
    }
}

fn must_fail(frame: &Frame, place: &str) -> Line {
    Line {
        place: place.to_owned(),
        included: frame.included.clone(),
        level: frame.level,
        call: Call::MustFail,
        control: Control::bad(),
        module: String::new(),
        arguments: Vec::new(),
    }
}
