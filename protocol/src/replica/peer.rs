//! What is known about one connected peer. All of it is of this connection and forgotten with it; what
//! must last is `due`, in the store.

use std::collections::{BTreeMap, BTreeSet};

use super::DueOrder;
use super::timed::Timed;
use crate::digest::Fingerprint;
use crate::document::Document;
use crate::ids::{DocId, EnvelopeId, Millis};
use crate::limits::{
    DIGEST_AGAIN_MS, DIGEST_INTERVAL_MS, DIGEST_WALK_MAX, HELD_IDS_MAX, OFFER_TIMEOUT_MS, PROOF_PAGES_MAX,
    PUSHED_DOCUMENTS_MAX, PUSHED_PER_ASKED, PUSHED_PER_TOLD, PUSHED_UNPROVEN_MAX, TALKS_MAX, WANT_RETRY_MS,
};
use crate::message::Lane;
use crate::proof::VerifiedStatement;

/// How often a `want` is repeated before the next `have` or digest must bring it back.
pub(super) const WANT_TRIES_MAX: u8 = 3;

/// What was said with one peer about one document.
#[derive(Debug, Default)]
pub(super) struct Talk {
    /// The heads of the peer's last whole `have`.
    pub told: Option<BTreeSet<EnvelopeId>>,
    /// Pages of a `have` that is not whole yet.
    pub pages: BTreeSet<EnvelopeId>,
    /// Heads of what this peer sent on this connection and this node could judge.
    pub sent: BTreeSet<EnvelopeId>,
    /// Pages of a proof that is not whole yet, each with whether it is the last.
    statements: BTreeMap<u8, (bool, Vec<VerifiedStatement>)>,
    /// Our heads and the peer's when we last asked it to come up to ours: asking the same again would
    /// go on for ever with a peer that refuses what we hold.
    pub urged: Option<(Fingerprint, BTreeSet<EnvelopeId>)>,
    /// True once what was due was sent without being asked for.
    pub pushed: bool,
    /// The retire that the peer named when it said that it has dropped the contents.
    pub gone: Option<EnvelopeId>,
    used: u64,
}

impl Talk {
    /// Notes that the peer holds an envelope.
    pub fn note_sent(&mut self, id: EnvelopeId, parents: &[EnvelopeId]) {
        for parent in parents {
            self.sent.remove(parent);
        }
        self.sent.insert(id);
        while self.sent.len() > HELD_IDS_MAX / 2 {
            self.sent.pop_first();
        }
    }

    /// Takes a page of a proof; gives all of it once it is whole, in whichever order the pages came.
    pub fn take_page(
        &mut self,
        page: u8,
        last: bool,
        statements: Vec<VerifiedStatement>,
    ) -> Option<Vec<VerifiedStatement>> {
        if page == 0 && last {
            return Some(statements);
        }
        if usize::from(page) >= PROOF_PAGES_MAX {
            return None;
        }
        self.statements.insert(page, (last, statements));
        let end = *self.statements.iter().find(|(_, (last, _))| *last)?.0;
        let whole = (0..=end).all(|page| self.statements.contains_key(&page));
        let pages = whole.then(|| std::mem::take(&mut self.statements))?;
        Some(pages.into_iter().filter(|(page, _)| *page <= end).flat_map(|(_, (_, page))| page).collect())
    }

    /// True if the peer has dropped the contents, as it says: it can be given and asked nothing.
    pub fn has_dropped(&self) -> bool {
        let told = self.told.iter().flatten();
        self.gone.is_some_and(|gone| told.eq([&gone]))
    }

    /// True if the peer is known to hold everything in the document, or wants nothing of it.
    pub fn covers(&self, document: &Document) -> bool {
        if self.has_dropped() {
            return true;
        }
        let known: Vec<EnvelopeId> = self.told.iter().flatten().chain(&self.sent).copied().collect();
        let seen = document.closure_of_held(&known);
        let knows = |id: &EnvelopeId| {
            document.place(id).map_or_else(|| known.contains(id), |place| seen.contains(place))
        };
        !known.is_empty() && document.standing().iter().all(knows)
    }
}

/// A `want` that is not answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub lane: Lane,
    pub tries: u8,
}

/// Pieces of a roster version, in their order.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    pub version: u64,
    pub next: u16,
    pub bytes: Vec<u8>,
}

/// How far the round through everything due has come.
#[derive(Debug)]
pub(super) enum Sweep {
    /// The next row comes after this one.
    After(Option<DueOrder>),
    /// All rows were offered; another round starts then.
    RestsUntil(Millis),
}

