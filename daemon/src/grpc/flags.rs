//! What an administrator says of one user: required, exempt.

use twinlock_proto::v1::{self, AccountRequest, ExemptRequest, RequireRequest};

use super::{Ports, admin::Named, status::Undecided};
use crate::{
    access::Administrator,
    accounts::Account,
    audit,
    clock::Timestamp,
    engine::policy::Flags,
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
        let mut flags = portfolio.map(|portfolio| portfolio.flags).unwrap_or_default();
        if let Some((until, reason)) = flags.exempt.as_ref().filter(|(until, _)| self.clock.now() < *until)
            && !request.off
        {
            let (name, until) = (&account.name, until.rfc_3339());
            return Err(Undecided::Conflict(format!(
                "{name} is exempt until {until} ({reason}): end that first, with twinlock user exempt {name} --off"
            )));
        }
        flags.required = !request.off;
        let told = if request.off { "off" } else { "" };
        let record = self.record(by, audit::Event::Require, &account.name, "", told);
        self.set_flags(by, &account, flags, record).await
    }

    pub(super) async fn exempt(
        &self,
        by: &Administrator,
        request: &ExemptRequest,
    ) -> Result<v1::Account, Undecided> {
        let Named { account, portfolio } = self.named(by, &request.user).await?;
        let mut flags = portfolio.map(|portfolio| portfolio.flags).unwrap_or_default();
        let (until, reason) = (Timestamp::from_secs(request.until), printable(request.reason.trim(), REASON));
        let told = if request.off {
            flags.exempt = None;
            "off".to_owned()
        } else if reason.is_empty() {
            return Err(Undecided::Conflict("an exemption needs a --reason: an auditor will ask".to_owned()));
        } else if until <= self.clock.now() {
            return Err(Undecided::Conflict("that time is over already".to_owned()));
        } else {
            flags.exempt = Some((until, reason.clone()));
            format!("until {}: {reason}", until.rfc_3339())
        };
        let record = self.record(by, audit::Event::Exempt, &account.name, "", &told);
        self.set_flags(by, &account, flags, record).await
    }

    async fn set_flags(
        &self,
        by: &Administrator,
        account: &Account,
        flags: Flags,
        record: audit::Record,
    ) -> Result<v1::Account, Undecided> {
        let name = UserName::parse(&account.name).map_err(|_| Undecided::Malformed("a user name"))?;
        self.store.set_flags(&name, account.uid, flags, self.clock.now(), record).await?;
        self.show(by, &AccountRequest { user: account.name.clone() }).await
    }
}
