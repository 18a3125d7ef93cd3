//! When a node is lost: its authority offers its incidents to a neighbour or takes them itself, the
//! neighbour answers, and whoever answers for them vouches for what an expelled node wrote.
//!
//! No rule reads whether a node is silent; a person decides, says why, and it is in the audit. A connected
//! node in good standing is never taken from.

use protocol::fold::authority;
use protocol::ids::{DocId, MemberId, Millis};
use protocol::operation::{HandoffReason, Operation};
use protocol::roster::{Role, RosterChain};

use super::answer::{fold_of, write_one};
use super::erase::reason;
use super::show::Showing;
use super::{ActError, Desk, LinkState, Viewer};
use crate::store::limits::{TAKEOVERS_AT_ONCE, TAKEOVERS_PER_REQUEST_MAX};
use crate::store::{Queue, Reader, Tx};
use crate::views::{BatchView, LostNodeView, OfferedHereView, TakeoversView, TargetView, WaitingView};

/// Taking over what a lost node has open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeOver {
    /// The lost node.
    pub node: MemberId,
    /// Who is to answer from now on; this node itself takes at once.
    pub to: MemberId,
    /// One incident alone, instead of everything that it has open.
    pub incident: Option<DocId>,
    /// Why, for this node's audit.
    pub why: String,
}

/// Vouching for what an expelled node wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouch {
    /// The expelled node.
    pub node: MemberId,
    /// Only for what had arrived here by then: this node's own clock, which the other could not set.
    pub until: Millis,
    /// Why, for this node's audit.
    pub why: String,
}

/// Why a node is taken for lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Expelled,
    Proven,
    Silent,
}

impl Lost {
    fn name(self) -> &'static str {
        match self {
            Lost::Expelled => "expelled",
            Lost::Proven => "proven",
            Lost::Silent => "silent",
        }
    }
}

impl Desk {
    /// Lost nodes that concern this one, and what is offered to it of them.
    pub async fn lost_nodes(&self, viewer: Viewer) -> Result<TakeoversView, ActError> {
        only_operators(viewer)?;
        self.show(viewer, |showing| {
            let (desk, r) = (showing.desk, showing.r);
            let rosters = desk.rosters();
            let mut lost = Vec::new();
            for member in rosters.head().members() {
                lost.extend(desk.lost_view(r, member.id)?);
            }
            lost.sort_by(|a, b| b.open.cmp(&a.open).then_with(|| a.name.cmp(&b.name)));
            let offered = r.takeovers_offered_here()?.into_iter();
            let offered = offered.map(|(id, count)| OfferedHereView {
                id: id.to_string(),
                name: desk.member_name(&id),
                count,
            });
            Ok(TakeoversView { lost, offered: offered.collect() })
        })
        .await
    }

