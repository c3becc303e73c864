//! Making recovery and bypass codes.

use std::time::Duration;

use twinlock_proto::v1::{Bypass, BypassRequest, RecoveryCodes};

use super::{Ports, accounts::other_uid, answers::BYPASS_SELECTOR, status::Undecided};
use crate::{
    access::Administrator,
    audit,
    factor::spare::{self, NewSpare, SpareCode},
    names::{AccountId, UserName},
    secret::Secret,
};

/// Longest life of a bypass code.
const LONGEST_BYPASS: Duration = Duration::from_secs(24 * 3600);
/// Most uses of a bypass code.
const MOST_USES: u32 = 10;
/// Longest reason, in characters.
const REASON: usize = 200;

impl Ports {
    /// Gives an account a new set of recovery codes. The text leaves once, in the answer.
    pub(super) async fn renew_recovery(
        &self,
        account: AccountId,
        subject: audit::Subject,
    ) -> Result<RecoveryCodes, Undecided> {
        let (texts, rows) = self.new_recovery_set().await?;
        let now = self.clock.now();
        let record = audit::Record {
            time: now,
            event: audit::Event::Recovery,
            subject,
            method: "recovery",
            outcome: audit::Outcome::Granted,
            reason: String::new(),
        };
        self.store.replace_recovery(account, rows, now, record).await?;
        Ok(told(&texts))
    }

    /// A set of recovery codes, which counts once it is stored.
    pub(super) async fn new_recovery_set(&self) -> Result<(Vec<Secret<String>>, Vec<NewSpare>), Undecided> {
        let (mut texts, mut rows) = (Vec::new(), Vec::new());
        for number in 1..=self.in_force().config.recovery.count {
            let (text, row) = self.new_spare(format!("{number:02}"), 1, None).await?;
            texts.push(text);
            rows.push(row);
        }
        Ok((texts, rows))
    }

    /// Gives a user a bypass code.
    pub(super) async fn issue_bypass(
        &self,
        by: &Administrator,
        (user, uid): (&str, u32),
        request: &BypassRequest,
    ) -> Result<Bypass, Undecided> {
        let reason = crate::names::printable(request.reason.trim(), REASON);
        if reason.is_empty() {
            return Err(Undecided::Conflict(
                "a bypass code needs a --reason, for the audit trail".to_owned(),
            ));
        }
        let lifetime = Duration::from_secs(request.lifetime_s.into());
        if lifetime.is_zero() || lifetime > LONGEST_BYPASS {
            return Err(Undecided::Conflict("a bypass code lives between 1s and 24h: --for 4h".to_owned()));
        }
        if !(1..=MOST_USES).contains(&request.uses) {
            return Err(Undecided::Conflict(format!("a bypass code has 1 to {MOST_USES} uses")));
        }
        let name = UserName::parse(user).map_err(|_| Undecided::Malformed("a user name"))?;
        let expires = self.clock.now().after(lifetime);
        let mut choice = [0];
        self.random.fill(&mut choice)?;
        let selector = format!("{BYPASS_SELECTOR}{}", choice[0] % 10);
        let (code, row) = self.new_spare(selector, request.uses, Some(expires)).await?;
        let record = self.record(by, audit::Event::Bypass, user, "bypass", &reason);
        if !self.store.add_bypass(&name, uid, row, self.clock.now(), record).await? {
            return Err(other_uid(user));
        }
        Ok(Bypass { code: code.expose().clone(), expires: expires.secs() })
    }

    async fn new_spare(
        &self,
        selector: String,
        uses: u32,
        expires: Option<crate::clock::Timestamp>,
    ) -> Result<(Secret<String>, NewSpare), Undecided> {
        let mut salt = [0; spare::SALT];
        self.random.fill(&mut salt)?;
        let code = SpareCode::generate(&selector, self.random.as_ref())?;
        let text = code.text();
        let hash = self.hash(move || code.hash(&salt)).await?;
        if hash == [0; spare::HASH] {
            return Err(Undecided::Malformed("a hash that failed"));
        }
        Ok((text, NewSpare { selector, salt, hash, uses, expires }))
    }
}

/// Recovery codes on their way to their owner.
pub(super) fn told(codes: &[Secret<String>]) -> RecoveryCodes {
    RecoveryCodes { codes: codes.iter().map(|code| code.expose().clone()).collect() }
}
