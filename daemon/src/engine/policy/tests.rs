//! Policy by table and by property.

mod opening;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

/// A login of a member of `sudo` (27), with the rest as a table wants it.
struct Case {
    service: Option<&'static str>,
    user: &'static str,
    uid: u32,
    groups: Option<Vec<u32>>,
    ids: Option<Ids>,
    address: Option<&'static str>,
    enrolled: bool,
    pending: bool,
    bypass: bool,
    flags: Flags,
    openings: BTreeMap<String, Timestamp>,
    clock_believed: bool,
}

fn ids() -> Ids {
    let of = |pairs: &[(&str, u32)]| pairs.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect();
    Ids { users: of(&[("alice", 1000), ("backup", 34)]), groups: of(&[("sudo", 27), ("staff", 50)]) }
}

impl Default for Case {
    fn default() -> Self {
        Self {
            service: Some("sshd"),
            user: "alice",
            uid: 1000,
            groups: Some(vec![1000, 27]),
            ids: Some(ids()),
            address: None,
            enrolled: true,
            pending: false,
            bypass: false,
            flags: Flags::default(),
            openings: BTreeMap::new(),
            clock_believed: true,
        }
    }
}

impl Case {
    fn decide(&self, rules: &Rules) -> Decision {
        decide(
            rules,
            &Facts {
                service: self.service,
                user: self.user,
                uid: self.uid,
                groups: self.groups.as_deref(),
                ids: self.ids.as_ref(),
                address: self.address.and_then(|text| text.parse().ok()),
                methods: if self.enrolled { &[Method::Totp] } else { &[] },
                pending: if self.pending { &[Method::Totp] } else { &[] },
                bypass: self.bypass,
                flags: &self.flags,
                openings: &self.openings,
                now: NOW,
                clock_believed: self.clock_believed,
            },
        )
    }

    /// ask, skip, deny, enroll, invite or offer.
    fn outcome(&self, rules: &Rules) -> &'static str {
        match self.decide(rules).verdict {
            Verdict::Ask => "ask",
            Verdict::Skip(_) => "skip",
            Verdict::Deny => "deny",
            Verdict::Enroll => "enroll",
            Verdict::Invite => "invite",
            Verdict::Offer(_) => "offer",
        }
    }
}

fn role(name: &str, groups: &[&str], requirement: Requirement) -> Role {
    Role {
        name: format!("role {name}"),
        everyone: groups.contains(&"*"),
        groups: groups.iter().filter(|group| **group != "*").map(|group| (*group).to_owned()).collect(),
        users: Vec::new(),
        requirement,
        methods: Method::ALL.to_vec(),
        recovery: true,
        services: None,
        enrollment: Enrollment::Admin,
        enroll_within: ENROLL_WITHIN,
        offer_enrollment: false,
        enforce: true,
        pinned: Ids::default(),
    }
}

fn rules(roles: Vec<Role>, exemptions: Vec<Exemption>) -> Rules {
    let mut rules = Rules { roles, exemptions };
    rules.pin(&ids());
    rules
}

fn exemption() -> Exemption {
    Exemption {
        name: "exempt 1".into(),
        users: Vec::new(),
        groups: Vec::new(),
        services: Vec::new(),
        networks: Vec::new(),
        until: None,
        reason: "ticket".into(),
        pinned: Ids::default(),
    }
}

fn admins() -> Vec<Role> {
    vec![role("admins", &["sudo"], Requirement::Required), role("everyone", &["*"], Requirement::Optional)]
}

#[test]
fn without_a_role_everyone_is_optional() {
    let rules = Rules::default();
    assert_eq!(Case::default().outcome(&rules), "ask");
    assert_eq!(Case { enrolled: false, ..Case::default() }.outcome(&rules), "skip");
}

#[test]
fn membership_is_by_any_group_and_only_by_what_the_directory_says() {
    let rules = rules(admins(), vec![]);
    let many: Vec<u32> = (2000..2999).chain([27]).collect();
    let seventeen: Vec<u32> = (2000..2016).chain([27]).collect();
    for (groups, expected) in [
        (Some(vec![]), "skip"),
        (Some(vec![1000]), "skip"),
        (Some(vec![27]), "deny"), // the primary group alone
        (Some(seventeen), "deny"),
        (Some(many), "deny"),
        (None, "deny"), // not looked up
    ] {
        let case = Case { groups, enrolled: false, ..Case::default() };
        assert_eq!(case.outcome(&rules), expected, "{:?}", case.groups.as_ref().map(Vec::len));
    }
    // The directory failed: everybody is a member.
    assert_eq!(Case { ids: None, enrolled: false, ..Case::default() }.outcome(&rules), "deny");
}

