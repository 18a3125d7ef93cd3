//! What was measured, as JSON for who compares.

use serde_json::{Value, json};

use crate::node::About;

/// The versions that the programs are built with.
const LOCK: &str = include_str!("../Cargo.lock");

/// One figure of one work over its runs.
#[derive(Debug, Clone)]
pub struct Row {
    /// `W1`, `W2` or `W3`.
    pub work: &'static str,
    /// What of it.
    pub what: String,
    /// The unit of its values.
    pub unit: &'static str,
    /// One a run.
    pub values: Vec<f64>,
}

/// A work that took longer than it may and was stopped.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// Which.
    pub work: &'static str,
    /// What it was doing.
    pub doing: String,
    /// When it was stopped.
    pub seconds: u64,
    /// How far it had come.
    pub reached: usize,
    /// What it should have reached.
    pub of: usize,
}

/// All of one system.
#[derive(Debug, Default)]
pub struct Figures {
    rows: Vec<Row>,
    unfinished: Vec<Unfinished>,
    left_out: Option<String>,
}

impl Figures {
    /// Of a system that cannot be measured here.
    #[must_use]
    pub fn left_out(why: impl Into<String>) -> Figures {
        Figures { left_out: Some(why.into()), ..Figures::default() }
    }

    /// Adds the figures of a work, one row each.
    pub fn add(&mut self, work: &'static str, what: impl Into<String>, unit: &'static str, values: Vec<f64>) {
        let what = what.into();
        eprintln!("{work} {what}: {values:.3?} {unit}");
        self.rows.push(Row { work, what, unit, values });
    }

    /// Adds that a work was stopped.
    pub fn stopped(&mut self, stopped: Unfinished) {
        let Unfinished { work, doing, seconds, reached, of } = &stopped;
        eprintln!("{work} {doing}: not finished in {seconds} s, {reached} of {of}");
        self.unfinished.push(stopped);
    }

    /// As the bench reads it.
    #[must_use]
    pub fn json(&self, about: &About) -> Value {
        let row =
            |row: &Row| json!({ "work": row.work, "what": row.what, "unit": row.unit, "values": row.values });
        let stopped = |one: &Unfinished| {
            let Unfinished { work, doing, seconds, reached, of } = one;
            json!({ "work": work, "doing": doing, "seconds": seconds, "reached": reached, "of": of })
        };
        json!({
            "system": about.system,
            "versions": about.crates.iter().map(|name| format!("{name} {}", version(name))).collect::<Vec<_>>(),
            "transport": about.transport,
            "store": about.store,
            "left_out": self.left_out,
            "figures": self.rows.iter().map(row).collect::<Vec<_>>(),
            "unfinished": self.unfinished.iter().map(stopped).collect::<Vec<_>>(),
        })
    }
}

/// The version of a crate that this was built with.
fn version(name: &str) -> &'static str {
    let mut lines = LOCK.lines().skip_while(|line| *line != format!("name = \"{name}\"")).skip(1);
    lines.next().and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"')).unwrap_or("unknown")
}

/// The value below which this percentage of the values lies (nearest rank).
#[must_use]
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
    let below = |place: usize| f64::from(u32::try_from(place).unwrap_or(u32::MAX)) * 100.0 / f64::from(count);
    let rank = (1..=sorted.len()).find(|place| below(*place) >= percent).unwrap_or(sorted.len());
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let values: Vec<f64> = (1..=200).map(f64::from).collect();
        assert_eq!(percentile(&values, 50.0), 100.0);
        assert_eq!(percentile(&values, 99.0), 198.0);
        assert_eq!(percentile(&[7.0], 99.0), 7.0);
        assert!(percentile(&[], 50.0).is_nan());
    }

    #[test]
    fn every_crate_that_is_shown_has_a_version() {
        for name in ["automerge", "iroh-docs", "samod", "quinn"] {
            assert!(
                version(name).starts_with(|first: char| first.is_ascii_digit()),
                "{name}: {}",
                version(name)
            );
        }
    }
}
