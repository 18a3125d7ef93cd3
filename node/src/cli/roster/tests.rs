use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use protocol::ids::Code;
use protocol::roster::KeyPurpose;

use super::*;
use crate::cli::rotation::RotationRequest;
use crate::home::NodeKeys;

/// A request of a town whose keys come from `seed`, in a file.
fn request(
    folder: &Path,
    seed: u8,
    name: &str,
    role: Role,
    code: Option<u32>,
    under: Option<&str>,
) -> PathBuf {
    let keys = NodeKeys {
        envelope: SigningKey::from_bytes(&[seed; 32]),
        tls: SigningKey::from_bytes(&[seed + 100; 32]),
    };
    let codes: Vec<Code> = code.map(Code::chile).into_iter().collect();
    let path = folder.join(format!("{seed}.json"));
    std::fs::write(&path, MemberRequest::make(name, &[role], &codes, under, &keys).to_json()).unwrap();
    path
}

fn founded(folder: &Path) -> PathBuf {
    let requests = [
        request(folder, 1, "San Miguel", Role::Municipal, Some(13130), Some("Sur")),
        request(folder, 2, "Sur", Role::Aggregator, None, None),
    ];
    found(folder, &requests, 3, 2, 30).unwrap().file
}

fn sign(folder: &Path, roster: &Path, number: u8) -> Result<(), Trouble> {
    Sign { key: folder.join(format!("root-{number}.key")), roster: roster.to_owned() }.run()
}

#[test]
fn new_member_is_in_force_after_the_second_signature_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let roster = founded(folder.path());
    let newcomer = request(folder.path(), 3, "San Joaquín", Role::Municipal, Some(13129), Some("Sur"));
    Admit { requests: vec![newcomer], roster: roster.clone(), under: None, days: 30 }.run().unwrap();
    let version = || ChainFile::read(&roster).unwrap().chain.head().version;
    sign(folder.path(), &roster, 1).unwrap();
    sign(folder.path(), &roster, 1).unwrap();
    assert_eq!(version(), 1, "one key signed twice");
    sign(folder.path(), &roster, 3).unwrap();
    assert_eq!(version(), 2);
    let file = ChainFile::read(&roster).unwrap();
    let newcomer = file.chain.head().receiving_node(Code::chile(13129)).unwrap();
    assert_eq!(file.chain.head().neighbours(newcomer).len(), 1, "San Miguel touches San Joaquín");
    assert_eq!(sign(folder.path(), &roster, 2).unwrap_err().exit(), Exit::Failed, "nothing is left to sign");
}

#[test]
fn expelled_member_is_not_good_and_its_code_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let roster = founded(folder.path());
    let expel = |member: &str| Expel { member: member.into(), roster: roster.clone(), days: 30 }.run();
    assert_eq!(expel("Nadie").unwrap_err().exit(), Exit::Failed);
    expel("San Miguel").unwrap();
    assert_eq!(expel("Sur").unwrap_err().exit(), Exit::Failed, "one unsigned version at a time");
    sign(folder.path(), &roster, 1).unwrap();
    sign(folder.path(), &roster, 2).unwrap();
    let file = ChainFile::read(&roster).unwrap();
    let head = file.chain.head();
    assert_eq!((head.version, head.receiving_node(Code::chile(13130))), (2, None));
    assert_eq!(head.members().iter().filter(|member| member.is_good()).count(), 1);
}

#[test]
fn key_that_is_none_of_the_root_keys_signs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let roster = founded(folder.path());
    Expel { member: "San Miguel".into(), roster: roster.clone(), days: 30 }.run().unwrap();
    let stranger = folder.path().join("stranger.key");
    write_signing_key(&stranger).unwrap();
    let before = std::fs::read(&roster).unwrap();
    assert_eq!(Sign { key: stranger, roster: roster.clone() }.run().unwrap_err().exit(), Exit::Roster);
    assert_eq!(std::fs::read(&roster).unwrap(), before);
}

#[test]
fn founding_never_overwrites_and_never_makes_keys_that_cannot_sign() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(found(folder.path(), &[], 2, 3, 30).err().map(|t| t.exit()), Some(Exit::Usage));
    founded(folder.path());
    assert_eq!(found(folder.path(), &[], 3, 2, 30).err().map(|t| t.exit()), Some(Exit::Failed));
}