#[test]
fn the_strictest_role_wins_and_among_equals_the_first() {
    let mut first = role("first", &["sudo"], Requirement::Required);
    first.recovery = false;
    let roles = vec![
        role("off", &["*"], Requirement::Off),
        first,
        role("second", &["*"], Requirement::Required),
        role("optional", &["*"], Requirement::Optional),
    ];
    let decision = Case::default().decide(&rules(roles, vec![]));
    assert_eq!((decision.requirement, decision.recovery), (Requirement::Required, false));
    let names: Vec<_> = decision.because.iter().map(|because| because.rule.as_str()).collect();
    assert_eq!(names, ["role off", "role first", "role second", "role optional"]);
}

#[test]
fn no_role_means_off_and_says_so() {
    let rules = rules(vec![role("admins", &["staff"], Requirement::Required)], vec![]);
    let decision = Case::default().decide(&rules);
    assert!(matches!(decision.verdict, Verdict::Skip(_)));
    assert_eq!(decision.because[0].effect, "off: no role matches");
}

#[test]
fn a_role_for_services_is_for_them_and_for_places_that_are_not_known() {
    let mut admins = role("admins", &["sudo"], Requirement::Required);
    admins.services = Some(vec!["sshd".into(), "sudo".into()]);
    let rules = rules(vec![admins], vec![]);
    for (service, expected) in [(Some("sshd"), "deny"), (Some("login"), "skip"), (None, "deny")] {
        let case = Case { service, enrolled: false, ..Case::default() };
        assert_eq!(case.outcome(&rules), expected, "{service:?}");
    }
}

#[test]
fn two_names_of_one_uid_are_one_person() {
    let mut named = role("named", &[], Requirement::Required);
    named.users = vec!["alice".into()];
    let rules = rules(vec![named], vec![]);
    let case = |user, uid| Case { user, uid, enrolled: false, ..Case::default() };
    assert_eq!(case("alice", 1000).outcome(&rules), "deny");
    assert_eq!(case("alice2", 1000).outcome(&rules), "deny", "the other name of that uid");
    assert_eq!(case("alice", 1001).outcome(&rules), "deny", "the name, whoever has it now");
    assert_eq!(case("bob", 1001).outcome(&rules), "skip");
}

#[test]
fn a_factor_that_waits_for_its_first_code_is_asked_for_where_one_is_required() {
    let case = Case { enrolled: false, pending: true, ..Case::default() };
    assert_eq!(case.outcome(&rules(admins(), vec![])), "ask");
    assert_eq!(case.outcome(&Rules::default()), "skip");
}

#[test]
fn a_bypass_code_is_asked_for_where_a_factor_is_required_and_missing() {
    let case = Case { enrolled: false, bypass: true, ..Case::default() };
    assert_eq!(case.outcome(&rules(admins(), vec![])), "ask");
    assert_eq!(case.outcome(&Rules::default()), "skip");
}

#[test]
fn methods_that_a_role_leaves_out_do_not_count() {
    let mut admins = role("admins", &["sudo"], Requirement::Required);
    admins.methods = vec![Method::Hotp];
    assert_eq!(Case::default().outcome(&rules(vec![admins], vec![])), "deny");
}

