//! The read table of incidents: one row a document, brought up to date with it.

use config::cells::cell_center;
use protocol::document::Document;
use protocol::envelope::AdmittedEnvelope;
use protocol::fold::{Fold, Matter};
use protocol::ids::{BlobId, Cell, Code, DocId, EnvelopeId, MemberId, Millis, Pseudonym};
use protocol::kind::Urgency;
use protocol::limits::RING_AGE_MS_MAX;
use protocol::operation::{ContributionKind, Operation, Outcome, Point, Source, Step};
use rusqlite::{OptionalExtension as _, Row, params};

use crate::store::WriteError;
use crate::store::arrivals::Came;
use crate::store::documents::Ours;
use crate::store::duplicates::{HIDDEN, hidden};
use crate::store::limits::INCIDENTS_ANSWER_MAX;
use crate::store::people::millis;
use crate::store::reader::Reader;
use crate::store::tx::Tx;

/// An incident as its document and this node's own knowledge of it say.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentRow {
    /// The document.
    pub doc: DocId,
    /// Its genesis.
    pub genesis: EnvelopeId,
    /// Number of its kind.
    pub kind: u16,
    /// How pressing.
    pub urgency: Urgency,
    /// The jurisdiction of the place.
    pub code: Code,
    /// The cell of the place.
    pub cell: Cell,
    /// The place as everybody who holds the document knows it: exact for kinds about places, else the
    /// middle of the cell.
    pub place: Option<Point>,
    /// True if `place` is exact.
    pub exact: bool,
    /// How it came in.
    pub source: Source,
    /// When, as its author's clock said.
    pub opened: Millis,
    /// Who opened it.
    pub author: MemberId,
    /// Who owns it.
    pub owner: MemberId,
    /// Who answers for it.
    pub answering: MemberId,
    /// To whom it is offered, while that node has not answered.
    pub offered_to: Option<MemberId>,
    /// The last step.
    pub step: Option<Step>,
    /// How it ended, while it is closed.
    pub outcome: Option<Outcome>,
    /// Who took it on, if that was at the node that owns it.
    pub claimed: Option<Pseudonym>,
    /// True once somebody at this node did something about it.
    pub touched: bool,
    /// "I saw it too."
    pub saw_it_too: u32,
    /// Crews on the way or on site.
    pub crews: u32,
    /// The blob with the words.
    pub words: Option<BlobId>,
    /// The blob with the exact place: the words, unless the place was corrected.
    pub place_words: Option<BlobId>,
    /// When something of it was last stored here.
    pub changed: Millis,
    /// True if it came too late to ring.
    pub late: bool,
    /// True if its author had opened more than may page people.
    pub bulk: bool,
    /// Alerts of people here that belong to it.
    pub alerts: u32,
    /// A referral to this node that waits for its answer.
    pub asked: Asked,
    /// True once its owner ended it for good.
    pub retired: bool,
    /// True if it is shown below another that it is the same as.
    pub hidden: bool,
}

/// A referral to this node that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Asked {
    /// There is none.
    #[default]
    No,
    /// It came too late to ring.
    Late,
    /// It came in time.
    InTime,
}

impl IncidentRow {
    /// True while it rings at a desk that it concerns.
    #[must_use]
    pub fn rings(&self) -> bool {
        let waits = self.step.is_none() && !self.touched && !self.late;
        let calls = waits || self.asked == Asked::InTime;
        calls && self.outcome.is_none() && self.urgency.rings() && !self.bulk && !self.hidden
    }
}

/// The row's columns, for every select.
pub(super) const COLUMNS: &str = concat!(
    "incident.doc, envelope, kind, urgency, code, cell, lat, lon, exact, source, opened_ms, author,
    owner, answering, offered_to, step, outcome, claimed, touched, saw_it_too, crews, words, changed_ms,
    late, bulk,
    (SELECT count(*) FROM alert WHERE alert.doc = incident.doc), place_words, asked, retired, ",
    hidden!()
);
/// How many of them: the place of one more.
const COLUMNS_COUNT: usize = 30;
pub(super) const FROM: &str = "FROM incident";

