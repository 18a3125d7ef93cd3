//! Who may do what, written by hand from the rules: every operation in every state of an incident, by
//! every kind of member. A cell names the members that may: the first owner `o`, an involved node `i`,
//! the node that the incident is offered to `f`, a stranger `s`, the precinct above them all `p`, the
//! national node `n`.
//!
//! A second table has the roles: municipal next to the owner `m`, municipal far away `d`, a service `v`,
//! an aggregator that is not above the owner `g`; in capitals those that the owner invited. A third says
//! about whom.

use std::collections::BTreeMap;

use super::*;
use crate::author::{Draft, seal};
use crate::envelope::BlobRef;
use crate::fixture::{Federation, Scribe, code, open, somebody};
use crate::ids::{BlobId, Cell, DocId, Millis, Nonce, Pseudonym};
use crate::kind::{Kind, Service, Urgency};
use crate::operation::{
    ContributionKind, Disputed, HandoffReason, NoticeMode, Outcome, ReferralAnswer, Relocate, ReopenReason,
    Response, Step, op_type,
};

const LETTERS: [(char, usize); 6] = [('o', 0), ('i', 1), ('f', 2), ('s', 3), ('p', 4), ('n', 5)];
/// A blob of the involved node's note, and one of the owner's.
const THEIRS: BlobId = BlobId([5; 32]);
const OURS: BlobId = BlobId([6; 32]);

/// The states of an incident, each from the one before it that its recipe names.
const STATES: [&str; 11] = [
    "open", "offered", "accepted", "handed", "closed", "seized", "yielded", "taken", "referred", "redacted",
    "retired",
];

/// One row an operation, one cell a state, in the order of [`STATES`]; `-` is nobody.
const TABLE: &str = "
open             -    -    -    -    -    -    -    -    -    -    -
step             o    o    o    f    o    o    o    i    o    o    -
reclassify       o    o    o    f    o    o    o    i    o    o    -
relocate         o    o    o    f    o    o    o    i    o    o    -
invite           o    o    o    f    o    o    o    i    o    o    -
refer            o    o    o    f    o    o    o    i    o    o    -
close            o    o    o    f    o    o    o    i    o    o    -
reopen           o    o    o    f    o    o    o    i    o    o    -
absorb           o    o    o    f    o    o    o    i    o    o    -
answer_referral  -    -    -    -    -    -    -    -    p    -    -
respond          oi   oif  oif  oif  oi   oi   oi   oi   oip  oi   -
note             oi   oif  oif  oif  oi   oi   oi   oi   oip  oi   -
media            oi   oif  oif  oif  oi   oi   oi   oi   oip  oi   -
contribution     oi   oif  oif  oif  oi   oi   oi   oi   oip  oi   -
dispute          oi   oif  oif  oif  oi   oi   oi   oi   oip  oi   -
link             o    o    o    f    o    o    o    i    o    o    -
unlink           o    o    o    f    o    o    o    i    o    o    -
offer            o    o    o    f    o    o    o    i    o    o    -
accept           -    f    -    -    -    i    -    -    -    -    -
commit           -    -    o    -    -    -    -    -    -    -    -
decline          -    f    -    -    -    i    -    -    -    -    -
takeover_offer   p    p    p    p    p    p    p    p    p    p    -
takeover_commit  -    -    -    -    -    -    p    -    -    -    -
seal             oi   oi   oi   if   oi   oi   oi   ip   oi   oi   -
release          o    o    o    f    o    o    o    i    o    o    -
redact           oi   oi   oi   if   oi   oi   oi   i    oi   oi   -
erased           -    -    -    -    -    -    -    -    -    oipn -
retire           -    -    -    -    o    -    -    -    -    -    -
notice_open      -    -    -    -    -    -    -    -    -    -    -
notice_update    -    -    -    -    -    -    -    -    -    -    -
notice_cancel    -    -    -    -    -    -    -    -    -    -    -
summary          -    -    -    -    -    -    -    -    -    -    -
";

fn by() -> Pseudonym {
    somebody(1)
}

/// The fixture, with a precinct that is also a service.
fn federation() -> Federation {
    let mut federation = Federation::new(4);
    let precinct = federation.id(federation.precinct());
    federation.publish(|body| {
        for member in body.members.iter_mut().filter(|member| member.id == precinct) {
            member.roles = crate::roster::Roles::of(&[Role::Service, Role::Aggregator]);
        }
    });
    federation
}

