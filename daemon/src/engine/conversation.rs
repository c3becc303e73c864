//! A login, step by step. One type a state; each step consumes the state and yields the next, so none can be
//! used twice or skipped. The table of states is in docs/conversation.md.

use zeroize::Zeroizing;

use super::{
    checking::Checking,
    enrolling::{self, Confirmed, Preparing, Showing},
    inviting::{Invited, Inviting},
    policy::{Decision, Method, Release, Verdict},
    prompt,
    proof::Granted,
    sending::{self, Sending, Sent},
    throttle::{Budget, Standing},
};
use crate::{
    audit,
    clock::Timestamp,
    factor::code::Typed,
    names::{AccountId, Source},
};

/// Wrong answers in one conversation.
const WRONG_ANSWERS: u32 = 3;
/// Malformed answers in one conversation.
const MALFORMED_ANSWERS: u32 = 3;

/// Whether the first factor is known to have passed. Before that nothing is told that a stranger could use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirstFactor {
    /// The administrator's word, or sshd's, through an application that runs as root.
    Known,
    /// Anything else.
    Unknown,
}

/// Who logs in and how: fixed at the start.
#[derive(Debug, Clone)]
pub struct Login {
    /// The account, if there is one with factors.
    pub account: Option<AccountId>,
    /// The stack has no first factor but a key, and there was none: denied after one prompt.
    pub key_missing: bool,
    /// See [`FirstFactor`].
    pub first_factor: FirstFactor,
    /// The user's name, where the one who types is somebody else (su).
    pub asked_of: Option<String>,
    /// What failures are charged to.
    pub budgets: Vec<Budget>,
    /// Where it comes from.
    pub source: Source,
    /// For the trail.
    pub subject: audit::Subject,
    /// Digits of the codes that people here usually have: what somebody unknown is measured by.
    pub usual_length: usize,
    /// Where codes can be sent to, in order of preference; none unless the first factor is known.
    pub offers: Vec<Offered>,
    /// Whether there is something else than those: an app, a recovery code.
    pub has_codes: bool,
    /// Wrong answers after which a code that was sent is dead.
    pub tries: u32,
    /// The first answer was typed at a prompt of a connection that broke.
    pub resumed: bool,
    /// When it began.
    pub began: Timestamp,
}

#[cfg(test)]
impl Login {
    /// Somebody who has nothing yet, for the tests of the states.
    pub(super) fn of_somebody(first_factor: FirstFactor, began: Timestamp) -> Self {
        Self {
            account: None,
            key_missing: false,
            first_factor,
            asked_of: None,
            budgets: Vec::new(),
            source: Source::local("sshd", "", 0),
            subject: audit::Subject::default(),
            usual_length: 6,
            offers: Vec::new(),
            has_codes: true,
            tries: 3,
            resumed: false,
            began,
        }
    }
}

/// A place that a code can be sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// How.
    pub method: Method,
    /// What may be shown of it.
    pub masked: String,
}

/// What to do next.
#[derive(Debug)]
pub enum Turn {
    /// Show this and come back with the answer.
    Ask(Asking, Words),
    /// Look up the user's factors and come back with what the code matches.
    Check(Checking),
    /// Send a code and come back with what became of it.
    Send(Sending),
    /// Have a link mailed and come back with its binding code.
    Invite(Inviting),
    /// Make a key and come back with it.
    Prepare(Preparing),
    /// Have the store take in the new factor and come back with what it says.
    Enroll(Confirmed),
    /// It is over.
    Finish(Ending),
}

/// What is shown: it may be a key, or recovery codes.
#[derive(Clone, PartialEq, Eq)]
pub struct Words {
    /// A message that may be late or lost.
    pub before: Option<Zeroizing<String>>,
    /// The prompt, complete by itself.
    pub prompt: Zeroizing<String>,
}

impl std::fmt::Debug for Words {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Words(redacted)")
    }
}

impl From<String> for Words {
    fn from(prompt: String) -> Self {
        Self { before: None, prompt: prompt.into() }
    }
}

impl From<&str> for Words {
    fn from(prompt: &str) -> Self {
        prompt.to_owned().into()
    }
}

impl Words {
    /// The same, with something said first.
    #[must_use]
    pub fn after(self, said: &str) -> Self {
        Self { prompt: format!("{said}{}", self.prompt.as_str()).into(), ..self }
    }
}

