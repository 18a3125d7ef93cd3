//! The report of one run: every figure with its spread, its ratio to references of the same run and
//! its target, as a table for people and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::statistics::{Spread, exponent};

/// What a ratio should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Target {
    /// At most this.
    AtMost(f64),
    /// At least this.
    AtLeast(f64),
}

impl Target {
    fn met(self, ratio: f64) -> bool {
        match self {
            Target::AtMost(most) => ratio <= most,
            Target::AtLeast(least) => ratio >= least,
        }
    }
    fn text(self) -> String {
        match self {
            Target::AtMost(most) => format!("≤ {most}"),
            Target::AtLeast(least) => format!("≥ {least}"),
        }
    }
}

/// What a figure is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Against {
    /// Which references, in words.
    pub what: String,
    /// Their value, in the figure's own unit.
    pub value: f64,
    /// What the figure divided by it should be; none where it is only told.
    pub target: Option<Target>,
}

/// One figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Which work: `reference`, `W1`, …
    pub work: &'static str,
    /// What of it.
    pub what: String,
    /// The unit of all its values.
    pub unit: &'static str,
    /// What was measured.
    pub spread: Spread,
    /// What it is held against.
    pub against: Option<Against>,
}

impl Row {
    /// The figure divided by what it is held against.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        self.against.as_ref().map(|against| self.spread.median / against.value)
    }
}

/// How a cost grew over several sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Growth {
    /// Which work.
    pub work: &'static str,
    /// Cost of what, over what.
    pub what: String,
    /// The unit of the cost.
    pub unit: &'static str,
    /// Size and cost.
    pub points: Vec<(f64, f64)>,
    /// The largest exponent that is no finding.
    pub exponent_max: f64,
}

/// All figures of a run.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    growths: Vec<Growth>,
    notes: Vec<String>,
    silent: bool,
}

impl Report {
    /// One that says nothing while figures come in.
    pub fn silent() -> Report {
        Report { silent: true, ..Report::default() }
    }

    /// How many figures there are.
    pub fn figures(&self) -> usize {
        self.rows.len()
    }

    fn say(&self, text: &str) {
        if !self.silent {
            eprintln!("{text}");
        }
    }

    /// Adds a figure from its runs and says it at once, for who watches.
    pub fn add(
        &mut self,
        work: &'static str,
        what: impl Into<String>,
        unit: &'static str,
        values: &[f64],
        against: Option<Against>,
    ) {
        let row = Row { work, what: what.into(), unit, spread: Spread::of(values), against };
        self.say(&line(&row));
        self.rows.push(row);
    }

    /// The median of the first figure of this work whose words end in these.
    #[must_use]
    pub fn median(&self, work: &str, end: &str) -> Option<f64> {
        // Not in the middle of a number: «500 incidents» is not «1500 incidents».
        let ends = |what: &str| {
            what.strip_suffix(end).is_some_and(|before| !before.ends_with(|last: char| last.is_ascii_digit()))
        };
        self.rows.iter().find(|row| row.work == work && ends(&row.what)).map(|row| row.spread.median)
    }

    /// Adds how a cost grew.
    pub fn grew(&mut self, growth: Growth) {
        self.say(&growth_line(&growth));
        self.growths.push(growth);
    }

    /// Adds a sentence that belongs to the figures.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        self.say(&format!("note: {note}"));
        self.notes.push(note);
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<10} {:<58} {:>6} {:>10} {:>10} {:>10} {:>4}  {}\n",
            "work",
            "what",
            "unit",
            "median",
            "min",
            "max",
            "runs",
            "ratio, target and what it is held against"
        );
        for row in &self.rows {
            let _never_fails = writeln!(text, "{}", line(row));
        }
        for growth in &self.growths {
            let _never_fails = writeln!(text, "{}", growth_line(growth));
        }
        for note in &self.notes {
            let _never_fails = writeln!(text, "note: {note}");
        }
        text
    }

    /// The same as JSON.
    #[must_use]
    pub fn json(&self, commit: &str, machine: &str) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(row_json).collect();
        let growths: Vec<Value> = self
            .growths
            .iter()
            .map(|growth| {
                json!({ "work": growth.work, "what": growth.what, "unit": growth.unit, "points": growth.points,
                        "exponent": exponent(&growth.points), "exponent_max": growth.exponent_max })
            })
            .collect();
        json!({ "commit": commit, "machine": machine, "figures": rows, "growth": growths, "notes": self.notes })
    }
}

