//! One clock for both processes: the system's own, which starts with the machine.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine started, the same for every process.
#[must_use]
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or_default() * 1_000_000_000 + nanoseconds.unwrap_or_default()
}

/// Milliseconds from the one to the other; none is negative.
#[must_use]
pub fn ms_between(from_ns: u64, to_ns: u64) -> f64 {
    std::time::Duration::from_nanos(to_ns.saturating_sub(from_ns)).as_secs_f64() * 1_000.0
}
