//! What an administrator does for the store itself: check, backup, change of keys.

use std::io::Read;

use tokio::sync::mpsc;
use tonic::Status;
use twinlock_proto::v1::{Chunk, Rotation, StoreReport};

use super::{
    Ports,
    status::{Undecided, undecided},
};
use crate::{
    access::Administrator,
    audit::{Event, Outcome, Record},
    names::UserName,
    seal::{Binding, Held, KeySourceError, Sealer, held},
    store::{Portfolio, Resealed, StoreError, TokenRecord, Vault},
};

/// Secrets in one commit, and between two looks at who else waits.
const BATCH: usize = 500;
/// Bytes in a message, well under the limit of one.
const CHUNK: usize = 32 * 1024;

impl Ports {
    /// Everything that is wrong with the store.
    pub(super) async fn check_store(&self, by: &Administrator) -> Result<StoreReport, Undecided> {
        let mut problems = self.store.check().await?;
        let mut report = StoreReport::default();
        match self.store.portfolios().await {
            Ok(portfolios) => {
                for portfolio in &portfolios {
                    report.accounts += 1;
                    report.factors += u32::try_from(portfolio.factors.len()).unwrap_or(u32::MAX);
                    problems.extend(self.sealer.unreadable(portfolio));
                }
            }
            Err(StoreError::Corrupt(what)) => problems.push(what),
            Err(error) => return Err(error.into()),
        }
        match self.store.tokens().await {
            Ok(tokens) => {
                for (n, token) in tokens.iter().enumerate() {
                    problems.extend(self.sealer.unreadable_token(token));
                    if n.is_multiple_of(BATCH) {
                        tokio::task::yield_now().await; // a login may wait
                    }
                }
            }
            Err(StoreError::Corrupt(what)) => problems.push(what),
            Err(error) => return Err(error.into()),
        }
        let sound = problems.is_empty();
        let record = self.record(by, Event::StoreCheck, "", "", if sound { "sound" } else { "damaged" });
        let outcome = if sound { Outcome::Granted } else { Outcome::Denied };
        // In a damaged store the trail may be what is damaged: the report counts more.
        if let Err(error) = self.store.append(Record { outcome, ..record }).await {
            tracing::error!(%error, "an audit record is lost");
        }
        report.problems = problems;
        Ok(report)
    }

    /// Sends the store as it is now.
    pub(super) async fn send_backup(&self, by: &Administrator, to: &mpsc::Sender<Result<Chunk, Status>>) {
        if let Err(error) = self.try_send_backup(by, to).await {
            let _ = to.send(Err(undecided(&error))).await;
        }
    }

    async fn try_send_backup(
        &self,
        by: &Administrator,
        to: &mpsc::Sender<Result<Chunk, Status>>,
    ) -> Result<(), Undecided> {
        let mut copy = match self.store.backup().await {
            Ok(copy) => copy,
            Err(error) => {
                let record = self.record(by, Event::Backup, "", "", "no copy could be made");
                if let Err(error) = self.store.append(Record { outcome: Outcome::Denied, ..record }).await {
                    tracing::error!(%error, "an audit record is lost");
                }
                return Err(error.into());
            }
        };
        // Told before it leaves: what has left is not called back.
        self.store.append(self.record(by, Event::Backup, "", "", "")).await?;
        loop {
            let mut data = Vec::with_capacity(CHUNK);
            (&mut copy)
                .take(CHUNK as u64)
                .read_to_end(&mut data)
                .map_err(|error| StoreError::Unavailable(error.to_string()))?;
            if data.is_empty() || to.send(Ok(Chunk { data })).await.is_err() {
                return Ok(());
            }
        }
    }

