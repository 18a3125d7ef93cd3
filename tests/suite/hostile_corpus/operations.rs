//! Who may say what: the owner's operations, other people's towns, notices and figures.

use protocol::admission::Refusal;
use protocol::envelope::{BlobClass, BlobRef};
use protocol::ids::{BlobId, Code, DocId, EnvelopeId, MemberId, Millis, Nonce};
use protocol::kind::{Service, Urgency};
use protocol::operation::{
    HandoffReason, Measure, Notice, NoticeMode, Operation, Outcome, ReferralAnswer, Relocate, ReopenReason,
    Step, Summary, SummaryValue,
};
use tests::peer::{Identity, URGENT};

use super::Ground::{Ours, Theirs};
use super::stage::Stage;
use super::story::{Bad, Cast, Fate, Story, open, open_operation, respond, somebody};
use super::{Case, deed, envelopes, frame};

pub fn cases() -> Vec<Case> {
    let mut cases = owners();
    cases.extend(names());
    cases.extend(beginnings());
    cases.extend(ends());
    cases
}

/// What only the owner of an incident may write.
fn owners() -> Vec<Case> {
    let case = |rule, make| envelopes("scope", rule, Theirs, make);
    vec![
        case("only the owner takes steps, closes, reopens, corrects, invites and refers", |story| {
            let by = somebody(1);
            let elsewhere = DocId([6; 32]);
            let operations = [
                Operation::Step { step: Step::Resolved, by },
                Operation::Close { outcome: Outcome::FalseAlarm, by },
                Operation::Reopen { reason: ReopenReason::Again, by },
                Operation::Reclassify { kind: 12, local_kind: 0, urgency: Urgency::Low, by },
                Operation::Invite { member: story.cast.other.member },
                Operation::Refer { service: Service::Police, to: None, by },
                Operation::Absorb { document: elsewhere, by },
                Operation::Link { target: elsewhere, by },
                Operation::Unlink { target: elsewhere, by },
            ];
            let tries =
                |operation: &Operation| story.tries(&story.cast.hostile, operation, Refusal::NotOwner);
            operations.iter().map(tries).collect()
        }),
        case("only the owner moves an incident to another place", |story| {
            let relocate = Relocate {
                code: story.cast.own_code(),
                cell: protocol::ids::Cell(1),
                involved: Vec::new(),
                point: None,
                by: somebody(1),
            };
            vec![story.tries(&story.cast.hostile, &Operation::Relocate(relocate), Refusal::NotOwner)]
        }),
        case("only the owner ends a document for good", |story| {
            vec![story.tries(&story.cast.hostile, &Operation::Retire, Refusal::NotOwner)]
        }),
        case("only the owner lets everybody see what was for responders", |story| {
            let release = Operation::Release { blobs: vec![BlobId([5; 32])] };
            vec![story.tries(&story.cast.hostile, &release, Refusal::NotOwner)]
        }),
        case("who is not involved writes nothing", |story| {
            let tries =
                |operation: &Operation| story.tries(&story.cast.other, operation, Refusal::NotInvolved);
            vec![tries(&respond()), tries(&Operation::Note { by: somebody(1) })]
        }),
        case("who does not hold a document says nothing about its blobs", |story| {
            let erased = Operation::Erased { blobs: vec![BlobId([5; 32])] };
            vec![story.tries(&story.cast.other, &erased, Refusal::NotInvolved)]
        }),
        case("an involved node does not speak to everybody", |story| {
            let shared = BlobRef { class: BlobClass::Shared, id: BlobId([5; 32]) };
            vec![story.altered(Fate::Refused(Refusal::Blobs), |header| header.blobs = vec![shared])]
        }),
        case("an operation without words carries no blob", |story| {
            let who = &story.cast.hostile;
            let operation = Operation::Retire;
            let mut header = story.header(who, &operation);
            header.blobs = vec![BlobRef { class: BlobClass::Responders, id: BlobId([5; 32]) }];
            vec![Bad::of(&who.sign(&header, &operation), Fate::Refused(Refusal::Blobs))]
        }),
    ]
}

