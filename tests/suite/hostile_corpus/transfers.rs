//! Handoffs and takeovers: who may offer, answer and complete them, and that an accomplice does not
//! outrun the authority.

use protocol::admission::Refusal;
use protocol::ids::{EnvelopeId, MemberId};
use protocol::operation::{HandoffReason, Operation, Outcome};
use tests::cluster::wait_for;
use tests::peer::{Identity, URGENT};

use super::Ground::{Ours, Theirs};
use super::stage::Stage;
use super::story::{Bad, Fate, Story, respond, somebody};
use super::{Case, deed, envelopes, frame};

pub fn cases() -> Vec<Case> {
    let mut cases = handoffs();
    cases.extend(takeovers());
    cases
}

fn offer(to: MemberId) -> Operation {
    Operation::Offer { to, reason: HandoffReason::Means }
}

fn decline(offer: EnvelopeId) -> Operation {
    Operation::Decline { offer, reason: HandoffReason::NoCrew }
}

fn handoffs() -> Vec<Case> {
    let theirs = |rule, make| envelopes("handoff", rule, Theirs, make);
    let ours = |rule, make| envelopes("handoff", rule, Ours, make);
    vec![
        theirs("only the owner offers", |story| {
            let own = story.cast.other.member;
            vec![story.tries(&story.cast.hostile, &offer(own), Refusal::NotOwner)]
        }),
        theirs("only the owner completes a handoff", |story| {
            let commit = Operation::Commit { accept: story.genesis };
            vec![story.tries(&story.cast.hostile, &commit, Refusal::NotOwner)]
        }),
        theirs("an incident that nobody offered is not accepted", |story| {
            let accept = Operation::Accept { offer: story.genesis };
            vec![story.tries(&story.cast.hostile, &accept, Refusal::NoOffer)]
        }),
        ours("nobody accepts what was offered to another", |story| {
            let cast = story.cast;
            let offered = story.say(&cast.hostile, &offer(cast.office.member));
            vec![story.tries(&cast.other, &Operation::Accept { offer: offered }, Refusal::NoOffer)]
        }),
        ours("nobody declines what was offered to another", |story| {
            let cast = story.cast;
            let offered = story.say(&cast.hostile, &offer(cast.office.member));
            vec![story.tries(&cast.other, &decline(offered), Refusal::NoOffer)]
        }),
        ours("an offer is answered once", |story| {
            let cast = story.cast;
            let offered = story.say(&cast.hostile, &offer(cast.other.member));
            story.say(&cast.other, &Operation::Accept { offer: offered });
            vec![story.tries(&cast.other, &decline(offered), Refusal::NoOffer)]
        }),
        ours("an offer that a newer one replaced is not accepted", |story| {
            let cast = story.cast;
            let older = story.say(&cast.hostile, &offer(cast.other.member));
            story.say(&cast.hostile, &offer(cast.office.member));
            vec![story.tries(&cast.other, &Operation::Accept { offer: older }, Refusal::NoOffer)]
        }),
        ours("a handoff without an accept is not completed", |story| {
            let cast = story.cast;
            let offered = story.say(&cast.hostile, &offer(cast.other.member));
            vec![story.tries(&cast.hostile, &Operation::Commit { accept: offered }, Refusal::NoAccept)]
        }),
        ours("an accept is completed once", |story| {
            let (cast, accept) = (story.cast, handed_over(story));
            let commit = Operation::Commit { accept };
            // Now the other owns it; a second commit of the same accept is nobody's to write.
            vec![story.tries(&cast.other, &commit, Refusal::NoAccept)]
        }),
        ours("who handed an incident over owns it no more", |story| {
            let _accept = handed_over(story);
            let close = Operation::Close { outcome: Outcome::FalseAlarm, by: somebody(1) };
            vec![story.tries(&story.cast.hostile, &close, Refusal::NotOwner)]
        }),
        ours("an offer from before a handoff counts for nothing after it", |story| {
            let cast = story.cast;
            let first = story.say(&cast.hostile, &offer(cast.other.member));
            let accept = story.say(&cast.other, &Operation::Accept { offer: first });
            story.say(&cast.hostile, &Operation::Commit { accept });
            vec![story.tries(&cast.other, &Operation::Accept { offer: first }, Refusal::NoOffer)]
        }),
    ]
}