/// One connected peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub roster_version: u64,
    pub roster_asked_at: Option<Millis>,
    /// How far below our newest roster version the next question begins: a version beside the line
    /// that we hold is lacking, and may be an old one.
    pub roster_back: u64,
    /// True if something that came since the last question needs one that goes further back.
    pub roster_lacks: bool,
    pub assembly: Assembly,
    pub asked: Timed<Asked>,
    /// Documents offered and not confirmed.
    pub offers: Timed<()>,
    /// Documents of which what is due was sent unasked and that nothing has shown the peer to lack.
    unproven: usize,
    /// Documents sent unasked since it was told of one.
    untold: usize,
    pub sweep: Sweep,
    /// Documents whose `have` is gathered, and until when.
    pub gathered: BTreeSet<DocId>,
    pub gathered_until: Option<Millis>,
    pub digest_at: Millis,
    /// True if a comparison was to begin and waits for what is on its way: it begins once all of that has come.
    digest_waits: bool,
    /// Until when a comparison may wait for what is on its way.
    pub busy_until: Millis,
    /// Comparisons begun since the last equal one.
    pub unequal: u32,
    /// True if the peer has shown since the last comparison that it holds something else.
    pub differs: bool,
    /// After how many comparisons since the last equal one it did.
    differences: u32,
    /// Comparisons put off, one after another, because something was being hashed; none: nothing waits for that.
    unhashed: u32,
    /// When as many digest messages as may be are answered again.
    walk_again_at: Millis,
    pub walk_left: u32,
    /// Digest leaves of the peer that are looked at until the next comparison.
    pub leaves_left: u32,
    talks: BTreeMap<DocId, Talk>,
    /// Documents of `talks` by when they were last talked about.
    quietest: BTreeMap<u64, DocId>,
    clock: u64,
}

impl Peer {
    pub fn new(roster_version: u64, now: Millis) -> Peer {
        Peer {
            roster_version,
            roster_asked_at: None,
            roster_back: 0,
            roster_lacks: false,
            assembly: Assembly::default(),
            asked: Timed::default(),
            offers: Timed::default(),
            unproven: 0,
            untold: 0,
            sweep: Sweep::After(None),
            gathered: BTreeSet::new(),
            gathered_until: None,
            // After what is due was offered.
            digest_at: now.plus(Millis(1)),
            digest_waits: false,
            busy_until: now.plus(Millis(DIGEST_INTERVAL_MS)),
            unequal: 0,
            differs: false,
            differences: 0,
            unhashed: 0,
            walk_again_at: now.plus(Millis(DIGEST_INTERVAL_MS)),
            walk_left: DIGEST_WALK_MAX,
            leaves_left: DIGEST_WALK_MAX,
            talks: BTreeMap::new(),
            quietest: BTreeMap::new(),
            clock: 0,
        }
    }

    /// What was said about a document, begun if nothing was.
    pub fn talk(&mut self, doc: DocId) -> &mut Talk {
        self.clock += 1;
        if !self.talks.contains_key(&doc)
            && self.talks.len() >= TALKS_MAX
            && let Some((_, quietest)) = self.quietest.pop_first()
        {
            self.talks.remove(&quietest);
        }
        let talk = self.talks.entry(doc).or_default();
        self.quietest.remove(&talk.used);
        self.quietest.insert(self.clock, doc);
        talk.used = self.clock;
        talk
    }

    /// True if the peer is known to hold everything in the document.
    pub fn covers(&self, doc: &DocId, document: &Document) -> bool {
        self.talks.get(doc).is_some_and(|talk| talk.covers(document))
    }

    /// What was said about a document, if anything was.
    pub fn known_talk(&self, doc: &DocId) -> Option<&Talk> {
        self.talks.get(doc)
    }

    /// Ends the talk about a document on which both agree.
    pub fn end_talk(&mut self, doc: &DocId) {
        if !self.talks.get(doc).is_some_and(Talk::has_dropped) {
            let ended = self.talks.remove(doc);
            ended.and_then(|talk| self.quietest.remove(&talk.used));
        }
        self.offers.end(doc);
    }

    /// True if the next document that is due may be sent unasked.
    pub fn may_push(&self) -> bool {
        let tells = self.unproven >= PUSHED_UNPROVEN_MAX && self.untold + 1 >= PUSHED_PER_TOLD;
        self.unproven < PUSHED_DOCUMENTS_MAX && !tells
    }

