//! The figures that nodes sum up: this node's own, counted, and everybody's, as their summary
//! documents say.

use std::collections::BTreeMap;

use protocol::document::Document;
use protocol::envelope::AdmittedEnvelope;
use protocol::ids::{Code, DocId, MemberId, Millis};
use protocol::operation::{Measure, Operation, Summary, SummaryValue};
use protocol::roster::RosterChain;
use rusqlite::{OptionalExtension as _, params};

use crate::store::WriteError;
use crate::store::people::millis;
use crate::store::reader::Reader;
use crate::store::tx::Tx;

/// Which figures: a jurisdiction and a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FiguresKey {
    /// The jurisdiction.
    pub code: Code,
    /// The month, `yyyymm`.
    pub period: u32,
}

/// The newest figures of a jurisdiction and month that are held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    /// Of what.
    pub key: FiguresKey,
    /// Who gave them.
    pub author: MemberId,
    /// When they were written, as their author's clock said.
    pub as_of: Millis,
    /// By measure and kind.
    pub values: BTreeMap<(Measure, u16), u64>,
}

impl Figures {
    /// One figure over all kinds; 0 if it was not given.
    #[must_use]
    pub fn total(&self, measure: Measure) -> u64 {
        self.values.get(&(measure, 0)).copied().unwrap_or_default()
    }
    /// The figures of one measure by kind.
    pub fn by_kind(&self, measure: Measure) -> impl Iterator<Item = (u16, u64)> + '_ {
        let of = self.values.iter().filter(move |((m, kind), _)| *m == measure && *kind != 0);
        of.map(|((_, kind), value)| (*kind, *value))
    }
}

impl Tx<'_> {
    /// Takes the newest figures of every month that a summary document is about.
    pub(super) fn derive_figures(
        &mut self,
        document: &Document,
        rosters: &RosterChain,
    ) -> Result<(), WriteError> {
        let first = document.genesis().map(|genesis| (genesis.header(), genesis.operation()));
        if let Some((header, Operation::Summary(summary))) = first
            && header.author == self.shared().member
        {
            self.db()
                .prepare_cached(
                    "INSERT INTO figure_day (code, day, doc) VALUES (?1, ?2, ?3)
                     ON CONFLICT (code, day) DO UPDATE SET doc = min(doc, ?3)",
                )?
                .execute(params![summary.code.to_string(), summary.day, header.doc.0])?;
        }
        let mut newest: BTreeMap<u32, &AdmittedEnvelope> = BTreeMap::new();
        for envelope in document.envelopes() {
            let Operation::Summary(summary) = envelope.operation() else { continue };
            let place = |e: &AdmittedEnvelope| (e.chain_place(), e.id());
            let kept = newest.entry(summary.period).or_insert(envelope);
            if place(envelope) > place(kept) {
                *kept = envelope;
            }
        }
        for envelope in newest.into_values() {
            if let Operation::Summary(summary) = envelope.operation() {
                // What an expelled node says of itself counts no more; what it said before stays.
                if rosters.head().member(&envelope.header().author).is_some() {
                    self.keep_figures(envelope, summary)?;
                }
            }
        }
        Ok(())
    }

    fn keep_figures(&mut self, envelope: &AdmittedEnvelope, summary: &Summary) -> Result<(), WriteError> {
        let header = envelope.header();
        let incarnation = header.incarnation.0.to_be_bytes();
        let code = summary.code.to_string();
        let db = self.db();
        let newer = db
            .prepare_cached(
                "INSERT INTO figure_head (code, period, day, incarnation, seq, author, envelope, as_of_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (code, period) DO UPDATE SET day = ?3, incarnation = ?4, seq = ?5, author = ?6,
                    envelope = ?7, as_of_ms = ?8
                 WHERE (?3, ?4, ?5, ?7) > (day, incarnation, seq, envelope)",
            )?
            .execute(params![
                code,
                summary.period,
                summary.day,
                incarnation,
                header.seq.0,
                header.author.0,
                envelope.id().0,
                millis(header.written_at)
            ])?;
        if newer == 0 {
            return Ok(());
        }
        db.prepare_cached("DELETE FROM figure WHERE code = ?1 AND period = ?2")?
            .execute(params![code, summary.period])?;
        let mut insert = db.prepare_cached(
            "INSERT INTO figure (code, period, measure, kind, value) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for value in &summary.values {
            let figure = i64::try_from(value.value).unwrap_or(i64::MAX);
            insert.execute(params![code, summary.period, value.measure as u8, value.kind, figure])?;
        }
        Ok(())
    }
}