fn row_json(row: &Row) -> Value {
    let Spread { median, minimum, maximum, runs } = row.spread;
    let mut value = json!({
        "work": row.work, "what": row.what, "unit": row.unit,
        "median": median, "minimum": minimum, "maximum": maximum, "runs": runs,
    });
    if let (Some(against), Some(object)) = (&row.against, value.as_object_mut()) {
        object.insert("against".into(), json!(against.what));
        object.insert("reference".into(), json!(against.value));
        object.insert("ratio".into(), json!(row.ratio()));
        object.insert("target".into(), json!(against.target.map(Target::text)));
        object.insert("met".into(), json!(against.target.map(|target| target.met(median / against.value))));
    }
    value
}

fn line(row: &Row) -> String {
    let Spread { median, minimum, maximum, runs } = row.spread;
    let held = row.against.as_ref().map_or_else(String::new, |against| {
        let ratio = median / against.value;
        let verdict = against.target.map_or_else(String::new, |target| {
            let word = if target.met(ratio) { "met" } else { "MISSED" };
            format!(" ({}: {word})", target.text())
        });
        format!("{ratio:.2} ×{verdict} {} = {}", against.what, short(against.value))
    });
    format!(
        "{:<10} {:<58} {:>6} {:>10} {:>10} {:>10} {runs:>4}  {held}",
        row.work,
        row.what,
        row.unit,
        short(median),
        short(minimum),
        short(maximum)
    )
}

fn growth_line(growth: &Growth) -> String {
    let points: Vec<String> =
        growth.points.iter().map(|(size, cost)| format!("{}: {}", short(*size), short(*cost))).collect();
    let verdict = exponent(&growth.points).map_or_else(
        || "no exponent".to_owned(),
        |fitted| {
            let word = if fitted <= growth.exponent_max { "as it should" } else { "FINDING" };
            format!("exponent {fitted:.2} (≤ {}: {word})", growth.exponent_max)
        },
    );
    format!("{:<10} {:<58} {:>6} {}  {verdict}", growth.work, growth.what, growth.unit, points.join("  "))
}

/// Three or four significant digits.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_over_its_target_is_called_missed_and_one_within_it_met() {
        let mut report = Report::default();
        for (value, target) in
            [(3.0, Target::AtMost(2.0)), (3.0, Target::AtMost(3.0)), (3.0, Target::AtLeast(3.5))]
        {
            let against = Against { what: "a reference".into(), value: 1.0, target: Some(target) };
            report.add("W1", "a figure", "ms", &[value], Some(against));
        }
        let table = report.table();
        assert_eq!(table.matches("MISSED").count(), 2, "{table}");
        assert_eq!(table.matches("met").count(), 1, "{table}");
        let json = report.json("c", "m");
        assert_eq!((&json["figures"][1]["ratio"], &json["figures"][1]["met"]), (&json!(3.0), &json!(true)));
        assert_eq!(json["figures"][2]["met"], json!(false));
    }

    #[test]
    fn growth_above_its_bound_is_a_finding() {
        let square = |size: f64| (size, size * size);
        let growth = |exponent_max| Growth {
            work: "W2",
            what: "time".into(),
            unit: "ms",
            points: [1.0, 2.0, 4.0].map(square).to_vec(),
            exponent_max,
        };
        assert!(growth_line(&growth(1.15)).contains("FINDING"));
        assert!(!growth_line(&growth(2.1)).contains("FINDING"));
    }
}
