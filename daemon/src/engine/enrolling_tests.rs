//! The states of an enrollment at a login, driven by hand.

use super::*;
use crate::{
    engine::{
        conversation::{self, FirstFactor, Login},
        enrollment::{NewFactor, Proof},
        policy::{Decision, Requirement, Verdict, stranger},
        proof::{self, Ruling, tests::Scripted},
        throttle::Standing,
    },
    factor::{
        Counted, Kind,
        totp::{Algorithm, Generator, Parameters},
    },
    names::{FactorId, UserName},
    secret::Sealed,
};

const NOW: Timestamp = Timestamp::from_secs(59);
const KEY: &[u8] = b"12345678901234567890";
/// Its code at 59 s (RFC 6238, appendix B), six digits.
const RIGHT: &str = "287082";
const PARAMETERS: Parameters = Parameters { algorithm: Algorithm::Sha1, digits: 6, period: 30 };

fn decision(verdict: Verdict) -> Decision {
    Decision { verdict, requirement: Requirement::Required, ..stranger() }
}

fn begin(verdict: Verdict, first_factor: FirstFactor, resumed: bool) -> Turn {
    let login = Login { resumed, ..Login::of_somebody(first_factor, NOW) };
    conversation::begin(login, decision(verdict), Standing::Open, NOW)
}

fn required() -> Turn {
    begin(Verdict::Enroll, FirstFactor::Known, false)
}

fn offered() -> Turn {
    begin(Verdict::Offer(Release::for_tests()), FirstFactor::Known, false)
}

fn shown(turn: Turn) -> Turn {
    let Turn::Prepare(preparing) = turn else { panic!("no key wanted: {turn:?}") };
    let key = Secret::new(KEY.to_vec());
    preparing.show(Offer {
        pending: Pending { key, parameters: PARAMETERS, label: "app".into() },
        key: Secret::new("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into()),
        link: Secret::new("otpauth://totp/x".into()),
        picture: Secret::new(vec!["##".into()]),
        window: Window { back: 1, ahead: 1 },
    })
}

fn say(turn: Turn, typed: &str) -> Turn {
    let Turn::Ask(asking, _) = turn else { panic!("not a prompt: {turn:?}") };
    asking.answer(typed, NOW)
}

fn prompt_of(turn: &Turn) -> &str {
    let Turn::Ask(_, words) = turn else { panic!("not a prompt: {turn:?}") };
    &words.prompt
}

/// The store says yes, or no.
fn stored(turn: Turn, yes: bool, recovery: &[&str]) -> Turn {
    let Turn::Enroll(confirmed) = turn else { panic!("not confirmed: {turn:?}") };
    let (pending, matched, storing) = confirmed.split();
    assert_eq!(matched.step, 1);
    let factor = NewFactor {
        kind: Kind::Totp,
        token: None,
        counted: Counted::default(),
        id: FactorId("f".into()),
        user: UserName::parse("alice").unwrap(),
        uid: 1000,
        label: pending.label,
        parameters: pending.parameters,
        sealed: Sealed { key_version: 1, bytes: vec![] },
        proof: Proof::Administrator { active: false }, // replaced: the code is the proof
        recovery: Vec::new(),
        now: NOW,
    };
    let record = audit::Record {
        time: NOW,
        event: audit::Event::Enroll,
        subject: storing.subject().clone(),
        method: "totp",
        outcome: audit::Outcome::Granted,
        reason: String::new(),
    };
    let ledger = Scripted(if yes { Ruling::Wrong } else { Ruling::Used });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let enrolled = runtime.block_on(proof::enroll(&ledger, factor, matched, record)).unwrap();
    let codes: Vec<_> = recovery.iter().map(|code| Secret::new((*code).to_owned())).collect();
    storing.stored(enrolled, &codes)
}

fn denied(turn: &Turn) -> &'static str {
    let Turn::Finish(Ending::Denied(reason)) = turn else { panic!("not denied: {turn:?}") };
    reason
}