/// What an operation names must be there, and be its author's to name.
fn names() -> Vec<Case> {
    let theirs = |rule, make| envelopes("scope", rule, Theirs, make);
    let ours = |rule, make| envelopes("scope", rule, Ours, make);
    vec![
        ours("only members are invited", |story| {
            let stranger = Operation::Invite { member: MemberId([9; 32]) };
            vec![story.tries(&story.cast.hostile, &stranger, Refusal::NotAMember)]
        }),
        ours("nobody offers an incident to itself", |story| {
            let own = story.cast.hostile.member;
            let offer = Operation::Offer { to: own, reason: HandoffReason::Means };
            vec![story.tries(&story.cast.hostile, &offer, Refusal::NotAMember)]
        }),
        ours("only a service is asked as a service", |story| {
            let to = Some(story.cast.other.member);
            let refer = Operation::Refer { service: Service::Police, to, by: somebody(1) };
            vec![story.tries(&story.cast.hostile, &refer, Refusal::NotAMember)]
        }),
        ours("only who was asked answers a referral", |story| {
            let cast = story.cast;
            let refer = Operation::Refer { service: Service::Police, to: None, by: somebody(1) };
            let referral = story.say(&cast.hostile, &refer);
            let answer =
                Operation::AnswerReferral { referral, answer: ReferralAnswer::Accepted, by: somebody(1) };
            vec![story.tries(&cast.other, &answer, Refusal::NotInvolved)]
        }),
        ours("a referral is answered once", |story| {
            let cast = story.cast;
            let refer = Operation::Refer { service: Service::Police, to: None, by: somebody(1) };
            let referral = story.say(&cast.hostile, &refer);
            let answer =
                Operation::AnswerReferral { referral, answer: ReferralAnswer::Accepted, by: somebody(1) };
            story.say(&cast.hostile, &answer);
            vec![story.tries(&cast.hostile, &answer, Refusal::Names)]
        }),
        ours("a document is never its own duplicate", |story| {
            let link = Operation::Link { target: story.doc, by: somebody(1) };
            vec![story.tries(&story.cast.hostile, &link, Refusal::Names)]
        }),
        ours("only what was named is released", |story| {
            let release = Operation::Release { blobs: vec![BlobId([5; 32])] };
            vec![story.tries(&story.cast.hostile, &release, Refusal::Names)]
        }),
        theirs("nobody redacts what another wrote", |story| {
            let redact = Operation::Redact { blobs: vec![BlobId([5; 32])] };
            vec![story.tries(&story.cast.hostile, &redact, Refusal::Names)]
        }),
        theirs("nothing is erased that was not redacted", |story| {
            let erased = Operation::Erased { blobs: vec![BlobId([5; 32])] };
            vec![story.tries(&story.cast.hostile, &erased, Refusal::Names)]
        }),
        ours("nobody vouches for what it has not seen", |story| {
            let seal = Operation::Seal { node: story.cast.other.member, last: EnvelopeId([5; 32]) };
            vec![story.tries(&story.cast.hostile, &seal, Refusal::Names)]
        }),
        ours("an incident of a private kind is not given an exact point later", |story| {
            let relocate = Relocate {
                code: story.cast.own_code(),
                cell: protocol::ids::Cell(1),
                involved: Vec::new(),
                point: Some(protocol::operation::Point { lat_e7: 1, lon_e7: 1 }),
                by: somebody(1),
            };
            vec![story.tries(&story.cast.hostile, &Operation::Relocate(relocate), Refusal::Operation)]
        }),
    ]
}

fn ends() -> Vec<Case> {
    let ours = |rule, make| envelopes("scope", rule, Ours, make);
    vec![ours("an open document is not retired", |story| {
        vec![story.tries(&story.cast.hostile, &Operation::Retire, Refusal::Names)]
    })]
}

/// Documents that begin wrongly: another's town, another's figures, another's notice.
fn beginnings() -> Vec<Case> {
    vec![
        deed("scope", "an incident in another's town is offered to that town's node", |stage| {
            Box::pin(async move {
                let target = stage.cast.target_code();
                begins(stage, Refusal::OfferedTo, |open| open.code = target).await
            })
        }),
        deed("scope", "an incident in one's own town is offered to nobody", |stage| {
            Box::pin(async move {
                let other = stage.cast.other.member;
                begins(stage, Refusal::OfferedTo, |open| open.offered_to = Some(other)).await
            })
        }),
        deed("scope", "only members are involved", |stage| {
            Box::pin(async move {
                begins(stage, Refusal::NotAMember, |open| open.involved = vec![MemberId([9; 32])]).await
            })
        }),
        deed("scope", "a beginning has nothing for everybody", |stage| {
            Box::pin(async move {
                let operation = open_operation(&stage.cast, 20);
                let who = &stage.cast.hostile;
                let mut header = who.header(DocId([0; 32]), &[], &operation);
                header.blobs = vec![BlobRef { class: BlobClass::Shared, id: BlobId([5; 32]) }];
                header.doc = header.genesis_doc_id();
                let genesis = who.sign(&header, &operation);
                refused(stage, &genesis, Refusal::Blobs).await
            })
        }),
        deed("scope", "nobody gives another town's figures", |stage| {
            Box::pin(async move {
                let operation = figures(stage.cast.target_code());
                let genesis = open(&stage.cast.hostile, &operation);
                refused(stage, &genesis, Refusal::NotItsFigures).await
            })
        }),
        deed("scope", "nobody warns another town", |stage| {
            Box::pin(async move {
                let operation = Operation::NoticeOpen(notice(stage.cast.target_code(), NoticeMode::Live));
                let genesis = open(&stage.cast.hostile, &operation);
                refused(stage, &genesis, Refusal::NotItsNotice).await
            })
        }),
        deed("scope", "only the top warns the whole country", |stage| {
            Box::pin(async move {
                let operation = Operation::NoticeOpen(notice(Code::chile(0), NoticeMode::Live));
                let genesis = open(&stage.cast.hostile, &operation);
                refused(stage, &genesis, Refusal::NotItsNotice).await
            })
        }),
        deed("scope", "a drill never becomes real", |stage| {
            Box::pin(async move {
                changed_notice(stage, |cast| &cast.office, |notice| notice.mode = NoticeMode::Live).await
            })
        }),
        deed("scope", "nobody changes another's notice", |stage| {
            Box::pin(async move { changed_notice(stage, |cast| &cast.hostile, |_| {}).await })
        }),
        deed("scope", "a document that does not name this node is not shown", |stage| {
            Box::pin(async move { not_for_us(stage).await })
        }),
    ]
}

