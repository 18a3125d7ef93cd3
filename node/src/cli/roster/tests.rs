use std::path::PathBuf;

use ed25519_dalek::SigningKey;
use protocol::ids::Code;

use super::*;
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