/// An incident in some state, and the envelopes that later operations name.
struct Stage<'a> {
    scribe: Scribe<'a>,
    note: EnvelopeId,
    offer: EnvelopeId,
    accept: EnvelopeId,
    referral: EnvelopeId,
}

fn note_with(scribe: &mut Scribe<'_>, n: usize, id: BlobId) -> EnvelopeId {
    let draft = Draft {
        operation: Operation::Note { by: by() },
        blobs: vec![BlobRef { class: BlobClass::Responders, id }],
        answers: Vec::new(),
        written_at: Millis(9),
    };
    let written =
        seal(&draft, Some(&scribe.document), &scribe.federation.hand(n), &scribe.federation.rosters).unwrap();
    scribe.document.insert(written.clone()).unwrap();
    written.id()
}

fn stage<'a>(federation: &'a Federation, state: &str, invited: &[usize]) -> Stage<'a> {
    let mut scribe = Scribe::new(federation);
    let genesis = scribe.open(0, &[&[1], invited].concat()).id();
    let note = note_with(&mut scribe, 1, THEIRS);
    note_with(&mut scribe, 0, OURS);
    let mut stage = Stage { scribe, note, offer: genesis, accept: genesis, referral: genesis };
    let (offered, precinct) = (federation.id(2), federation.precinct());
    for done in recipe(state) {
        let accept = stage.accept;
        let write = |stage: &mut Stage<'_>, n, operation| stage.scribe.write(n, operation).unwrap().id();
        match *done {
            "offer" => {
                let offer = Operation::Offer { to: offered, reason: HandoffReason::Means };
                stage.offer = write(&mut stage, 0, offer);
            }
            "seize" => {
                let offer = Operation::TakeoverOffer { to: federation.id(1) };
                stage.offer = write(&mut stage, precinct, offer);
            }
            "accept" | "yield" => {
                let accept = Operation::Accept { offer: stage.offer };
                stage.accept = write(&mut stage, if *done == "accept" { 2 } else { 1 }, accept);
            }
            "commit" => _ = write(&mut stage, 0, Operation::Commit { accept }),
            "take" => _ = write(&mut stage, precinct, Operation::TakeoverCommit { accept }),
            "close" => _ = write(&mut stage, 0, Operation::Close { outcome: Outcome::Helped, by: by() }),
            "refer" => {
                let to = Some(federation.id(precinct));
                let refer = Operation::Refer { service: Service::Police, to, by: by() };
                stage.referral = write(&mut stage, 0, refer);
            }
            "redact" => _ = write(&mut stage, 1, Operation::Redact { blobs: vec![THEIRS] }),
            "retire" => _ = write(&mut stage, 0, Operation::Retire),
            other => panic!("no such thing as {other}"),
        }
    }
    stage
}

fn recipe(state: &str) -> &'static [&'static str] {
    match state {
        "open" => &[],
        "offered" => &["offer"],
        "accepted" => &["offer", "accept"],
        "handed" => &["offer", "accept", "commit"],
        "closed" => &["close"],
        "seized" => &["seize"],
        "yielded" => &["seize", "yield"],
        "taken" => &["seize", "yield", "take"],
        "referred" => &["refer"],
        "redacted" => &["redact"],
        "retired" => &["close", "retire"],
        other => panic!("no state {other}"),
    }
}