/// Opens an incident with something changed, and waits for its refusal.
async fn begins(
    stage: &Stage,
    refusal: Refusal,
    alter: impl FnOnce(&mut protocol::operation::Open),
) -> String {
    let Operation::Open(mut operation) = open_operation(&stage.cast, 21) else {
        panic!("an opening opens");
    };
    alter(&mut operation);
    let genesis = open(&stage.cast.hostile, &Operation::Open(operation));
    refused(stage, &genesis, refusal).await
}

/// Sends a genesis alone, waits for its refusal, and looks that nothing of it is there.
async fn refused(stage: &Stage, genesis: &protocol::envelope::SignedEnvelope, refusal: Refusal) -> String {
    let doc = genesis.header().doc;
    let bad = Bad::of(genesis, Fate::Refused(refusal));
    stage.peer.send_bytes(URGENT, &frame(doc, std::slice::from_ref(&bad))).await;
    let before = stage.gauges().await;
    let outcome = stage.met_its_fate("a refused beginning", &bad, doc, &before).await;
    assert!(stage.ids(doc).is_empty(), "a refused document is there");
    outcome
}

fn figures(code: Code) -> Operation {
    let values = vec![SummaryValue { measure: Measure::RegisteredAddresses, kind: 0, value: 1_000_000 }];
    Operation::Summary(Summary { code, day: 20_260_101, period: 202_601, values })
}

fn notice(code: Code, mode: NoticeMode) -> Notice {
    Notice {
        urgency: Urgency::High,
        code,
        nonce: Nonce([4; 32]),
        mode,
        opened: Millis(1_790_000_000_000),
        expires: Millis(1_790_000_900_000),
        cells: Vec::new(),
    }
}

/// The office's drill, and a change of it by somebody that is not allowed.
async fn changed_notice(
    stage: &Stage,
    who: fn(&Cast) -> &Identity,
    alter: impl FnOnce(&mut Notice),
) -> String {
    let cast = &stage.cast;
    let mut first = notice(Code::chile(0), NoticeMode::Drill);
    getrandom::fill(&mut first.nonce.0).expect("random bytes");
    let mut changed = first.clone();
    alter(&mut changed);
    let genesis = open(&cast.office, &Operation::NoticeOpen(first));
    let story = Story::theirs(cast, &genesis);
    let bad = story.tries(who(cast), &Operation::NoticeUpdate(changed), Refusal::NotItsNotice);
    let items = [Bad::of(&genesis, Fate::Admitted), bad.clone()];
    let before = stage.gauges().await;
    stage.peer.send_bytes(URGENT, &frame(story.doc, &items)).await;
    let outcome = stage.met_its_fate("a changed notice", &bad, story.doc, &before).await;
    let held = || (stage.ids(story.doc).len() == 1).then_some(());
    tests::cluster::wait_for("the notice as it was", async || held()).await;
    outcome
}

/// An honest document between two others, of which this node is nothing.
async fn not_for_us(stage: &Stage) -> String {
    let Operation::Open(mut operation) = open_operation(&stage.cast, 22) else {
        panic!("an opening opens");
    };
    operation.involved = vec![stage.cast.other.member];
    let genesis = open(&stage.cast.hostile, &Operation::Open(operation));
    let bad = Bad::of(&genesis, Fate::Parked);
    let doc = genesis.header().doc;
    let before = stage.gauges().await;
    stage.peer.send_bytes(URGENT, &frame(doc, std::slice::from_ref(&bad))).await;
    let outcome = stage.met_its_fate("a document for others", &bad, doc, &before).await;
    assert!(stage.desk.incident(&doc.to_string()).await.is_none(), "it is shown");
    assert!(stage.ids(doc).is_empty(), "it is stored");
    outcome
}
