//! How often one source may ask: a bucket that refills, for each source that was seen lately.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::source::Source;

/// What a source may do at once. Opening a page takes about six (connections and requests), a whole enrollment thirty; an
/// office behind one address has several people.
const BURST: u32 = 240;
/// One comes back in that time.
const REFILL: Duration = Duration::from_millis(250);
/// Sources that are remembered. Where there are more, those not remembered share one bucket.
const SOURCES: usize = 4096;
/// A table that is full is swept that often, and not for every newcomer.
const SWEEP: Duration = Duration::from_secs(1);

/// What each source has left.
#[derive(Debug)]
pub struct Rate(Mutex<Buckets>);

#[derive(Debug)]
struct Buckets {
    known: HashMap<Source, Bucket>,
    others: Bucket,
    swept: Instant,
}

impl Rate {
    /// Everybody has everything.
    pub fn new(now: Instant) -> Self {
        Self(Mutex::new(Buckets { known: HashMap::new(), others: Bucket { full_at: now }, swept: now }))
    }

    /// Takes one, or says how long to wait for it.
    pub fn take(&self, source: Source, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Buckets { known, others, swept } = &mut *buckets;
        if known.len() >= SOURCES && now - *swept >= SWEEP {
            known.retain(|_, bucket| bucket.full_at > now);
            *swept = now;
        }
        if known.len() >= SOURCES && !known.contains_key(&source) {
            return others.take(now);
        }
        known.entry(source).or_insert(Bucket { full_at: now }).take(now)
    }
}

/// A bucket by the time at which it will be full: the rest follows from it.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let full_at = self.full_at.max(now) + REFILL;
        let over = (full_at - now).saturating_sub(REFILL * BURST);
        if over.is_zero() {
            self.full_at = full_at;
            return Ok(());
        }
        Err(over)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    fn source(number: u32) -> Source {
        Source::from(IpAddr::from(Ipv4Addr::from(number)))
    }

    #[test]
    fn a_source_has_a_burst_and_then_waits_and_others_do_not() {
        let start = Instant::now();
        let rate = Rate::new(start);
        for _ in 0..BURST {
            assert_eq!(rate.take(source(1), start), Ok(()));
        }
        assert_eq!(rate.take(source(1), start), Err(REFILL));
        assert_eq!(rate.take(source(2), start), Ok(()));
        assert_eq!(rate.take(source(1), start + REFILL), Ok(()));
        assert_eq!(rate.take(source(1), start + REFILL), Err(REFILL));
        let later = start + REFILL * (BURST + 2);
        assert!((0..BURST).all(|_| rate.take(source(1), later).is_ok()));
        assert!(rate.take(source(1), later).is_err());
    }

    #[test]
    fn ever_new_sources_take_no_more_memory_and_not_what_others_have() {
        let start = Instant::now();
        let rate = Rate::new(start);
        let allowed = (0..100_000).filter(|number| rate.take(source(*number), start).is_ok()).count();
        assert_eq!(allowed, SOURCES + BURST as usize);
        assert_eq!(rate.0.lock().unwrap().known.len(), SOURCES);
        assert_eq!(rate.take(source(1), start), Ok(()), "one that is remembered");
        assert_eq!(rate.take(source(200_000), start + REFILL * BURST), Ok(()));
        assert_eq!(rate.0.lock().unwrap().known.len(), 1, "who was idle is forgotten");
    }
}
