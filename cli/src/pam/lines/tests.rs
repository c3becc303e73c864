//! The shapes of Debian's and Red Hat's files, with our lines and back; what comes out is judged as libpam would run it.

use std::{collections::BTreeMap, io};

use super::*;
use crate::doctor::{
    Severity,
    stack::{Bare, Files, bare, judge, places},
};

/// Files by name; every module is there.
pub(in crate::pam) struct Map(pub BTreeMap<&'static str, String>);

impl Files for Map {
    fn read(&self, name: &str) -> io::Result<(String, String)> {
        let text = self.0.get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok((format!("/etc/pam.d/{name}"), text))
    }

    fn has_module(&self, _: &str) -> bool {
        true
    }
}

const COMMON_AUTH: &str = "# comment\nauth\t[success=1 default=ignore]\tpam_unix.so nullok\nauth\trequisite\tpam_deny.so\n\
                           auth\trequired\tpam_permit.so\n";
const COMMON_ACCOUNT: &str = "account\t[success=1 new_authtok_reqd=done default=ignore]\tpam_unix.so\n\
                              account\trequisite\tpam_deny.so\naccount\trequired\tpam_permit.so\n";
const SSHD: &str = "# PAM configuration for the Secure Shell service\n@include common-auth\n\
                    account    required     pam_nologin.so\n@include common-account\nsession required pam_limits.so\n";
const LOGIN: &str = "auth       optional   pam_faildelay.so  delay=3000000\nauth requisite pam_nologin.so\n\
                     @include common-auth\nauth       optional   pam_group.so\n@include common-account\n";
const SU: &str = "auth       sufficient pam_rootok.so\n@include common-auth\n@include common-account\n";

fn debian(service: &'static str, text: &str) -> Map {
    Map(BTreeMap::from([
        (service, text.to_owned()),
        ("common-auth", COMMON_AUTH.to_owned()),
        ("common-account", COMMON_ACCOUNT.to_owned()),
        ("other", "@include common-auth\n@include common-account\n".to_owned()),
    ]))
}

const PASSWORD: Wanted = Wanted { first: First::Password, root_passes: false, account: false };

fn planned(service: &'static str, text: &str, wanted: Wanted) -> String {
    let files = debian(service, text);
    with(text, &places(service, &files).unwrap(), wanted).unwrap()
}

/// What doctor calls wrong.
fn errors(service: &'static str, text: &str) -> Vec<String> {
    let findings = judge(service, &debian(service, text)).findings;
    findings.iter().filter(|each| each.severity == Severity::Error).map(ToString::to_string).collect()
}

#[test]
fn our_lines_stand_behind_the_password_and_doctor_finds_nothing() {
    for (service, text) in [("sshd", SSHD), ("login", LOGIN), ("su", SU)] {
        let wanted = Wanted { account: service == "sshd", ..PASSWORD };
        let new = planned(service, text, wanted);
        assert_eq!(errors(service, &new), Vec::<String>::new(), "{new}");
        assert!(judge(service, &debian(service, &new)).auth_line);
        assert_eq!(without(&new), text, "what was before comes back from the file alone");
        assert_eq!(first(&new), Some(First::Password));
    }
    let new = planned("sshd", SSHD, Wanted { account: true, ..PASSWORD });
    let (account, nologin) =
        (new.find("account\trequired\tpam_twinlock").unwrap(), new.find("pam_nologin").unwrap());
    assert!(account < nologin, "ours is the first account line: {new}");
    assert!(judge("sshd", &debian("sshd", &new)).account_holds);
}

#[test]
fn a_key_stands_in_place_of_the_password_which_comes_back() {
    let new = planned("sshd", SSHD, Wanted { first: First::Key, account: true, ..PASSWORD });
    assert!(
        new.contains("#was# @include common-auth\n") && new.contains("pam_twinlock.so after_key\n"),
        "{new}"
    );
    assert_eq!(errors("sshd", &new), Vec::<String>::new(), "{new}");
    assert_eq!(without(&new), SSHD);
    assert_eq!(first(&new), Some(First::Key));
}

#[test]
fn root_passes_at_the_console_where_that_is_wanted() {
    let new = planned("login", LOGIN, Wanted { root_passes: true, ..PASSWORD });
    assert_eq!(errors("login", &new), Vec::<String>::new(), "{new}");
    assert_eq!(without(&new), LOGIN);
}

#[test]
fn a_stack_that_goes_on_after_a_wrong_password_is_an_error() {
    let new = planned("sshd", "auth required pam_unix.so\naccount required pam_unix.so\n", PASSWORD);
    assert!(errors("sshd", &new).iter().any(|error| error.contains("after a wrong password")), "{new}");
}

#[test]
fn continued_lines_a_missing_end_and_foreign_lines_between_ours() {
    let text = "auth requisite \\\n  pam_unix.so nullok\naccount required pam_unix.so";
    let new = planned("sshd", text, Wanted { account: true, ..PASSWORD });
    assert_eq!(errors("sshd", &new), Vec::<String>::new(), "{new}");
    assert_eq!(without(&new), text);
    let keyed = planned("sshd", text, Wanted { first: First::Key, ..PASSWORD });
    assert!(keyed.contains("#was# auth requisite \\\n#was#   pam_unix.so nullok\n"), "{keyed}");
    assert_eq!(without(&keyed), text);
    let touched =
        planned("sshd", SSHD, PASSWORD).replace(END, &format!("auth optional pam_echo.so hello\n{END}"));
    assert!(without(&touched).contains("auth optional pam_echo.so hello\n"));
}

#[test]
fn what_cannot_be_planned_is_said() {
    let files = debian("x", "auth required pam_homemade.so\naccount required pam_unix.so\n");
    let places = places("x", &files).unwrap();
    assert!(with("auth required pam_homemade.so\n", &places, PASSWORD).unwrap_err().contains("by hand"));
}

#[test]
fn lines_by_hand_are_taken_out_only_where_what_stays_is_a_stack() {
    let stays = |text: &str| {
        let (before, after) = (debian("sshd", text), debian("sshd", &without_by_hand(text)));
        bare("sshd", &before, &after)
    };
    let behind = "auth requisite pam_unix.so\nauth required pam_twinlock.so \\\n after_first_factor\n";
    assert_eq!(without_by_hand(behind), "auth requisite pam_unix.so\n");
    assert_eq!(stays(behind), Bare::Sound);
    assert_eq!(
        stays("@include common-auth\nauth required pam_twinlock.so\nauth required pam_permit.so\n"),
        Bare::Sound
    );
    // A stack of pam_permit.so alone says yes to everybody.
    assert_eq!(stays("auth required pam_twinlock.so after_key\nauth required pam_permit.so\n"), Bare::Open);
    assert!(matches!(
        stays("auth [success=2 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_twinlock.so\nauth required pam_permit.so\n"),
        Bare::Jumped(place) if place == "/etc/pam.d/sshd:1"
    ));
}