    /// One lost node with its first open incidents.
    pub async fn lost_node(&self, viewer: Viewer, node: MemberId) -> Result<LostNodeView, ActError> {
        only_operators(viewer)?;
        self.show(viewer, move |showing: &Showing<'_>| {
            let mut view = showing.desk.lost_view(showing.r, node)?.ok_or(ActError::NotFound)?;
            for row in showing.r.open_incidents_of(node)? {
                view.incidents.push(showing.incident(&row, None)?);
            }
            Ok(view)
        })
        .await
    }

    /// Offers what a lost node has open to one of those that may take it, or takes it at once where that
    /// is this node itself. A newer offer replaces one that was not answered.
    pub async fn take_over(&self, viewer: Viewer, asked: TakeOver) -> Result<BatchView, ActError> {
        only_operators(viewer)?;
        let why = reason(&asked.why)?;
        let (node, to) = (asked.node, asked.to);
        if authority(node, self.rosters().head()) != Some(self.us()) {
            return Err(ActError::NotForYou);
        }
        let (lost, candidates) = self
            .store()
            .read({
                let desk = self.clone();
                move |r| Ok::<_, ActError>((desk.lost(r, node)?, r.takeover_candidates(node, to, ALL)?))
            })
            .await?;
        lost.ok_or(ActError::NotNow)?;
        if !self.targets(node).contains(&to) {
            return Err(ActError::Field("to"));
        }
        let chosen: Vec<DocId> = match asked.incident {
            Some(doc) if candidates.contains(&doc) => vec![doc],
            Some(_) => return Err(ActError::NotNow),
            None => candidates,
        };
        self.in_batches(chosen, move |tx, doc| take_over_one(tx, viewer, doc, (node, to), &why)).await
    }

    /// Accepts everything of a lost node that is offered to this one, or with a reason declines it. Its
    /// authority's node then commits by itself.
    pub async fn answer_takeovers(
        &self,
        viewer: Viewer,
        node: MemberId,
        declined: Option<HandoffReason>,
    ) -> Result<BatchView, ActError> {
        only_operators(viewer)?;
        let waiting = self.store().read(move |r| r.takeovers_to_answer(node, ALL)).await?;
        if waiting.is_empty() {
            return Err(ActError::NotNow);
        }
        self.in_batches(waiting, move |tx, doc| answer_one(tx, viewer, doc, declined)).await
    }

    /// Vouches for what an expelled node wrote in every incident that this node owns or took over, as far
    /// as it had arrived here by an instant: it counts again, and what came later does not.
    pub async fn vouch(&self, viewer: Viewer, asked: Vouch) -> Result<BatchView, ActError> {
        only_operators(viewer)?;
        let why = reason(&asked.why)?;
        let (node, until) = (asked.node, asked.until);
        if self.rosters().head().good(&node) {
            return Err(ActError::NotNow);
        }
        let (mut all, mut after) = (BatchView::default(), None);
        // What came later stays unconfirmed, so the walk goes by the documents' ids and not by what is left.
        while let Some(page) = self.sealable(node, after).await? {
            after = page.last().copied();
            let why = why.clone();
            let done =
                self.in_batches(page, move |tx, doc| vouch_one(tx, viewer, doc, (node, until), &why)).await?;
            all = BatchView { done: all.done + done.done, refused: all.refused + done.refused, left: 0 };
            if all.done + all.refused >= u64::try_from(TAKEOVERS_PER_REQUEST_MAX).unwrap_or(u64::MAX) {
                all.left = self.store().read(move |r| r.sealable_count(node)).await?;
                break;
            }
        }
        Ok(all)
    }

    async fn sealable(&self, node: MemberId, after: Option<DocId>) -> Result<Option<Vec<DocId>>, ActError> {
        let page = self.store().read(move |r| r.sealable(node, after, TAKEOVERS_AT_ONCE)).await?;
        Ok(Some(page).filter(|page| !page.is_empty()))
    }

    /// The same in each of many incidents, a few in one transaction. What the rules do not allow in one of
    /// them keeps no other.
    async fn in_batches(
        &self,
        docs: Vec<DocId>,
        work: impl Fn(&mut Tx<'_>, DocId) -> Result<bool, ActError> + Clone + Send + Sync + 'static,
    ) -> Result<BatchView, ActError> {
        let mut all = BatchView::default();
        let now = docs.len().min(TAKEOVERS_PER_REQUEST_MAX);
        all.left = u64::try_from(docs.len() - now).unwrap_or(u64::MAX);
        for some in docs.chunks(TAKEOVERS_AT_ONCE).take(now.div_ceil(TAKEOVERS_AT_ONCE)) {
            let (some, work) = (some.to_vec(), work.clone());
            let job = move |tx: &mut Tx<'_>| -> Result<(u64, u64), ActError> { each(tx, &some, &work) };
            let (done, refused) = self.store().write(Queue::Normal, job).await?;
            all.done += done;
            all.refused += refused;
        }
        Ok(all)
    }

    /// Whether this node has lost sight of another, and for what reason.
    fn lost(&self, r: &Reader<'_>, node: MemberId) -> Result<Option<Lost>, ActError> {
        let rosters = self.rosters();
        if node == self.us() || rosters.head().member(&node).is_none() {
            return Ok(None);
        }
        if !rosters.head().good(&node) {
            return Ok(Some(Lost::Expelled));
        }
        if r.equivocations_of(node)? > 0 {
            return Ok(Some(Lost::Proven));
        }
        let state = self.links().get(&node).map(|link| link.state).unwrap_or_default();
        Ok((state != LinkState::Connected).then_some(Lost::Silent))
    }

    /// Whoever may take incidents of this node: its neighbours and the aggregators that are good.
    fn targets(&self, node: MemberId) -> Vec<MemberId> {
        let rosters = self.rosters();
        let roster = rosters.head();
        let aggregators = roster.members().iter().filter(|member| member.roles.has(Role::Aggregator));
        let mut targets = roster.neighbours(node);
        targets.extend(aggregators.map(|member| member.id));
        targets.sort_unstable();
        targets.dedup();
        targets.retain(|target| *target != node && roster.good(target));
        targets
    }

    /// A lost node, if it is this one's to do something about it.
    fn lost_view(&self, r: &Reader<'_>, node: MemberId) -> Result<Option<LostNodeView>, ActError> {
        let Some(why) = self.lost(r, node)? else { return Ok(None) };
        let rosters = self.rosters();
        let ours_to_take = authority(node, rosters.head()) == Some(self.us());
        let to_vouch = if why == Lost::Expelled { r.sealable_count(node)? } else { 0 };
        if !ours_to_take && to_vouch == 0 {
            return Ok(None);
        }
        let counts = r.takeover_counts(node)?;
        let since = match why {
            Lost::Expelled => expelled_at(&rosters, node),
            Lost::Proven => None,
            Lost::Silent => self.links().get(&node).map(|link| link.since),
        };
        let waiting = counts.waiting.iter();
        let waiting = waiting.map(|(id, count)| WaitingView { node: self.member_name(id), count: *count });
        Ok(Some(LostNodeView {
            id: node.to_string(),
            name: self.member_name(&node),
            why: why.name().to_owned(),
            since_ms: since.map(|since| since.0),
            ours_to_take,
            open: counts.open,
            unoffered: counts.unoffered,
            waiting: waiting.collect(),
            accepted: counts.accepted,
            locked: counts.locked,
            targets: self.targets(node).iter().map(|target| self.target_view(target)).collect(),
            to_vouch,
            incidents: Vec::new(),
        }))
    }

    fn target_view(&self, target: &MemberId) -> TargetView {
        let link = self.links().get(target).map(|link| link.state).unwrap_or_default();
        let state = match link {
            _ if *target == self.us() => "here",
            LinkState::Connected => "connected",
            LinkState::Connecting => "connecting",
            LinkState::Away => "away",
        };
        TargetView { id: target.to_string(), name: self.member_name(target), state: state.to_owned() }
    }
}

