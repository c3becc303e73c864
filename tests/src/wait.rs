//! Waiting for a condition, with a deadline. Nothing sleeps for a fixed time and hopes.

use std::time::{Duration, Instant};

/// Until `condition` gives something; panics with `what` after `seconds`.
pub fn until<T>(what: &str, seconds: u64, mut condition: impl FnMut() -> Option<T>) -> T {
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
