//! Waiting for a condition, with a deadline. Nothing sleeps for a fixed time and hopes.

use std::time::{Duration, Instant};

/// How many times slower than a host this machine is: an emulated one is (`tests/bed/vm.sh`).
#[must_use]
pub fn slowness() -> u64 {
    std::env::var("TWINLOCK_SLOW").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// Until `condition` gives something; panics with `what` after `seconds`.
pub fn until<T>(what: &str, seconds: u64, mut condition: impl FnMut() -> Option<T>) -> T {
    let seconds = seconds * slowness();
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {seconds} s: {what}");
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the wait with a deadline that others are to use"
        )]
        std::thread::sleep(Duration::from_millis(10));
    }
}
