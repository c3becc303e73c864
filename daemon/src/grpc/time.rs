//! Whether the wall clock is believed, asked for each time code.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::Ports;
use crate::{
    audit,
    clock::Clock,
    engine::clock_guard::{Mark, Trust},
    store::{Store, StoreError},
};

/// The mark is written when it moved by so much.
const WRITE_EVERY: Duration = Duration::from_secs(60);

/// The mark in force, and what was thought of the clock last.
#[derive(Debug)]
pub struct ClockGuard(Mutex<State>);

#[derive(Debug)]
struct State {
    mark: Mark,
    written: Mark,
    told: Trust,
}

impl ClockGuard {
    /// From the stored mark; the first one is the clock as it is.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn load(store: &dyn Store, clock: &dyn Clock) -> Result<Self, StoreError> {
        let mark = match store.clock_mark().await? {
            Some(mark) => mark,
            None => {
                let mark = Mark { wall: clock.now(), uptime: clock.uptime() };
                store.set_clock_mark(mark.clone()).await?;
                mark
            }
        };
        Ok(Self(Mutex::new(State { written: mark.clone(), mark, told: Trust::Believed })))
    }
}

impl Ports {
    /// Judges the clock, moves the mark along, and tells the trail and the log when the judgement changes.
    #[must_use]
    pub fn trust_in_clock(&self) -> Trust {
        let (wall, uptime) = (self.clock.now(), self.clock.uptime());
        let mut state = self.clock_guard.0.lock().unwrap_or_else(PoisonError::into_inner);
        let trust = state.mark.judge(wall, &uptime, self.clock.synchronised());
        if trust == Trust::Believed {
            state.mark = state.mark.advance(wall, &uptime);
            if state.mark.wall.since(state.written.wall) >= WRITE_EVERY {
                state.written = state.mark.clone();
                self.remember(state.mark.clone());
            }
        }
        let changed = (trust == Trust::Believed) != (state.told == Trust::Believed);
        state.told = trust;
        drop(state);
        if changed {
            self.tell(trust);
        }
        trust
    }

    /// An administrator says that the clock is right.
    pub(super) async fn accept_clock(&self) -> Result<(), StoreError> {
        let mark = Mark { wall: self.clock.now(), uptime: self.clock.uptime() };
        self.store.set_clock_mark(mark.clone()).await?;
        let mut state = self.clock_guard.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { written: mark.clone(), mark, told: Trust::Believed };
        Ok(())
    }

    fn remember(&self, mark: Mark) {
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            if let Err(error) = store.set_clock_mark(mark).await {
                tracing::warn!(%error, "the time is not remembered");
            }
        });
    }

    fn tell(&self, trust: Trust) {
        let outcome = if trust == Trust::Believed { audit::Outcome::Granted } else { audit::Outcome::Denied };
        if trust == Trust::Believed {
            tracing::info!("the clock is believed again");
        } else {
            tracing::error!(
                "the clock is {}: time codes are refused. Mend the clock, or if it is right: twinlock clock accept",
                trust.sentence()
            );
        }
        let record = audit::Record {
            time: self.clock.now(),
            event: audit::Event::Clock,
            subject: audit::Subject::default(),
            method: "",
            outcome,
            reason: trust.sentence(),
        };
        let store = Arc::clone(&self.store);
        tokio::spawn(async move {
            if let Err(error) = store.append(record).await {
                tracing::error!(%error, "an audit record is lost");
            }
        });
    }
}
