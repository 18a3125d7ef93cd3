//! Rosters that a hostile member hands over: what root keys did not sign, and what they must not sign.

use ed25519_dalek::SigningKey;
use federation::close::CloseCode;
use protocol::ids::{Code, FederationId, Millis, RosterHash};
use protocol::message::Message;
use protocol::roster::{KeyPurpose, KeyState, Member, Role, RootKey, RosterBody, SignedRoster};
use tests::cluster::wait_for;
use tests::peer::NORMAL;

use super::stage::{REVOKED_KEY, Stage, next_body, pieces, send_roster, signed_by};
use super::story::Cast;
use super::{Case, deed};

/// A case about a version that follows the one in force, with something changed before the root keys
/// sign it.
macro_rules! signed {
    ($rule:literal, |$cast:ident, $body:ident| $change:block) => {
        deed("roster", $rule, |stage| {
            Box::pin(async move {
                let signed = {
                    let $cast = &stage.cast;
                    let mut $body = next_body($cast);
                    $change
                    signed_by(&mut $body, &stage.cast.roots)
                };
                refused(stage, &signed).await
            })
        })
    };
}

pub fn cases() -> Vec<Case> {
    let mut cases = signatures();
    cases.extend(versions());
    cases.extend(members());
    cases.extend(keys());
    cases.extend(ways());
    cases
}

/// Hands a version over on the control stream: the connection is closed over it for that very rule, which
/// the node's log names, and nothing changes.
async fn refused(stage: &Stage, signed: &SignedRoster) -> String {
    let mut chain = stage.cast.hostile.rosters.clone();
    let error = chain.add(signed.clone()).expect_err("it breaks a rule");
    refused_bytes(stage, &signed.encode(), &error.to_string()).await;
    format!("refused: {error}")
}

async fn refused_bytes(stage: &Stage, bytes: &[u8], reason: &str) -> String {
    let label = "code=\"RosterRefused\"";
    let before = stage.gauge("cuadra_peer_closed_total", label).await;
    let said = stage.log_text().matches(reason).count();
    send_roster(&stage.peer, 3, bytes).await;
    let code = u64::from(CloseCode::RosterRefused.number());
    assert_eq!(stage.peer.closed().await, Some(code), "the roster was taken");
    wait_for("a refused roster on record", async || {
        (stage.gauge("cuadra_peer_closed_total", label).await > before).then_some(())
    })
    .await;
    assert!(stage.log_text().matches(reason).count() > said, "the log does not say: {reason}");
    assert_eq!(stage.roster_version().await, 2, "a roster that breaks a rule is in force");
    format!("refused: {reason}")
}

fn own<'a>(cast: &Cast, body: &'a mut RosterBody) -> &'a mut Member {
    body.members.iter_mut().find(|member| member.id == cast.hostile.member).expect("it is listed")
}

fn signatures() -> Vec<Case> {
    vec![
        deed("roster", "enough root keys sign a roster", |stage| {
            Box::pin(async move {
                let signed = signed_by(&mut next_body(&stage.cast), &stage.cast.roots[..1]);
                refused(stage, &signed).await
            })
        }),
        deed("roster", "one root key that signs twice is one", |stage| {
            Box::pin(async move {
                let signed = signed_by(&mut next_body(&stage.cast), &stage.cast.roots[..1]);
                let mut bytes = signed.encode();
                let inner = 4 + u32::from_be_bytes(bytes[..4].try_into().expect("four bytes")) as usize;
                let signature = bytes[inner + 2..].to_vec();
                bytes[inner + 1] = 2;
                bytes.extend(signature);
                refused_bytes(stage, &bytes, "1 of the root keys of the version before signed it").await
            })
        }),
        deed("roster", "keys that are no root keys do not count", |stage| {
            Box::pin(async move {
                let strangers = [stage.cast.roots[0].clone(), SigningKey::from_bytes(&[7; 32])];
                let signed = signed_by(&mut next_body(&stage.cast), &strangers);
                refused(stage, &signed).await
            })
        }),
        deed("roster", "a member's own keys are no root keys", |stage| {
            Box::pin(async move {
                let own = [stage.cast.hostile.envelope_key.clone(), stage.cast.hostile.tls_key.clone()];
                let signed = signed_by(&mut next_body(&stage.cast), &own);
                refused(stage, &signed).await
            })
        }),
        deed("roster", "what was signed is what is read", |stage| {
            Box::pin(async move {
                let mut bytes = signed_by(&mut next_body(&stage.cast), &stage.cast.roots).encode();
                let at = bytes.len() / 3;
                bytes[at] ^= 1;
                refused_bytes(stage, &bytes, "0 of the root keys of the version before signed it").await
            })
        }),
        deed("roster", "new root keys sign their own roster too", |stage| {
            Box::pin(async move {
                let mut body = next_body(&stage.cast);
                let stranger = |seed| SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
                body.root_keys = (60..63).map(|seed| RootKey::ed25519(stranger(seed))).collect();
                refused(stage, &signed_by(&mut body, &stage.cast.roots)).await
            })
        }),
    ]
}

