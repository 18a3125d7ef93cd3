//! Mass messages: one operator drafts, another one sends. The same for changing one and for taking it
//! back. Who may speak for which area is the federation's rule; that two people did is kept here.

use protocol::author::Draft;
use protocol::envelope::{BlobClass, BlobRef};
use protocol::ids::{Code, DocId, MemberId, Millis, Nonce};
use protocol::kind::Urgency;
use protocol::operation::{Measure, Notice, NoticeMode, Operation, Point};
use protocol::roster::Role as MemberRole;

use super::show::{Showing, name_of, urgency_name};
use super::{ActError, Desk, Viewer};
use crate::store::limits::{
    NOTICE_DRAFTS_MAX, NOTICE_HEADLINE_CHARS_MAX, NOTICE_HOURS_MAX, NOTICE_TEXT_CHARS_MAX,
};
use crate::store::seal::random;
use crate::store::{
    AuditEntry, DraftFor, DraftRow, NoticeDraft, NoticeRow, NoticeWords, PersonId, Queue, Reader, Role,
    StagedBlob, Tx,
};
use crate::views::{AreaView, DraftView, NoticeView, NoticeWordsView, NoticesView, ReachView};

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// A mass message as an operator writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    /// Real or a drill; it cannot change later.
    pub mode: NoticeMode,
    /// The area; one of [`Desk::areas`].
    pub code: Code,
    /// How pressing.
    pub urgency: Urgency,
    /// For how many hours from when it is sent.
    pub hours: u32,
    /// Its words, one a language; at least one.
    pub words: Vec<NoticeWords>,
}

/// Other words and another end for a message that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWords {
    /// How pressing.
    pub urgency: Urgency,
    /// For how many hours from when the change is sent.
    pub hours: u32,
    /// Its words, one a language; at least one.
    pub words: Vec<NoticeWords>,
}

impl Desk {
    /// What everybody is told now at this node. For its operators also what is over, and what waits for a
    /// second person.
    pub async fn notices(&self, viewer: Viewer) -> Result<NoticesView, ActError> {
        let now = self.store().now();
        self.show(viewer, move |showing| {
            let operator = matches!(viewer, Viewer::Operator(_));
            let mut view = NoticesView {
                active: showing.active(now)?,
                over: Vec::new(),
                drafts: Vec::new(),
                areas: Vec::new(),
            };
            if operator {
                view.over = showing.notice_views(showing.r.notices_before(now)?, now)?;
                let drafts = showing.r.drafts()?;
                view.drafts = drafts.iter().map(|row| showing.draft(row, now)).collect::<Result<_, _>>()?;
                view.areas = showing.desk.areas().into_iter().map(|code| showing.desk.area(code)).collect();
            }
            Ok(view)
        })
        .await
    }

    /// What everybody is told now at this node: for the head of every page.
    pub async fn active_notices(&self, viewer: Viewer) -> Result<Vec<NoticeView>, ActError> {
        let now = self.store().now();
        self.show(viewer, move |showing| showing.active(now)).await
    }

    /// One message. Neighbours see it while it says something; operators always.
    pub async fn notice(&self, viewer: Viewer, doc: DocId) -> Result<NoticeView, ActError> {
        let now = self.store().now();
        self.show(viewer, move |showing| {
            let row = showing.r.notice(doc)?.ok_or(ActError::NotFound)?;
            let operator = matches!(viewer, Viewer::Operator(_));
            let shown = operator || (row.expires > now && showing.is_told(&row)?);
            if !shown {
                return Err(ActError::NotFound);
            }
            showing.notice_view(row, now)
        })
        .await
    }

    /// One draft, with whom it will reach.
    pub async fn notice_draft(&self, viewer: Viewer, number: i64) -> Result<DraftView, ActError> {
        operator(viewer)?;
        let now = self.store().now();
        self.show(viewer, move |showing| {
            let row = showing.r.draft(number)?.ok_or(ActError::NotFound)?;
            showing.draft(&row, now)
        })
        .await
    }

