//! Places: how many connections there may be in all, and how much one source may do at a time.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::source::Source;

/// Connections in all.
pub const ALL: usize = 512;
/// Connections of one source, or requests at a time where a proxy brings them.
const PER_SOURCE: usize = 16;

/// Who has places. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Mutex<HashMap<Source, usize>>>);

impl Places {
    /// One more for `source`, unless it has all that it may have.
    pub fn take(&self, source: Source) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(source).or_insert(0);
        if *count >= PER_SOURCE {
            return None;
        }
        *count += 1;
        Some(Place { source, places: self.clone() })
    }
}

/// Given back when dropped.
#[derive(Debug)]
pub struct Place {
    source: Source,
    places: Places,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn a_source_has_its_places_and_leaves_nothing_behind() {
        let places = Places::default();
        let source = |last| Source::from(IpAddr::from([192, 0, 2, last]));
        let held: Vec<_> = (0..PER_SOURCE).map(|_| places.take(source(1)).unwrap()).collect();
        assert!(places.take(source(1)).is_none());
        assert!(places.take(source(2)).is_some());
        drop(held);
        assert!(places.take(source(1)).is_some());
        assert!(places.0.lock().unwrap().is_empty());
    }
}
