//! Keys that the enrollment page shows, and that wait for their first code: in memory alone, and of each invitation one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use super::{enrolling::Setup, status::Undecided};
use crate::{
    clock::Timestamp,
    engine::enrollment::Pending,
    names::{FactorId, UserName},
    secret::Secret,
};

/// Keys that are shown at the same time.
const MOST: usize = 1024;
/// Who sends the last form twice gets its page twice, for so long.
const AGAIN: Duration = Duration::from_secs(60);

/// All of them, by the digest of their session.
#[derive(Default)]
pub struct Shown {
    sessions: Mutex<HashMap<[u8; 32], Arc<Session>>>,
}

/// Somebody has proven link and binding code.
pub(super) struct Session {
    pub(super) invitation: FactorId,
    pub(super) user: UserName,
    pub(super) uid: u32,
    until: AtomicI64,
    /// Held while a code is looked at and until it is stored: a form that is sent twice is answered twice alike.
    pub(super) state: tokio::sync::Mutex<State>,
}

pub(super) enum State {
    /// The key waits for its first code; its recovery codes are being made.
    Waits(Pending, Setup),
    /// It counts.
    Enrolled { label: String, recovery: Vec<Secret<String>> },
    /// Another session has the key, or nobody.
    Over,
}

impl Session {
    pub(super) fn new(
        invitation: FactorId,
        (user, uid): (UserName, u32),
        until: Timestamp,
        (pending, setup): (Pending, Setup),
    ) -> Self {
        let state = tokio::sync::Mutex::new(State::Waits(pending, setup));
        Self { invitation, user, uid, until: AtomicI64::new(until.0), state }
    }

    /// From now on it is there for who sends the last form again.
    pub(super) fn ends_soon(&self, now: Timestamp) {
        self.until.store(now.after(AGAIN).0, Ordering::Relaxed);
    }
}

impl Shown {
    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets keys and recovery codes whose time is over.
    pub fn forget_old(&self, now: Timestamp) {
        self.lock().retain(|_, session| now.0 < session.until.load(Ordering::Relaxed));
    }

    pub(super) fn find(&self, digest: &[u8; 32]) -> Option<Arc<Session>> {
        self.lock().get(digest).cloned()
    }

    /// Remembers it, unless there are too many.
    pub(super) fn keep(&self, digest: [u8; 32], session: Session) -> Result<(), Undecided> {
        let mut sessions = self.lock();
        if sessions.len() >= MOST {
            return Err(Undecided::Conflict("too many people enroll at once; try again later".to_owned()));
        }
        sessions.insert(digest, Arc::new(session));
        Ok(())
    }

    /// The key that this invitation's page shows already; the session that had it is over.
    pub(super) async fn take(&self, invitation: &FactorId) -> Option<(Pending, Setup)> {
        let found = {
            let mut sessions = self.lock();
            let digest = sessions
                .iter()
                .find(|(_, session)| session.invitation == *invitation)
                .map(|(digest, _)| *digest);
            sessions.remove(&digest?)
        }?;
        let mut state = found.state.lock().await;
        match std::mem::replace(&mut *state, State::Over) {
            State::Waits(pending, setup) => Some((pending, setup)),
            State::Enrolled { .. } | State::Over => None,
        }
    }
}
