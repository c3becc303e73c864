//! Who may set up a factor at a login.

use std::time::Duration;

use super::*;

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

fn at_login() -> Rules {
    let mut roles = admins();
    roles[0].enrollment = Enrollment::AtLogin;
    roles[0].enroll_within = WEEK;
    rules(roles, vec![])
}

/// Nobody's factor yet; the rule was seen so long before.
fn seen(before: Duration) -> Case {
    let openings = BTreeMap::from([("role admins".to_owned(), NOW.before(before))]);
    Case { enrolled: false, openings, ..Case::default() }
}

fn because(case: &Case, rules: &Rules) -> String {
    case.decide(rules).because.into_iter().map(|because| because.effect).collect::<Vec<_>>().join("; ")
}

#[test]
fn a_rule_opens_enrollment_for_its_time_and_no_longer() {
    let rules = at_login();
    let second = Duration::from_secs(1);
    assert_eq!(seen(WEEK - second).outcome(&rules), "enroll");
    assert!(
        because(&seen(WEEK - second), &rules).contains("may enroll at a login until 1970-01-12T13:46:41Z")
    );
    assert_eq!(seen(WEEK).outcome(&rules), "deny");
    assert!(because(&seen(WEEK), &rules).contains("ended 1970-01-12T13:46:40Z"));
    let never = Case { openings: BTreeMap::new(), ..seen(second) };
    assert_eq!(never.outcome(&rules), "deny", "a rule that nobody noted is not open");
    assert!(because(&never, &rules).contains("not open"));
}

#[test]
fn only_who_has_nothing_at_all_enrolls_with_the_first_factor() {
    let (rules, now) = (at_login(), Duration::ZERO);
    assert_eq!(seen(now).outcome(&rules), "enroll");
    assert_eq!(Case { enrolled: true, ..seen(now) }.outcome(&rules), "ask");
    assert_eq!(Case { pending: true, ..seen(now) }.outcome(&rules), "ask");
    assert_eq!(Case { clock_believed: false, ..seen(now) }.outcome(&rules), "deny");
    assert_eq!(Case { groups: None, ..seen(now) }.outcome(&rules), "deny", "no role is known");
    let mut other = at_login();
    other.roles[0].methods = vec![Method::Sms];
    assert_eq!(seen(now).outcome(&other), "deny");
    assert_eq!(
        Case { enrolled: true, ..seen(now) }.outcome(&other),
        "deny",
        "it has a factor, which does not count"
    );
}

#[test]
fn the_strictest_role_says_what_a_member_without_a_factor_meets() {
    let mut rules = at_login();
    let first = rules.roles.remove(0);
    rules.roles.insert(0, role("others", &["staff"], Requirement::Required));
    rules.roles.push(first);
    assert_eq!(seen(Duration::ZERO).outcome(&rules), "enroll");
    let in_both = Case { groups: Some(vec![27, 50]), ..seen(Duration::ZERO) };
    assert_eq!(in_both.outcome(&rules), "deny", "the first of two equals");
}

#[test]
fn an_administrator_opens_it_for_one() {
    let rules = rules(admins(), vec![]);
    let open = |seconds| {
        let flags = Flags { enroll_until: Some(Timestamp::from_secs(seconds)), ..Flags::default() };
        Case { enrolled: false, flags, ..Case::default() }
    };
    assert_eq!(open(1_000_001).outcome(&rules), "enroll");
    assert_eq!(open(1_000_000).outcome(&rules), "deny");
    assert!(because(&open(1_000_001), &rules).contains("may enroll at a login until"));
    let late = Case { flags: open(1_000_001).flags, ..seen(2 * WEEK) };
    assert_eq!(late.outcome(&at_login()), "enroll", "also when the rule's time is over");
}

#[test]
fn it_is_offered_to_those_who_need_none() {
    let mut roles = admins();
    roles[1].offer_enrollment = true;
    let rules = rules(roles, vec![]);
    let optional = || Case { groups: Some(vec![1000]), enrolled: false, ..Case::default() };
    assert_eq!(optional().outcome(&rules), "offer");
    assert_eq!(Case { pending: true, ..optional() }.outcome(&rules), "skip");
    assert_eq!(Case { clock_believed: false, ..optional() }.outcome(&rules), "skip");
    assert_eq!(Case { enrolled: true, ..optional() }.outcome(&rules), "ask");
    assert_eq!(Case { enrolled: false, ..Case::default() }.outcome(&rules), "deny", "required");
}

#[test]
fn a_rehearsal_tells_of_enrollment_too() {
    let mut rules = at_login();
    rules.roles[0].enforce = false;
    let decision = seen(Duration::ZERO).decide(&rules);
    assert!(matches!(decision.verdict, Verdict::Skip(_)));
    assert_eq!((decision.rehearsed, decision.would_deny()), (Some("would-enroll"), false));
    let decision = seen(WEEK).decide(&rules);
    assert_eq!((decision.rehearsed, decision.would_deny()), (Some("would-deny"), true));
}

#[test]
fn a_clock_that_was_ahead_opened_nothing() {
    let rules = at_login();
    let later =
        |seconds| BTreeMap::from([("role admins".to_owned(), NOW.after(Duration::from_secs(seconds)))]);
    assert_eq!(Case { openings: later(0), ..seen(WEEK) }.outcome(&rules), "enroll");
    assert_eq!(Case { openings: later(1), ..seen(WEEK) }.outcome(&rules), "deny");
    let flags = |within| Flags { enroll_until: Some(NOW.after(within)), ..Flags::default() };
    let month = WEEK * 30 / 7;
    assert_eq!(Case { flags: flags(month), ..seen(2 * WEEK) }.outcome(&rules), "enroll");
    assert_eq!(Case { flags: flags(month + WEEK), ..seen(2 * WEEK) }.outcome(&rules), "deny");
}

#[test]
fn who_may_be_a_member_is_demanded_of_and_granted_nothing() {
    let mut first = role("staff", &["staff"], Requirement::Required);
    first.enrollment = Enrollment::AtLogin;
    first.methods = vec![Method::Totp];
    let mut second = role("everyone", &["*"], Requirement::Required);
    second.methods = vec![Method::Totp, Method::Sms];
    let rules = rules(vec![first, second], vec![]);
    let openings = BTreeMap::from([("role staff".to_owned(), NOW)]);
    let staff =
        || Case { groups: Some(vec![50]), openings: openings.clone(), enrolled: false, ..Case::default() };
    assert_eq!(staff().outcome(&rules), "enroll");
    // The group is gone: everybody may be of the staff, so nobody is given what only the staff is.
    let mut gone = ids();
    gone.groups.remove("staff");
    let stranger = Case { ids: Some(gone), ..staff() };
    let decision = stranger.decide(&rules);
    assert_eq!((stranger.outcome(&rules), decision.methods.len()), ("deny", 2), "the role that is sure");
    assert!(because(&stranger, &rules).contains("everybody is taken for a member"));
}

#[test]
fn factors_of_another_uid_let_nobody_set_one_up() {
    let rules = at_login();
    let decision = seen(Duration::ZERO).decide(&rules).without_enrollment();
    assert_eq!(decision.verdict, Verdict::Deny);
    let mut roles = admins();
    roles[1].offer_enrollment = true;
    let optional = Case { groups: Some(vec![1000]), enrolled: false, ..Case::default() };
    let decision = optional.decide(&super::rules(roles, vec![])).without_enrollment();
    assert!(matches!(decision.verdict, Verdict::Skip(_)));
}
