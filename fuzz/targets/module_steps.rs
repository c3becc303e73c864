//! The module's view of a daemon that speaks gRPC and says what it likes: a yes is for this nonce and this user.
#![no_main]

use std::{collections::VecDeque, time::Instant};

use libfuzzer_sys::fuzz_target;
use pam_twinlock::{
    application::{Application, Circumstances, ConversationFailed, Echo},
    authority::{Authority, Fault, Talk},
    dialogue::{self, Phase},
    options::Options,
    outcome::Outcome,
};
use prost::Message;
use twinlock_proto::v1::{self, Answer, Open, Step, step};
use zeroize::Zeroizing;

const NONCE: [u8; 16] = [7; 16];

/// Answers every prompt, and counts them.
struct Person(usize);

impl Application for Person {
    fn ask(&mut self, prompt: &str, _: Echo) -> Result<Zeroizing<Vec<u8>>, ConversationFailed> {
        assert!(!prompt.contains('\0'), "a prompt that C would cut");
        self.0 += 1;
        Ok(Zeroizing::new(b"123456".to_vec()))
    }
    fn tell(&mut self, _: &str) {}
    fn user_is(&self, user: &str) -> bool {
        user == "alice"
    }
    fn is_password(&self, _: &[u8]) -> bool {
        false
    }
}

/// Says these steps, in as many conversations as are opened.
struct Script(VecDeque<Step>);
struct Line(VecDeque<Step>);

impl Authority for Script {
    type Talk = Line;
    fn begin(&mut self, _: Open, _: Instant) -> Result<Line, Fault> {
        Ok(Line(std::mem::take(&mut self.0)))
    }
}

impl Talk for Line {
    fn next(&mut self, _: Instant) -> Result<Step, Fault> {
        self.0.pop_front().ok_or(Fault::Broken)
    }
    fn reply(&mut self, _: Answer) -> Result<(), Fault> {
        Ok(())
    }
}

fuzz_target!(|messages: Vec<Vec<u8>>| {
    let steps: VecDeque<Step> = messages.iter().filter_map(|m| Step::decode(m.as_slice()).ok()).collect();
    let verdict = steps.iter().find_map(|step| match &step.kind {
        Some(step::Kind::Verdict(verdict)) => Some(verdict.clone()),
        _ => None,
    });
    let login = Circumstances { user: "alice".into(), service: "sshd".into(), ..Circumstances::default() };
    let options = Options::parse([]).expect("no argument is good");
    let mut person = Person(0);
    let outcome = dialogue::converse(Phase::Auth, &mut person, &mut Script(steps), &login, &options, NONCE);
    assert!(person.0 <= 10, "{} prompts", person.0);
    if matches!(outcome, Outcome::Granted | Outcome::NotNeeded) {
        let verdict = verdict.expect("a yes without a verdict");
        assert!(verdict.nonce == NONCE && verdict.user == "alice", "{verdict:?}");
        assert!(matches!(verdict.outcome(), v1::Outcome::Granted | v1::Outcome::NotNeeded));
    }
});