    /// A new data key for everything, and a new sealing key for that where it is ours. At every moment what is on the
    /// disk can be opened with the keys that are on the disk: see [`KeySource::current`](crate::seal::KeySource::current) for a
    /// daemon that ends in between.
    pub(super) async fn rotate_key(&self, by: &Administrator) -> Result<Rotation, Undecided> {
        let Ok(mut unsettled) = self.rotating.try_lock() else {
            return Err(Undecided::Conflict("the keys are being changed already".to_owned()));
        };
        if *unsettled {
            return Err(Undecided::Conflict(
                "the last change of keys failed, and it is not known how far it came: restart twinlockd, which finds \
                 out, then try again"
                    .to_owned(),
            ));
        }
        let random = self.random.as_ref();
        let ring = self.store.keyring().await?;
        let current = self.key_source.current(&ring, random).map_err(of_source)?;
        let next = self.key_source.make_next(random).map_err(of_source)?;
        let sealing_key = next.is_some();
        let next_key = next.as_ref().unwrap_or(&current);
        let ring = Sealer::next_ring(&current, next_key, &ring, random)?;
        let key_version = ring.last().map_or(0, |key| key.version);
        // A commit that we stopped waiting for may still come, and needs the key that is beside the old one now.
        *unsettled = true;
        self.store.set_keyring(ring.clone(), self.clock.now()).await?;
        if sealing_key {
            self.key_source.adopt_next().map_err(of_source)?;
        }
        *unsettled = false;
        self.sealer.learn(next_key, &ring)?;

        let mut resealed = 0;
        loop {
            let secrets = self.sealed_before(key_version).await?;
            if secrets.is_empty() {
                break;
            }
            for part in secrets.chunks(BATCH) {
                resealed += self.store.reseal(part.to_vec()).await?;
            }
        }
        let reason = format!("data key {key_version}{}", if sealing_key { ", new sealing key" } else { "" });
        self.store.retire_keys(key_version, self.record(by, Event::KeyRotate, "", "", &reason)).await?;
        Ok(Rotation { key_version, resealed, sealing_key })
    }

    /// These secrets of an account under the newest data key, bound to this uid.
    fn resealed(
        &self,
        portfolio: &Portfolio,
        uid: u32,
        which: impl Fn(&Held<'_>) -> bool,
    ) -> Result<Vec<Resealed>, Undecided> {
        let user =
            UserName::parse(&portfolio.name).map_err(|_| Undecided::Malformed("a name in the store"))?;
        let anew = |held: Held<'_>| {
            let binding = held.binding(&user, portfolio);
            let secret = self.sealer.open(held.sealed, binding)?;
            let new = self.sealer.seal(&secret, Binding { uid, ..binding }, self.random.as_ref())?;
            Ok(Resealed { of: held.of.clone(), old: held.sealed.clone(), new })
        };
        held(portfolio).into_iter().filter(which).map(anew).collect()
    }

    /// Everything of an account that outlives a change of its uid, bound to the new one.
    pub(super) fn resealed_for(&self, portfolio: &Portfolio, uid: u32) -> Result<Vec<Resealed>, Undecided> {
        self.resealed(portfolio, uid, |held| !matches!(held.of, Vault::Invitation(_)))
    }

    /// What an older data key seals, under the newest.
    async fn sealed_before(&self, version: u32) -> Result<Vec<Resealed>, Undecided> {
        let mut secrets = Vec::new();
        for portfolio in self.store.portfolios().await? {
            let outdated = |held: &Held<'_>| held.sealed.key_version < version;
            secrets.extend(self.resealed(&portfolio, portfolio.uid, outdated)?);
        }
        for TokenRecord { serial, sealed, .. } in self.store.tokens().await? {
            if let Some(old) = sealed.filter(|sealed| sealed.key_version < version) {
                let secret = self.sealer.open_token(&serial, &old)?;
                let new = self.sealer.seal_token(&serial, &secret, self.random.as_ref())?;
                secrets.push(Resealed { of: Vault::Token(serial), old, new });
                if secrets.len().is_multiple_of(BATCH) {
                    tokio::task::yield_now().await; // a login may wait
                }
            }
        }
        Ok(secrets)
    }
}

/// The sealing key is a file of the operator's: what is wrong with it is theirs to know.
#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn of_source(error: KeySourceError) -> Undecided {
    tracing::error!(%error, "the keys are not changed");
    Undecided::Conflict(error.to_string())
}
