//! Codes that are sent, in one conversation.

use super::*;
use crate::engine::{
    checking::Checked,
    conversation::{self, Ending, FirstFactor, Login},
    policy::{Decision, Verdict, stranger},
    proof::{Accepted, Candidate, Missed, Ruling, tests::settled},
    throttle::Standing,
};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn begin(has_codes: bool, methods: &[Method]) -> Turn {
    let offers =
        methods.iter().map(|method| Offered { method: *method, masked: format!("<{}>", method.name()) });
    let login = Login {
        account: Some(AccountId(1)),
        offers: offers.collect(),
        has_codes,
        ..Login::of_somebody(FirstFactor::Known, NOW)
    };
    conversation::begin(login, Decision { verdict: Verdict::Ask, ..stranger() }, Standing::Open, NOW)
}

fn prompt_of(turn: &Turn) -> String {
    let Turn::Ask(_, words) = turn else { panic!("not a prompt: {turn:?}") };
    words.prompt.to_string()
}

fn say(turn: Turn, typed: &str) -> Turn {
    let Turn::Ask(asking, _) = turn else { panic!("not a prompt: {turn:?}") };
    asking.answer(typed, NOW)
}

fn done(turn: Turn, delivery: Delivery) -> Turn {
    let Turn::Send(sending) = turn else { panic!("nothing is sent: {turn:?}") };
    sending.done(delivery, NOW)
}

fn sent(turn: Turn, counter: i64) -> Turn {
    done(turn, Delivery::Sent { counter, digits: 6 })
}

/// Types a code, which is or is not the one that was sent; what the store is asked, and goes on with its ruling.
fn typed(turn: Turn, right: bool, ruling: Ruling) -> (Vec<Candidate>, Turn) {
    let Turn::Check(checking) = say(turn, "123456") else { panic!("not checked") };
    match checking.against(6, Vec::new(), right, NOW) {
        Checked::Try(deciding, attempt) => {
            (attempt.candidates.clone(), deciding.settled(settled(attempt, ruling), NOW))
        }
        Checked::Malformed(turn) => panic!("malformed: {turn:?}"),
    }
}

#[test]
fn contacts_alone_ask_before_anything_is_sent() {
    let turn = begin(false, &[Method::Sms, Method::Call, Method::Email]);
    assert_eq!(prompt_of(&turn), "Send a code by sms to <sms>? Press Enter, or type call or email: ");
    let turn = sent(say(turn, ""), 1);
    assert_eq!(
        prompt_of(&turn),
        "Code sent by sms to <sms>. Verification code (or type resend, call, email): "
    );
    let (candidates, turn) = typed(turn, true, Ruling::Accepted(Accepted::Delivered, Missed::default()));
    assert_eq!(candidates, [Candidate::Delivered { counter: 1, method: Method::Sms }]);
    assert!(matches!(turn, Turn::Finish(Ending::Granted(..))), "{turn:?}");
}

#[test]
fn beside_an_app_a_word_has_it_sent() {
    let turn = begin(true, &[Method::Email]);
    assert_eq!(prompt_of(&turn), "Verification code (or type email): ");
    let turn = sent(say(turn, " EMAIL "), 4);
    assert_eq!(prompt_of(&turn), "Code sent by email to <email>. Verification code (or type resend): ");
    assert!(
        matches!(say(begin(true, &[Method::Email]), "sms"), Turn::Ask(..)),
        "there is no such way: malformed"
    );
    assert!(matches!(say(begin(true, &[Method::Email]), "resend"), Turn::Ask(..)), "nothing was sent");
    assert_eq!(prompt_of(&begin(true, &[])), "Verification code: ");
}

#[test]
fn another_code_replaces_the_first_and_brings_no_new_tries() {
    let turn = sent(say(begin(false, &[Method::Email]), ""), 1);
    let (_, turn) = typed(turn, false, Ruling::Wrong);
    let Turn::Send(again) = say(turn, "resend") else { panic!() };
    assert_eq!((again.replaces(), again.before()), (Some(1), 1));
    let turn = again.done(Delivery::Sent { counter: 2, digits: 6 }, NOW);
    let (candidates, turn) = typed(turn, true, Ruling::Wrong);
    assert_eq!(candidates, [Candidate::Delivered { counter: 2, method: Method::Email }]);
    let (_, turn) = typed(turn, false, Ruling::Wrong);
    assert!(matches!(turn, Turn::Finish(Ending::Denied("wrong"))), "three in all: {turn:?}");
}

#[test]
fn a_wait_keeps_the_code_and_a_failure_does_not() {
    let turn = sent(say(begin(false, &[Method::Email]), ""), 1);
    let wait = Delivery::TooEarly(NOW.after(std::time::Duration::from_secs(42)));
    let turn = done(say(turn, "resend"), wait);
    assert_eq!(prompt_of(&turn), "Wait 42 s before asking again. Verification code (or type resend): ");
    let (candidates, _) = typed(turn, true, Ruling::Wrong);
    assert_eq!(candidates.len(), 1, "the first can still be used");

    let turn = done(say(begin(false, &[Method::Email]), ""), Delivery::Failed);
    assert_eq!(
        prompt_of(&turn),
        "The code could not be sent. Send a code by email to <email>? Press Enter: "
    );
    let turn = done(say(begin(true, &[Method::Email]), "email"), Delivery::NoMore);
    assert_eq!(prompt_of(&turn), "No more codes can be sent now. Verification code (or type email): ");
}

#[test]
fn prompts_are_fewer_than_ten_whatever_is_typed() {
    let mut turn = begin(false, &[Method::Email]);
    let mut prompts = 0;
    loop {
        turn = match turn {
            Turn::Ask(asking, _) => {
                prompts += 1;
                asking.answer(if prompts % 2 == 0 { "resend" } else { "" }, NOW)
            }
            Turn::Send(sending) if sending.may_send() => {
                sending.done(Delivery::Sent { counter: 1, digits: 6 }, NOW)
            }
            Turn::Send(sending) => sending.done(Delivery::NoMore, NOW),
            Turn::Finish(_) => break,
            other => panic!("{other:?}"),
        };
        assert!(prompts < 10);
    }
}
