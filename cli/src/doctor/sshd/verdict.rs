//! Who reaches a shell without the second factor, and who cannot be asked for it.

use super::{
    effective::Effective,
    matching::Probe,
    methods::{Way, ways},
};
use crate::doctor::{complaint, finding::Finding, stack::Report};

/// What sshd's PAM service does with our lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pam {
    /// The service's name.
    pub service: String,
    /// Our line is in its auth phase.
    pub auth_line: bool,
    /// That line says `after_key`.
    pub after_key: bool,
    /// That line says `hidden`.
    pub hidden: bool,
    /// How long its conversation may take, in seconds.
    pub timeout: u64,
    /// Our account line refuses a login that skipped the auth phase.
    pub account: bool,
    /// Policy asks root. Whom it releases types nothing that sshd could replace.
    pub asks_root: bool,
}

impl Pam {
    /// From the judgement of the stack. `acting`: `[account] services` of twinlock.toml names the service, as it does
    /// by default for sshd.
    #[must_use]
    pub fn of(report: &Report, acting: bool) -> Self {
        Self {
            service: report.service.clone(),
            auth_line: report.auth_line,
            after_key: report.after_key,
            hidden: report.hidden,
            timeout: report.timeout,
            account: report.account_line && report.account_holds && acting,
            asks_root: true,
        }
    }
}

/// Judges every answer of sshd. What is wrong for several connections is said once, with all of them as its place.
#[must_use]
pub fn judge(answers: &[(Probe, Effective)], pam: &Pam) -> Vec<Finding> {
    let mut said: Vec<Finding> = Vec::new();
    for (probe, effective) in answers {
        let one = Judge { place: &probe.name, effective, pam, ways: ways(effective), root: probe.root };
        for finding in one.findings() {
            let known = said
                .iter_mut()
                .find(|each| (&each.sentence, &each.remedy) == (&finding.sentence, &finding.remedy));
            match known {
                // An overlap of two blocks adds nothing to what one of them does.
                Some(known) if probe.name.split(" and ").any(|part| known.place.contains(part)) => {}
                Some(known) => {
                    known.place.push_str(", ");
                    known.place.push_str(&probe.name);
                }
                None => said.push(finding),
            }
        }
    }
    for finding in &mut said {
        finding.place = format!("sshd ({})", finding.place);
    }
    said
}

/// sshd gave no answer for a connection: it refuses its configuration, or was not allowed to read it.
#[must_use]
pub fn unanswered(probe: &Probe, stderr: &[u8]) -> Finding {
    let first = complaint(stderr);
    let place = format!("sshd ({})", probe.name);
    let sentence = format!("sshd does not say what holds for this connection: {first}");
    Finding::error(
        place,
        sentence,
        format!("run \"sshd -T -C {}\" as root and correct what it names", probe.spec),
    )
}

struct Judge<'a> {
    place: &'a str,
    effective: &'a Effective,
    pam: &'a Pam,
    ways: Vec<Way>,
    root: bool,
}

/// sshd_config's part of the recipe.
const METHODS: &str = "AuthenticationMethods publickey,keyboard-interactive:pam";

