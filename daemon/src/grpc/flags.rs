//! What an administrator says of one user: required, exempt, let enroll. And of a role: let enroll again.

use twinlock_proto::v1::{
    self, AccountRequest, ExemptRequest, OpenAccountRequest, OpenRoleRequest, RequireRequest, RoleOpening,
};

use super::{
    Ports,
    accounts::{Named, other_uid},
    status::Undecided,
};
use crate::{
    access::Administrator,
    accounts::Account,
    audit,
    clock::Timestamp,
    engine::policy::{self, Enrollment, Flag},
    names::{UserName, printable},
};

/// Longest reason, in characters.
const REASON: usize = 200;

impl Ports {
    pub(super) async fn require(
        &self,
        by: &Administrator,
        request: &RequireRequest,
    ) -> Result<v1::Account, Undecided> {
        let Named { account, portfolio } = self.named(by, &request.user).await?;
        let flags = portfolio.map(|portfolio| portfolio.flags).unwrap_or_default();
        if let Some((until, reason)) = flags.exempt.as_ref().filter(|(until, _)| self.clock.now() < *until)
            && !request.off
        {
            let (name, until) = (&account.name, until.rfc_3339());
            return Err(Undecided::Conflict(format!(
                "{name} is exempt until {until} ({reason}): end that first, with twinlock user exempt {name} --off"
            )));
        }
        let told = if request.off { "off" } else { "" };
        let record = self.record(by, audit::Event::Require, &account.name, "", told);
        self.set_flag(by, &account, Flag::Required(!request.off), record).await
    }

    pub(super) async fn exempt(
        &self,
        by: &Administrator,
        request: &ExemptRequest,
    ) -> Result<v1::Account, Undecided> {
        let Named { account, .. } = self.named(by, &request.user).await?;
        let (until, reason) = (Timestamp::from_secs(request.until), printable(request.reason.trim(), REASON));
        let (flag, told) = if request.off {
            (None, "off".to_owned())
        } else if reason.is_empty() {
            return Err(Undecided::Conflict("an exemption needs a --reason: an auditor will ask".to_owned()));
        } else if until <= self.clock.now() {
            return Err(Undecided::Conflict("that time is over already".to_owned()));
        } else {
            let told = format!("until {}: {reason}", until.rfc_3339());
            (Some((until, reason)), told)
        };
        let record = self.record(by, audit::Event::Exempt, &account.name, "", &told);
        self.set_flag(by, &account, Flag::Exempt(flag), record).await
    }

    pub(super) async fn open_account(
        &self,
        by: &Administrator,
        request: &OpenAccountRequest,
    ) -> Result<v1::Account, Undecided> {
        let Named { account, portfolio } = self.named(by, &request.user).await?;
        let has_factors = portfolio.as_ref().is_some_and(|portfolio| !portfolio.factors.is_empty());
        let (until, now) = (Timestamp::from_secs(request.until), self.clock.now());
        let (flag, told) = if request.off {
            (None, "off".to_owned())
        } else if has_factors {
            let name = &account.name;
            return Err(Undecided::Conflict(format!(
                "{name} has a factor; who lost theirs is reset first: twinlock user reset {name}"
            )));
        } else if until <= now || until > now.after(policy::LONGEST) {
            return Err(Undecided::Conflict("enrollment is opened for up to 30 days: --for 7d".to_owned()));
        } else {
            (Some(until), format!("until {}", until.rfc_3339()))
        };
        let record = self.record(by, audit::Event::OpenEnrollment, &account.name, "", &told);
        self.set_flag(by, &account, Flag::EnrollUntil(flag), record).await
    }

    pub(super) async fn open_role(
        &self,
        by: &Administrator,
        request: &OpenRoleRequest,
    ) -> Result<RoleOpening, Undecided> {
        let force = self.in_force();
        let name = policy::Role::named(&request.role);
        let Some(role) = force.rules.roles.iter().find(|role| role.name == name) else {
            let known: Vec<_> = force.config.role.iter().map(|role| role.name.as_str()).collect();
            return Err(Undecided::NotFound(format!(
                "there is no role \"{}\"; there are: {}",
                printable(&request.role, 64),
                known.join(", ")
            )));
        };
        if role.enrollment != Enrollment::AtLogin {
            return Err(Undecided::Conflict(format!(
                "{name} lets nobody enroll at a login: write enrollment = \"at-login\" and reload, or open it for one \
                 user with twinlock user open-enrollment"
            )));
        }
        let now = self.clock.now();
        let until = now.after(role.enroll_within);
        let record = self.record(
            by,
            audit::Event::OpenEnrollment,
            "",
            "",
            &format!("{name} until {}", until.rfc_3339()),
        );
        self.store.open_again(name, now, record).await?;
        self.note_openings().await?;
        Ok(RoleOpening { role: request.role.clone(), until: until.secs() })
    }

    async fn set_flag(
        &self,
        by: &Administrator,
        account: &Account,
        flag: Flag,
        record: audit::Record,
    ) -> Result<v1::Account, Undecided> {
        let name = UserName::parse(&account.name).map_err(|_| Undecided::Malformed("a user name"))?;
        if !self.store.set_flag(&name, account.uid, flag, self.clock.now(), record).await? {
            return Err(other_uid(&account.name));
        }
        self.show(by, &AccountRequest { user: account.name.clone() }).await
    }
}