    /// What is due of a document was sent unasked.
    pub fn note_pushed(&mut self) {
        self.unproven += 1;
        self.untold += 1;
    }

    /// The peer was told of a document that is due.
    pub fn note_told(&mut self) {
        self.untold = 0;
    }

    /// The peer asks for something: of a document that is due and that it was told of, it lacks what is due.
    pub fn note_asked(&mut self, doc: &DocId) {
        if self.offers.contains(doc) && !self.talks.get(doc).is_some_and(|talk| talk.pushed) {
            self.unproven = self.unproven.saturating_sub(PUSHED_PER_ASKED);
        }
    }

    /// Forgets what the peer sent of a document, because it is not here any more.
    pub fn forget_sent(&mut self, doc: &DocId) {
        if let Some(talk) = self.talks.get_mut(doc) {
            talk.sent.clear();
        }
    }

    /// Wants that were not answered in time.
    pub fn late_wants(&self, now: Millis) -> Vec<(DocId, Asked)> {
        let late = self.asked.late(now, WANT_RETRY_MS);
        late.into_iter().filter_map(|doc| Some((doc, *self.asked.get(&doc)?))).collect()
    }

    /// When time next matters for this peer.
    pub fn next_wake(&self) -> Millis {
        let asked = self.asked.oldest().map(|at| at.plus(Millis(WANT_RETRY_MS)));
        let offers = self.offers.oldest().map(|at| at.plus(Millis(OFFER_TIMEOUT_MS)));
        let sweep = match self.sweep {
            Sweep::After(_) => None,
            Sweep::RestsUntil(at) => Some(at),
        };
        asked
            .into_iter()
            .chain(offers)
            .chain(sweep)
            .chain(self.gathered_until)
            .min()
            .unwrap_or(self.digest_at)
            .min(self.digest_at)
    }

    /// True while what is missing is on its way anyhow, so that comparing digests would only cost bytes;
    /// for one interval at most.
    pub fn busy(&self, now: Millis) -> bool {
        now < self.busy_until && !(self.offers.is_empty() && self.asked.is_empty())
    }

    /// True if it is time for a comparison, or one has waited long enough.
    pub fn compares(&self, now: Millis) -> bool {
        self.digest_at <= now || (self.digest_waits && !self.busy(now))
    }

    /// Puts a comparison off until nothing is on its way any more.
    pub fn wait_to_compare(&mut self, now: Millis) {
        self.digest_waits = true;
        self.digest_at = now.plus(Millis(DIGEST_AGAIN_MS));
    }

    /// A comparison begins: the next one comes soon if this one finds a difference, and later each time
    /// that it does.
    pub fn begin_comparison(&mut self, now: Millis) {
        self.digest_waits = false;
        let wait = DIGEST_AGAIN_MS << self.unequal.min(5);
        self.digest_at = now.plus(Millis(wait.min(DIGEST_INTERVAL_MS)));
        self.unequal = self.unequal.saturating_add(1);
        self.unhashed = 0;
        self.differences += u32::from(self.differs);
        // Comparing more often is no leave to walk more often.
        if now >= self.walk_again_at {
            self.walk_again_at = now.plus(Millis(DIGEST_INTERVAL_MS));
            self.walk_left = DIGEST_WALK_MAX;
            self.leaves_left = DIGEST_WALK_MAX;
        }
    }

    /// True once every so many comparisons that the peer has answered with something else, as one begins.
    pub fn differs_for(&mut self, comparisons: u32) -> bool {
        std::mem::take(&mut self.differs) && self.differences.is_multiple_of(comparisons)
    }

    /// Puts a comparison off until what it needs was hashed. It is looked at again less and less often meanwhile.
    pub fn wait_for_hashes(&mut self, now: Millis) {
        self.digest_waits = false;
        let wait = DIGEST_AGAIN_MS << self.unhashed.min(5);
        self.digest_at = now.plus(Millis(wait.min(DIGEST_INTERVAL_MS)));
        self.unhashed = self.unhashed.saturating_add(1);
    }

    /// A comparison that waited for that begins.
    pub fn hashes_made(&mut self, now: Millis) {
        if self.unhashed > 0 {
            self.digest_at = now;
        }
    }

    /// A comparison found no difference.
    pub fn found_equal(&mut self, now: Millis) {
        (self.unequal, self.differs, self.differences, self.unhashed) = (0, false, 0, 0);
        self.digest_waits = false;
        self.digest_at = now.plus(Millis(DIGEST_INTERVAL_MS));
        self.busy_until = self.digest_at;
    }
}
