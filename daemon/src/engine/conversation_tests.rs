//! The states, driven by hand: the store's rulings come from a script.

use std::collections::BTreeMap;

use super::*;
use crate::{
    engine::{
        checking::{Checked, Prepared},
        policy::{self, Facts, Flags, Ids, Method, Rules},
        proof::{Accepted, Missed, Ruling, tests::settled},
        throttle::Account,
    },
    factor::totp::{Drift, Match},
    names::FactorId,
};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn login(first_factor: FirstFactor) -> Login {
    Login {
        account: Some(AccountId(1)),
        budgets: vec![Budget {
            account: Account::User(AccountId(1)),
            rule: super::super::throttle::Rule { backoff: None, window: None },
        }],
        ..Login::of_somebody(first_factor, NOW)
    }
}

fn decision(enrolled: bool) -> Decision {
    decide(enrolled, Some(&[]))
}

fn decide(enrolled: bool, groups: Option<&[u32]>) -> Decision {
    let facts = Facts {
        service: Some("sshd"),
        user: "alice",
        uid: 1000,
        groups,
        ids: Some(&Ids::default()),
        address: None,
        methods: if enrolled { &[Method::Totp] } else { &[] },
        pending: &[],
        bypass: false,
        flags: &Flags::default(),
        openings: &BTreeMap::new(),
        now: NOW,
        clock_believed: true,
    };
    policy::decide(&Rules::default(), &facts)
}

fn start(first_factor: FirstFactor) -> Turn {
    begin(login(first_factor), decision(true), Standing::Open, NOW)
}

fn asked(turn: Turn) -> (Asking, String) {
    match turn {
        Turn::Ask(asking, words) => (asking, words.prompt.to_string()),
        other => panic!("not a prompt: {other:?}"),
    }
}

/// Types a code of six digits, and has the store rule.
fn try_code(turn: Turn, ruling: Ruling) -> Turn {
    let Turn::Check(checking) = asked(turn).0.answer("123456", NOW) else { panic!("not checked") };
    let matched = Match { step: 5, drift: Drift::default() };
    let prepared = vec![Prepared { factor: FactorId("a".into()), digits: 6, matched: Some(matched) }];
    match checking.against(6, prepared, false, NOW) {
        Checked::Try(deciding, attempt) => deciding.settled(settled(attempt, ruling), NOW),
        Checked::Malformed(turn) => panic!("malformed: {turn:?}"),
    }
}

fn denied(turn: &Turn) -> &'static str {
    match turn {
        Turn::Finish(Ending::Denied(reason)) => reason,
        other => panic!("not denied: {other:?}"),
    }
}

#[test]
fn only_an_accepted_code_grants() {
    let accepted = Ruling::Accepted(Accepted::Step(FactorId("a".into())), Missed::default());
    let turn = try_code(start(FirstFactor::Known), accepted);
    assert!(matches!(turn, Turn::Finish(Ending::Granted(..))), "{turn:?}");
    for ruling in [Ruling::Used, Ruling::Wrong, Ruling::Refused(Standing::Stopped)] {
        for first_factor in [FirstFactor::Known, FirstFactor::Unknown] {
            let turn = try_code(start(first_factor), ruling.clone());
            assert!(!matches!(turn, Turn::Finish(Ending::Granted(..))), "{turn:?}");
        }
    }
}

#[test]
fn the_third_wrong_answer_ends_it() {
    let mut turn = start(FirstFactor::Known);
    for _ in 0..2 {
        turn = try_code(turn, Ruling::Wrong);
        let (asking, text) = asked(turn);
        assert_eq!(text, "Wrong code. Verification code: ");
        turn = Turn::Ask(asking, text.into());
    }
    assert_eq!(denied(&try_code(turn, Ruling::Wrong)), "wrong");
}

#[test]
fn malformed_answers_are_counted_apart_and_never_reach_the_store() {
    let mut turn = start(FirstFactor::Known);
    for junk in ["\u{8}\n\r\u{7f}INCORRECT", "correct horse"] {
        turn = asked(turn).0.answer(junk, NOW);
    }
    turn = try_code(turn, Ruling::Wrong);
    assert_eq!(denied(&asked(turn).0.answer("", NOW)), "malformed");
}