/// A rotation request of San Miguel, whose first keys are those of `request(…, 1, …)`.
fn rotation(folder: &Path, roster: &Path, signer: u8) -> (PathBuf, crate::home::Keyring) {
    let home = crate::home::Home::at(&folder.join("node"));
    home.make_folders().unwrap();
    home.make_keys().unwrap();
    let ring = home.keyring().unwrap();
    let file = ChainFile::read(roster).unwrap();
    let head = file.chain.head();
    let member = head.members().iter().find(|member| member.name == "San Miguel").unwrap();
    let signer = SigningKey::from_bytes(&[signer; 32]);
    let request = RotationRequest::make(head.federation(), member, ring.keys(), &signer);
    let path = folder.join("rotation-request.json");
    std::fs::write(&path, request.to_json()).unwrap();
    (path, ring)
}

fn states(roster: &Path) -> Vec<(u16, KeyPurpose, KeyState)> {
    let file = ChainFile::read(roster).unwrap();
    let member = file.chain.head().members().iter().find(|member| member.name == "San Miguel").unwrap();
    member.keys.iter().map(|key| (key.index.0, key.purpose, key.state)).collect()
}

#[test]
fn members_new_keys_stand_beside_the_old_ones_until_those_are_retired() {
    use KeyPurpose::{Envelope, Tls};
    use KeyState::{Active, Retired};
    let folder = tempfile::tempdir().unwrap();
    let roster = founded(folder.path());
    let (request, _ring) = rotation(folder.path(), &roster, 1);
    let rotate = || keys::Rotate::of(&request, &roster, false).run();
    rotate().unwrap();
    assert_eq!(states(&roster).len(), 2, "nobody has signed it");
    sign(folder.path(), &roster, 1).unwrap();
    sign(folder.path(), &roster, 2).unwrap();
    let both = [(1, Envelope, Active), (2, Tls, Active), (3, Envelope, Active), (4, Tls, Active)];
    assert_eq!(states(&roster), both);
    assert_eq!(rotate().unwrap_err().exit(), Exit::Failed, "the same keys are never listed twice");
    let retire = || keys::Retire::of("San Miguel", &roster).run();
    retire().unwrap();
    sign(folder.path(), &roster, 2).unwrap();
    sign(folder.path(), &roster, 3).unwrap();
    let done = [(1, Envelope, Retired), (2, Tls, Retired), (3, Envelope, Active), (4, Tls, Active)];
    assert_eq!(states(&roster), done);
    assert_eq!(retire().unwrap_err().exit(), Exit::Failed, "nothing is left to retire");
}

#[test]
fn stolen_keys_are_revoked_where_the_new_ones_are_listed_and_a_strangers_request_is_not_taken() {
    use KeyState::{Active, Revoked};
    let folder = tempfile::tempdir().unwrap();
    let roster = founded(folder.path());
    let (by_another, _ring) = rotation(folder.path(), &roster, 2);
    assert_eq!(keys::Rotate::of(&by_another, &roster, false).run().unwrap_err().exit(), Exit::Failed);
    let other = tempfile::tempdir().unwrap();
    let (request, _ring) = rotation(other.path(), &roster, 1);
    keys::Rotate::of(&request, &roster, true).run().unwrap();
    sign(folder.path(), &roster, 1).unwrap();
    sign(folder.path(), &roster, 2).unwrap();
    let now: Vec<KeyState> = states(&roster).into_iter().map(|(_, _, state)| state).collect();
    assert_eq!(now, [Revoked, Revoked, Active, Active]);
}