/// Ids are read in full: 32 bytes an incident.
const ALL: usize = usize::MAX;

fn only_operators(viewer: Viewer) -> Result<(), ActError> {
    match viewer {
        Viewer::Operator(_) => Ok(()),
        Viewer::Resident(_) | Viewer::Nobody => Err(ActError::NotForYou),
    }
}

/// When the first version of the roster that expels a member was issued.
fn expelled_at(rosters: &RosterChain, node: MemberId) -> Option<Millis> {
    let versions = rosters.versions_after(0);
    let mut rosters = versions.iter().filter_map(|signed| rosters.get(&signed.hash()));
    let expels = rosters.find(|roster| roster.member(&node).is_some_and(|member| !member.is_good()));
    expels.map(|roster| roster.issued)
}

/// Does `work` in each document of one job; counts where it was done and where it was not allowed.
fn each(
    tx: &mut Tx<'_>,
    docs: &[DocId],
    work: &impl Fn(&mut Tx<'_>, DocId) -> Result<bool, ActError>,
) -> Result<(u64, u64), ActError> {
    let (mut done, mut refused) = (0, 0);
    for doc in docs {
        match work(tx, *doc) {
            Ok(true) => done += 1,
            // Somebody was faster.
            Ok(false) => {}
            // Refused before anything of it was written.
            Err(error @ ActError::Rules(_)) => {
                tracing::warn!(%doc, %error, "a takeover or a seal was not written");
                refused += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((done, refused))
}

fn take_over_one(
    tx: &mut Tx<'_>,
    viewer: Viewer,
    doc: DocId,
    (node, to): (MemberId, MemberId),
    why: &str,
) -> Result<bool, ActError> {
    let document = tx.reader().document(doc)?.ok_or(ActError::NotFound)?;
    let (fold, us) = (fold_of(tx, &document)?, tx.member());
    let accepted = fold.takeover.is_some_and(|offer| offer.accept.is_some());
    if fold.owner != node || fold.closed.is_some() || fold.authority != Some(us) || accepted {
        return Ok(false);
    }
    let offered = fold.takeover.filter(|offer| offer.to == to).map(|offer| offer.envelope);
    if to != us {
        if offered.is_none() {
            write_one(tx, viewer, doc, Operation::TakeoverOffer { to }, None, why)?;
        }
        return Ok(offered.is_none());
    }
    let offer = match offered {
        Some(offer) => offer,
        None => write_one(tx, viewer, doc, Operation::TakeoverOffer { to }, None, why)?,
    };
    let accept = write_one(tx, viewer, doc, Operation::Accept { offer }, None, why)?;
    write_one(tx, viewer, doc, Operation::TakeoverCommit { accept }, None, why)?;
    Ok(true)
}

fn answer_one(
    tx: &mut Tx<'_>,
    viewer: Viewer,
    doc: DocId,
    declined: Option<HandoffReason>,
) -> Result<bool, ActError> {
    let document = tx.reader().document(doc)?.ok_or(ActError::NotFound)?;
    let (fold, us) = (fold_of(tx, &document)?, tx.member());
    let offer = fold.takeover.filter(|offer| offer.to == us && offer.accept.is_none());
    let Some(offer) = offer.map(|offer| offer.envelope) else { return Ok(false) };
    let operation = match declined {
        None => Operation::Accept { offer },
        Some(reason) => Operation::Decline { offer, reason },
    };
    write_one(tx, viewer, doc, operation, None, "")?;
    Ok(true)
}

/// Seals the last envelope of the expelled node that had arrived by `until`; with it everything before it
/// on its chain counts.
fn vouch_one(
    tx: &mut Tx<'_>,
    viewer: Viewer,
    doc: DocId,
    (node, until): (MemberId, Millis),
    why: &str,
) -> Result<bool, ActError> {
    let document = tx.reader().document(doc)?.ok_or(ActError::NotFound)?;
    let fold = fold_of(tx, &document)?;
    let traces = tx.reader().traces(doc)?;
    let arrived = |id| traces.get(&id).is_some_and(|(received, _)| *received <= until);
    let theirs = document.envelopes().filter(|e| e.header().author == node);
    let unconfirmed = theirs.filter(|e| fold.unconfirmed.contains(&e.id()) && arrived(e.id()));
    let Some(last) = unconfirmed.max_by_key(|e| (e.chain_place(), e.id())) else { return Ok(false) };
    write_one(tx, viewer, doc, Operation::Seal { node, last: last.id() }, None, why)?;
    Ok(true)
}

#[cfg(test)]
mod tests;