#[test]
fn a_code_of_the_new_key_lets_in_once_it_is_stored_and_the_codes_were_shown() {
    let turn = shown(required());
    assert!(prompt_of(&turn).ends_with("then type the code it shows: "));
    let turn = stored(say(turn, RIGHT), true, &["01-AAAAA-BBBBB-CCCCC", "02-AAAAA-BBBBB-CCCCC"]);
    assert!(prompt_of(&turn).contains("02-AAAAA-BBBBB-CCCCC"));
    assert!(prompt_of(&turn).ends_with("Press Enter when you have saved them: "));
    assert!(matches!(say(turn, ""), Turn::Finish(Ending::Enrolled(_))));

    let turn = stored(say(shown(required()), RIGHT), true, &[]);
    assert!(matches!(turn, Turn::Finish(Ending::Enrolled(_))), "no codes where policy wants none: {turn:?}");
}

#[test]
fn wrong_and_malformed_answers_end_it_at_the_third_and_nothing_is_stored() {
    for (typed, reason) in [("000000", "not-confirmed"), ("", "not-confirmed"), ("hunter2", "not-confirmed")]
    {
        let mut turn = shown(required());
        for _ in 0..2 {
            turn = say(turn, typed);
            assert!(prompt_of(&turn).starts_with("Wrong code. "), "{}", prompt_of(&turn));
        }
        assert_eq!(denied(&say(turn, typed)), reason);
    }
    let turn = say(say(shown(required()), "000000"), RIGHT);
    assert!(matches!(turn, Turn::Enroll(_)), "the right one at the second try: {turn:?}");
}

#[test]
fn the_second_of_two_at_once_is_denied() {
    let turn = stored(say(shown(required()), RIGHT), false, &["01-AAAAA-BBBBB-CCCCC"]);
    assert!(prompt_of(&turn).starts_with("A second factor was set up meanwhile"));
    assert!(!prompt_of(&turn).contains("01-"), "codes that were not stored are not shown");
    assert_eq!(denied(&say(turn, RIGHT)), "enrolled-meanwhile");
}

#[test]
fn without_the_first_factor_nobody_enrolls() {
    let turn = begin(Verdict::Enroll, FirstFactor::Unknown, false);
    assert_eq!(prompt_of(&turn), "Verification code: ");
    let turn = begin(Verdict::Offer(Release::for_tests()), FirstFactor::Unknown, false);
    assert!(matches!(turn, Turn::Finish(Ending::NotNeeded(..))), "{turn:?}");
}

#[test]
fn an_offer_is_taken_or_left() {
    for typed in ["", "no", " N "] {
        assert!(matches!(say(offered(), typed), Turn::Finish(Ending::NotNeeded(_, None))), "{typed:?}");
    }
    for typed in ["yes", " Y"] {
        let turn = stored(say(shown(say(offered(), typed)), RIGHT), true, &[]);
        assert!(matches!(turn, Turn::Finish(Ending::Enrolled(_))), "{typed:?}");
    }
    let mut turn = offered();
    for _ in 0..2 {
        turn = say(turn, "123456");
        assert_eq!(prompt_of(&turn), prompt::OFFER, "neither yes nor no");
    }
    assert!(matches!(say(turn, "what"), Turn::Finish(Ending::NotNeeded(_, None))));
}

#[test]
fn who_fails_at_an_offer_is_let_in_as_before() {
    let mut turn = shown(say(offered(), "yes"));
    for _ in 0..3 {
        turn = say(turn, "000000");
    }
    assert!(matches!(turn, Turn::Finish(Ending::NotNeeded(_, Some(prompt::NOTHING_SET_UP)))), "{turn:?}");
}

#[test]
fn what_was_typed_for_a_key_that_is_gone_is_dropped_and_said_so() {
    let turn = shown(begin(Verdict::Enroll, FirstFactor::Known, true));
    let turn = say(turn, RIGHT); // even if it were right
    assert!(prompt_of(&turn).starts_with(prompt::RENEWED), "{}", prompt_of(&turn));
    let Turn::Ask(_, words) = &turn else { panic!() };
    assert_eq!(words.before.as_ref().map(|text| text.as_str()), Some("\n##"), "the picture is shown again");
    assert!(matches!(say(turn, RIGHT), Turn::Enroll(_)));
}

#[test]
fn the_codes_are_those_of_an_independent_vector() {
    let code = Generator::new(&Secret::new(KEY.to_vec()), PARAMETERS).find(
        &Code::parse(RIGHT).unwrap(),
        NOW,
        Window { back: 0, ahead: 0 },
        crate::factor::totp::Drift::default(),
    );
    assert_eq!(code.map(|matched| matched.step), Some(1));
}
