//! Whether an envelope may be stored: one pure function of the envelope, its ancestors, the roster it
//! names and the rules of its document. The same answer at every node, in every order, for ever.
//!
//! Live traffic, catching up, relays, restores and imports all come through [`admit`]; there is no
//! other way to make an [`AdmittedEnvelope`] of what came from outside.

mod scene;

use crate::document::Document;
use crate::envelope::{AdmittedEnvelope, BlobClass, Header, VerifiedEnvelope};
use crate::ids::{Code, EnvelopeId, FederationId, MemberId, RosterHash};
use crate::operation::{Notice, Open, Operation, Summary};
use crate::roster::{KeyState, Role, Roster, RosterChain};
use scene::Scene;

/// What admission says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It satisfies the rules.
    Admitted(AdmittedEnvelope),
    /// It breaks one; this never changes.
    Rejected(Refusal),
    /// It names what is not here yet; no verdict.
    Parked(Missing),
    /// Written under rules that this release does not know; judged after an upgrade.
    Held,
}

/// What an envelope names and is not here yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The roster version that its author acted under.
    Roster(RosterHash),
    /// Parents.
    Parents(Vec<EnvelopeId>),
}

/// The rule that a rejected envelope breaks. Its code is stored and shown to operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// It is of another federation.
    #[error("it is of another federation")]
    Federation = 1,
    /// Its author's key may not sign under the roster that it names.
    #[error("its author's key may not sign under the roster that it names")]
    Key = 2,
    /// A genesis with a wrong document id, a wrong operation or a chain.
    #[error("it does not begin its document rightly")]
    Genesis = 3,
    /// A parent is of another document.
    #[error("a parent is of another document")]
    OtherDocument = 4,
    /// A parent was rejected.
    #[error("a parent was rejected")]
    RejectedParent = 5,
    /// It names an older roster than one of its parents.
    #[error("it names an older roster than one of its parents")]
    OlderRoster = 6,
    /// Its rules version is not its document's, or not the one that its roster activates.
    #[error("its rules version is not its document's")]
    RulesVersion = 7,
    /// Its place on its author's chain is wrong.
    #[error("its place on its author's chain is wrong")]
    Chain = 8,
    /// Its author has written all that one author may in one document.
    #[error("its author has written all that one author may in one document")]
    SeqMax = 9,
    /// Its operation is unknown or malformed.
    #[error("its operation is unknown or malformed")]
    Operation = 10,
    /// Its blobs do not fit its operation.
    #[error("its blobs do not fit its operation")]
    Blobs = 11,
    /// Only the owner may do this.
    #[error("only the owner may do this")]
    NotOwner = 12,
    /// Only the owner and involved nodes may do this.
    #[error("only the owner and involved nodes may do this")]
    NotInvolved = 13,
    /// It names somebody who is not a member, or itself.
    #[error("it names somebody who is not another member")]
    NotAMember = 14,
    /// The place is another's, and it is not offered to that node (or the other way round).
    #[error("the place and the offered node do not fit")]
    OfferedTo = 15,
    /// It answers no offer of the owner that is made to its author, is the last and is open.
    #[error("it answers no open offer to its author")]
    NoOffer = 16,
    /// It commits no accept of the owner's last offer.
    #[error("it commits no accept of the owner's last offer")]
    NoAccept = 17,
    /// Figures of another's territory, or in another's document.
    #[error("the figures are not its author's to give")]
    NotItsFigures = 18,
    /// A notice for another's area, changed by another, or changed from a drill to a real one.
    #[error("the notice is not its author's to give")]
    NotItsNotice = 19,
    /// Only the authority of the owner may do this.
    #[error("only the authority of the owner may do this")]
    NotAuthority = 20,
    /// It names an envelope, a blob or a document that it may not, or that it had not seen.
    #[error("it names an envelope, a blob or a document that it may not")]
    Names = 21,
    /// The document was retired before.
    #[error("the document was retired before")]
    Retired = 22,
}

