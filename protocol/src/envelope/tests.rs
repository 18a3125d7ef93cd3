use expect_test::expect;

use super::*;
use crate::fixture::{Federation, Scribe, somebody};
use crate::operation::Step;

fn step() -> Operation {
    Operation::Step { step: Step::Received, by: somebody(1) }
}

#[test]
fn bytes_come_back_as_they_were() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let written = scribe.write(0, step()).unwrap();
    let bytes = written.bytes();
    let read = SignedEnvelope::decode(bytes).unwrap();
    assert_eq!(read.id(), written.id());
    assert_eq!(read.id().0, sha256(&[&read.header().sig_input()]), "what was read is what was signed");
    assert_eq!(SignedEnvelope::assemble(read.header().clone(), read.op_bytes(), read.signature()), read);
    assert_eq!(read.bytes(), bytes);
    assert_eq!(AdmittedEnvelope::from_log(bytes).unwrap(), written);
}

/// Golden: another implementation can check itself against these, and a change of layout shows here.
#[test]
fn genesis_has_its_golden_bytes() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    let genesis = scribe.open(0, &[1]);
    let parts = format!(
        "bytes {}\nid {}\ndoc {}\nsha256 {}\n",
        genesis.bytes().len(),
        genesis.id(),
        genesis.header().doc,
        hex::encode(sha256(&[genesis.bytes()])),
    );
    expect![[r#"
        bytes 395
        id b528b0d921cdcda79ebcb3e26fda6265d13709016ea332d1450be4d4ba5fc0e0
        doc a7519ca6fa59895ad9509c303d48b89552f72596cd043459e6fecd7d7dc9b451
        sha256 7197fc4f4fc72c1bf6a27b7274728c355d23173821ef7d2df5b22387f01e768c
    "#]]
    .assert_eq(&parts);
}

#[test]
fn every_changed_byte_is_noticed() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    let bytes = scribe.open(0, &[1]).bytes().to_vec();
    for at in 0..bytes.len() {
        let mut spoiled = bytes.clone();
        spoiled[at] ^= 1;
        let verified = SignedEnvelope::decode(&spoiled).map(|signed| signed.verify(&federation.rosters));
        assert!(!matches!(verified, Ok(Ok(_))), "byte {at} can be changed unnoticed");
    }
}

#[test]
fn cut_bytes_do_not_parse() {
    let federation = Federation::new(2);
    let bytes = Scribe::new(&federation).open(0, &[1]).bytes().to_vec();
    for length in 0..bytes.len() {
        assert!(SignedEnvelope::decode(&bytes[..length]).is_err(), "{length} bytes parse");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(SignedEnvelope::decode(&longer), Err(WireError::Trailing));
    assert_eq!(SignedEnvelope::decode(&vec![0; ENVELOPE_BYTES_MAX + 1]), Err(WireError::TooLong));
}

#[test]
fn random_bytes_never_panic() {
    arbtest::arbtest(|u| {
        let bytes: Vec<u8> = u.arbitrary()?;
        let _outcome = SignedEnvelope::decode(&bytes);
        for op_type in 0..40 {
            let _outcome = Operation::decode(op_type, &bytes);
        }
        Ok(())
    });
}

#[test]
fn a_copy_with_other_operation_bytes_is_dropped_without_a_verdict() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let written = scribe.write(0, step()).unwrap();
    let signed = written.signed();
    let mut op_bytes = signed.op_bytes().to_vec();
    op_bytes[0] = 5;
    let spoiled = SignedEnvelope::assemble(signed.header().clone(), &op_bytes, signed.signature());
    assert_eq!(spoiled.id(), written.id());
    assert_eq!(spoiled.verify(&federation.rosters), Err(VerifyError::OperationHash));
}

#[test]
fn an_unknown_roster_or_key_is_told_apart() {
    let federation = Federation::new(2);
    let stranger = Federation::new(3);
    let signed = Scribe::new(&federation).open(0, &[1]).signed().clone();
    assert!(matches!(signed.clone().verify(&stranger.rosters), Err(VerifyError::UnknownRoster(_))));
    let mut header = signed.header().clone();
    header.key_index = KeyIndex(9);
    let other_key = SignedEnvelope::assemble(header, signed.op_bytes(), signed.signature());
    assert_eq!(other_key.verify(&federation.rosters), Err(VerifyError::UnknownKey));
}
