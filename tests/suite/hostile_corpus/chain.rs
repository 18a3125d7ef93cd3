//! Chains, generations and beginnings; forks of one's own chain; envelopes of elsewhere.

use protocol::admission::Refusal;
use protocol::envelope::SignedEnvelope;
use protocol::ids::{DocId, Incarnation, MemberId, Millis, Seq};
use protocol::operation::{Operation, Step};
use protocol::replica::Fault;

use super::Ground::{Ours, Theirs};
use super::story::{Bad, Fate, Story, open_operation, respond, somebody};
use super::{Case, envelopes};

pub fn cases() -> Vec<Case> {
    let mut cases = chains();
    cases.extend(beginnings());
    cases.extend(forks());
    cases.extend(rosters());
    cases
}

fn chains() -> Vec<Case> {
    let case = |rule, make| envelopes("chain", rule, Theirs, make);
    vec![
        case("the previous envelope is one's own", |story| {
            vec![story.altered(Fate::Refused(Refusal::Chain), |header| {
                (header.prev_at, header.seq) = (1, Seq(2));
            })]
        }),
        case("a second envelope names the first", |story| {
            let cast = story.cast;
            story.say(&cast.hostile, &respond());
            vec![story.altered(Fate::Refused(Refusal::Chain), |header| header.prev_at = 0)]
        }),
        case("a chain never starts again with a previous one", |story| {
            let cast = story.cast;
            story.say(&cast.hostile, &respond());
            vec![story.altered(Fate::Refused(Refusal::Chain), |header| header.seq = Seq(1))]
        }),
        case("a generation is never below that of the previous one", |story| {
            let cast = story.cast;
            story.say(&cast.hostile, &respond());
            vec![story.altered(Fate::Refused(Refusal::Chain), |header| {
                header.incarnation = Incarnation::new(0, 7);
            })]
        }),
        case("what follows a refused envelope is refused", |story| {
            let cast = story.cast;
            let step = Operation::Step { step: Step::Resolved, by: somebody(1) };
            let refused = story.tries(&cast.hostile, &step, Refusal::NotOwner);
            let parent = refused.id().expect("it parses");
            let child = story.altered(Fate::Refused(Refusal::RejectedParent), |header| {
                (header.parents, header.prev_at, header.seq) = (vec![parent], 1, Seq(2));
            });
            vec![refused, child]
        }),
        case("a parent in another document is no parent", |story| {
            let elsewhere = Story::ours(story.cast, 9).genesis;
            vec![story.altered(Fate::Parked, |header| {
                header.parents.push(elsewhere);
                header.parents.sort_unstable();
            })]
        }),
        case("an envelope is not replayed into another document", |story| {
            let mut elsewhere = Story::ours(story.cast, 10);
            let cast = story.cast;
            elsewhere.say(&cast.hostile, &respond());
            let theirs = elsewhere.before.last().expect("just said").clone();
            vec![Bad::of(&theirs, Fate::Blamed(Fault::OtherDocument))]
        }),
        case("nor when its document is changed, for that was signed", |story| {
            let mut elsewhere = Story::ours(story.cast, 11);
            let cast = story.cast;
            elsewhere.say(&cast.hostile, &respond());
            let theirs = elsewhere.before.last().expect("just said").clone();
            vec![Bad::of(&moved(&theirs, story.doc), Fate::Blamed(Fault::BadSignature))]
        }),
    ]
}

/// The same envelope with another document in its header.
fn moved(envelope: &SignedEnvelope, doc: DocId) -> SignedEnvelope {
    let mut bytes = envelope.bytes().to_vec();
    bytes[32..64].copy_from_slice(&doc.0);
    SignedEnvelope::decode(&bytes).expect("the layout is the same")
}

