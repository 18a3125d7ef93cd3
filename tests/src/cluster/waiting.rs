//! Waiting for a condition, never for time.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

/// How long a condition may take to come true before the test fails. Generous: a test that passes
/// never waits this long, and two cores may run several clusters.
pub const DEADLINE: Duration = Duration::from_secs(45);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Looks until `probe` gives something; fails with `what` after [`DEADLINE`].
pub async fn wait_for<T>(what: &str, probe: impl AsyncFnMut() -> Option<T>) -> T {
    within(DEADLINE, what, probe).await
}

/// The same with a deadline that is itself what is promised.
pub async fn within<T>(limit: Duration, what: &str, mut probe: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(found) = probe().await {
            return found;
        }
        assert!(began.elapsed() < limit, "not within {} s: {what}", limit.as_secs());
    }
}