fn versions() -> Vec<Case> {
    vec![
        signed!("a version is exactly one above the one before", |cast, body| {
            let _ = cast;
            body.version += 1;
        }),
        deed("roster", "an old version does not come back under a new number", |stage| {
            Box::pin(async move {
                let first = stage.cast.older_roster;
                let mut body = next_body(&stage.cast);
                (body.previous, body.version) = (vec![first], 3);
                refused(stage, &signed_by(&mut body, &stage.cast.roots)).await
            })
        }),
        signed!("a roster is of this federation", |cast, body| {
            let _ = cast;
            body.federation = FederationId([9; 32]);
        }),
        signed!("only the first version follows none", |cast, body| {
            let _ = cast;
            body.previous = Vec::new();
        }),
        signed!("a threshold of none is no threshold", |cast, body| {
            let _ = cast;
            body.threshold = 0;
        }),
        signed!("a threshold is at most the number of root keys", |cast, body| {
            let _ = cast;
            body.threshold = 9;
        }),
        signed!("a roster expires after it was made", |cast, body| {
            let _ = cast;
            body.expires = Millis(1);
        }),
        signed!("a roster activates rules", |cast, body| {
            let _ = cast;
            body.rules_version = 0;
        }),
    ]
}

fn members() -> Vec<Case> {
    vec![
        signed!("a member is never dropped", |cast, body| {
            let other = cast.other.member;
            body.members.retain(|member| member.id != other);
            for member in &mut body.members {
                member.neighbours.retain(|id| *id != other);
            }
        }),
        signed!("a code has one receiving node", |cast, body| {
            let theirs = cast.target_code();
            own(cast, &mut body).codes.push(theirs);
        }),
        signed!("places outside all territory are nobody's", |cast, body| {
            own(cast, &mut body).codes.push(Code::OUTSIDE);
        }),
        signed!("an authority is an office that is listed", |cast, body| {
            let other = cast.other.member;
            own(cast, &mut body).authority = Some(other);
        }),
        signed!("offices do not stand above each other in a circle", |cast, body| {
            let office = cast.office.member;
            let member = body.members.iter_mut().find(|member| member.id == office).expect("listed");
            member.authority = Some(office);
        }),
        signed!("a member has a role", |cast, body| {
            own(cast, &mut body).roles = protocol::roster::Roles::of(&[]);
        }),
        signed!("a name has no line breaks", |cast, body| {
            own(cast, &mut body).name = "San\nMiguel".to_owned();
        }),
        signed!("a neighbour is listed", |cast, body| {
            own(cast, &mut body).neighbours = vec![protocol::ids::MemberId([9; 32])];
        }),
    ]
}

fn keys() -> Vec<Case> {
    vec![
        signed!("a revoked key never comes back", |cast, body| {
            let keys = &mut own(cast, &mut body).keys;
            let revoked = keys.iter_mut().find(|key| key.index == REVOKED_KEY).expect("it is listed");
            revoked.state = KeyState::Active;
        }),
        signed!("a key is never changed under its number", |cast, body| {
            let other = SigningKey::from_bytes(&[70; 32]).verifying_key().to_bytes();
            own(cast, &mut body).keys[0].public = other;
        }),
        signed!("a key has one owner", |cast, body| {
            let office = cast.office.member;
            let theirs = body.members.iter().find(|member| member.id == office).expect("listed").keys[0];
            let mut stolen = theirs;
            stolen.index = protocol::ids::KeyIndex(50);
            own(cast, &mut body).keys.push(stolen);
        }),
        signed!("a weak key is no key", |cast, body| {
            let mut weak = own(cast, &mut body).keys[0];
            (weak.index, weak.public) = (protocol::ids::KeyIndex(51), [0; 32]);
            own(cast, &mut body).keys.push(weak);
        }),
        signed!("a key's algorithm fits its purpose", |cast, body| {
            let mut key = own(cast, &mut body).keys[0];
            key.index = protocol::ids::KeyIndex(52);
            key.public = SigningKey::from_bytes(&[71; 32]).verifying_key().to_bytes();
            key.purpose = KeyPurpose::Box;
            own(cast, &mut body).keys.push(key);
        }),
    ]
}

