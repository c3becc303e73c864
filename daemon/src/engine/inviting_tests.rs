//! The states of a link at a login, driven by hand.

use super::*;
use crate::{
    clock::Timestamp,
    engine::{
        checking::Checked,
        conversation::{self, Ending, FirstFactor, Login},
        policy::{Decision, Requirement, Verdict, stranger},
        throttle::Standing,
    },
};

const NOW: Timestamp = Timestamp::from_secs(59);

fn begin(first_factor: FirstFactor) -> Turn {
    let login = Login::of_somebody(first_factor, NOW);
    let decision = Decision { verdict: Verdict::Invite, requirement: Requirement::Required, ..stranger() };
    conversation::begin(login, decision, Standing::Open, NOW)
}

fn invited(turn: Turn, outcome: Outcome) -> (Asking, String) {
    let Turn::Invite(inviting) = turn else { panic!("no link: {turn:?}") };
    let Turn::Ask(asking, words) = inviting.done(outcome) else { panic!("nothing is asked") };
    (asking, words.prompt.to_string())
}

fn link() -> Outcome {
    let (masked, code) = ("a***@e***.com".to_owned(), Some(Zeroizing::new("AB12-CD34".to_owned())));
    Outcome::Invited(Invited { account: AccountId(7), budgets: Vec::new(), masked, code })
}

#[test]
fn the_binding_code_stands_in_each_prompt_and_a_code_of_the_app_is_checked() {
    let (asking, prompt) = invited(begin(FirstFactor::Known), link());
    assert_eq!(
        prompt,
        "Open the link mailed to a***@e***.com, type AB12-CD34 there, then type the code your app shows: "
    );
    let Turn::Ask(asking, words) = asking.answer("what?", NOW) else { panic!("malformed") };
    assert_eq!(*words.prompt, format!("Wrong code. {prompt}"));
    let Turn::Check(checking) = asking.answer("287082", NOW) else { panic!("not checked") };
    let Checked::Try(_, attempt) = checking.against(6, Vec::new(), false, NOW) else { panic!("no try") };
    assert_eq!(attempt.account, Some(AccountId(7)), "charged to the account that was made meanwhile");
}

#[test]
fn the_code_of_an_administrators_link_is_not_shown() {
    let given = Invited { account: AccountId(7), budgets: Vec::new(), masked: String::new(), code: None };
    let (_, prompt) = invited(begin(FirstFactor::Known), Outcome::Invited(given));
    assert!(prompt.starts_with(
        "Open the link that you were given, type the binding code from your administrator there"
    ));
}

#[test]
fn without_a_known_first_factor_nothing_is_mailed_and_nothing_shown() {
    let Turn::Ask(_, words) = begin(FirstFactor::Unknown) else { panic!("a link for a stranger") };
    assert_eq!(*words.prompt, "Verification code: ");
}

#[test]
fn without_a_link_nobody_gets_in() {
    for (outcome, said, why) in [
        (Outcome::Impossible, prompt::NOT_SET_UP, "not-enrolled"),
        (Outcome::NotMailed, prompt::NOT_MAILED, "not-mailed"),
    ] {
        let (asking, prompt) = invited(begin(FirstFactor::Known), outcome);
        assert_eq!(prompt, said);
        let Turn::Finish(Ending::Denied(reason)) = asking.answer("287082", NOW) else { panic!("not denied") };
        assert_eq!(reason, why);
    }
}