    /// Writes a new message for a second person to send.
    pub async fn draft_notice(&self, viewer: Viewer, asked: NewNotice) -> Result<DraftView, ActError> {
        if !self.areas().contains(&asked.code) {
            return Err(ActError::Field("code"));
        }
        let draft = NoticeDraft {
            what: DraftFor::Open,
            drill: asked.mode == NoticeMode::Drill,
            code: asked.code.to_string(),
            urgency: asked.urgency as u8,
            hours: hours(asked.hours)?,
            words: fitting(asked.words)?,
        };
        self.keep_draft(viewer, None, draft).await
    }

    /// Writes other words and another end for a message of ours.
    pub async fn draft_update(
        &self,
        viewer: Viewer,
        doc: DocId,
        asked: NewWords,
    ) -> Result<DraftView, ActError> {
        let row = self.ours_and_told(viewer, doc).await?;
        let draft = NoticeDraft {
            what: DraftFor::Update,
            drill: row.drill,
            code: row.code.to_string(),
            urgency: asked.urgency as u8,
            hours: hours(asked.hours)?,
            words: fitting(asked.words)?,
        };
        self.keep_draft(viewer, Some(doc), draft).await
    }

    /// Writes that a message of ours is taken back, and why.
    pub async fn draft_cancel(
        &self,
        viewer: Viewer,
        doc: DocId,
        why: Vec<NoticeWords>,
    ) -> Result<DraftView, ActError> {
        let row = self.ours_and_told(viewer, doc).await?;
        let draft = NoticeDraft {
            what: DraftFor::Cancel,
            drill: row.drill,
            code: row.code.to_string(),
            urgency: row.urgency as u8,
            hours: 0,
            words: fitting(why)?,
        };
        self.keep_draft(viewer, Some(doc), draft).await
    }

    /// Sends a draft of somebody else. `mode` is what the second person believes to send.
    pub async fn approve_notice(
        &self,
        viewer: Viewer,
        number: i64,
        mode: NoticeMode,
    ) -> Result<NoticeView, ActError> {
        let person = operator(viewer)?;
        let row = self.store().read(move |r| r.draft(number)).await?.ok_or(ActError::NotFound)?;
        if row.drafted_by == person {
            return Err(ActError::SecondPerson);
        }
        if row.draft.drill != (mode == NoticeMode::Drill) {
            return Err(ActError::Field("mode"));
        }
        let mut words = Vec::with_capacity(row.draft.words.len());
        for one in &row.draft.words {
            words.push(self.store().stage_blob(one.encode()).await?);
        }
        let work = move |tx: &mut Tx<'_>| -> Result<DocId, ActError> { send(tx, person, &row, &words) };
        let doc = self.store().write(Queue::Urgent, work).await?;
        self.notice(viewer, doc).await
    }

