//! The loop of a login: step, prompt, reply, until a verdict.

use std::time::{Duration, Instant};

use twinlock_proto::{
    REVISION, compatible, limit,
    v1::{self, Answer, Open, Verdict, step},
};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    application::{Application, Circumstances, Echo},
    authority::{ANSWER_WITHIN, Authority, Fault, Talk},
    options::Options,
    outcome::Outcome,
};

/// Prompts in one conversation. The daemon stops before; this bounds a daemon that does not.
const MAX_PROMPTS: usize = 10;
/// Steps of any kind in one conversation.
const MAX_STEPS: usize = 32;

/// What PAM called us for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// pam_authenticate(3).
    Auth,
    /// pam_acct_mgmt(3).
    Account,
}

impl Phase {
    /// As log lines name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Account => "account",
        }
    }
}

/// Talks with the daemon, shows what it asks, returns how it ended. In the account phase, of a login whose auth phase did
/// not pass by us, the daemon is asked, and nobody else is.
pub fn converse<A: Authority>(
    phase: Phase,
    application: &mut impl Application,
    authority: &mut A,
    login: &Circumstances,
    options: &Options,
    nonce: [u8; limit::NONCE],
) -> Outcome {
    let timeout = options.timeout_for(&login.service);
    let Some(deadline) = Instant::now().checked_add(timeout) else {
        return Outcome::Expired;
    };
    let mut dialogue =
        Dialogue { application, authority, login, options, nonce, phase, deadline, prompts: 0 };
    match dialogue.run() {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

struct Dialogue<'a, P, A> {
    application: &'a mut P,
    authority: &'a mut A,
    login: &'a Circumstances,
    options: &'a Options,
    nonce: [u8; limit::NONCE],
    phase: Phase,
    deadline: Instant,
    prompts: usize,
}

impl<P: Application, A: Authority> Dialogue<'_, P, A> {
    fn run(&mut self) -> Result<Outcome, Outcome> {
        // Connecting and the first step are one answer.
        let mut answer_by = self.within(ANSWER_WITHIN);
        let mut talk = self.begin(false, answer_by)?;
        let mut typed: Option<Zeroizing<String>> = None;
        let mut resumed = false;
        for _ in 0..MAX_STEPS {
            let step = match talk.next(answer_by) {
                Ok(step) => step,
                // The daemon was restarted while the person typed: they are not asked again.
                Err(Fault::Broken) if typed.is_some() && !resumed => {
                    resumed = true;
                    answer_by = self.within(ANSWER_WITHIN);
                    talk = self.begin(true, answer_by)?;
                    continue;
                }
                Err(fault) => return Err(Outcome::Unavailable(fault)),
            };
            match step.kind {
                Some(step::Kind::Verdict(verdict)) => return self.judge(&verdict),
                Some(step::Kind::Notice(notice)) => self.application.tell(&notice.text),
                Some(step::Kind::Prompt(prompt)) => {
                    let answer = match typed.take() {
                        Some(held) if resumed => held,
                        _ => self.ask(&prompt)?,
                    };
                    // A broken connection shows at the next step, where it is mended once.
                    let _ = talk.reply(Answer { text: answer.as_str().to_owned() });
                    answer_by = self.within(ANSWER_WITHIN);
                    typed = (!resumed).then_some(answer);
                }
                None => return Err(nonsense("a step of an unknown kind")),
            }
        }
        Err(nonsense("too many steps"))
    }

    fn begin(&mut self, resumed: bool, answer_by: Instant) -> Result<A::Talk, Outcome> {
        let login = self.login;
        let open = Open {
            revision: REVISION,
            nonce: self.nonce.to_vec(),
            user: login.user.clone(),
            service: login.service.clone(),
            tty: login.tty.clone(),
            rhost: login.rhost.clone(),
            ruser: login.ruser.clone(),
            ssh_connection: login.ssh_connection.clone(),
            after_first_factor: self.options.after_first_factor,
            publickey: login.publickey,
            after_key: self.options.after_key,
            timeout_ms: u32::try_from(self.left().as_millis()).unwrap_or(u32::MAX),
            caller_uid: login.uid,
            resumed,
            account_phase: self.phase == Phase::Account,
        };
        let talk = self.authority.begin(open, answer_by);
        talk.map_err(|fault| match fault {
            // It was there a moment ago, so this is an outage in progress: `unavailable=ignore` is not for it.
            Fault::Absent if resumed => Outcome::Unavailable(Fault::Broken),
            fault => Outcome::Unavailable(fault),
        })
    }

    /// Shows a prompt and returns what may be sent. What cannot be a code, or is the password, stays here: the
    /// daemon is given an empty answer, which is malformed and is not charged.
    fn ask(&mut self, prompt: &v1::Prompt) -> Result<Zeroizing<String>, Outcome> {
        if self.phase == Phase::Account {
            return Err(nonsense("a prompt in the account phase"));
        }
        self.prompts += 1;
        if self.prompts > MAX_PROMPTS {
            return Err(nonsense("too many prompts"));
        }
        if prompt.text.len() > limit::MESSAGE || prompt.text.contains('\0') {
            return Err(nonsense("a prompt that cannot be shown"));
        }
        let echo = if self.options.hidden { Echo::Hidden } else { Echo::Visible };
        let typed =
            self.application.ask(&prompt.text, echo).map_err(|_failed| Outcome::ConversationFailed)?;
        if self.left().is_zero() {
            return Err(Outcome::Expired);
        }
        if !self.application.user_is(&self.login.user) {
            return Err(Outcome::UserChanged);
        }
        if typed.len() > limit::ANSWER || self.application.is_password(&typed) {
            return Ok(Zeroizing::default());
        }
        Ok(Zeroizing::new(String::from_utf8(typed.to_vec()).unwrap_or_else(|error| {
            error.into_bytes().zeroize();
            String::new()
        })))
    }

    /// Success has one source: a positive verdict for this nonce and this user (Himmelblau CVE-2026-45108 took
    /// another user's).
    fn judge(&self, verdict: &Verdict) -> Result<Outcome, Outcome> {
        if !compatible(REVISION, verdict.revision) {
            return Err(nonsense("twinlockd is more than one version apart; finish the upgrade"));
        }
        if verdict.nonce != self.nonce || verdict.user != self.login.user {
            return Err(nonsense("a verdict for another login"));
        }
        if !self.application.user_is(&self.login.user) {
            return Err(Outcome::UserChanged);
        }
        match (self.phase, verdict.outcome()) {
            (Phase::Account, v1::Outcome::NotNeeded) => return Ok(Outcome::NotNeeded),
            (Phase::Account, v1::Outcome::Denied) => return Ok(Outcome::Skipped),
            (Phase::Account, v1::Outcome::NotConcerned) => return Ok(Outcome::NotConcerned),
            (Phase::Account, _) => return Err(nonsense("a verdict that has no place in the account phase")),
            (Phase::Auth, _) => {}
        }
        match verdict.outcome() {
            v1::Outcome::Granted => Ok(Outcome::Granted),
            v1::Outcome::NotNeeded => Ok(Outcome::NotNeeded),
            v1::Outcome::Denied => Ok(Outcome::Denied),
            v1::Outcome::Throttled => Ok(Outcome::Throttled),
            v1::Outcome::Expired => Ok(Outcome::Expired),
            v1::Outcome::Unspecified | v1::Outcome::NotConcerned => {
                Err(nonsense("a verdict of an unknown kind"))
            }
        }
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    fn within(&self, limit: Duration) -> Instant {
        // The daemon ends an overdue conversation itself; its last word still gets the time of one answer.
        Instant::now() + limit.min(self.left().max(Duration::from_secs(1)))
    }
}

fn nonsense(what: &str) -> Outcome {
    Outcome::Unavailable(Fault::Untrusted(what.to_owned()))
}

#[cfg(test)]
#[path = "dialogue_tests.rs"]
mod tests;