impl Tx<'_> {
    pub(super) fn derive_incident(
        &mut self,
        doc: DocId,
        document: &Document,
        fold: &Fold,
        ours: Ours,
        begun: Option<Came>,
    ) -> Result<(), WriteError> {
        let Some(genesis) = document.genesis() else { return Ok(()) };
        let Operation::Open(open) = genesis.operation() else { return Ok(()) };
        let Some(matter) = fold.matter else { return Ok(()) };
        let us = self.shared().member;
        let calendar = &self.shared().calendar;
        let place = matter.point.or_else(|| cell_center(matter.cell)).map(Point::degrees);
        let seen = fold.contributions.get(&ContributionKind::SawItToo).copied().unwrap_or_default();
        let accepted = fold.takeover.is_some_and(|offer| offer.accept.is_some());
        let takes_over = fold.authority.filter(|_| accepted);
        let closed_at = closed_at(document, fold);
        let closed_period = closed_at.map(|at| calendar.period(at));
        let (came, changed) = match begun {
            Some(came) => (came, millis(self.now())),
            None => (self.reader().how_it_came(doc, &genesis.id())?, self.reader().changed(doc)?),
        };
        self.db()
            .prepare_cached(
                "INSERT OR REPLACE INTO incident (doc, envelope, kind, urgency, code, cell, lat, lon, exact,
                    source, opened_ms, period, day, author, owner, answering, offered_to, accepted, step,
                    outcome, closed_period, claimed, touched, saw_it_too, crews, words, changed_ms, takes_over,
                    place_words, nonce, asked, closed_ms, retired, takeover_to, took_over, unconfirmed,
                    late, bulk, ours)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19,
                    ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36,
                    ?37, ?38, ?39)",
            )?
            .execute(params![
                doc.0,
                genesis.id().0,
                matter.kind,
                matter.urgency as u8,
                matter.code.to_string(),
                matter.cell.0.cast_signed(),
                place.map(|place| place.0),
                place.map(|place| place.1),
                matter.point.is_some(),
                open.source as u8,
                millis(open.opened),
                calendar.period(open.opened),
                calendar.day(open.opened),
                genesis.header().author.0,
                fold.owner.0,
                fold.answering.0,
                offered(fold).map(|member| member.0),
                fold.offer.and_then(|offer| offer.accept).map(|accept| accept.0),
                fold.step.map_or(0, |step| step as u8),
                fold.closed.map(|outcome| outcome as u8),
                closed_period,
                claimed(document, fold).map(|by| by.0),
                touched(document, us),
                seen,
                u32::try_from(fold.crews_out()).unwrap_or(u32::MAX),
                genesis.header().blobs.first().map(|blob| blob.id.0),
                changed,
                takes_over.map(|member| member.0),
                place_words(document, genesis, &matter).map(|blob| blob.0),
                open.nonce.0,
                self.reader().asked(doc, fold)? as u8,
                closed_at.map(millis),
                fold.retired.is_some(),
                taken_over_to(fold).map(|member| member.0),
                took_over(document, us),
                u32::try_from(fold.unconfirmed.len()).unwrap_or(u32::MAX),
                came == Came::Late,
                came == Came::PastShare,
                ours as u8,
            ])?;
        self.derive_merges(doc, fold, begun.is_some())?;
        self.heed_blobs(doc, fold)
    }
}

/// The blob with the exact place: of the correction that moved it last, else of the genesis.
fn place_words(document: &Document, genesis: &AdmittedEnvelope, matter: &Matter) -> Option<BlobId> {
    let placed = matter.relocated.and_then(|id| document.envelope(&id)).unwrap_or(genesis);
    placed.header().blobs.first().map(|blob| blob.id)
}

/// To whom it is offered and who has not answered: by the authority of a lost owner, or by the owner. The
/// genesis offers too.
fn offered(fold: &Fold) -> Option<MemberId> {
    let by_owner = fold.offer.filter(|offer| offer.accept.is_none()).map(|offer| offer.to);
    taken_over_to(fold).or(by_owner)
}

fn taken_over_to(fold: &Fold) -> Option<MemberId> {
    fold.takeover.filter(|offer| offer.accept.is_none()).map(|offer| offer.to)
}

/// True if this node, as the authority, has taken it over from somebody.
fn took_over(document: &Document, us: MemberId) -> bool {
    let commits = |e: &AdmittedEnvelope| matches!(e.operation(), Operation::TakeoverCommit { .. });
    document.envelopes().any(|e| e.header().author == us && commits(e))
}

/// When the close that counts was written.
fn closed_at(document: &Document, fold: &Fold) -> Option<Millis> {
    fold.closed?;
    let closes = document
        .envelopes()
        .filter(|e| e.header().author == fold.owner && matches!(e.operation(), Operation::Close { .. }));
    closes.max_by_key(|e| (e.chain_place(), e.id())).map(|e| e.header().written_at)
}