    /// Drops a draft that is not to be sent.
    pub async fn discard_notice(&self, viewer: Viewer, number: i64) -> Result<(), ActError> {
        let person = operator(viewer)?;
        let work = move |tx: &mut Tx<'_>| -> Result<(), ActError> {
            if !tx.drop_draft(number)? {
                return Err(ActError::NotFound);
            }
            tx.audit(Some(person), &audited(person, "notice discard", &format!("draft {number}"), ""))?;
            Ok(tx.event(crate::store::What::Notice, None)?)
        };
        self.store().write(Queue::Normal, work).await
    }

    /// Areas for which this node may speak: its own codes, those of the nodes below an aggregator, and the
    /// country for the one at the top.
    #[must_use]
    pub fn areas(&self) -> Vec<Code> {
        let rosters = self.rosters();
        let (roster, us) = (rosters.head(), self.us());
        let mut areas = self.own_codes();
        let aggregator = roster.has_role(&us, MemberRole::Aggregator);
        if aggregator {
            let codes = roster.members().iter().flat_map(|member| member.codes.iter().copied());
            let below = |code: &Code| {
                roster.receiving_node(*code).is_some_and(|receiver| roster.above(receiver).contains(&us))
            };
            areas.extend(codes.filter(below));
        }
        areas.sort_unstable();
        areas.dedup();
        let top = aggregator && roster.member(&us).is_some_and(|member| member.authority.is_none());
        if top {
            let country = areas.first().map_or(*b"CL", |code| code.country);
            areas.insert(0, Code { country, number: 0 });
        }
        areas
    }

    fn area(&self, code: Code) -> AreaView {
        AreaView { code: code.to_string(), name: self.area_name(code) }
    }

    /// Empty for the whole country: the page has the word.
    fn area_name(&self, code: Code) -> String {
        if code.number == 0 { String::new() } else { self.place_name(code) }
    }

    async fn keep_draft(
        &self,
        viewer: Viewer,
        doc: Option<DocId>,
        draft: NoticeDraft,
    ) -> Result<DraftView, ActError> {
        let person = operator(viewer)?;
        let work = move |tx: &mut Tx<'_>| -> Result<i64, ActError> {
            if tx.reader().drafts()?.len() >= NOTICE_DRAFTS_MAX {
                return Err(ActError::NotNow);
            }
            let number = tx.add_draft(doc, person, &draft)?;
            let what = format!("notice {} draft", name_of(&draft.what));
            tx.audit(Some(person), &audited(person, &what, &format!("draft {number}"), ""))?;
            tx.event(crate::store::What::Notice, None)?;
            Ok(number)
        };
        let number = self.store().write(Queue::Normal, work).await?;
        self.notice_draft(viewer, number).await
    }

    /// A message of this node that still says something, and was not taken back.
    async fn ours_and_told(&self, viewer: Viewer, doc: DocId) -> Result<NoticeRow, ActError> {
        operator(viewer)?;
        let row = self.store().read(move |r| r.notice(doc)).await?.ok_or(ActError::NotFound)?;
        if row.author != self.us() {
            return Err(ActError::NotForYou);
        }
        let over = row.cancelled || row.expires <= self.store().now();
        if over { Err(ActError::NotNow) } else { Ok(row) }
    }

    /// How many households a message for this area reaches: counted here, and by the last figures of others.
    fn households(&self, r: &Reader<'_>, code: Code, now: Millis) -> Result<ReachView, ActError> {
        let mut areas = if code.number == 0 { self.areas() } else { vec![code] };
        areas.retain(|code| code.number != 0);
        let (own, mut reach) = (self.own_codes(), ReachView { households: 0, unknown: Vec::new() });
        // The first days of a month may have no figures yet.
        let periods = r.figure_periods()?.into_iter().take(2);
        let figures = periods.map(|period| r.figures(period)).collect::<Result<Vec<_>, _>>()?;
        for area in areas {
            let given = || figures.iter().flatten().find(|figures| figures.key.code == area);
            let counted = if own.contains(&area) && self.is_municipal() {
                Some(r.households_before(area, now.plus(Millis(1)))?)
            } else {
                given().map(|figures| figures.total(Measure::RegisteredAddresses))
            };
            match counted {
                Some(households) => reach.households += households,
                None => reach.unknown.push(self.place_name(area)),
            }
        }
        Ok(reach)
    }
}