fn operation(name: &str, stage: &Stage<'_>) -> Operation {
    let federation = stage.scribe.federation;
    let (by, stranger, reason) = (by(), federation.id(3), HandoffReason::Means);
    let elsewhere = DocId([3; 32]);
    match name {
        "open" => open(code(0), Kind::by_number(1).unwrap(), &[], None, 77),
        "step" => Operation::Step { step: Step::Called, by },
        "reclassify" => Operation::Reclassify { kind: 12, local_kind: 0, urgency: Urgency::Low, by },
        "relocate" => Operation::Relocate(Relocate {
            code: code(0),
            cell: Cell(0x089b_2c54_0cff_ffff),
            involved: vec![stranger],
            point: None,
            by,
        }),
        "invite" => Operation::Invite { member: stranger },
        "refer" => Operation::Refer { service: Service::Fire, to: None, by },
        "close" => Operation::Close { outcome: Outcome::Helped, by },
        "reopen" => Operation::Reopen { reason: ReopenReason::Again, by },
        "absorb" => Operation::Absorb { document: elsewhere, by },
        "answer_referral" => {
            Operation::AnswerReferral { referral: stage.referral, answer: ReferralAnswer::Accepted, by }
        }
        "respond" => Operation::Respond { response: Response::OnTheWay, crew: by },
        "note" => Operation::Note { by },
        "media" => Operation::Media { by },
        "contribution" => Operation::Contribution { what: ContributionKind::SawItToo, by },
        "dispute" => Operation::Dispute { what: Disputed::Kind, by },
        "link" => Operation::Link { target: elsewhere, by },
        "unlink" => Operation::Unlink { target: elsewhere, by },
        "offer" => Operation::Offer { to: stranger, reason },
        "accept" => Operation::Accept { offer: stage.offer },
        "commit" => Operation::Commit { accept: stage.accept },
        "decline" => Operation::Decline { offer: stage.offer, reason },
        "takeover_offer" => Operation::TakeoverOffer { to: stranger },
        "takeover_commit" => Operation::TakeoverCommit { accept: stage.accept },
        "seal" => Operation::Seal { node: federation.id(1), last: stage.note },
        "release" => Operation::Release { blobs: vec![OURS] },
        "redact" => Operation::Redact { blobs: vec![THEIRS] },
        "erased" => Operation::Erased { blobs: vec![THEIRS] },
        "retire" => Operation::Retire,
        "notice_open" => Operation::NoticeOpen(notice()),
        "notice_update" => Operation::NoticeUpdate(notice()),
        "notice_cancel" => Operation::NoticeCancel { by },
        "summary" => Operation::Summary(Summary {
            code: code(0),
            day: 20_261_031,
            period: 202_610,
            values: Vec::new(),
        }),
        other => panic!("no operation {other}"),
    }
}

fn notice() -> Notice {
    Notice {
        urgency: Urgency::High,
        code: code(0),
        nonce: Nonce([4; 32]),
        mode: NoticeMode::Live,
        opened: Millis(1),
        expires: Millis(2),
        cells: Vec::new(),
    }
}

/// Judges every operation in every state by every one of `members`, against a table.
fn wrong_cells(
    federation: &Federation,
    table: &str,
    invited: &[usize],
    members: &[(char, usize)],
) -> Vec<String> {
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for (column, state) in STATES.iter().enumerate() {
        let mut stage = stage(federation, state, invited);
        let document = stage.scribe.document.clone();
        for row in rows(table) {
            let (name, cell) = (row[0], row[column + 1]);
            for (letter, member) in members {
                let written = stage.scribe.write_on(&document, *member, operation(name, &stage));
                let may = cell.contains(*letter);
                cells += 1;
                if written.is_ok() != may {
                    wrong.push(format!("{name} by {letter} in {state}: table says {may}, got {written:?}"));
                }
            }
        }
    }
    println!("{cells} cells judged");
    wrong
}

fn rows(table: &str) -> Vec<Vec<&str>> {
    table.trim().lines().map(|line| line.split_whitespace().collect()).collect()
}