impl Refusal {
    /// Its number, as stored.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// What admission looks at besides the envelope.
#[derive(Clone, Copy)]
pub struct Ground<'a> {
    /// The federation's roster chain.
    pub rosters: &'a RosterChain,
    /// The document as held; none if nothing of it is here.
    pub document: Option<&'a Document>,
    /// The newest rules version that this release knows, [`crate::envelope::RULES_VERSION`].
    pub rules: u16,
    /// True for an envelope id that was rejected before.
    pub rejected: &'a dyn Fn(&EnvelopeId) -> bool,
}

/// Judges one envelope.
#[must_use]
pub fn admit(envelope: VerifiedEnvelope, ground: &Ground<'_>) -> Verdict {
    let header = envelope.header();
    if header.federation != ground.rosters.federation() {
        return Verdict::Rejected(Refusal::Federation);
    }
    if header.rules_version > ground.rules {
        return held_or_not(header, ground.document);
    }
    if ground.rosters.get(&header.roster).is_none() {
        return Verdict::Parked(Missing::Roster(header.roster));
    }
    if header.parents.iter().any(|parent| (ground.rejected)(parent)) {
        return Verdict::Rejected(Refusal::RejectedParent);
    }
    let empty = Document::default();
    let document = ground.document.unwrap_or(&empty);
    let missing: Vec<_> = header.parents.iter().filter(|id| !document.contains(id)).copied().collect();
    if !missing.is_empty() {
        return Verdict::Parked(Missing::Parents(missing));
    }
    let judged = match Operation::decode(header.op_type, envelope.op_bytes()) {
        Ok(operation) => judge(&envelope, &operation, document, ground.rosters).map(|()| operation),
        Err(_) => Err(Refusal::Operation),
    };
    match judged {
        Ok(operation) => Verdict::Admitted(AdmittedEnvelope::new(envelope, operation)),
        Err(refusal) => Verdict::Rejected(refusal),
    }
}

/// Under later rules: held, unless the document's genesis is here and has others. Whatever later rules
/// say, all envelopes of a document have the same.
fn held_or_not(header: &Header, document: Option<&Document>) -> Verdict {
    let genesis = document.and_then(Document::genesis).map(AdmittedEnvelope::header);
    let other = |genesis: &Header| genesis.doc == header.doc && genesis.rules_version != header.rules_version;
    if genesis.is_some_and(other) { Verdict::Rejected(Refusal::RulesVersion) } else { Verdict::Held }
}

fn judge(
    envelope: &VerifiedEnvelope,
    operation: &Operation,
    document: &Document,
    rosters: &RosterChain,
) -> Result<(), Refusal> {
    let header = envelope.header();
    let roster = rosters.get(&header.roster).ok_or(Refusal::Key)?;
    check_key(header, roster)?;
    check_blobs_fit(header, operation)?;
    if header.is_genesis() {
        return judge_genesis(header, operation, roster, rosters.federation());
    }
    let seen = document.closure(&header.parents).ok_or(Refusal::OtherDocument)?;
    check_chain(header, document, roster, rosters)?;
    let scene = Scene { header, document, roster, rosters, seen };
    scene.check_room(operation)?;
    scene.judge(operation)
}

fn check_key(header: &Header, roster: &Roster) -> Result<(), Refusal> {
    let key = roster.member(&header.author).and_then(|member| member.key(header.key_index));
    if key.is_some_and(|key| key.state == KeyState::Active) { Ok(()) } else { Err(Refusal::Key) }
}

/// Which operations carry blobs; that a shared one is the owner's is checked where the owner is known.
fn check_blobs_fit(header: &Header, operation: &Operation) -> Result<(), Refusal> {
    let carries = match operation {
        Operation::Open(_)
        | Operation::Step { .. }
        | Operation::Close { .. }
        | Operation::Reopen { .. }
        | Operation::Respond { .. }
        | Operation::Note { .. }
        | Operation::Media { .. }
        | Operation::Contribution { .. }
        | Operation::Dispute { .. }
        | Operation::Relocate(_)
        | Operation::NoticeOpen(_)
        | Operation::NoticeUpdate(_)
        | Operation::NoticeCancel { .. } => true,
        Operation::Invite { .. }
        | Operation::Offer { .. }
        | Operation::Accept { .. }
        | Operation::Commit { .. }
        | Operation::Decline { .. }
        | Operation::Reclassify { .. }
        | Operation::Refer { .. }
        | Operation::AnswerReferral { .. }
        | Operation::Absorb { .. }
        | Operation::Link { .. }
        | Operation::Unlink { .. }
        | Operation::TakeoverOffer { .. }
        | Operation::TakeoverCommit { .. }
        | Operation::Seal { .. }
        | Operation::Release { .. }
        | Operation::Redact { .. }
        | Operation::Erased { .. }
        | Operation::Retire
        | Operation::Summary(_) => false,
    };
    if carries || header.blobs.is_empty() { Ok(()) } else { Err(Refusal::Blobs) }
}