impl Showing<'_> {
    /// What is told now to whoever looks at this node's pages.
    fn active(&self, now: Millis) -> Result<Vec<NoticeView>, ActError> {
        let mut rows = self.r.notices_after(now)?;
        let mut told = Vec::new();
        for row in rows.drain(..) {
            if self.is_told(&row)? {
                told.push(self.notice_view(row, now)?);
            }
        }
        Ok(told)
    }

    /// True for what concerns people here: the country, this node's own area, everything below an
    /// aggregator; where it is for some cells only, those who live in one, and whoever has no known home.
    /// Never what an expelled node wrote and nobody confirmed.
    fn is_told(&self, row: &NoticeRow) -> Result<bool, ActError> {
        let above = self.desk.rosters().head().has_role(&self.desk.us(), MemberRole::Aggregator);
        let here = row.code.number == 0 || above || self.desk.own_codes().contains(&row.code);
        if !row.confirmed || !here {
            return Ok(false);
        }
        let Viewer::Resident(person) = self.viewer else { return Ok(true) };
        if row.cells.is_empty() {
            return Ok(true);
        }
        let home = self.r.person(person)?.filter(|row| row.role == Role::Resident);
        let home = home.and_then(|row| row.profile.home).and_then(|(lat, lon)| Point::from_degrees(lat, lon));
        Ok(home.is_none_or(|home| config::cells::in_cells(home, &row.cells)))
    }

    fn notice_views(&self, rows: Vec<NoticeRow>, now: Millis) -> Result<Vec<NoticeView>, ActError> {
        rows.into_iter().map(|row| self.notice_view(row, now)).collect()
    }

    fn notice_view(&self, row: NoticeRow, now: Millis) -> Result<NoticeView, ActError> {
        let (desk, r) = (self.desk, self.r);
        let ours = row.author == desk.us();
        let hands = if ours { r.hands(&row.said)? } else { None };
        let hands =
            hands.map(|(drafted, approved)| (self.operator_by_id(drafted), self.operator_by_id(approved)));
        let (drafted_by, approved_by) = hands.unwrap_or_default();
        let words = words_views(&r.notice_words(&row.words)?);
        Ok(NoticeView {
            id: row.doc.to_string(),
            node: self.issuer(&row.author),
            ours,
            code: row.code.to_string(),
            place: desk.area_name(row.code),
            drill: row.drill,
            urgency: urgency_name(row.urgency).to_owned(),
            opened_ms: row.opened.0,
            expires_ms: row.expires.0,
            active: row.expires > now && !row.cancelled,
            cancelled: row.cancelled,
            changed: row.changed,
            confirmed: row.confirmed,
            pending: words.is_empty() && !row.words.is_empty(),
            words,
            cancel_words: words_views(&r.notice_words(&row.cancel_words)?),
            drafted_by,
            approved_by,
        })
    }

    fn issuer(&self, author: &MemberId) -> String {
        self.desk.member_name(author)
    }

    fn draft(&self, row: &DraftRow, now: Millis) -> Result<DraftView, ActError> {
        let code: Code = row.draft.code.parse().unwrap_or(Code::OUTSIDE);
        let yours = self.viewer.person() == Some(row.drafted_by);
        Ok(DraftView {
            number: row.number,
            what: name_of(&row.draft.what),
            notice: row.doc.map(|doc| doc.to_string()),
            drill: row.draft.drill,
            code: row.draft.code.clone(),
            place: self.desk.area_name(code),
            urgency: urgency_name(urgency_of(&row.draft)).to_owned(),
            hours: row.draft.hours,
            words: words_views(&row.draft.words),
            drafted_by: self.operator_by_id(row.drafted_by),
            drafted_ms: row.drafted.0,
            yours,
            reach: self.desk.households(self.r, code, now)?,
        })
    }
}

/// Writes what a draft says, by the second person's hand, and forgets the draft.
fn send(tx: &mut Tx<'_>, person: PersonId, row: &DraftRow, words: &[StagedBlob]) -> Result<DocId, ActError> {
    if !tx.drop_draft(row.number)? {
        // Somebody was faster, with the same draft or by discarding it.
        return Err(ActError::NotNow);
    }
    let operation = operation(tx, person, row)?;
    let mut blobs = Vec::with_capacity(words.len());
    for staged in words {
        tx.keep_blob(staged, None)?;
        blobs.push(BlobRef { class: BlobClass::Shared, id: staged.id() });
    }
    let what = operation.name();
    let draft = Draft { operation, blobs, answers: Vec::new(), written_at: tx.now() };
    let envelope = tx.append(row.doc, &draft, Some(person))?;
    let doc = envelope.header().doc;
    tx.keep_hands(envelope.id(), row.drafted_by, person)?;
    let why = format!("draft {} of operator {}", row.number, row.drafted_by.0);
    tx.audit(Some(person), &audited(person, what, &doc.to_string(), &why))?;
    Ok(doc)
}

