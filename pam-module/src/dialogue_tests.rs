//! The dialogue against a scripted application and a scripted daemon.

use std::{cell::RefCell, collections::VecDeque, rc::Rc};

use twinlock_proto::v1::{Notice, Prompt, Step};

use super::*;
use crate::application::ConversationFailed;

const NONCE: [u8; 16] = [7; 16];

/// An application that gives these answers, and fails the test if they are not used up.
#[derive(Default)]
struct Person {
    answers: VecDeque<Result<&'static str, ConversationFailed>>,
    prompts: Vec<String>,
    told: Vec<String>,
    password: &'static str,
    renamed: bool,
}

impl Person {
    fn typing(answers: &[&'static str]) -> Self {
        let mut person = Self::default();
        person.answers.extend(answers.iter().copied().map(Ok));
        person
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        assert!(std::thread::panicking() || self.answers.is_empty(), "answers left: {:?}", self.answers);
    }
}

impl Application for Person {
    fn ask(&mut self, prompt: &str, _: Echo) -> Result<Zeroizing<Vec<u8>>, ConversationFailed> {
        self.prompts.push(prompt.to_owned());
        let answer = self.answers.pop_front().expect("asked more often than scripted");
        answer.map(|text| Zeroizing::new(text.as_bytes().to_vec()))
    }
    fn tell(&mut self, text: &str) {
        self.told.push(text.to_owned());
    }
    fn user_is(&self, user: &str) -> bool {
        user == "alice" && !self.renamed
    }
    fn is_password(&self, typed: &[u8]) -> bool {
        !self.password.is_empty() && typed == self.password.as_bytes()
    }
}

type Change = fn(&mut Verdict);
type Heard = Rc<RefCell<Vec<String>>>;

/// A daemon that opens these conversations in turn; `heard` is what it was told.
struct Daemon {
    conversations: VecDeque<Vec<Result<Step, Fault>>>,
    heard: Heard,
}

struct Script {
    steps: VecDeque<Result<Step, Fault>>,
    heard: Heard,
}

impl Authority for Daemon {
    type Talk = Script;
    fn begin(&mut self, open: Open, _: Instant) -> Result<Script, Fault> {
        assert_eq!((open.user.as_str(), open.nonce.as_slice()), ("alice", &NONCE[..]));
        self.heard.borrow_mut().push(if open.resumed { "resume".into() } else { "open".into() });
        let steps = self.conversations.pop_front().ok_or(Fault::Absent)?;
        Ok(Script { steps: steps.into(), heard: Rc::clone(&self.heard) })
    }
}

impl Talk for Script {
    fn next(&mut self, _: Instant) -> Result<Step, Fault> {
        self.steps.pop_front().unwrap_or(Err(Fault::Broken))
    }
    fn reply(&mut self, answer: Answer) -> Result<(), Fault> {
        self.heard.borrow_mut().push(format!("<{}>", answer.text));
        Ok(())
    }
}

fn prompt(text: &str) -> Result<Step, Fault> {
    Ok(Step { kind: Some(step::Kind::Prompt(Prompt { text: text.into() })) })
}

fn verdict_of(outcome: v1::Outcome, change: impl FnOnce(&mut Verdict)) -> Result<Step, Fault> {
    let mut verdict =
        Verdict { nonce: NONCE.to_vec(), user: "alice".into(), outcome: outcome.into(), revision: REVISION };
    change(&mut verdict);
    Ok(Step { kind: Some(step::Kind::Verdict(verdict)) })
}

fn verdict(outcome: v1::Outcome) -> Result<Step, Fault> {
    verdict_of(outcome, |_| {})
}

fn run(person: &mut Person, conversations: Vec<Vec<Result<Step, Fault>>>) -> (Outcome, Vec<String>) {
    let heard = Heard::default();
    let mut daemon = Daemon { conversations: conversations.into(), heard: Rc::clone(&heard) };
    let login = Circumstances { user: "alice".into(), service: "sshd".into(), ..Circumstances::default() };
    let outcome = converse(Phase::Auth, person, &mut daemon, &login, &Options::default(), NONCE);
    (outcome, heard.take())
}

#[test]
fn a_prompt_is_shown_answered_and_judged() {
    let mut person = Person::typing(&["123456"]);
    let notice = Ok(Step { kind: Some(step::Kind::Notice(Notice { text: "hello".into() })) });
    let script = vec![notice, prompt("Verification code: "), verdict(v1::Outcome::Granted)];
    let (outcome, heard) = run(&mut person, vec![script]);
    assert_eq!(outcome, Outcome::Granted);
    assert_eq!(heard, ["open", "<123456>"]);
    assert_eq!(
        (&person.prompts[..], &person.told[..]),
        (&["Verification code: ".into()][..], &["hello".into()][..])
    );
}

#[test]
fn only_a_verdict_for_this_login_grants() {
    let changes: [(&str, Change); 5] = [
        ("another nonce", |v| v.nonce[0] ^= 1),
        ("no nonce", |v| v.nonce.clear()),
        ("another user", |v| v.user = "bob".into()),
        ("two revisions apart", |v| v.revision = REVISION + 2),
        ("no revision", |v| v.revision = 0),
    ];
    for (what, change) in changes {
        let (outcome, _) = run(&mut Person::default(), vec![vec![verdict_of(v1::Outcome::Granted, change)]]);
        assert!(matches!(outcome, Outcome::Unavailable(Fault::Untrusted(_))), "{what}: {outcome:?}");
    }
}

#[test]
fn an_unknown_outcome_or_step_denies() {
    for step in
        [verdict_of(v1::Outcome::Unspecified, |_| {}), verdict_of(v1::Outcome::Granted, |v| v.outcome = 99)]
    {
        let (outcome, _) = run(&mut Person::default(), vec![vec![step]]);
        assert!(matches!(outcome, Outcome::Unavailable(_)), "{outcome:?}");
    }
    let (outcome, _) = run(&mut Person::default(), vec![vec![Ok(Step { kind: None })]]);
    assert!(matches!(outcome, Outcome::Unavailable(_)), "{outcome:?}");
}

#[test]
fn the_end_without_a_verdict_denies() {
    for fault in [Fault::Absent, Fault::Late, Fault::Broken, Fault::Untrusted("x".into())] {
        let (outcome, _) = run(&mut Person::default(), vec![vec![Err(fault.clone())]]);
        assert_eq!(outcome, Outcome::Unavailable(fault));
    }
    assert_eq!(run(&mut Person::default(), vec![]).0, Outcome::Unavailable(Fault::Absent));
}

#[test]
fn a_restart_at_the_prompt_reuses_the_answer_once() {
    let mut person = Person::typing(&["123456"]);
    let first = vec![prompt("Verification code: "), Err(Fault::Broken)];
    let second = vec![prompt("Verification code: "), verdict(v1::Outcome::Granted)];
    let (outcome, heard) = run(&mut person, vec![first, second]);
    assert_eq!(outcome, Outcome::Granted);
    assert_eq!(heard, ["open", "<123456>", "resume", "<123456>"]);
    assert_eq!(person.prompts.len(), 1, "the person was asked once");
}

#[test]
fn a_second_break_and_an_absent_daemon_deny() {
    let broken = || vec![prompt("Verification code: "), Err(Fault::Broken)];
    let (outcome, heard) = run(&mut Person::typing(&["123456"]), vec![broken(), broken(), broken()]);
    assert_eq!(outcome, Outcome::Unavailable(Fault::Broken));
    assert_eq!(heard.iter().filter(|h| *h == "resume").count(), 1);
    // `unavailable=ignore` is for an absent daemon, not for one that went away in the middle.
    let (outcome, _) = run(&mut Person::typing(&["123456"]), vec![broken()]);
    assert_eq!(outcome, Outcome::Unavailable(Fault::Broken));
}

#[test]
fn a_failed_conversation_ends_the_login() {
    let mut person = Person::default();
    person.answers.push_back(Err(ConversationFailed));
    let script = vec![prompt("Verification code: "), verdict(v1::Outcome::Granted)];
    let (outcome, heard) = run(&mut person, vec![script]);
    assert_eq!(outcome, Outcome::ConversationFailed);
    assert_eq!(heard, ["open"]);
}

#[test]
fn the_password_and_over_long_text_never_reach_the_daemon() {
    let long: &'static str = "1".repeat(600).leak();
    let mut person = Person::typing(&["correct horse", long]);
    person.password = "correct horse";
    let script =
        vec![prompt("Verification code: "), prompt("Verification code: "), verdict(v1::Outcome::Denied)];
    let (outcome, heard) = run(&mut person, vec![script]);
    assert_eq!(outcome, Outcome::Denied);
    assert_eq!(heard, ["open", "<>", "<>"]);
}

#[test]
fn a_changed_user_name_fails_even_after_a_right_code() {
    let mut person = Person::typing(&["123456"]);
    person.renamed = true;
    let script = vec![prompt("Verification code: "), verdict(v1::Outcome::Granted)];
    assert_eq!(run(&mut person, vec![script]).0, Outcome::UserChanged);
}

#[test]
fn a_daemon_that_never_stops_asking_is_left() {
    let mut person = Person::typing(&["1"; 10]);
    let script = (0..40).map(|_| prompt("Verification code: ")).collect();
    assert!(matches!(run(&mut person, vec![script]).0, Outcome::Unavailable(Fault::Untrusted(_))));
}