fn judge_genesis(
    header: &Header,
    operation: &Operation,
    roster: &Roster,
    federation: FederationId,
) -> Result<(), Refusal> {
    let begins = header.seq.0 == 1 && header.prev_at == 0 && header.federation == federation;
    if !begins || operation.genesis_class().is_none() || header.doc != header.genesis_doc_id() {
        return Err(Refusal::Genesis);
    }
    if header.rules_version != roster.rules_version {
        return Err(Refusal::RulesVersion);
    }
    if let Operation::NoticeOpen(notice) = operation {
        return judge_notice(header, notice, roster);
    }
    if header.blobs.iter().any(|blob| blob.class == BlobClass::Shared) {
        return Err(Refusal::Blobs);
    }
    if let Operation::Open(open) = operation {
        return judge_open(header, open, roster);
    }
    if let Operation::Summary(summary) = operation {
        return judge_figures(header, summary, roster);
    }
    Err(Refusal::Genesis)
}

fn judge_open(header: &Header, open: &Open, roster: &Roster) -> Result<(), Refusal> {
    let receiver = if open.code == Code::OUTSIDE { None } else { roster.receiving_node(open.code) };
    if open.offered_to != receiver.filter(|receiver| *receiver != header.author) {
        return Err(Refusal::OfferedTo);
    }
    let member = |id: &MemberId| *id != header.author && roster.member(id).is_some();
    if open.involved.iter().all(member) { Ok(()) } else { Err(Refusal::NotAMember) }
}

/// A member speaks for its own codes, an aggregator for those below it, and the one at the top for the
/// country (number 0).
fn judge_notice(header: &Header, notice: &Notice, roster: &Roster) -> Result<(), Refusal> {
    let author = roster.member(&header.author).ok_or(Refusal::Key)?;
    let top = author.roles.has(Role::Aggregator) && author.authority.is_none();
    let below = || {
        let receiver = roster.receiving_node(notice.code);
        receiver.is_some_and(|receiver| roster.above(receiver).contains(&header.author))
    };
    let theirs = author.codes.contains(&notice.code) || (top && notice.code.number == 0) || below();
    if theirs { Ok(()) } else { Err(Refusal::NotItsNotice) }
}

fn judge_figures(header: &Header, summary: &Summary, roster: &Roster) -> Result<(), Refusal> {
    let theirs = roster.member(&header.author).is_some_and(|member| member.codes.contains(&summary.code));
    if theirs { Ok(()) } else { Err(Refusal::NotItsFigures) }
}

fn check_chain(
    header: &Header,
    document: &Document,
    roster: &Roster,
    rosters: &RosterChain,
) -> Result<(), Refusal> {
    let genesis = document.genesis().ok_or(Refusal::OtherDocument)?;
    if genesis.header().doc != header.doc {
        return Err(Refusal::OtherDocument);
    }
    if genesis.header().rules_version != header.rules_version {
        return Err(Refusal::RulesVersion);
    }
    for parent in header.parents.iter().filter_map(|id| document.envelope(id)) {
        let older =
            rosters.get(&parent.header().roster).is_some_and(|theirs| theirs.version > roster.version);
        if older {
            return Err(Refusal::OlderRoster);
        }
    }
    let Some(prev) = header.prev() else {
        return if header.seq.0 == 1 { Ok(()) } else { Err(Refusal::Chain) };
    };
    let prev = document.envelope(&prev).ok_or(Refusal::Chain)?.header();
    let follows = prev.author == header.author
        && prev.incarnation <= header.incarnation
        && prev.seq.0.checked_add(1) == Some(header.seq.0);
    if follows { Ok(()) } else { Err(Refusal::Chain) }
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod tests;
