//! Why a reference was slow: whether it waited for a core that somebody else had, or the core itself was
//! slower, which work that never changes tells.

use std::hint::black_box;
use std::time::Instant;

use crate::bench::inside::usage;
use crate::bench::report::Report;

/// Rounds of the work that never changes.
const ROUNDS: u64 = 20_000_000;
/// How long that took on a quiet machine of the kind that the references were first measured on, ms.
const QUIET_MS: f64 = 20.0;

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
            let core = core_ms() / QUIET_MS;
            report.note(format!(
                "{what}: of {:.0} ms it had a core for {:.0} ms and waited {:.0} ms for one that others had; \
                 a core itself needs {core:.2} × a quiet one's time for work that never changes",
                self.wall_ms, self.processor_ms, self.waited_ms
            ));
        }
    }
}

/// Integer work that fits the registers: its time tells the speed of a core alone. The fastest of some.
fn core_ms() -> f64 {
    let once = |_| {
        let began = Instant::now();
        let mut state = black_box(0x9e37_79b9_7f4a_7c15_u64);
        for _ in 0..ROUNDS {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
        }
        black_box(state);
        began.elapsed().as_secs_f64() * 1_000.0
    };
    (0..5).map(once).fold(f64::INFINITY, f64::min)
}
