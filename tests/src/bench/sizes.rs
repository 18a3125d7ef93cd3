//! How much of everything a run of the bench does: all of it, a quick look, or a slice of each work for
//! its correctness alone.

/// Sizes of every work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    /// Runs of each reference.
    pub reference_runs: usize,
    /// Runs of each work.
    pub runs: usize,
    /// Alerts of one run, one after another (W1).
    pub alerts: usize,
    /// Alerts of one run with many on their way (W1).
    pub sustained: usize,
    /// Incidents that one of two nodes lacks (W2).
    pub missing: Vec<usize>,
    /// Incidents that two nodes share (W3).
    pub shared: Vec<usize>,
    /// Envelopes that a link catches up with while alerts are raised (W4).
    pub backlog: usize,
    /// Residents who post at a steady rate (W5).
    pub accounts: usize,
    /// Seconds of each steady rate (W5).
    pub seconds: u64,
    /// Steady rates, alerts a second (W5).
    pub rates: Vec<u32>,
    /// Incidents that an idle node holds (W9).
    pub held: Vec<usize>,
}

impl Sizes {
    /// Those at which the targets are meant.
    pub fn full() -> Sizes {
        Sizes {
            reference_runs: 5,
            runs: 3,
            alerts: 5_000,
            sustained: 5_000,
            missing: vec![1_250, 2_500, 5_000, 10_000],
            shared: vec![1_000, 10_000, 100_000, 1_000_000],
            backlog: 200_000,
            accounts: 10_000,
            seconds: 10,
            rates: vec![500, 1_000],
            held: vec![1_000, 5_000, 25_000, 100_000],
        }
    }

    /// A few minutes' look.
    pub fn quick() -> Sizes {
        Sizes {
            reference_runs: 3,
            runs: 1,
            alerts: 500,
            sustained: 1_000,
            missing: vec![250, 500, 1_000, 2_000],
            shared: vec![1_000, 3_000, 10_000, 30_000],
            backlog: 12_000,
            accounts: 500,
            seconds: 5,
            rates: vec![500, 1_000],
            held: vec![500, 1_000, 2_000, 4_000],
        }
    }

    /// So little that nothing can be said of time.
    pub fn slice() -> Sizes {
        Sizes {
            reference_runs: 1,
            runs: 1,
            alerts: 20,
            sustained: 64,
            missing: vec![12],
            shared: vec![250],
            backlog: 600,
            accounts: 20,
            seconds: 1,
            rates: vec![50],
            held: vec![20],
        }
    }
}