/// Who took the last step "received" that counts, if the owner of today wrote it.
fn claimed(document: &Document, fold: &Fold) -> Option<Pseudonym> {
    let taken =
        fold.steps.iter().rev().find(|taken| taken.step == Step::Received && taken.author == fold.owner)?;
    let operation = document.envelope(&taken.envelope)?.operation();
    if let Operation::Step { by, .. } = operation { Some(*by) } else { None }
}

/// True once this node did more than open it.
fn touched(document: &Document, us: MemberId) -> bool {
    document.envelopes().any(|e| {
        let acts = matches!(
            e.operation(),
            Operation::Step { .. }
                | Operation::Respond { .. }
                | Operation::Note { .. }
                | Operation::Accept { .. }
                | Operation::Decline { .. }
                | Operation::Commit { .. }
                | Operation::Close { .. }
                | Operation::Offer { .. }
                | Operation::Refer { .. }
                | Operation::AnswerReferral { .. }
                | Operation::Reclassify { .. }
                | Operation::Relocate(_)
                | Operation::Link { .. }
                | Operation::Absorb { .. }
                | Operation::Dispute { .. }
        );
        acts && e.header().author == us
    })
}

/// By the index of when they were opened, from which their days follow.
pub(super) const PER_DAY: &str =
    "SELECT day, count(*) FROM incident WHERE opened_ms >= ?1 AND opened_ms < ?2 GROUP BY day ORDER BY day";