impl Judge<'_> {
    fn error(&self, sentence: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::error(self.place, sentence, remedy)
    }

    fn warning(&self, sentence: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding::warning(self.place, sentence, remedy)
    }

    fn findings(&self) -> Vec<Finding> {
        if let Some(finding) = self.unreachable() {
            return vec![finding];
        }
        let mut findings = Vec::new();
        if self.effective.keyboard_interactive() {
            findings.extend(self.dead());
            findings.extend(self.keyless());
            findings.extend(self.root());
        } else {
            findings.push(self.error(
                "keyboard-interactive is off, and nobody can be asked for a code",
                "write \"KbdInteractiveAuthentication yes\" in sshd_config",
            ));
        }
        findings.extend(self.ways.iter().filter(|way| !way.asks()).map(|way| self.silent(way)));
        findings.extend(self.limits());
        findings
    }

    /// Nothing of ours is ever called: what else is wrong does not matter.
    fn unreachable(&self) -> Option<Finding> {
        let service = &self.pam.service;
        if !self.effective.yes("usepam") {
            return Some(self.error(
                "UsePAM is off: sshd asks PAM nothing, and every login succeeds without the second factor",
                "write \"UsePAM yes\" in sshd_config",
            ));
        }
        match (self.pam.auth_line, self.pam.account) {
            (true, _) => None,
            (false, true) => Some(self.error(
                format!(
                    "the PAM service {service} has an account line of pam_twinlock.so and no auth line, so \
                     whoever needs a second factor is refused and never asked"
                ),
                format!(
                    "write \"auth required pam_twinlock.so\" in /etc/pam.d/{service}, behind the password"
                ),
            )),
            (false, false) => Some(self.warning(
                format!(
                    "the PAM service {service} has no line of pam_twinlock.so, and every login succeeds \
                     without the second factor"
                ),
                format!("run twinlock pam enable --service {service}"),
            )),
        }
    }

    /// AuthenticationMethods leaves nothing.
    fn dead(&self) -> Option<Finding> {
        self.ways.is_empty().then(|| {
            self.error(
                "every list of AuthenticationMethods has a method that is off, so no login succeeds",
                format!("write \"{METHODS}\" in sshd_config, and switch its methods on"),
            )
        })
    }

    /// `after_key`, and a way that asks before a key was proved.
    fn keyless(&self) -> Option<Finding> {
        let way = self.ways.iter().find(|way| self.pam.after_key && way.asks() && !way.key_first())?;
        let sentence = format!(
            "{} is always refused: the line of pam_twinlock.so says after_key, and no key came before it",
            way.written()
        );
        let remedy = format!("write \"{METHODS}\" in sshd_config");
        let other = self.ways.iter().any(|way| way.asks() && way.key_first());
        Some(if other { self.warning(sentence, remedy) } else { self.error(sentence, remedy) })
    }

    /// A way on which nobody sees our prompt.
    fn silent(&self, way: &Way) -> Finding {
        let written = way.written();
        if way.password() {
            return self.through_password(&written);
        }
        let service = &self.pam.service;
        if self.pam.account {
            return self.warning(
                format!(
                    "{written}: sshd asks no code, so the account line of pam_twinlock.so refuses whoever \
                     needs a second factor"
                ),
                format!("write \"{METHODS}\" in sshd_config"),
            );
        }
        let source = if way.listed { "a list of AuthenticationMethods" } else { "AuthenticationMethods any" };
        let switch = way.switch().map_or_else(String::new, |switch| format!("\"{switch}\" or "));
        self.error(
            format!(
                "{source} allows {written}: it reaches a shell without the second factor, since sshd does \
                 not call the auth lines of PAM for it"
            ),
            format!(
                "write {switch}\"{METHODS}\" in sshd_config, or \"account required pam_twinlock.so\" as the \
                 first account line of /etc/pam.d/{service}"
            ),
        )
    }

    /// The password method runs our line, and shows nothing: it answers a hidden prompt with the password and fails a
    /// visible one (auth-pam.c, `sshpam_passwd_conv`).
    fn through_password(&self, written: &str) -> Finding {
        let (what, remedy) = if self.pam.hidden {
            (
                "the password method answers every hidden prompt with the login password, so \
                 pam_twinlock.so gets it as a code and refuses it",
                "write \"PasswordAuthentication no\" in sshd_config, or take hidden off the line of \
                 pam_twinlock.so",
            )
        } else {
            (
                "the password method cannot show a prompt, so whoever is asked for a code is refused",
                "write \"PasswordAuthentication no\" in sshd_config; keyboard-interactive asks everything \
                 that the PAM stack asks",
            )
        };
        self.warning(format!("{written}: {what}"), remedy)
    }

    /// Root is not asked unless PermitRootLogin is yes: sshd then puts junk in the place of what was typed
    /// (auth-pam.c, `sshpam_respond`), and refuses keyboard-interactive itself (auth.c, `auth_root_allowed`).
    fn root(&self) -> Option<Finding> {
        let value = self.effective.value("permitrootlogin")?;
        if !self.root || !["prohibit-password", "without-password", "forced-commands-only"].contains(&value) {
            return None;
        }
        let sentence = |what: &str| format!("PermitRootLogin {value}: {what}");
        let asked = self.ways.iter().filter(|way| way.asks());
        let silent = self.ways.iter().any(|way| !way.asks() && !way.password());
        if self.pam.asks_root && (asked.clone().any(Way::several) || (silent && self.pam.account)) {
            return Some(self.error(
                sentence(
                    "sshd replaces the code that root types by junk, so root with key and code is always \
                     refused",
                ),
                "write \"PermitRootLogin yes\" (AuthenticationMethods still asks the key), or \
                 \"PermitRootLogin no\", or exempt root at sshd in twinlock.toml ([[exempt]], with a \
                 reason) and write \"AuthenticationMethods publickey\" under \"Match User root\"",
            ));
        }
        (!silent && asked.count() > 0).then(|| {
            self.warning(
                sentence("root is refused at keyboard-interactive, the only way there is"),
                "write \"PermitRootLogin no\" if this is meant, else \"PermitRootLogin yes\"",
            )
        })
    }

    fn limits(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.effective.yes("permitemptypasswords") {
            findings.push(self.warning(
                "PermitEmptyPasswords: an account without a password is open to whoever has one code",
                "write \"PermitEmptyPasswords no\" in sshd_config",
            ));
        }
        let needed = self.pam.timeout;
        if let Some(grace @ 1..) = self.effective.seconds("logingracetime")
            && grace <= needed
        {
            findings.push(self.warning(
                format!(
                    "LoginGraceTime {grace}: sshd hangs up before pam_twinlock.so gives up waiting for a \
                     code ({needed} s)"
                ),
                format!(
                    "write \"LoginGraceTime {}\" in sshd_config, or timeout={} on the line of \
                     pam_twinlock.so",
                    needed + 10,
                    grace.saturating_sub(10).max(1)
                ),
            ));
        }
        if let Some(tries @ 0..2) =
            self.effective.value("maxauthtries").and_then(|value| value.parse::<u32>().ok())
        {
            findings.push(self.warning(
                format!(
                    "MaxAuthTries {tries}: a client that offers a second key, or a person who mistypes \
                     once, is cut off before a code is asked"
                ),
                "write \"MaxAuthTries 6\" in sshd_config",
            ));
        }
        findings
    }
}