fn beginnings() -> Vec<Case> {
    let case = |rule, make| envelopes("chain", rule, Theirs, make);
    vec![
        case("a document's id is the hash of its beginning", |story| {
            let cast = story.cast;
            let operation = open_operation(cast, 12);
            let mut header = cast.hostile.header(story.doc, &[], &operation);
            header.written_at = Millis(5);
            let second = cast.hostile.sign(&header, &operation);
            vec![Bad::of(&second, Fate::Refused(Refusal::Genesis))]
        }),
        case("a document begins with an opening", |story| {
            let cast = story.cast;
            let header = cast.hostile.header(story.doc, &[], &respond());
            let bare = cast.hostile.sign(&header, &respond());
            vec![Bad::of(&bare, Fate::Refused(Refusal::Genesis))]
        }),
        case("a beginning is the first of its chain", |story| {
            let cast = story.cast;
            let operation = open_operation(cast, 13);
            let mut header = cast.hostile.header(story.doc, &[], &operation);
            header.seq = Seq(2);
            let second = cast.hostile.sign(&header, &operation);
            vec![Bad::of(&second, Fate::Refused(Refusal::Genesis))]
        }),
        case("an opening never continues a document", |story| {
            let operation = open_operation(story.cast, 14);
            vec![story.tries(&story.cast.hostile, &operation, Refusal::Genesis)]
        }),
    ]
}

fn forks() -> Vec<Case> {
    let case = |rule, make| envelopes("equivocation", rule, Ours, make);
    vec![
        case("an owner that closes and keeps open at one place of its chain is seen by all", |story| {
            let by = somebody(1);
            let close = Operation::Close { outcome: protocol::operation::Outcome::Helped, by };
            let step = Operation::Step { step: Step::OnSite, by };
            both(story, &close, &step)
        }),
        case("an owner that hands one incident to two is seen by all", |story| {
            let (other, office) = (story.cast.other.member, story.cast.office.member);
            let to =
                |to: MemberId| Operation::Offer { to, reason: protocol::operation::HandoffReason::Means };
            both(story, &to(other), &to(office))
        }),
        case("a branch of an earlier generation is no proof of a lie", |story| {
            let cast = story.cast;
            let step = Operation::Step { step: Step::Called, by: somebody(1) };
            let mut later = story.header(&cast.hostile, &step);
            later.incarnation = Incarnation::new(2, 9);
            let later = cast.hostile.sign(&later, &step);
            let earlier = cast.hostile.sign(&story.header(&cast.hostile, &respond()), &respond());
            vec![Bad::of(&later, Fate::Admitted), Bad::of(&earlier, Fate::Admitted)]
        }),
        case("three branches at one place are kept as the two that prove it", |story| {
            let by = somebody(1);
            let step = |step| Operation::Step { step, by };
            let mut bad = both(story, &step(Step::Called), &step(Step::OnTheWay));
            let cast = story.cast;
            let third = step(Step::OnSite);
            let third = cast.hostile.sign(&story.header(&cast.hostile, &third), &third);
            bad.push(Bad::of(&third, Fate::Proven));
            bad
        }),
        case("nobody forges a fork in another's name", |story| {
            let cast = story.cast;
            story.say(&cast.other, &respond());
            let mut header = story.header(&cast.other, &respond());
            (header.seq, header.prev_at) = (Seq(1), 0);
            let forged = cast.hostile.sign(&header, &respond());
            vec![Bad::of(&forged, Fate::Blamed(Fault::BadSignature))]
        }),
    ]
}

/// Two envelopes at one place of the hostile member's chain.
fn both(story: &Story<'_>, one: &Operation, other: &Operation) -> Vec<Bad> {
    let who = &story.cast.hostile;
    let branch = |operation: &Operation| who.sign(&story.header(who, operation), operation);
    [one, other].map(|operation| Bad::of(&branch(operation), Fate::Proven)).into()
}

/// Rosters as envelopes name them.
fn rosters() -> Vec<Case> {
    let case = |rule, make| envelopes("roster", rule, Theirs, make);
    vec![
        case("an envelope names no older roster than its parents", |story| {
            let older = story.cast.older_roster;
            vec![story.altered(Fate::Refused(Refusal::OlderRoster), |header| header.roster = older)]
        }),
        case("a key counts only from the roster on that lists it", |story| {
            // Under the first version its second key did not exist.
            let older = story.cast.older_roster;
            let mut header = story.header(&story.cast.hostile, &respond());
            (header.roster, header.key_index) = (older, super::stage::RETIRED_KEY);
            let forged = story.cast.hostile.sign(&header, &respond());
            vec![Bad::of(&forged, Fate::Blamed(Fault::UnknownKey))]
        }),
    ]
}
