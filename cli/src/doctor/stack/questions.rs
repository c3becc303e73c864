//! What doctor asks a stack, and what it says about it.

use super::{
    arguments::Options,
    control::{Action, NEW_AUTHTOK_REQD, SUCCESS},
    describe,
    dispatch::jump_between,
    line::{Line, Phase},
    modules::{Class, class},
    search::{Node, Ours, Ways},
};
use crate::doctor::finding::{Finding, Severity};

/// A stack with all its ways.
pub struct Stack<'a> {
    /// `auth` or `account`.
    pub phase: Phase,
    /// Its lines.
    pub lines: &'a [Line],
    /// What the search found.
    pub ways: &'a Ways,
}

/// Why somebody gets in past our line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The line at this position goes past ours.
    Skipped(usize),
    /// Ours at this position fails, and that does not count.
    Swallowed(usize),
}

impl Cause {
    fn of(node: &Node) -> Option<Self> {
        match node.facts.ours {
            Ours::NotReached => node.facts.skipped_by.map(Self::Skipped),
            Ours::Failed(at) => Some(Self::Swallowed(at)),
            Ours::Released(_) | Ours::Passed(_) => None,
        }
    }
}

impl Stack<'_> {
    fn path(&self, index: usize) -> String {
        describe::path(self.lines, &self.ways.path(index))
    }

    fn line(&self, at: usize) -> Option<&Line> {
        self.lines.get(at)
    }

    fn ours(&self) -> impl Iterator<Item = (usize, &Line)> {
        self.lines.iter().enumerate().filter(|(_, line)| line.is_ours())
    }

    /// Question 1: who succeeds though our line failed or was not reached? One finding for each line that is to blame.
    pub fn bypasses(&self) -> Vec<Finding> {
        let mut examples: Vec<(Cause, usize, &Node)> = Vec::new();
        for (index, node) in self.ways.successes(self.phase) {
            let Some(cause) = Cause::of(node) else { continue };
            match examples.iter_mut().find(|(known, ..)| *known == cause) {
                None => examples.push((cause, index, node)),
                // A condition that lets in whoever has a password is a choice; without one it is a hole, and is shown.
                Some(example) if self.excusable(cause) && example.2.facts.first && !node.facts.first => {
                    *example = (cause, index, node);
                }
                Some(_) => {}
            }
        }
        examples.into_iter().filter_map(|(cause, index, node)| self.bypass(cause, index, node)).collect()
    }

    /// In the account phase: does our line refuse for good? An expired password is another matter: the application
    /// asks for the old one first.
    pub fn holds(&self) -> bool {
        let ends = self.ways.successes(self.phase);
        !self.ways.cut && !ends.iter().any(|(_, node)| node.verdict == SUCCESS && Cause::of(node).is_some())
    }

    fn excusable(&self, cause: Cause) -> bool {
        let Cause::Skipped(by) = cause else { return false };
        self.line(by).is_some_and(|line| matches!(class(line), Class::Condition | Class::SecondFactor))
    }

    fn bypass(&self, cause: Cause, index: usize, node: &Node) -> Option<Finding> {
        let expired = node.verdict == NEW_AUTHTOK_REQD;
        let what = match (self.phase, expired) {
            (Phase::Auth, _) => "a login succeeds without the second factor",
            (_, false) => "a login that skipped the auth phase is not refused",
            (_, true) => {
                "a login that skipped the auth phase is not refused to somebody whose password has expired"
            }
        };
        let (place, remedy, tail) = match cause {
            Cause::Skipped(by) => {
                let (at, ours) = self.ours().find(|(at, _)| *at > by)?;
                let line = self.line(by)?;
                (&line.place, self.cure_skip(by, at), format!(", so {} is not reached", ours.described()))
            }
            Cause::Swallowed(at) => {
                let ours = self.line(at)?;
                (&ours.place, self.cure_swallowed(ours), String::new())
            }
        };
        // What a leaking account line costs depends on the program: for sshd, its own findings say so.
        let mild = self.phase == Phase::Account || (self.excusable(cause) && node.facts.first);
        let severity = if mild { Severity::Warning } else { Severity::Error };
        let sentence = format!("{what}: {}{tail}", self.path(index));
        Some(Finding { severity, place: place.clone(), sentence, remedy })
    }

    fn cure_swallowed(&self, ours: &Line) -> String {
        if self.phase == Phase::Account {
            return self.cure_account(ours);
        }
        match ours.control.written().as_str() {
            "required" | "requisite" => "take reset out of the controls of the lines behind it".to_owned(),
            _ => format!("write \"{}\" there", ours.rewritten(self.phase, "required")),
        }
    }

    fn cure_skip(&self, by: usize, at: usize) -> String {
        let (Some(line), Some(ours)) = (self.line(by), self.line(at)) else { return String::new() };
        if self.phase == Phase::Account {
            return self.cure_account(ours);
        }
        match class(line) {
            Class::Condition => {
                return format!(
                    "release these people in twinlock.toml ([[exempt]], with a reason) instead of {}, and \
                     let it jump to {} at most",
                    line.place, ours.place
                );
            }
            Class::SecondFactor => {
                return format!(
                    "delete {}, or write \"{}\" there so that both are asked",
                    line.place,
                    line.rewritten(self.phase, "required")
                );
            }
            Class::RootOk => {
                return format!(
                    "delete {}: this program runs as root itself, so the line lets everybody in",
                    line.place
                );
            }
            _ => {}
        }
        match &line.included {
            // A substack keeps what ends inside it to itself.
            Some(include) if line.included != ours.included && line.level == ours.level => format!(
                "write substack instead of include at {include}, or put \"{}\" in front of it",
                self.unclaimed(ours)
            ),
            _ => self.cure_jump(by, at, line, ours),
        }
    }

    /// In the account phase the first refusal decides, whatever comes behind it.
    fn cure_account(&self, ours: &Line) -> String {
        let first = self.line(0).map_or("the others", |line| line.included.as_deref().unwrap_or(&line.place));
        format!("put \"{}\" in front of {first}", ours.rewritten(self.phase, "required"))
    }

    /// The line in question jumps to ours, and a refusal stands between for those who come the other way.
    fn cure_jump(&self, by: usize, at: usize, line: &Line, ours: &Line) -> String {
        if by + 1 == at {
            return format!("write \"{}\" at {}", line.rewritten(self.phase, "requisite"), line.place);
        }
        let Some(count) = jump_between(self.lines, by, at) else {
            return format!("put \"{}\" in front of {}", self.unclaimed(ours), line.place);
        };
        // Those who prove nothing must not come to our line by falling through; where others do come that way with a
        // first factor, the lines between refuse them already.
        let between = self.lines.get(by + 1..at).unwrap_or_default();
        let refused = between.last().is_some_and(|last| class(last) == Class::Deny)
            || self.ways.calls(at).any(|(_, node)| node.facts.first);
        let (count, deny) = if refused {
            (count, String::new())
        } else {
            (count + 1, format!(", and \"auth requisite pam_deny.so\" in front of {}", ours.place))
        };
        let jump = line.rewritten(self.phase, &format!("[success={count} default=ignore]"));
        format!("write \"{jump}\" at {}, so that it lands on {}{deny}", line.place, ours.place)
    }

    /// Our line where no password has been asked yet.
    fn unclaimed(&self, ours: &Line) -> String {
        ours.rewritten(self.phase, "required").replace(" after_first_factor", "")
    }

    /// Questions 2 and 6: is a line with `after_first_factor` reached without one?
    pub fn claims(&self) -> Vec<Finding> {
        let claiming = |line: &Line| Options::parse(&line.arguments).0.after_first_factor;
        self.ours().filter(|(_, line)| claiming(line)).filter_map(|(at, line)| self.claim(at, line)).collect()
    }

    fn claim(&self, at: usize, ours: &Line) -> Option<Finding> {
        let unknown = |wrong: bool| {
            self.ways
                .calls(at)
                .find(|(_, node)| !node.facts.first && node.facts.wrong == wrong)
                .map(|(index, _)| index)
        };
        let (wrong, unasked) = (unknown(true), unknown(false));
        let index = wrong.or(unasked)?;
        let without = self.unclaimed(ours);
        if !self.ways.calls(at).any(|(_, node)| node.facts.first) {
            return Some(Finding::error(
                &ours.place,
                "the line says after_first_factor, and no password has been asked when it is reached",
                format!("put it behind the line that asks the password, or write \"{without}\""),
            ));
        }
        let steps = self.ways.path(index);
        let culprit =
            steps.iter().rev().filter_map(|step| Some((self.line(step.at)?, step.code))).find(
                |(line, code)| class(line) == Class::Password && line.control.action(*code) == Action::Bad,
            );
        let remedy = match culprit {
            Some((line, _)) if line.level == ours.level && line.control.written() == "required" => {
                format!("write \"{}\" at {}", line.rewritten(self.phase, "requisite"), line.place)
            }
            _ => format!(
                "write \"{without}\", or let the password's line jump over \"auth requisite pam_deny.so\" \
                 to this one"
            ),
        };
        let what = match wrong {
            Some(_) => "is called after a wrong password",
            None => "is called though no password was asked",
        };
        let path = describe::path(self.lines, &steps);
        let path = if path.is_empty() { String::new() } else { format!(": {path}") };
        Some(Finding::error(
            &ours.place,
            format!(
                "the line says after_first_factor, and {what}, so a stranger can spend the user's tries for good, set \
                 up a factor where that is open, and is told about the account{path}"
            ),
            remedy,
        ))
    }

    /// Question 3: does one code, or a release by policy, let somebody in who proved nothing else?
    pub fn open(&self) -> Vec<Finding> {
        let mut found: Vec<(usize, Finding)> = Vec::new();
        for (index, node) in self.ways.successes(self.phase) {
            let (Ours::Passed(at) | Ours::Released(at)) = node.facts.ours else { continue };
            if node.facts.first || found.iter().any(|(known, _)| *known == at) {
                continue;
            }
            let Some(ours) = self.line(at) else { continue };
            let conditional = self.ways.path(index).iter().any(|step| {
                self.line(step.at).is_some_and(|line| {
                    class(line) == Class::Condition
                        && matches!(line.control.action(step.code), Action::Jump(_) | Action::Done)
                })
            });
            let sentence = format!(
                "the stack is open: whoever has one code, or whom policy releases, gets in without a \
                 password or key: {}",
                self.path(index)
            );
            let keyed = ours.rewritten(self.phase, "required") + " after_key";
            let remedy = format!(
                "write \"{keyed}\" and \"auth required pam_permit.so\" below it where an SSH key is the \
                 first factor, else put a line that asks the password in front of it"
            );
            let severity = if conditional { Severity::Warning } else { Severity::Error };
            found.push((at, Finding { severity, place: ours.place.clone(), sentence, remedy }));
        }
        found.into_iter().map(|(_, finding)| finding).collect()
    }

    /// Is a code asked of somebody who has given one already?
    pub fn twice(&self) -> Option<Finding> {
        self.ours().find_map(|(at, ours)| {
            let before = self.ways.calls(at).find_map(|(_, node)| match node.facts.ours {
                Ours::Passed(before) => self.line(before),
                Ours::NotReached | Ours::Failed(_) | Ours::Released(_) => None,
            })?;
            let sentence =
                format!("whoever has passed {} is asked for a second code here", before.described());
            Some(Finding::warning(&ours.place, sentence, "delete one of the two lines"))
        })
    }

    /// Does anybody get in: with the second factor, and released from it?
    pub fn closed(&self) -> Option<Finding> {
        let (_, ours) = self.ours().next()?;
        let ends = self.ways.successes(self.phase);
        let passed = ends.iter().any(|(_, node)| matches!(node.facts.ours, Ours::Passed(_)));
        let released = ends.iter().any(|(_, node)| matches!(node.facts.ours, Ours::Released(_)));
        match (passed, released) {
            (true, true) => None,
            (false, _) => Some(Finding::error(
                &ours.place,
                "no login with the second factor can succeed in this stack",
                "look for a line that always fails, and for a jump that misses its line",
            )),
            (true, false) => Some(Finding::warning(
                &ours.place,
                "whom policy releases is refused: the line answers ignore then, and libpam refuses a stack \
                 in which nobody says yes",
                "write \"auth required pam_permit.so\" below it",
            )),
        }
    }
}