#[test]
fn root_keys_change_by_enough_of_the_old_and_enough_of_the_new() {
    let folder = tempfile::tempdir().unwrap();
    let roster = founded(folder.path());
    let new = |number: u8| {
        let path = folder.path().join(format!("root-{number}.key"));
        RootKey::ed25519(write_signing_key(&path).unwrap().verifying_key().to_bytes())
    };
    let (old, added) = (ChainFile::read(&roster).unwrap().chain.head().root_keys.clone(), [new(4), new(5)]);
    let root = |add: &[RootKey], remove: &[RootKey], threshold| {
        keys::Root::of(add, remove, threshold, &roster).run().map_err(|trouble| trouble.exit())
    };
    assert_eq!(root(&[], &[], None), Err(Exit::Failed), "nothing changes");
    assert_eq!(root(&[], &added[..1], None), Err(Exit::Failed), "one that goes and is not there");
    assert_eq!(root(&[], &[], Some(9)), Err(Exit::Failed), "more than there are");
    // Two of three hand over: only one of the old keys stays, and all three must sign from then on.
    let gone: Vec<RootKey> = old.iter().copied().filter(|key| *key != root_key(folder.path(), 1)).collect();
    root(&added, &gone, Some(3)).unwrap();
    let version = || ChainFile::read(&roster).unwrap().chain.head().version;
    for signer in [1, 4, 5, 1] {
        sign(folder.path(), &roster, signer).unwrap();
        assert_eq!(version(), 1, "one of the old threshold is missing");
    }
    sign(folder.path(), &roster, 2).unwrap();
    assert_eq!(version(), 2);
    // From then on the old ones alone decide nothing.
    keys::Renew::of(&roster).run().unwrap();
    assert_eq!(sign(folder.path(), &roster, 2).unwrap_err().exit(), Exit::Roster);
    for signer in [1, 4] {
        sign(folder.path(), &roster, signer).unwrap();
        assert_eq!(version(), 2);
    }
    sign(folder.path(), &roster, 5).unwrap();
    assert_eq!(version(), 3);
}

fn root_key(folder: &Path, number: u8) -> RootKey {
    let key = read_signing_key(&folder.join(format!("root-{number}.key"))).unwrap();
    RootKey::ed25519(key.verifying_key().to_bytes())
}

#[test]
fn two_versions_of_one_number_are_joined_with_what_both_list() {
    let folder = tempfile::tempdir().unwrap();
    let roster = founded(folder.path());
    let other = folder.path().join("other.roster");
    std::fs::copy(&roster, &other).unwrap();
    let newcomer = request(folder.path(), 3, "San Joaquín", Role::Municipal, Some(13129), Some("Sur"));
    Admit { requests: vec![newcomer], roster: roster.clone(), under: None, days: 30 }.run().unwrap();
    Expel { member: "San Miguel".into(), roster: other.clone(), days: 30 }.run().unwrap();
    for file in [&roster, &other] {
        sign(folder.path(), file, 1).unwrap();
        sign(folder.path(), file, 2).unwrap();
    }
    keys::Add::of(&[other], &roster).run().unwrap();
    assert_eq!(ChainFile::read(&roster).unwrap().chain.forks().len(), 1);
    keys::Renew::of(&roster).run().unwrap();
    sign(folder.path(), &roster, 1).unwrap();
    sign(folder.path(), &roster, 3).unwrap();
    let file = ChainFile::read(&roster).unwrap();
    let head = file.chain.head();
    assert_eq!((head.version, head.previous.len(), file.chain.forks().len()), (3, 2, 0));
    assert!(head.receiving_node(Code::chile(13129)).is_some(), "who was admitted in one is listed");
    assert_eq!(head.receiving_node(Code::chile(13130)), None, "who was expelled in the other stays out");
}

#[test]
fn copies_signed_apart_are_put_together_and_a_draft_that_came_too_late_goes() {
    let folder = tempfile::tempdir().unwrap();
    let roster = founded(folder.path());
    keys::Renew::of(&roster).run().unwrap();
    let copies = [folder.path().join("a.roster"), folder.path().join("b.roster")];
    for (copy, signer) in copies.iter().zip([1, 3]) {
        std::fs::copy(&roster, copy).unwrap();
        sign(folder.path(), copy, signer).unwrap();
    }
    let late = folder.path().join("late.roster");
    keys::Add::of(&copies[..1], &copies[1]).run().unwrap();
    assert_eq!(ChainFile::read(&copies[1]).unwrap().chain.head().version, 2);
    // Somebody wrote another second version meanwhile, which nobody has signed.
    std::fs::write(&late, std::fs::read(&copies[0]).unwrap()).unwrap();
    let mut file = ChainFile::read(&late).unwrap();
    file.draft = None;
    let mut body = file.next_body(60).unwrap();
    body.expires = body.expires.plus(Millis(7));
    file.add_draft(body, &late).unwrap();
    keys::Add::of(&copies[1..], &late).run().unwrap();
    let file = ChainFile::read(&late).unwrap();
    assert_eq!((file.chain.head().version, file.draft.is_none(), file.chain.forks().len()), (2, true, 0));
}
