//! The verbs of the store: each names what is done in its file, in the writer's commit or as a look.

use std::{collections::BTreeMap, fs::File};

use async_trait::async_trait;

use super::{
    FILE, Sqlite, accounts, attempts, census, contacts, deliveries, generation, invitations, keys, marks,
    openings, spares, tokens, trail, upkeep,
};
use crate::{
    audit,
    clock::Timestamp,
    engine::{
        clock_guard::Mark,
        delivery::{ContactKind, Issued, Wish},
        enrollment::{Added, NewFactor},
        invitation::{Binding, BindingTry, NewInvitation},
        policy::Flag,
        proof::{Attempt, Ledger, Ruling},
        throttle::{Budget, Rule, Standing},
    },
    factor::{spare::NewSpare, totp::Match},
    names::{AccountId, FactorId, Source, UserName},
    store::{
        Census, Charge, NewContact, Portfolio, Resealed, SpareRecord, Store, StoreError, Tally, TokenRecord,
        TokensAdded, WrappedKey,
    },
};

#[async_trait]
impl Ledger for Sqlite {
    type Error = StoreError;

    async fn settle(&self, attempt: Attempt) -> Result<Ruling, StoreError> {
        self.write(move |connection| attempts::settle(connection, &attempt)).await
    }

    async fn add_factor(&self, factor: NewFactor, record: audit::Record) -> Result<Added, StoreError> {
        self.write(move |connection| accounts::add_factor(connection, &factor, &record)).await
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn portfolio(&self, user: &UserName) -> Result<Option<Portfolio>, StoreError> {
        self.read(|connection| accounts::portfolio(connection, user))
    }

    async fn portfolios(&self) -> Result<Vec<Portfolio>, StoreError> {
        self.archive.run(accounts::portfolios).await
    }

    async fn standing(&self, budgets: Vec<Budget>, now: Timestamp) -> Result<Standing, StoreError> {
        self.read(|connection| attempts::standing(connection, &budgets, now))
    }

    async fn charge(&self, budget: Budget, source: Source, now: Timestamp) -> Result<Charge, StoreError> {
        self.write(move |connection| attempts::charge(connection, &budget, &source, now)).await
    }

    async fn refund(&self, charge: i64) -> Result<(), StoreError> {
        self.write(move |connection| attempts::refund(connection, charge)).await
    }

    async fn forgive(&self, charge: i64) -> Result<(), StoreError> {
        self.write(move |connection| attempts::forgive_charge(connection, charge)).await
    }

    async fn spare(&self, account: AccountId, selector: String) -> Result<Option<SpareRecord>, StoreError> {
        self.read(|connection| spares::find(connection, account, &selector))
    }

    async fn replace_recovery(
        &self,
        account: AccountId,
        codes: Vec<NewSpare>,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<(), StoreError> {
        self.write(move |connection| spares::replace_recovery(connection, account, &codes, now, &record))
            .await
    }

    async fn add_bypass(
        &self,
        user: &UserName,
        uid: u32,
        code: NewSpare,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(move |connection| spares::add_bypass(connection, (&user, uid), &code, now, &record)).await
    }

    async fn remove_factor(
        &self,
        account: AccountId,
        factor: FactorId,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| accounts::remove_factor(connection, account, &factor, &record)).await
    }

    async fn reset(&self, user: &UserName, record: audit::Record) -> Result<u32, StoreError> {
        let user = user.clone();
        self.write(move |connection| accounts::reset(connection, &user, &record)).await
    }

    async fn unlock(&self, user: &UserName, uid: u32, record: audit::Record) -> Result<u32, StoreError> {
        let user = user.clone();
        self.write(move |connection| attempts::unlock(connection, &user, uid, &record)).await
    }

    async fn invite(
        &self,
        user: &UserName,
        uid: u32,
        invitation: NewInvitation,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(move |connection| invitations::invite(connection, (&user, uid), &invitation, now, &record))
            .await
    }

    async fn invited(&self, token: [u8; 32]) -> Result<Option<Portfolio>, StoreError> {
        self.read(|connection| invitations::invited(connection, token))
    }

    async fn end_invitation(&self, id: FactorId) -> Result<(), StoreError> {
        self.write(move |connection| invitations::end_this(connection, &id)).await
    }

    async fn try_binding(&self, tried: BindingTry, record: audit::Record) -> Result<Binding, StoreError> {
        self.write(move |connection| invitations::try_binding(connection, &tried, &record)).await
    }

    async fn adopt(
        &self,
        account: AccountId,
        uid: u32,
        secrets: Vec<Resealed>,
        record: audit::Record,
    ) -> Result<(), StoreError> {
        self.write(move |connection| accounts::adopt(connection, account, uid, &secrets, &record)).await
    }

    async fn purge(&self, user: &UserName, record: audit::Record) -> Result<bool, StoreError> {
        let name = user.clone();
        let purged = self.write(move |connection| accounts::purge(connection, &name, &record)).await?;
        let path = self.folder.join(FILE);
        self.archive.run_long(move |_| upkeep::empty_log(&path)).await?;
        Ok(purged)
    }

    async fn add_tokens(
        &self,
        tokens: Vec<TokenRecord>,
        record: audit::Record,
    ) -> Result<TokensAdded, StoreError> {
        self.write(move |connection| tokens::add(connection, &tokens, &record)).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.archive.run_long(tokens::all).await
    }

    async fn token(&self, serial: String) -> Result<Option<TokenRecord>, StoreError> {
        self.read(|connection| tokens::one(connection, &serial))
    }

    async fn revoke_token(&self, serial: String, record: audit::Record) -> Result<bool, StoreError> {
        self.write(move |connection| tokens::revoke(connection, &serial, &record)).await
    }

    async fn resync(
        &self,
        account: AccountId,
        factor: FactorId,
        to: Match,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| tokens::resync(connection, account, &factor, to, &record)).await
    }