/// Other ways in than the control stream, and what is no offence.
fn ways() -> Vec<Case> {
    vec![
        deed("roster", "bytes that are no roster are refused", |stage| {
            Box::pin(async move { refused_bytes(stage, &[1, 2, 3], "the roster does not parse").await })
        }),
        deed("roster", "a roster on a lane is judged like any other", |stage| {
            Box::pin(async move {
                let before = stage.gauge("cuadra_peer_faults_total", "fault=\"roster\"").await;
                let signed = signed_by(&mut next_body(&stage.cast), &stage.cast.roots[..1]);
                for piece in pieces(3, &signed.encode()) {
                    stage.peer.send(NORMAL, &Message::Roster(piece)).await;
                }
                wait_for("the blame for a roster", async || {
                    (stage.gauge("cuadra_peer_faults_total", "fault=\"roster\"").await > before).then_some(())
                })
                .await;
                assert_eq!(stage.roster_version().await, 2);
                "blamed: Roster".to_owned()
            })
        }),
        deed("roster", "an older roster that is offered again rolls nothing back", |stage| {
            Box::pin(async move {
                let hash = stage.cast.older_roster;
                let first = stage.cast.hostile.rosters.signed(&hash).expect("it is held").encode();
                send_roster(&stage.peer, 1, &first).await;
                assert_eq!(stage.roster_version().await, 2, "it was rolled back");
                "known, nothing changes".to_owned()
            })
        }),
        deed("roster", "a roster that follows an unknown one changes nothing", |stage| {
            Box::pin(async move {
                let mut body = next_body(&stage.cast);
                body.previous = vec![RosterHash([9; 32])];
                let signed = signed_by(&mut body, &stage.cast.roots);
                send_roster(&stage.peer, 3, &signed.encode()).await;
                assert_eq!(stage.roster_version().await, 2, "it is in force");
                "not taken".to_owned()
            })
        }),
        deed("roster", "a welcome that promises a newer roster and brings none opens no lane", |stage| {
            Box::pin(async move { promised(stage).await })
        }),
        deed("roster", "a contact record is signed by its member", |stage| {
            Box::pin(async move { contact(stage).await })
        }),
        deed("roster", "two rosters of one number are an alarm and the first stays in force", |stage| {
            Box::pin(async move { forked(stage).await })
        }),
    ]
}

/// Lanes are not read before the rosters of the welcome are here.
async fn promised(stage: &Stage) -> String {
    let cast = &stage.cast;
    let knock = tests::peer::Knock::at(&cast.hostile, stage.node()).await;
    let (mut send, _receive, theirs) = knock.welcomed().await;
    let mut ours = cast.hostile.welcome(theirs);
    (ours.roster_version, ours.roster) = (900, RosterHash([9; 32]));
    let bytes = Message::Welcome(ours).encode();
    let length = u32::try_from(bytes.len()).expect("short").to_be_bytes();
    send.write_all(&[&length[..], &bytes].concat()).await.expect("the node reads it");
    let story = super::Story::ours(cast, 80);
    let items: Vec<super::Bad> =
        story.before.iter().map(|e| super::Bad::of(e, super::Fate::Admitted)).collect();
    let frame = super::frame(story.doc, &items);
    let mut lane = knock.connection.open_uni().await.expect("a stream");
    let length = u32::try_from(frame.len()).expect("short").to_be_bytes();
    lane.write_all(&[&[1][..], &length, &frame].concat()).await.expect("it is buffered");
    // Others are served meanwhile; then that connection had its time.
    let _raised = stage.raise().await;
    assert!(stage.ids(story.doc).is_empty(), "a lane was read before the rosters");
    "nothing is read".to_owned()
}

async fn contact(stage: &Stage) -> String {
    let before = stage.gauge("cuadra_peer_faults_total", "fault=\"contact\"").await;
    let cast = &stage.cast;
    let hand = protocol::author::Hand {
        member: cast.target,
        key_index: protocol::ids::KeyIndex(1),
        key: cast.hostile.envelope_key.clone(),
        incarnation: protocol::ids::Incarnation::new(1, 1),
    };
    let federation = cast.hostile.rosters.federation();
    let key_index = {
        let head = cast.hostile.rosters.head();
        head.member(&cast.witness).and_then(|m| m.active_key(KeyPurpose::Envelope)).expect("a key").index
    };
    let hand = protocol::author::Hand { member: cast.witness, key_index, ..hand };
    let addresses = vec!["203.0.113.1:4433".to_owned()];
    let record = protocol::contact::SignedContact::seal(federation, u64::MAX >> 12, addresses, &hand);
    stage.peer.send(NORMAL, &Message::Contact(record.encode())).await;
    wait_for("the blame for a contact record", async || {
        (stage.gauge("cuadra_peer_faults_total", "fault=\"contact\"").await > before).then_some(())
    })
    .await;
    "blamed: Contact".to_owned()
}

/// The root keys themselves sign another second version. It is kept beside the head, so this comes last.
async fn forked(stage: &Stage) -> String {
    let cast = &stage.cast;
    let mut body = next_body(cast);
    (body.version, body.previous) = (2, vec![cast.older_roster]);
    let member = own(cast, &mut body);
    member.keys.retain(|key| key.index.0 < 40);
    member.roles = protocol::roster::Roles::of(&[Role::Municipal]);
    let other = signed_by(&mut body, &cast.roots);
    let in_force = cast.hostile.rosters.head().hash();
    send_roster(&stage.peer, 2, &other.encode()).await;
    let home = node::home::Home::at(&stage.node().data());
    wait_for("the fork on the node's disk", async || {
        let rosters = home.rosters().ok()?;
        let chain = rosters.chain()?;
        (chain.head().hash() == in_force && chain.forks() == [other.hash()]).then_some(())
    })
    .await;
    "kept beside the head, an alarm".to_owned()
}