impl Reader<'_> {
    /// One incident.
    pub fn incident(&self, doc: DocId) -> Result<Option<IncidentRow>, WriteError> {
        let sql = format!("SELECT {COLUMNS} {FROM} WHERE incident.doc = ?1");
        Ok(self.db().prepare_cached(&sql)?.query_row(params![doc.0], incident_row).optional()?)
    }

    /// Number of an incident's kind.
    pub fn incident_kind(&self, doc: DocId) -> Result<Option<u16>, WriteError> {
        let mut select = self.db().prepare_cached("SELECT kind FROM incident WHERE doc = ?1")?;
        Ok(select.query_row(params![doc.0], |row| row.get(0)).optional()?)
    }

    /// Incidents whose place may lie within `radius_m` of a point, opened after `since`, newest first.
    /// The caller measures: this is a box.
    pub fn incidents_around(
        &self,
        at: Point,
        radius_m: f64,
        since: Millis,
    ) -> Result<Vec<IncidentRow>, WriteError> {
        let (lat, lon) = at.degrees();
        let high = radius_m / 111_000.0;
        let wide = high / lat.to_radians().cos().abs().max(0.01);
        let sql = format!(
            "SELECT {COLUMNS} {FROM} WHERE lat BETWEEN ?1 AND ?2 AND lon BETWEEN ?3 AND ?4 AND opened_ms > ?5
                AND NOT {HIDDEN} ORDER BY opened_ms DESC LIMIT ?6"
        );
        let values = params![lat - high, lat + high, lon - wide, lon + wide, millis(since), answer_max()];
        self.incidents(&sql, values)
    }

    /// The newest incidents held, newest first.
    pub fn newest_incidents(&self, count: u32) -> Result<Vec<IncidentRow>, WriteError> {
        let sql = format!("SELECT {COLUMNS} {FROM} WHERE NOT {HIDDEN} ORDER BY opened_ms DESC LIMIT ?1");
        self.incidents(&sql, params![count])
    }

    /// Open incidents by jurisdiction code, as far as they are held.
    pub fn open_by_code(&self) -> Result<Vec<(String, u64)>, WriteError> {
        let sql = format!(
            "SELECT code, count(*) FROM incident WHERE outcome IS NULL AND NOT {HIDDEN} GROUP BY code ORDER BY code"
        );
        self.pairs(&sql, params![])
    }

    /// Incidents per day of a month, as far as they are held: (yyyymmdd, count).
    pub fn incidents_per_day(&self, period: u32) -> Result<Vec<(u32, u64)>, WriteError> {
        let calendar = self.calendar();
        let (start, end) = (calendar.start(period), calendar.start(calendar.next(period)));
        self.pairs(PER_DAY, params![millis(start), millis(end)])
    }

    /// Incidents opened after an instant, as far as they are held.
    pub fn incidents_since(&self, since: Millis) -> Result<u64, WriteError> {
        let count: i64 = self
            .db()
            .prepare_cached("SELECT count(*) FROM incident WHERE opened_ms > ?1")?
            .query_row(params![millis(since)], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or_default())
    }

    pub(super) fn incidents(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<IncidentRow>, WriteError> {
        let mut select = self.db().prepare_cached(sql)?;
        let rows = select.query_map(values, incident_row)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// As [`Reader::incidents`], with one more column.
    pub(super) fn with_flag(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<(IncidentRow, bool)>, WriteError> {
        let mut select = self.db().prepare_cached(sql)?;
        let rows = select.query_map(values, |row| Ok((incident_row(row)?, row.get(COLUMNS_COUNT)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When something of a document was last stored here.
    fn changed(&self, doc: DocId) -> Result<i64, WriteError> {
        let mut select = self.db().prepare_cached("SELECT max(received_ms) FROM envelope WHERE doc = ?1")?;
        Ok(select.query_row(params![doc.0], |row| row.get(0))?)
    }

    /// Whether a referral to this node waits for its answer, and whether the last of them came in time.
    fn asked(&self, doc: DocId, fold: &Fold) -> Result<Asked, WriteError> {
        let us = self.member();
        let waits = fold.referrals.iter().filter(|(_, to)| to.to == Some(us) && to.answer.is_none());
        let mut asked = Asked::No;
        for (envelope, _) in waits {
            let age: Option<i64> = self
                .db()
                .prepare_cached("SELECT received_ms - written_ms FROM envelope WHERE doc = ?1 AND id = ?2")?
                .query_row(params![doc.0, envelope.0], |row| row.get(0))
                .optional()?;
            let in_time = age.is_some_and(|age| age <= millis(Millis(RING_AGE_MS_MAX)));
            asked = if in_time || asked == Asked::InTime { Asked::InTime } else { Asked::Late };
        }
        Ok(asked)
    }

    pub(super) fn pairs<K: rusqlite::types::FromSql>(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<(K, u64)>, WriteError> {
        let mut select = self.db().prepare_cached(sql)?;
        let rows = select.query_map(values, |row| {
            let count: i64 = row.get(1)?;
            Ok((row.get(0)?, u64::try_from(count).unwrap_or_default()))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

fn answer_max() -> u32 {
    u32::try_from(INCIDENTS_ANSWER_MAX).expect("a small limit")
}

fn incident_row(row: &Row<'_>) -> rusqlite::Result<IncidentRow> {
    let millis_at = |index: usize| -> rusqlite::Result<Millis> {
        Ok(Millis(u64::try_from(row.get::<_, i64>(index)?).unwrap_or_default()))
    };
    let code: String = row.get(4)?;
    let (lat, lon): (Option<f64>, Option<f64>) = (row.get(6)?, row.get(7)?);
    let place = lat.zip(lon).and_then(|(lat, lon)| Point::from_degrees(lat, lon));
    let offered: Option<[u8; 32]> = row.get(14)?;
    let outcome: Option<u8> = row.get(16)?;
    let claimed: Option<[u8; 32]> = row.get(17)?;
    let words: Option<[u8; 32]> = row.get(21)?;
    let place_words: Option<[u8; 32]> = row.get(26)?;
    Ok(IncidentRow {
        doc: DocId(row.get(0)?),
        genesis: EnvelopeId(row.get(1)?),
        kind: row.get(2)?,
        urgency: Urgency::from_byte(row.get(3)?).unwrap_or(Urgency::Emergency),
        code: code.parse().unwrap_or(Code::OUTSIDE),
        cell: Cell(row.get::<_, i64>(5)?.cast_unsigned()),
        place,
        exact: row.get(8)?,
        source: Source::from_byte(row.get(9)?).unwrap_or(Source::Node),
        opened: millis_at(10)?,
        author: MemberId(row.get(11)?),
        owner: MemberId(row.get(12)?),
        answering: MemberId(row.get(13)?),
        offered_to: offered.map(MemberId),
        step: Step::from_byte(row.get(15)?),
        outcome: outcome.and_then(Outcome::from_byte),
        claimed: claimed.map(Pseudonym),
        touched: row.get(18)?,
        saw_it_too: row.get(19)?,
        crews: row.get(20)?,
        words: words.map(BlobId),
        changed: millis_at(22)?,
        late: row.get(23)?,
        bulk: row.get(24)?,
        alerts: row.get(25)?,
        place_words: place_words.map(BlobId),
        asked: match row.get(27)? {
            0_u8 => Asked::No,
            1 => Asked::Late,
            _ => Asked::InTime,
        },
        retired: row.get(28)?,
        hidden: row.get(29)?,
    })
}

impl Reader<'_> {
    /// True if this node sees an incident in full: it owns it, is involved, invited or offered it.
    pub fn is_involved(&self, doc: DocId) -> Result<bool, WriteError> {
        let mut select = self.db().prepare_cached("SELECT 1 FROM incident WHERE doc = ?1 AND ours >= 2")?;
        Ok(select.exists(params![doc.0])?)
    }
}