fn operation(tx: &Tx<'_>, person: PersonId, row: &DraftRow) -> Result<Operation, ActError> {
    let now = tx.now();
    let expires = now.plus(Millis(u64::from(row.draft.hours) * HOUR_MS));
    let urgency = urgency_of(&row.draft);
    let Some(doc) = row.doc else {
        let mode = if row.draft.drill { NoticeMode::Drill } else { NoticeMode::Live };
        let code = row.draft.code.parse().map_err(|_| ActError::Field("code"))?;
        let (nonce, cells) = (Nonce(random()), Vec::new());
        return Ok(Operation::NoticeOpen(Notice { urgency, code, nonce, mode, opened: now, expires, cells }));
    };
    let reader = tx.reader();
    if reader.notice(doc)?.is_none_or(|row| row.cancelled || row.expires <= now) {
        return Err(ActError::NotNow);
    }
    if row.draft.what == DraftFor::Cancel {
        let by = reader.pseudonym(person, doc)?.ok_or(ActError::NotForYou)?;
        return Ok(Operation::NoticeCancel { by });
    }
    let document = reader.document(doc)?.ok_or(ActError::NotFound)?;
    let first = document.genesis().map(|genesis| genesis.operation());
    let Some(Operation::NoticeOpen(first)) = first else { return Err(ActError::NotFound) };
    Ok(Operation::NoticeUpdate(Notice { urgency, opened: now, expires, ..first.clone() }))
}

fn operator(viewer: Viewer) -> Result<PersonId, ActError> {
    match viewer {
        Viewer::Operator(person) => Ok(person),
        Viewer::Resident(_) | Viewer::Nobody => Err(ActError::NotForYou),
    }
}

fn audited(person: PersonId, what: &str, on: &str, why: &str) -> AuditEntry {
    let who = Viewer::Operator(person).audit_name();
    AuditEntry { who, what: what.into(), on: on.into(), why: why.into() }
}

fn urgency_of(draft: &NoticeDraft) -> Urgency {
    Urgency::from_byte(draft.urgency).unwrap_or(Urgency::High)
}

fn hours(hours: u32) -> Result<u32, ActError> {
    if (1..=NOTICE_HOURS_MAX).contains(&hours) { Ok(hours) } else { Err(ActError::Field("hours")) }
}

/// Words as they are sent: a headline of one line in each language, no longer than a locked screen shows.
fn fitting(words: Vec<NoticeWords>) -> Result<Vec<NoticeWords>, ActError> {
    if words.is_empty() {
        return Err(ActError::Field("headline"));
    }
    let fit = |words: NoticeWords| {
        let (headline, text) = (words.headline.trim().to_owned(), words.text.trim().to_owned());
        let too_long = headline.chars().count() > NOTICE_HEADLINE_CHARS_MAX;
        if headline.is_empty() || too_long || headline.contains('\n') {
            return Err(ActError::Field("headline"));
        }
        if text.chars().count() > NOTICE_TEXT_CHARS_MAX {
            return Err(ActError::Field("text"));
        }
        Ok(NoticeWords { headline, text, ..words })
    };
    words.into_iter().map(fit).collect()
}

/// As they are shown: whatever another node sent, no longer than ours would be.
fn words_views(words: &[NoticeWords]) -> Vec<NoticeWordsView> {
    let cut = |text: &str, count: usize| text.chars().take(count).collect::<String>();
    let view = |words: &NoticeWords| NoticeWordsView {
        lang: words.lang.clone(),
        headline: cut(&words.headline, NOTICE_HEADLINE_CHARS_MAX),
        text: cut(&words.text, NOTICE_TEXT_CHARS_MAX),
    };
    words.iter().map(view).collect()
}

#[cfg(test)]
mod tests;