    async fn set_contact(
        &self,
        user: &UserName,
        uid: u32,
        contact: NewContact,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<Added, StoreError> {
        let user = user.clone();
        self.write(move |connection| contacts::set_contact(connection, (&user, uid), &contact, now, &record))
            .await
    }

    async fn remove_contact(
        &self,
        account: AccountId,
        kind: ContactKind,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        self.write(move |connection| contacts::remove_contact(connection, account, kind, &record)).await
    }

    async fn issue_code(&self, wish: Wish) -> Result<Issued, StoreError> {
        self.write(move |connection| deliveries::issue(connection, &wish)).await
    }

    async fn count_sending(&self, wish: Wish) -> Result<Issued, StoreError> {
        self.write(move |connection| deliveries::count(connection, &wish, 0)).await
    }

    async fn end_code(&self, account: AccountId, counter: i64) -> Result<(), StoreError> {
        self.write(move |connection| deliveries::end(connection, account, counter)).await
    }

    async fn end_codes(&self) -> Result<(), StoreError> {
        self.write(deliveries::end_all).await
    }

    async fn prefer(
        &self,
        account: AccountId,
        method: Option<String>,
        record: audit::Record,
    ) -> Result<(), StoreError> {
        self.write(move |connection| accounts::prefer(connection, account, method.as_deref(), &record)).await
    }

    async fn set_flag(
        &self,
        user: &UserName,
        uid: u32,
        flag: Flag,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<bool, StoreError> {
        let user = user.clone();
        self.write(move |connection| accounts::set_flag(connection, (&user, uid), &flag, now, &record)).await
    }

    async fn openings(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        self.read(openings::read)
    }

    async fn first_seen(&self, roles: Vec<String>, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| openings::first_seen(connection, &roles, now)).await
    }

    async fn open_again(
        &self,
        role: String,
        now: Timestamp,
        record: audit::Record,
    ) -> Result<(), StoreError> {
        self.write(move |connection| openings::open_again(connection, &role, now, &record)).await
    }

    async fn append(&self, record: audit::Record) -> Result<(), StoreError> {
        self.write(move |connection| trail::append(connection, &record)).await
    }

    async fn trail(&self, filter: audit::Filter, limit: u32) -> Result<audit::Page, StoreError> {
        self.archive.run(move |connection| trail::read(connection, &filter, limit)).await
    }

    async fn trim(&self, before: Timestamp, now: Timestamp, most: u32) -> Result<u32, StoreError> {
        self.write(move |connection| trail::trim(connection, (before, now), most)).await
    }

    async fn tallies(&self) -> Result<Vec<Tally>, StoreError> {
        self.archive.run_long(trail::tallies).await
    }

    async fn census(&self, rule: Rule, now: Timestamp) -> Result<Census, StoreError> {
        self.archive.run_long(move |connection| census::take(connection, rule, now)).await
    }

    async fn clock_mark(&self) -> Result<Option<Mark>, StoreError> {
        self.read(marks::read)
    }

    async fn set_clock_mark(&self, mark: Mark) -> Result<(), StoreError> {
        self.write(move |connection| marks::write(connection, &mark)).await
    }

    async fn keyring(&self) -> Result<Vec<WrappedKey>, StoreError> {
        self.read(keys::keyring)
    }

    async fn set_keyring(&self, ring: Vec<WrappedKey>, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |connection| keys::set_keyring(connection, &ring, now)).await
    }

    async fn reseal(&self, secrets: Vec<Resealed>) -> Result<u32, StoreError> {
        self.write(move |connection| keys::reseal(connection, &secrets)).await
    }

    async fn retire_keys(&self, before: u32, record: audit::Record) -> Result<(), StoreError> {
        self.write(move |connection| keys::retire_keys(connection, before, &record)).await
    }

    async fn beat(&self) -> Result<(), StoreError> {
        self.read(upkeep::beat)?;
        self.writer.run_long(upkeep::beat).await
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.archive.run_long(upkeep::check).await
    }

    async fn backup(&self) -> Result<File, StoreError> {
        let folder = self.folder.clone();
        let copy = self.archive.run_long(move |_| upkeep::backup(&folder, &folder.join(FILE))).await?;
        // Else the copy would be taken for the store itself, if it was put back now.
        self.count_generation().await?;
        Ok(copy)
    }

    async fn count_generation(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.counting.lock().await;
        let number = self.read(generation::number)?.unwrap_or(0);
        self.keep_generation(number).await?; // one that is late already gets no later
        let next = number.saturating_add(1);
        self.write(move |connection| generation::set(connection, next)).await?;
        self.keep_generation(next).await
    }
}
