//! How libpam combines what modules return: `_pam_dispatch_aux` of pam_dispatch.c, step by step.

use super::{
    control::{Action, Code, IGNORE, NEW_AUTHTOK_REQD, PERM_DENIED, SUCCESS},
    line::Line,
};

/// Substacks nest so deep at most (`PAM_SUBSTACK_MAX_LEVEL`).
pub const LEVELS: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Impression {
    Undefined,
    Positive,
    Negative,
}

/// Where an evaluation stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Machine {
    impression: Impression,
    status: Code,
    level: usize,
    saved: [(Impression, Code); LEVELS],
}

const FRESH: (Impression, Code) = (Impression::Undefined, PERM_DENIED);

impl Machine {
    /// Before the first line.
    #[must_use]
    pub const fn start() -> Self {
        Self { impression: FRESH.0, status: FRESH.1, level: 0, saved: [FRESH; LEVELS] }
    }

    /// The line at `at` returned `code` (`None`: the line only opens a substack). Gives the next line's position; past
    /// the end the evaluation is over.
    pub fn step(&mut self, lines: &[Line], at: usize, code: Option<Code>) -> usize {
        let Some(line) = lines.get(at) else { return lines.len() };
        self.enter(line.level);
        let Some(code) = code else { return at + 1 };
        match line.control.action(code) {
            Action::Ignore => {}
            Action::Reset => {
                (self.impression, self.status) = self.saved.get(line.level).copied().unwrap_or(FRESH);
            }
            Action::Ok => self.good(code),
            Action::Done => {
                self.good(code);
                if self.impression == Impression::Positive {
                    return end_of(lines, at);
                }
            }
            Action::Bad => self.bad(code),
            Action::Die => {
                self.bad(code);
                return end_of(lines, at);
            }
            Action::Jump(count) => return self.jump(lines, at, count),
        }
        at + 1
    }

    /// What the application is told at the end.
    #[must_use]
    pub fn verdict(&self) -> Code {
        // libpam's own check against a success that nobody vouched for.
        if self.status == SUCCESS && self.impression != Impression::Positive {
            PERM_DENIED
        } else {
            self.status
        }
    }

    /// The same for every continuation, so that a search can tell states apart: failures are alike, and what was
    /// saved for deeper levels is written anew when they are entered.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        let alike =
            |status: Code| if matches!(status, SUCCESS | NEW_AUTHTOK_REQD) { status } else { PERM_DENIED };
        self.status = alike(self.status);
        for (level, saved) in self.saved.iter_mut().enumerate() {
            *saved = if level > self.level { FRESH } else { (saved.0, alike(saved.1)) };
        }
        self
    }

    /// Remembers the state before a substack, for `reset`.
    fn enter(&mut self, level: usize) {
        if self.level < level
            && let Some(saved) = self.saved.get_mut(level)
        {
            *saved = (self.impression, self.status);
        }
        self.level = level;
    }

    fn good(&mut self, code: Code) {
        if self.impression == Impression::Undefined
            || (self.impression == Impression::Positive && self.status == SUCCESS)
        {
            (self.impression, self.status) = (Impression::Positive, code);
        }
    }

    fn bad(&mut self, code: Code) {
        if self.impression != Impression::Negative {
            let status = if code == IGNORE { PERM_DENIED } else { code };
            (self.impression, self.status) = (Impression::Negative, status);
        }
    }

    fn jump(&mut self, lines: &[Line], at: usize, count: u32) -> usize {
        let (last, left) = skip(lines, at, count);
        if left > 0 {
            // "bad jump in stack"
            (self.impression, self.status) = (Impression::Negative, PERM_DENIED);
        }
        last + 1
    }
}

fn level_of(lines: &[Line], at: usize) -> Option<usize> {
    lines.get(at).map(|line| line.level)
}

/// The last line skipped by a jump over `count` modules or whole substacks, and how many were lacking.
fn skip(lines: &[Line], at: usize, mut count: u32) -> (usize, u32) {
    let (mut last, level) = (at, level_of(lines, at));
    while count > 0 && level_of(lines, last + 1) >= level && last + 1 < lines.len() {
        last += 1;
        while last + 1 < lines.len() && level_of(lines, last + 1) > level {
            last += 1;
        }
        count -= 1;
    }
    (last, count)
}

/// `done` and `die` leave the substack, or the stack.
fn end_of(lines: &[Line], at: usize) -> usize {
    let level = level_of(lines, at);
    let mut last = at;
    while last + 1 < lines.len() && level_of(lines, last + 1) >= level {
        last += 1;
    }
    last + 1
}

/// The jump that lands on the line at `to`, if one can.
#[must_use]
pub fn jump_between(lines: &[Line], from: usize, to: usize) -> Option<u32> {
    (1..=u32::try_from(lines.len()).ok()?).find(|count| {
        let (last, left) = skip(lines, from, *count);
        left == 0 && last + 1 == to
    })
}