#[test]
fn a_code_of_a_length_that_no_factor_has_is_malformed() {
    let Turn::Check(checking) = asked(start(FirstFactor::Known)).0.answer("12345678", NOW) else { panic!() };
    let prepared = vec![Prepared { factor: FactorId("a".into()), digits: 6, matched: None }];
    assert!(matches!(checking.against(8, prepared, false, NOW), Checked::Malformed(Turn::Ask(..))));
}

#[test]
fn a_stranger_sees_what_an_enrolled_user_sees() {
    let script = |first: FirstFactor, account: Option<AccountId>, standing, ruling: Ruling| {
        let login = Login { account, ..login(first) };
        let (asking, before) = asked(begin(login, decision(true), standing, NOW));
        let after = asked(try_code(Turn::Ask(asking, before.clone().into()), ruling)).1;
        (before, after)
    };
    let until = Standing::Until(NOW.after(std::time::Duration::from_secs(200)));
    let usual = script(FirstFactor::Unknown, Some(AccountId(1)), Standing::Open, Ruling::Wrong);
    assert_eq!(usual, ("Verification code: ".into(), "Wrong code. Verification code: ".into()));
    for (account, standing, ruling) in [
        (None, Standing::Open, Ruling::Wrong),
        (None, until, Ruling::Refused(until)),
        (Some(AccountId(1)), until, Ruling::Refused(until)),
        (Some(AccountId(1)), Standing::Stopped, Ruling::Refused(Standing::Stopped)),
        (Some(AccountId(1)), Standing::Open, Ruling::Used),
    ] {
        assert_eq!(script(FirstFactor::Unknown, account, standing, ruling.clone()), usual, "{ruling:?}");
    }
}

#[test]
fn who_passed_the_first_factor_is_told_why() {
    let until = Standing::Until(NOW.after(std::time::Duration::from_secs(200)));
    let (asking, text) = asked(begin(login(FirstFactor::Known), decision(true), until, NOW));
    assert_eq!(text, "Too many wrong codes. Wait 4 min. Verification code: ");
    let turn = try_code(Turn::Ask(asking, text.into()), Ruling::Refused(until));
    assert!(matches!(turn, Turn::Finish(Ending::Throttled)), "{turn:?}");

    let (_, text) = asked(try_code(start(FirstFactor::Known), Ruling::Used));
    assert_eq!(text, "That code was used; wait for the next. Verification code: ");
}

#[test]
fn a_stack_for_keys_reached_without_one_is_denied_after_one_prompt() {
    for enrolled in [true, false] {
        let login = Login { key_missing: true, ..login(FirstFactor::Unknown) };
        let (asking, text) = asked(begin(login, decision(enrolled), Standing::Open, NOW));
        assert_eq!(text, "Verification code: ");
        assert_eq!(denied(&asking.answer("123456", NOW)), "no-key");
    }
}

#[test]
fn not_enrolled_is_not_asked_unless_required() {
    let turn = begin(login(FirstFactor::Known), decision(false), Standing::Open, NOW);
    assert!(matches!(turn, Turn::Finish(Ending::NotNeeded(..))), "{turn:?}");

    let required = decide(false, None); // groups that could not be looked up
    let (asking, text) = asked(begin(login(FirstFactor::Known), required.clone(), Standing::Open, NOW));
    assert_eq!(text, "No second factor is set up; ask your administrator. Press Enter: ");
    assert_eq!(denied(&asking.answer("", NOW)), "not-enrolled");

    let (_, text) = asked(begin(login(FirstFactor::Unknown), required, Standing::Open, NOW));
    assert_eq!(text, "Verification code: ", "a stranger learns nothing");
}

#[test]
fn su_names_whose_code_is_asked() {
    let login = Login { asked_of: Some("bob".into()), ..login(FirstFactor::Known) };
    assert_eq!(asked(begin(login, decision(true), Standing::Open, NOW)).1, "Verification code for bob: ");
}