#[test]
fn every_operation_is_for_whom_the_table_says_in_every_state() {
    let wrong = wrong_cells(&federation(), TABLE, &[], &LETTERS);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Members of every role, the invited ones in capitals; they come after those of [`federation`].
const ROLES: [(char, usize); 8] =
    [('M', 6), ('D', 7), ('V', 8), ('G', 9), ('m', 10), ('d', 11), ('v', 12), ('g', 13)];
const INVITED: [usize; 4] = [6, 7, 8, 9];

/// As [`TABLE`], by [`ROLES`]: no role gives a right in an incident, being invited does, and neither
/// makes an owner.
const BY_ROLE: &str = "
open             -    -    -    -    -    -    -    -    -    -    -
step             -    -    -    -    -    -    -    -    -    -    -
reclassify       -    -    -    -    -    -    -    -    -    -    -
relocate         -    -    -    -    -    -    -    -    -    -    -
invite           -    -    -    -    -    -    -    -    -    -    -
refer            -    -    -    -    -    -    -    -    -    -    -
close            -    -    -    -    -    -    -    -    -    -    -
reopen           -    -    -    -    -    -    -    -    -    -    -
absorb           -    -    -    -    -    -    -    -    -    -    -
answer_referral  -    -    -    -    -    -    -    -    -    -    -
respond          MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG -
note             MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG -
media            MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG -
contribution     MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG -
dispute          MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG MDVG -
link             -    -    -    -    -    -    -    -    -    -    -
unlink           -    -    -    -    -    -    -    -    -    -    -
offer            -    -    -    -    -    -    -    -    -    -    -
accept           -    -    -    -    -    -    -    -    -    -    -
commit           -    -    -    -    -    -    -    -    -    -    -
decline          -    -    -    -    -    -    -    -    -    -    -
takeover_offer   -    -    -    -    -    -    -    -    -    -    -
takeover_commit  -    -    -    -    -    -    -    -    -    -    -
seal             -    -    -    -    -    -    -    -    -    -    -
release          -    -    -    -    -    -    -    -    -    -    -
redact           -    -    -    -    -    -    -    -    -    -    -
erased           -    -    -    -    -    -    -    -    -    MDVG -
retire           -    -    -    -    -    -    -    -    -    -    -
notice_open      -    -    -    -    -    -    -    -    -    -    -
notice_update    -    -    -    -    -    -    -    -    -    -    -
notice_cancel    -    -    -    -    -    -    -    -    -    -    -
summary          -    -    -    -    -    -    -    -    -    -    -
";

/// Whom the owner (or, in a takeover, its authority) may name.
const ABOUT: &str = "
invite           MDVGmdvg
offer            MDVGmdvg
relocate         MDVGmdvg
refer            Vv
takeover_offer   MGmg
";

/// [`federation`] with two members of every role of [`ROLES`].
fn federation_of_all_roles() -> Federation {
    use crate::fixture::member_key;
    use crate::roster::{Algorithm, KeyPurpose, Member, MemberKey, Roles};
    let mut federation = federation();
    let owner = federation.id(0);
    let mut members = Vec::new();
    for n in INVITED.into_iter().chain(10..14) {
        let (role, near) = match (n - 6) % 4 {
            0 => (Role::Municipal, true),
            1 => (Role::Municipal, false),
            2 => (Role::Service, false),
            _ => (Role::Aggregator, false),
        };
        let public = member_key(n, 0).verifying_key().to_bytes();
        let mut member = Member::new(Member::id_of_first_key(&public), &format!("role {n}"), &[role]);
        member.keys.push(MemberKey {
            index: crate::ids::KeyIndex(0),
            purpose: KeyPurpose::Envelope,
            algorithm: Algorithm::Ed25519,
            state: KeyState::Active,
            public,
        });
        member.neighbours.extend(near.then_some(owner));
        member.roles = Roles::of(&[role]);
        federation.members.push(member.id);
        members.push(member);
    }
    federation.publish(|body| {
        body.members.extend(members);
        body.sort();
    });
    federation
}

#[test]
fn roles_give_no_right_in_an_incident_and_an_invitation_only_to_answer_in_it() {
    let wrong = wrong_cells(&federation_of_all_roles(), BY_ROLE, &INVITED, &ROLES);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_members_that_the_table_allows_are_asked_offered_or_taken_to() {
    let federation = federation_of_all_roles();
    let mut stage = stage(&federation, "open", &INVITED);
    let document = stage.scribe.document.clone();
    let mut wrong = Vec::new();
    for row in rows(ABOUT) {
        let author = if row[0] == "takeover_offer" { federation.precinct() } else { 0 };
        for (letter, n) in ROLES {
            let named = federation.id(n);
            let made = operation(row[0], &stage);
            let operation = if let Operation::Invite { .. } = made {
                Operation::Invite { member: named }
            } else if let Operation::Offer { reason, .. } = made {
                Operation::Offer { to: named, reason }
            } else if let Operation::Relocate(place) = made {
                Operation::Relocate(Relocate { involved: vec![named], ..place })
            } else if let Operation::Refer { service, by, .. } = made {
                Operation::Refer { service, to: Some(named), by }
            } else if let Operation::TakeoverOffer { .. } = made {
                Operation::TakeoverOffer { to: named }
            } else {
                panic!("{} names nobody", made.name())
            };
            let may = row[1].contains(letter);
            let written = stage.scribe.write_on(&document, author, operation);
            if written.is_ok() != may {
                wrong.push(format!("{} about {letter}: table says {may}, got {written:?}", row[0]));
            }
        }
    }
    println!("{} cells judged", rows(ABOUT).len() * ROLES.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_tables_have_every_operation_once() {
    for table in [TABLE, BY_ROLE] {
        let rows: BTreeMap<String, usize> =
            rows(table).iter().map(|row| (row[0].replace('_', " "), row.len() - 1)).collect();
        for (name, _) in op_type::TABLE {
            assert_eq!(rows.get(name), Some(&STATES.len()), "{name}");
        }
        assert_eq!(rows.len(), op_type::TABLE.len());
    }
}
