//! What the daemon does by the clock: puts up figures for Prometheus, and ends the time of old entries in the trail. Neither
//! makes a login wait, and no login fails because one of them does.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    audit::{Event, Outcome, Record, Subject},
    clock::Timestamp,
    config::Retention,
    engine::clock_guard::Trust,
    grpc::Ports,
    metrics::{Board, Figures, render},
    store::StoreError,
};

/// Between two looks of Prometheus, as it is usually set.
const FIGURES: Duration = Duration::from_secs(15);
/// How often it is seen whether entries are too old.
const TRIM: Duration = Duration::from_secs(3600);
/// Entries are taken out once a day: one entry says so.
const DAY: Duration = Duration::from_secs(86_400);
/// Entries in one commit, which logins share; and a pause, for those that came meanwhile.
const BATCH: u32 = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// Until `stop`. `broken` says whether the last good configuration is in force because the files are broken, and wakes us
/// at each reload.
pub(super) async fn go(ports: Arc<Ports>, broken: watch::Receiver<bool>, stop: CancellationToken) {
    tokio::join!(put_up_figures(&ports, broken, &stop), end_old_entries(&ports, &stop));
}

async fn put_up_figures(ports: &Ports, mut broken: watch::Receiver<bool>, stop: &CancellationToken) {
    let started = ports.clock.now();
    let mut board = Board::default();
    let mut ticks = interval(FIGURES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ports.shown.forget_old(ports.clock.now());
        tokio::select! {
            () = stop.cancelled() => break,
            _ = ticks.tick() => {}
            Ok(()) = broken.changed() => {}
        }
        let file = ports.in_force().config.metrics.file.clone();
        let last_good = *broken.borrow_and_update();
        let text = match &file {
            None => Vec::new(),
            Some(_) => match figures(ports, started, last_good).await {
                Ok(text) => text,
                Err(why) => {
                    tracing::warn!("no figures for Prometheus: {why}");
                    continue;
                }
            },
        };
        // A disk that hangs is not to hang those who log in.
        let shown = tokio::task::spawn_blocking(move || {
            board.show(file.as_deref(), &text);
            board
        });
        board = shown.await.unwrap_or_default();
    }
    board.clear();
}

async fn figures(ports: &Ports, started: Timestamp, last_good: bool) -> Result<Vec<u8>, String> {
    let force = ports.in_force();
    let rule = force.config.limits.user();
    let census = ports.store.census(rule, ports.clock.now()).await.map_err(|error| error.to_string())?;
    let tallies = ports.store.tallies().await.map_err(|error| error.to_string())?;
    let clock_believed = ports.trust_in_clock() == Trust::Believed;
    let providers = ports.channels.breakers(&force.config);
    render(&Figures { started, census, tallies, clock_believed, last_good, providers })
        .map_err(|error| error.to_string())
}

async fn end_old_entries(ports: &Ports, stop: &CancellationToken) {
    let mut ticks = interval(TRIM);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = trim(ports, stop).await {
            tracing::warn!(%error, "old entries stay in the audit trail");
        }
    }
}

async fn trim(ports: &Ports, stop: &CancellationToken) -> Result<(), StoreError> {
    let Retention::For(age) = ports.in_force().config.audit.retention else { return Ok(()) };
    // A clock that is ahead would end the time of everything.
    if ports.trust_in_clock() != Trust::Believed {
        return Ok(());
    }
    let now = ports.clock.now();
    let tallies = ports.store.tallies().await?;
    let last = tallies.iter().filter(|tally| tally.event == Event::Trim.name()).map(|tally| tally.last).max();
    if last.is_some_and(|last| now.since(last) < DAY) {
        return Ok(());
    }
    let before = now.before(age);
    let mut removed = 0_u64;
    let ended = loop {
        match ports.store.trim(before, now, BATCH).await {
            Ok(0) => break Ok(()),
            Ok(some) => removed += u64::from(some),
            Err(error) => break Err(error),
        }
        tokio::select! {
            () = stop.cancelled() => break Ok(()),
            () = sleep(PAUSE) => {}
        }
    };
    if removed > 0 {
        let reason = format!("{removed} entries from before {}", before.rfc_3339());
        tracing::info!("the audit trail was trimmed: {reason}");
        let (event, subject) = (Event::Trim, Subject::default());
        let record = Record { time: now, event, subject, method: "", outcome: Outcome::Granted, reason };
        ports.store.append(record).await?;
    }
    ended
}