#[test]
fn an_exemption_needs_every_condition() {
    let networks = vec!["10.20.0.0/16".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    let rules = rules(
        admins(),
        vec![Exemption {
            users: vec!["alice".into()],
            groups: vec!["sudo".into()],
            services: vec!["sshd".into()],
            networks,
            ..exemption()
        }],
    );
    let case = || Case { address: Some("10.20.3.4"), enrolled: false, ..Case::default() };
    for address in ["10.20.3.4", "::ffff:10.20.3.4", "2001:db8::1"] {
        assert_eq!(Case { address: Some(address), ..case() }.outcome(&rules), "skip", "{address}");
    }
    // Outside; a name; a zone; the mapped form of outside; nothing.
    for address in
        [Some("10.21.0.1"), Some("backup.example"), Some("fe80::1%eth0"), Some("::ffff:10.21.0.1"), None]
    {
        assert_eq!(Case { address, ..case() }.outcome(&rules), "deny", "{address:?}");
    }
    assert_eq!(Case { service: Some("login"), ..case() }.outcome(&rules), "deny");
    assert_eq!(Case { service: None, ..case() }.outcome(&rules), "deny", "a claim");
    assert_eq!(Case { user: "bob", ..case() }.outcome(&rules), "deny");
    assert_eq!(Case { groups: None, ..case() }.outcome(&rules), "deny");
    assert_eq!(Case { ids: None, ..case() }.outcome(&rules), "deny");
}

#[test]
fn an_exemption_is_for_who_was_meant_when_it_was_loaded() {
    let by_user = rules(admins(), vec![Exemption { users: vec!["alice".into()], ..exemption() }]);
    let by_group = rules(admins(), vec![Exemption { groups: vec!["sudo".into()], ..exemption() }]);
    let again = |uid, gid| {
        let mut ids = ids();
        ids.users.insert("alice".into(), uid);
        ids.groups.insert("sudo".into(), gid);
        Case { uid, groups: Some(vec![gid]), ids: Some(ids), enrolled: false, ..Case::default() }
    };
    assert_eq!((again(1000, 27).outcome(&by_user), again(1000, 27).outcome(&by_group)), ("skip", "skip"));
    assert_eq!(again(1007, 27).outcome(&by_user), "deny", "the name was made anew with another uid");
    assert_eq!(again(1000, 28).outcome(&by_group), "deny", "so was the group");
    // What could not be resolved at load releases nobody.
    let mut never = by_group;
    never.pin(&Ids::default());
    assert_eq!(again(1000, 27).outcome(&never), "deny");
}

#[test]
fn a_group_that_vanished_is_a_directory_that_fails() {
    let rules = rules(admins(), vec![]);
    let empty =
        || Case { ids: Some(Ids::default()), groups: Some(vec![1000]), enrolled: false, ..Case::default() };
    assert_eq!(empty().outcome(&rules), "deny", "who is a member cannot be said");
    let never_there = Rules { roles: admins(), exemptions: vec![] };
    assert_eq!(empty().outcome(&never_there), "skip", "nobody ever was one; the log says so");
}

#[test]
fn an_exemption_ends_and_a_clock_that_is_not_believed_ends_it_too() {
    let until = |seconds| {
        rules(admins(), vec![Exemption { until: Some(Timestamp::from_secs(seconds)), ..exemption() }])
    };
    let case = || Case { enrolled: false, ..Case::default() };
    assert_eq!(case().outcome(&until(1_000_001)), "skip");
    assert_eq!(case().outcome(&until(1_000_000)), "deny");
    assert_eq!(Case { clock_believed: false, ..case() }.outcome(&until(1_000_001)), "deny");
}

#[test]
fn what_an_administrator_said_of_a_user_beats_roles_and_an_exemption_beats_that() {
    let rules = rules(vec![role("everyone", &["*"], Requirement::Off)], vec![]);
    let flags = |required, until: Option<i64>| Flags {
        required,
        exempt: until.map(|until| (Timestamp::from_secs(until), "lost phone".to_owned())),
        enroll_until: None,
    };
    for (flags, expected) in [
        (flags(false, None), "skip"),
        (flags(true, None), "deny"),
        (flags(true, Some(1_000_001)), "skip"),
        (flags(true, Some(1_000_000)), "deny"),
    ] {
        let case = Case { flags, enrolled: false, ..Case::default() };
        assert_eq!(case.outcome(&rules), expected, "{:?}", case.flags);
    }
}

#[test]
fn a_role_that_is_not_enforced_changes_nothing_and_is_told() {
    let mut admins = admins();
    admins[0].enforce = false;
    let rules = rules(admins, vec![]);
    let decision = Case { enrolled: false, ..Case::default() }.decide(&rules);
    assert!(matches!(decision.verdict, Verdict::Skip(_)));
    assert_eq!(decision.rehearsed, Some("would-deny"));
    let decision = Case::default().decide(&rules);
    assert_eq!((decision.verdict, decision.rehearsed), (Verdict::Ask, None), "the weaker role asks already");
}

#[test]
fn confirming_a_password_never_asks_for_a_code() {
    let rules = rules(vec![role("everyone", &["*"], Requirement::Required)], vec![]);
    let case = Case { service: Some(PASSWORD_SERVICE), groups: None, ids: None, ..Case::default() };
    assert_eq!(case.outcome(&rules), "skip");
}

#[test]
fn a_link_is_for_members_who_have_nothing_but_a_mailbox() {
    let mut by_link = role("admins", &["sudo"], Requirement::Required);
    (by_link.enrollment, by_link.methods) = (Enrollment::Link, vec![Method::Totp]);
    let of = |role: &Role| rules(vec![role.clone()], vec![]);
    let member = || Case { groups: Some(vec![27]), enrolled: false, ..Case::default() };
    assert_eq!(member().outcome(&of(&by_link)), "invite");
    assert_eq!(Case { pending: true, ..member() }.outcome(&of(&by_link)), "ask");
    assert_eq!(Case { enrolled: true, ..member() }.outcome(&of(&by_link)), "ask");
    assert_eq!(Case { clock_believed: false, ..member() }.outcome(&of(&by_link)), "deny");
    let no_app = Role { methods: vec![Method::Sms], ..by_link.clone() };
    assert_eq!(member().outcome(&of(&no_app)), "deny");
    let decision = member().decide(&of(&by_link));
    assert!(decision.because.iter().any(|because| because.effect.contains("a link is mailed")));
    assert_eq!(decision.without_enrollment().verdict, Verdict::Deny);
    // An administrator who opened enrollment at the login meant that.
    let flags = Flags { enroll_until: Some(NOW.after(ENROLL_WITHIN)), ..Flags::default() };
    assert_eq!(Case { flags, ..member() }.outcome(&of(&by_link)), "enroll");
}

/// No set of roles lets a member of a required one through unasked, whatever stands beside it: every subset, in every
/// order, of roles of each kind, for users in each combination of groups, at each place.
#[test]
fn no_rule_set_without_an_exemption_lets_a_member_of_a_required_role_through() {
    let requirements = [Requirement::Off, Requirement::Optional, Requirement::Required];
    let scopes: [(&[&str], Option<&str>); 5] = [
        (&["*"], None),
        (&["sudo"], None),
        (&["staff"], None),
        (&["sudo"], Some("sshd")),
        (&["*"], Some("login")),
    ];
    let all: Vec<Role> = scopes
        .into_iter()
        .flat_map(|(groups, service)| {
            requirements.map(|requirement| {
                let mut role = role("r", groups, requirement);
                role.enrollment = Enrollment::AtLogin;
                role.offer_enrollment = true;
                role.services = service.map(|service| vec![service.to_owned()]);
                role
            })
        })
        .collect();
    let mut looked_at = 0;
    for a in &all {
        for b in &all {
            for c in &all {
                let rules = rules(vec![a.clone(), b.clone(), c.clone()], vec![]);
                for service in [Some("sshd"), Some("login"), Some("su"), None] {
                    for groups in [vec![], vec![27], vec![50], vec![27, 50]] {
                        let demanded = rules.roles.iter().any(|role| {
                            let here = match (&role.services, service) {
                                (Some(services), Some(service)) => services[0] == service,
                                _ => true,
                            };
                            let member = role.everyone
                                || (role.groups == ["sudo"] && groups.contains(&27))
                                || (role.groups == ["staff"] && groups.contains(&50));
                            role.requirement == Requirement::Required && here && member
                        });
                        if !demanded {
                            continue;
                        }
                        looked_at += 1;
                        for enrolled in [true, false] {
                            let openings = BTreeMap::from([("role r".to_owned(), NOW)]);
                            let groups = Some(groups.clone());
                            let case = Case { service, groups, enrolled, openings, ..Case::default() };
                            let outcome = case.outcome(&rules);
                            assert!(
                                ["ask", "enroll"].contains(&outcome),
                                "{:?} {service:?}: {outcome}",
                                rules.roles
                            );
                        }
                    }
                }
            }
        }
    }
    assert!(looked_at > 10_000, "{looked_at}");
}

#[test]
fn while_the_directory_fails_only_what_every_role_lets_count_does() {
    use Method::{Email, Hotp, Sms, Totp};
    let of = |name, methods: &[Method], recovery| Role {
        methods: methods.to_vec(),
        recovery,
        ..role(name, &["sudo"], Requirement::Required)
    };
    let off = role("off", &["*"], Requirement::Off);
    let known = rules(vec![of("a", &[Totp, Sms], true), of("b", &[Hotp, Totp], false), off], vec![]);
    let decision = Case { groups: None, ..Case::default() }.decide(&known);
    assert_eq!((decision.verdict, decision.methods, decision.recovery), (Verdict::Ask, vec![Totp], false));
    let apart = rules(vec![of("a", &[Sms], true), of("b", &[Email], true)], vec![]);
    assert_eq!(Case { groups: None, ..Case::default() }.outcome(&apart), "deny");
    assert_eq!(Case { groups: None, bypass: true, ..Case::default() }.outcome(&apart), "ask");
}

#[test]
fn who_has_proven_something_may_add_what_opens_no_other_door() {
    use Method::{Email, Hotp, Sms, Totp};
    let at = |name, service: &str, methods: &[Method], recovery| Role {
        methods: methods.to_vec(),
        recovery,
        services: Some(vec![service.to_owned()]),
        ..role(name, &["sudo"], Requirement::Required)
    };
    let rules = rules(
        vec![at("ssh", "sshd", &[Totp, Email, Sms], true), at("sudo", "sudo", &[Totp, Sms], false)],
        vec![],
    );
    let decision = Case { service: None, ..Case::default() }.decide(&rules);
    assert!(decision.vouches(Totp, Sms) && decision.vouches(Sms, Totp) && decision.vouches(Email, Email));
    assert!(!decision.vouches(Email, Totp) && !decision.vouches(Email, Sms), "sudo takes no mail");
    assert!(!decision.vouches(Hotp, Email), "it counts nowhere");
    assert!(decision.recovery_vouches(&[Email]) && !decision.recovery_vouches(&[Totp]), "sudo takes none");
    assert_eq!(decision.renewing(), [Totp, Email, Sms], "they count at ssh alone");
}