/// How a login ended.
#[derive(Debug)]
pub enum Ending {
    /// A factor passed; there may be something to say.
    Granted(Granted, Option<String>),
    /// A factor was set up, and a code of it seen.
    Enrolled(Granted),
    /// Policy asks nothing; there may be something to say.
    NotNeeded(Release, Option<&'static str>),
    /// No, and why (for the trail; the person is told nothing more).
    Denied(&'static str),
    /// No, because of too many failures; only when the first factor is known.
    Throttled,
}

/// What lasts through all states.
#[derive(Debug)]
pub(super) struct Course {
    login: Login,
    wrong: u32,
    malformed: u32,
    /// The code that was sent and can be used.
    pub(super) sent: Option<Sent>,
    /// Codes that were sent, or tried to be.
    pub(super) sends: u32,
    /// The link by which the factor is set up that is asked for.
    pub(super) invited: Option<Invited>,
}

/// Begins a login. `standing` is that of its budgets.
#[must_use]
pub fn begin(login: Login, decision: Decision, standing: Standing, now: Timestamp) -> Turn {
    let hopeless = login.key_missing;
    let known = login.first_factor == FirstFactor::Known;
    let resumed = login.resumed && !login.offers.is_empty();
    let course = Course { login, wrong: 0, malformed: 0, sent: None, sends: 0, invited: None };
    if hopeless {
        return course.ask_in_vain("", "no-key");
    }
    match decision.verdict {
        Verdict::Offer(release) if known => enrolling::offer(course, release),
        Verdict::Skip(release) | Verdict::Offer(release) => Turn::Finish(Ending::NotNeeded(release, None)),
        Verdict::Enroll if known => enrolling::required(course),
        Verdict::Invite if known => Turn::Invite(Inviting::new(course)),
        Verdict::Deny if known => {
            let asking = Asking { course, hope: Hope::None("not-enrolled") };
            Turn::Ask(asking, prompt::NOT_SET_UP.into())
        }
        Verdict::Deny | Verdict::Enroll | Verdict::Invite | Verdict::Ask => {
            let prefix = if known { throttled(standing, now) } else { None };
            let stranded = known && course.login.offers.is_empty() && !course.login.has_codes;
            let prefix = prefix.or_else(|| stranded.then(|| prompt::NO_WAY.to_owned()));
            let dead = resumed.then(|| prompt::DEAD.to_owned());
            course.ask(&prefix.or(dead).unwrap_or_default())
        }
    }
}

impl Course {
    pub(super) fn ask(self, prefix: &str) -> Turn {
        let text = format!("{prefix}{}", self.question());
        Turn::Ask(Asking { course: self, hope: Hope::Code }, text.into())
    }

    fn ask_in_vain(self, prefix: &str, reason: &'static str) -> Turn {
        let text = format!("{prefix}{}", prompt::code(self.login.asked_of.as_deref(), &[]));
        Turn::Ask(Asking { course: self, hope: Hope::None(reason) }, text.into())
    }

    fn question(&self) -> String {
        if let Some(invited) = &self.invited {
            return prompt::by_link(&invited.masked, invited.code.as_ref().map(|code| code.as_str()));
        }
        let Login { offers, has_codes, asked_of, .. } = &self.login;
        let mut words: Vec<&str> = offers.iter().map(|offered| offered.method.name()).collect();
        match (&self.sent, offers.first()) {
            (Some(sent), _) => {
                words.retain(|word| *word != sent.method.name());
                words.insert(0, sending::RESEND);
            }
            (None, Some(first)) if !has_codes => {
                words.remove(0);
                return prompt::send(first.method.name(), &first.masked, &words);
            }
            (None, _) => {}
        }
        prompt::code(asked_of.as_deref(), &words)
    }

    pub(super) fn malformed(self) -> Turn {
        self.refused_uncharged("malformed", prompt::WRONG)
    }

    pub(super) fn refused_uncharged(mut self, reason: &'static str, prefix: &str) -> Turn {
        if self.count_malformed() {
            return Turn::Finish(Ending::Denied(reason));
        }
        self.ask(prefix)
    }

    pub(super) fn wrong(mut self, reason: &'static str, prefix: &str) -> Turn {
        if self.count_wrong() {
            return Turn::Finish(Ending::Denied(reason));
        }
        self.ask(prefix)
    }

    /// Whether that was one too many.
    pub(super) const fn count_wrong(&mut self) -> bool {
        self.wrong += 1;
        self.wrong >= WRONG_ANSWERS
    }

    /// Whether that was one too many.
    pub(super) const fn count_malformed(&mut self) -> bool {
        self.malformed += 1;
        self.malformed >= MALFORMED_ANSWERS
    }

    pub(super) const fn login(&self) -> &Login {
        &self.login
    }

    pub(super) const fn login_mut(&mut self) -> &mut Login {
        &mut self.login
    }

    pub(super) const fn resumed(&self) -> bool {
        self.login.resumed
    }

    pub(super) const fn subject(&self) -> &audit::Subject {
        &self.login.subject
    }
}

/// A prompt is shown.
#[derive(Debug)]
pub struct Asking {
    course: Course,
    hope: Hope,
}

/// What an answer can lead to.
#[derive(Debug)]
pub(super) enum Hope {
    /// A code can be right.
    Code,
    /// Denied whatever it is; the reason is for the trail.
    None(&'static str),
    /// A factor may be set up, or not.
    Offer(Release),
    /// A code of a new key can be right.
    NewCode(Box<Showing>),
    /// Granted whatever it is: the recovery codes were shown.
    Saved(Granted),
}

impl Asking {
    pub(super) const fn new(course: Course, hope: Hope) -> Self {
        Self { course, hope }
    }

    /// The person answered, at this time.
    #[must_use]
    pub fn answer(self, typed: &str, now: Timestamp) -> Turn {
        let Self { course, hope } = self;
        match hope {
            Hope::None(reason) => Turn::Finish(Ending::Denied(reason)),
            Hope::Code => match (sending::wanted(&course, typed), Typed::parse(typed)) {
                (Some(offered), _) => Turn::Send(Sending::new(course, offered)),
                (None, Err(_)) => course.malformed(),
                (None, Ok(typed)) => Turn::Check(Checking { course, typed }),
            },
            Hope::Offer(release) => enrolling::offered(course, release, typed),
            Hope::NewCode(showing) => showing.answer(course, typed, now),
            Hope::Saved(granted) => Turn::Finish(Ending::Enrolled(granted)),
        }
    }

    /// For the trail, when the login ends here.
    #[must_use]
    pub const fn subject(&self) -> &audit::Subject {
        &self.course.login.subject
    }
}

/// What is said before the prompt to somebody who has to wait.
pub(super) fn throttled(standing: Standing, now: Timestamp) -> Option<String> {
    match standing {
        Standing::Open => None,
        Standing::Until(until) => Some(prompt::throttled(Some(until.since(now)))),
        Standing::Stopped => Some(prompt::throttled(None)),
    }
}

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
