//! Why a reference was slow: whether it waited for a core that somebody else had.

use std::time::Instant;

use crate::bench::inside::usage;
use crate::bench::report::Report;

/// Several runs, and how much of a core they got.
pub struct Timed<T> {
    /// What each run gave.
    pub values: Vec<T>,
    wall_ms: f64,
    processor_ms: f64,
    waited_ms: f64,
}

/// Runs `run` several times.
pub fn timed<T>(runs: usize, run: impl Fn() -> anyhow::Result<T>) -> anyhow::Result<Timed<T>> {
    let process = std::process::id();
    let (began, before) = (Instant::now(), usage(process)?);
    let values = (0..runs).map(|_| run()).collect::<anyhow::Result<Vec<_>>>()?;
    let after = usage(process)?;
    Ok(Timed {
        values,
        wall_ms: began.elapsed().as_secs_f64() * 1_000.0,
        processor_ms: after.processor_ms - before.processor_ms,
        waited_ms: after.waited_ms - before.waited_ms,
    })
}

impl<T> Timed<T> {
    /// Says where the time went, if the reference is slower than a quiet machine's.
    pub fn explain(&self, report: &mut Report, what: &str, slower: bool) {
        if slower {
            report.note(format!(
                "{what}: of {:.0} ms it had a core for {:.0} ms and waited {:.0} ms for one that others had",
                self.wall_ms, self.processor_ms, self.waited_ms
            ));
        }
    }
}