/// A whole handoff from the hostile member to the other; gives the accept.
fn handed_over(story: &mut Story<'_>) -> EnvelopeId {
    let cast = story.cast;
    let offered = story.say(&cast.hostile, &offer(cast.other.member));
    let accept = story.say(&cast.other, &Operation::Accept { offer: offered });
    story.say(&cast.hostile, &Operation::Commit { accept });
    accept
}

fn takeovers() -> Vec<Case> {
    let theirs = |rule, make| envelopes("takeover", rule, Theirs, make);
    let ours = |rule, make| envelopes("takeover", rule, Ours, make);
    vec![
        theirs("only the authority of the owner offers a takeover", |story| {
            let takeover = Operation::TakeoverOffer { to: story.cast.hostile.member };
            vec![story.tries(&story.cast.hostile, &takeover, Refusal::NotAuthority)]
        }),
        theirs("only the authority completes a takeover", |story| {
            let commit = Operation::TakeoverCommit { accept: story.genesis };
            vec![story.tries(&story.cast.hostile, &commit, Refusal::NotAuthority)]
        }),
        theirs("a takeover goes to a neighbour or an office, never to the owner itself", |story| {
            let takeover = Operation::TakeoverOffer { to: story.cast.target };
            vec![story.tries(&story.cast.office, &takeover, Refusal::NotAMember)]
        }),
        theirs("a takeover that nobody accepted is not completed", |story| {
            let commit = Operation::TakeoverCommit { accept: story.genesis };
            vec![story.tries(&story.cast.office, &commit, Refusal::NoAccept)]
        }),
        ours("a takeover is accepted by who it was offered to", |story| {
            let cast = story.cast;
            let offered = story.say(&cast.office, &Operation::TakeoverOffer { to: cast.target });
            vec![story.tries(&cast.other, &Operation::Accept { offer: offered }, Refusal::NoOffer)]
        }),
        theirs("who took nothing over vouches for nobody", |story| {
            let seal = Operation::Seal { node: story.cast.target, last: story.genesis };
            vec![story.tries(&story.cast.office, &seal, Refusal::NotOwner)]
        }),
        deed("takeover", "a chain of handoffs with an accomplice does not outrun the authority", |stage| {
            Box::pin(async move { outrun(stage).await })
        }),
    ]
}

/// Three handoffs between the hostile member and its accomplice, beside one takeover by the authority
/// that had seen none of them: the authority's choice owns it.
async fn outrun(stage: &Stage) -> String {
    let cast = &stage.cast;
    let mut story = Story::ours(cast, 30);
    let mut chain = Story::theirs(cast, &story.before[0]);
    for turn in 0..3 {
        let pair: [&Identity; 2] =
            if turn % 2 == 0 { [&cast.hostile, &cast.other] } else { [&cast.other, &cast.hostile] };
        let [from, to] = pair;
        let offered = chain.say(from, &offer(to.member));
        let accept = chain.say(to, &Operation::Accept { offer: offered });
        chain.say(from, &Operation::Commit { accept });
    }
    let takeover = story.say(&cast.office, &Operation::TakeoverOffer { to: cast.office.member });
    let accept = story.say(&cast.office, &Operation::Accept { offer: takeover });
    story.say(&cast.office, &Operation::TakeoverCommit { accept });
    story.say(&cast.office, &respond());
    let all = story.before.iter().chain(&chain.before);
    let items: Vec<Bad> = all.map(|envelope| Bad::of(envelope, Fate::Admitted)).collect();
    stage.peer.send_bytes(URGENT, &frame(story.doc, &items)).await;
    let id = story.doc.to_string();
    let owner = wait_for("the takeover at the desk", async || {
        if stage.ids(story.doc).len() < items.len() {
            return None;
        }
        let detail = stage.desk.incident(&id).await?;
        Some(detail["incident"]["owner"].as_str()?.to_owned())
    })
    .await;
    assert_eq!(owner, "National", "the accomplice owns it");
    "admitted; the authority's choice owns it".to_owned()
}
