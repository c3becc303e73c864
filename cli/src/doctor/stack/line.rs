//! One line of a stack, as libpam keeps it after all files are read.

use super::control::Control;

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `auth`
    Auth,
    /// `account`
    Account,
    /// `password`
    Password,
    /// `session`
    Session,
}

impl Phase {
    /// All of them, in the order of [`super::read::Stacks::phases`].
    pub const ALL: [Self; 4] = [Self::Auth, Self::Account, Self::Password, Self::Session];

    /// As written in the first field.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Account => "account",
            Self::Password => "password",
            Self::Session => "session",
        }
    }
}

/// What happens when libpam comes to a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// It calls a module.
    Module,
    /// The line could not be read: it fails with `PAM_PERM_DENIED`.
    MustFail,
    /// The lines of a substack follow, one level up.
    Substack,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// File and line number.
    pub place: String,
    /// The line of the service's own file that brought this one in, if it is in another file.
    pub included: Option<String>,
    /// How deep in substacks.
    pub level: usize,
    /// What libpam does here.
    pub call: Call,
    /// What follows from what the module returns.
    pub control: Control,
    /// As written: a name, or an absolute path.
    pub module: String,
    /// What the module gets.
    pub arguments: Vec<String>,
}

impl Line {
    /// The module's name without folder and ending.
    #[must_use]
    pub fn name(&self) -> &str {
        let file = self.module.rsplit('/').next().unwrap_or_default();
        file.strip_suffix(".so").unwrap_or(file)
    }

    /// Whether it is ours.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.call == Call::Module && self.name() == "pam_twinlock"
    }

    /// Whether one of its arguments is this word.
    #[must_use]
    pub fn has(&self, argument: &str) -> bool {
        self.arguments.iter().any(|given| given == argument)
    }

    /// Place, module and control, for the description of a path.
    #[must_use]
    pub fn described(&self) -> String {
        format!("{} {} {}", self.place, self.control.written(), self.module)
    }

    /// Our line with another control, as an administrator would write it.
    #[must_use]
    pub fn rewritten(&self, phase: Phase, control: &str) -> String {
        let mut text = format!("{} {control} {}", phase.word(), self.module);
        for argument in &self.arguments {
            text.push(' ');
            text.push_str(argument);
        }
        text
    }
}
