//! Accounts as an administrator names and lists them.

use std::collections::BTreeSet;

use tokio::sync::mpsc;
use tonic::Status;
use twinlock_proto::v1::{self, AccountRequest, ListAccountsRequest};

use super::{Ports, status::Undecided};
use crate::{
    access::Administrator,
    accounts::{Account, Lane},
    engine::policy,
    names::UserName,
    store::Portfolio,
};

/// An account that an administrator named: as NSS knows it, else as the store does (a user that was deleted).
pub(super) struct Named {
    pub(super) account: Account,
    pub(super) portfolio: Option<Portfolio>,
}

/// An account of somebody whom NSS does not know any more.
fn gone(portfolio: &Portfolio) -> Account {
    let (name, uid) = (portfolio.name.clone(), portfolio.uid);
    Account { name, uid, groups: Some(Vec::new()), ids: Some(policy::Ids::default()) }
}

/// The record of a name belongs to a uid that the name has no more.
pub(super) fn other_uid(name: &str) -> Undecided {
    Undecided::Conflict(anothers(name))
}

/// The same, for those who go on.
pub(super) fn anothers(name: &str) -> String {
    format!(
        "the factors of {name} were enrolled with another uid, and may be another person's: twinlock user reset {name} \
         removes them"
    )
}

impl Ports {
    pub(super) async fn named(&self, _: &Administrator, user: &str) -> Result<Named, Undecided> {
        let name = UserName::parse(user).map_err(|_| Undecided::Malformed("that is not a user name"))?;
        if let Some(account) = self.directory.by_name(Lane::Admin, &name, &self.in_force().named).await? {
            let portfolio = self.portfolio_of(&account).await?;
            return Ok(Named { account, portfolio });
        }
        let portfolio = self.store.portfolio(&name).await?;
        let portfolio = portfolio.ok_or_else(|| Undecided::NotFound(format!("there is no user {name}")))?;
        let account = gone(&portfolio);
        Ok(Named { account, portfolio: Some(portfolio) })
    }

    /// An account that NSS knows.
    pub(super) async fn existing(&self, _: &Administrator, user: &str) -> Result<Account, Undecided> {
        let name = UserName::parse(user).map_err(|_| Undecided::Malformed("that is not a user name"))?;
        let found = self.directory.by_name(Lane::Admin, &name, &self.in_force().named).await?;
        found.ok_or_else(|| Undecided::NotFound(format!("there is no user {name}")))
    }

    /// The account of a record, as NSS knows it now; one whose user is gone has no groups. Without a directory the list is
    /// still one, of what then holds: required.
    async fn account_of(&self, portfolio: &Portfolio) -> Result<Account, Undecided> {
        let name =
            UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        Ok(match self.directory.by_name(Lane::Admin, &name, &self.in_force().named).await {
            Ok(found) => {
                found.filter(|account| account.uid == portfolio.uid).unwrap_or_else(|| gone(portfolio))
            }
            Err(error) => {
                tracing::warn!(%error, "accounts are listed without their groups");
                Account { groups: None, ids: None, ..gone(portfolio) }
            }
        })
    }

    pub(super) async fn list(
        &self,
        _: &Administrator,
        request: &ListAccountsRequest,
        sender: &mpsc::Sender<Result<v1::Account, Status>>,
    ) -> Result<(), Undecided> {
        let mut others = BTreeSet::new();
        if request.everybody {
            others = self.directory.everybody(&self.in_force().named).await?;
        }
        for portfolio in self.store.portfolios().await? {
            others.remove(&portfolio.name);
            let account = self.account_of(&portfolio).await?;
            let described = self.describe(&account, Some(&portfolio)).await?;
            let throttled = described.throttled_until.is_some() || described.stopped;
            if (!request.throttled || throttled) && sender.send(Ok(described)).await.is_err() {
                return Ok(());
            }
        }
        for name in others.iter().filter_map(|name| UserName::parse(name).ok()) {
            // Of another name for an account that was there already, nothing new is to be said.
            let found = self.directory.by_name(Lane::Admin, &name, &self.in_force().named).await?;
            let Some(account) = found.filter(|account| account.name == name.as_str()) else { continue };
            let described = self.describe(&account, None).await?;
            if !request.throttled && sender.send(Ok(described)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    pub(super) async fn show(
        &self,
        by: &Administrator,
        request: &AccountRequest,
    ) -> Result<v1::Account, Undecided> {
        let Named { account, portfolio } = self.named(by, &request.user).await?;
        self.describe(&account, portfolio.as_ref()).await
    }
}