impl Reader<'_> {
    /// Months for which there are figures, newest first.
    pub fn figure_periods(&self) -> Result<Vec<u32>, WriteError> {
        let mut select =
            self.db().prepare_cached("SELECT DISTINCT period FROM figure_head ORDER BY period DESC")?;
        let rows = select.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest figures of a month, by code, from summary documents and nothing else.
    pub fn figures(&self, period: u32) -> Result<Vec<Figures>, WriteError> {
        let mut heads = self.db().prepare_cached(
            "SELECT code, author, as_of_ms FROM figure_head WHERE period = ?1 ORDER BY code",
        )?;
        let mut values = self
            .db()
            .prepare_cached("SELECT measure, kind, value FROM figure WHERE code = ?1 AND period = ?2")?;
        let mut found = Vec::new();
        let mut rows = heads.query(params![period])?;
        while let Some(row) = rows.next()? {
            let text: String = row.get(0)?;
            let Ok(code) = text.parse::<Code>() else { continue };
            let as_of: i64 = row.get(2)?;
            let mut figures = Figures {
                key: FiguresKey { code, period },
                author: MemberId(row.get(1)?),
                as_of: Millis(u64::try_from(as_of).unwrap_or_default()),
                values: BTreeMap::new(),
            };
            let mut values = values.query(params![text, period])?;
            while let Some(value) = values.next()? {
                let (measure, figure): (u8, i64) = (value.get(0)?, value.get(2)?);
                if let Some(measure) = Measure::from_byte(measure) {
                    let figure = u64::try_from(figure).unwrap_or_default();
                    figures.values.insert((measure, value.get(1)?), figure);
                }
            }
            found.push(figures);
        }
        Ok(found)
    }

    /// This node's summary document of a day for a code, if it began one, and how long its chain is.
    pub fn own_summary(&self, code: Code, day: u32) -> Result<Option<(DocId, u32)>, WriteError> {
        let mut select = self.db().prepare_cached(
            "SELECT figure_day.doc, (SELECT count(*) FROM envelope WHERE envelope.doc = figure_day.doc)
             FROM figure_day WHERE code = ?1 AND day = ?2",
        )?;
        let row = select
            .query_row(params![code.to_string(), day], |row| Ok((DocId(row.get(0)?), row.get(1)?)))
            .optional()?;
        Ok(row)
    }

    /// Incidents that this node owns, counted from its own tables: opened and closed in each month, by
    /// code and kind.
    pub fn own_counts(&self, measure: Measure) -> Result<BTreeMap<(String, u32, u16), u64>, WriteError> {
        let sql = counts_sql(if measure == Measure::Closed { "closed_period" } else { "period" });
        let mut select = self.db().prepare_cached(&sql)?;
        let rows = select.query_map([], |row| {
            let count: i64 = row.get(3)?;
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), u64::try_from(count).unwrap_or_default()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the first household of a code was registered.
    pub fn first_household(&self, code: Code) -> Result<Option<Millis>, WriteError> {
        let first: Option<i64> = self
            .db()
            .prepare_cached("SELECT min(created_ms) FROM household WHERE code = ?1")?
            .query_row(params![code.to_string()], |row| row.get(0))?;
        Ok(first.map(|at| Millis(u64::try_from(at).unwrap_or_default())))
    }

    /// Households of a code of which somebody was signed in between two instants.
    pub fn active_households(&self, code: Code, from: Millis, before: Millis) -> Result<u64, WriteError> {
        let count: i64 = self
            .db()
            .prepare_cached(
                "SELECT count(*) FROM household WHERE code = ?1 AND EXISTS (
                    SELECT 1 FROM person WHERE person.household = household.id
                    AND person.seen_ms >= ?2 AND person.seen_ms < ?3 AND person.seen_ms > person.created_ms)",
            )?
            .query_row(params![code.to_string(), millis(from), millis(before)], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

/// Own incidents by code, the month in this column, and kind.
pub(super) fn counts_sql(column: &str) -> String {
    format!(
        "SELECT code, {column}, kind, count(*) FROM incident WHERE ours = 3 AND {column} IS NOT NULL GROUP BY 1, 2, 3"
    )
}

/// The values of a summary, sorted as the wire wants them.
#[must_use]
pub fn sorted_values(values: &BTreeMap<(Measure, u16), u64>) -> Vec<SummaryValue> {
    values
        .iter()
        .map(|((measure, kind), value)| SummaryValue { measure: *measure, kind: *kind, value: *value })
        .collect()
}
