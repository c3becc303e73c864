//! The control field: which action follows which return value (pam.conf(5); libpam pam_misc.c, pam_tokens.h).

/// A return value of a module (`PAM_SUCCESS` is 0).
pub type Code = u8;

/// `PAM_SUCCESS`
pub const SUCCESS: Code = 0;
/// `PAM_SERVICE_ERR`
pub const SERVICE_ERR: Code = 3;
/// `PAM_SYSTEM_ERR`
pub const SYSTEM_ERR: Code = 4;
/// `PAM_PERM_DENIED`
pub const PERM_DENIED: Code = 6;
/// `PAM_AUTH_ERR`
pub const AUTH_ERR: Code = 7;
/// `PAM_CRED_INSUFFICIENT`
pub const CRED_INSUFFICIENT: Code = 8;
/// `PAM_AUTHINFO_UNAVAIL`
pub const AUTHINFO_UNAVAIL: Code = 9;
/// `PAM_USER_UNKNOWN`
pub const USER_UNKNOWN: Code = 10;
/// `PAM_MAXTRIES`
pub const MAXTRIES: Code = 11;
/// `PAM_NEW_AUTHTOK_REQD`
pub const NEW_AUTHTOK_REQD: Code = 12;
/// `PAM_ACCT_EXPIRED`
pub const ACCT_EXPIRED: Code = 13;
/// `PAM_CONV_ERR`
pub const CONV_ERR: Code = 19;
/// `PAM_IGNORE`
pub const IGNORE: Code = 25;
/// `PAM_ABORT`
pub const ABORT: Code = 26;
/// `PAM_AUTHTOK_EXPIRED`
pub const AUTHTOK_EXPIRED: Code = 27;
/// `PAM_MODULE_UNKNOWN`
pub const MODULE_UNKNOWN: Code = 28;

/// How many return values libpam knows (`_PAM_RETURN_VALUES`).
pub const RETURNS: Code = 32;

/// Their names in a control field; the last is all that were not named before it (pam_tokens.h).
const NAMES: [&str; RETURNS as usize + 1] = [
    "success",
    "open_err",
    "symbol_err",
    "service_err",
    "system_err",
    "buf_err",
    "perm_denied",
    "auth_err",
    "cred_insufficient",
    "authinfo_unavail",
    "user_unknown",
    "maxtries",
    "new_authtok_reqd",
    "acct_expired",
    "session_err",
    "cred_unavail",
    "cred_expired",
    "cred_err",
    "no_module_data",
    "conv_err",
    "authtok_err",
    "authtok_recover_err",
    "authtok_lock_busy",
    "authtok_disable_aging",
    "try_again",
    "ignore",
    "abort",
    "authtok_expired",
    "module_unknown",
    "bad_item",
    "conv_again",
    "incomplete",
    "default",
];

/// The name of a return value, as a control field spells it.
#[must_use]
pub fn name(code: Code) -> &'static str {
    NAMES.get(usize::from(code)).copied().unwrap_or("an unknown value")
}

/// What libpam does after a return value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `ignore`: as if the line were not there.
    Ignore,
    /// `ok`: counts, unless something failed before.
    Ok,
    /// `done`: counts, and ends the stack or substack if nothing failed before.
    Done,
    /// `bad`: the stack fails, and goes on.
    Bad,
    /// `die`: the stack fails, and the stack or substack ends.
    Die,
    /// `reset`: what was before the stack or substack counts again.
    Reset,
    /// A number: skips so many modules or whole substacks.
    Jump(u32),
}

const ACTIONS: [(&str, Action); 6] = [
    ("ignore", Action::Ignore),
    ("ok", Action::Ok),
    ("done", Action::Done),
    ("bad", Action::Bad),
    ("die", Action::Die),
    ("reset", Action::Reset),
];

/// The control field of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    actions: [Action; RETURNS as usize],
    /// As written, without the outer brackets.
    word: String,
}

impl Control {
    /// A line that libpam could not read: whatever it returns is bad.
    #[must_use]
    pub fn bad() -> Self {
        Self { actions: [Action::Bad; RETURNS as usize], word: "required".to_owned() }
    }

    /// Reads one, as pam_handlers.c does. A control that cannot be read makes every value bad; the second answer
    /// says what was expected.
    #[must_use]
    pub fn parse(word: &str) -> (Self, Option<&'static str>) {
        let simple = |good, bad, ignored| {
            let mut actions = [bad; RETURNS as usize];
            for code in [SUCCESS, NEW_AUTHTOK_REQD] {
                actions[usize::from(code)] = good;
            }
            actions[usize::from(IGNORE)] = ignored;
            (actions, None)
        };
        let (actions, problem) = match word.to_ascii_lowercase().as_str() {
            "required" => simple(Action::Ok, Action::Bad, Action::Ignore),
            "requisite" => simple(Action::Ok, Action::Die, Action::Ignore),
            "optional" => simple(Action::Ok, Action::Ignore, Action::Ignore),
            "sufficient" => simple(Action::Done, Action::Ignore, Action::Ignore),
            _ => match pairs(word) {
                Ok(actions) => (actions, None),
                Err(problem) => ([Action::Bad; RETURNS as usize], Some(problem)),
            },
        };
        (Self { actions, word: word.to_owned() }, problem)
    }

    /// What follows a return value.
    #[must_use]
    pub fn action(&self, code: Code) -> Action {
        self.actions.get(usize::from(code)).copied().unwrap_or(Action::Bad)
    }

    /// As an administrator writes it.
    #[must_use]
    pub fn written(&self) -> String {
        if self.word.contains('=') { format!("[{}]", self.word) } else { self.word.clone() }
    }
}

/// `_pam_parse_control`: names and actions are matched as prefixes, in the order of the tables; `default` fills what
/// is unset when it is read; what stays unset is bad.
fn pairs(word: &str) -> Result<[Action; RETURNS as usize], &'static str> {
    let mut actions = [None; RETURNS as usize];
    let mut rest = word.trim_start();
    while !rest.is_empty() {
        let found =
            NAMES.iter().enumerate().find_map(|(index, name)| Some((index, rest.strip_prefix(name)?)));
        let (index, after) = found.filter(|(_, after)| !after.is_empty()).ok_or("a return value")?;
        let after = after.trim_start().strip_prefix('=').ok_or("\"=\"")?.trim_start();
        let (action, after) = action(after)?;
        match actions.get_mut(index) {
            Some(slot) => *slot = Some(action),
            None => actions.iter_mut().for_each(|slot| *slot = slot.or(Some(action))),
        }
        rest = after.trim_start();
    }
    Ok(actions.map(|slot| slot.unwrap_or(Action::Bad)))
}

fn action(text: &str) -> Result<(Action, &str), &'static str> {
    if text.is_empty() {
        return Err("an action");
    }
    if let Some(found) = ACTIONS.iter().find_map(|(name, action)| Some((*action, text.strip_prefix(name)?))) {
        return Ok(found);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(digits);
    if number.is_empty() {
        return Err("a jump number");
    }
    match number.parse().unwrap_or(u32::MAX) {
        0 => Err("a jump number above 0"),
        number => Ok((Action::Jump(number), rest)),
    }
}
