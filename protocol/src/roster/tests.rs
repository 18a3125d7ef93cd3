use ed25519_dalek::SigningKey;

use super::*;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn member_key(index: u16, purpose: KeyPurpose, seed: u8) -> MemberKey {
    MemberKey {
        index: KeyIndex(index),
        purpose,
        algorithm: Algorithm::Ed25519,
        state: KeyState::Active,
        public: key(seed).verifying_key().to_bytes(),
    }
}

fn member(seed: u8, name: &str, roles: &[Role]) -> Member {
    let mut member = Member::new(MemberId([seed; 32]), name, roles);
    member.keys = vec![
        member_key(1, KeyPurpose::Envelope, seed),
        member_key(2, KeyPurpose::Tls, seed.wrapping_add(100)),
    ];
    member
}

fn root_keys(seeds: &[u8]) -> Vec<RootKey> {
    seeds.iter().map(|seed| RootKey::ed25519(key(*seed).verifying_key().to_bytes())).collect()
}

/// San Miguel (1) and San Joaquín (2) under a precinct (3) under the country (4); 2 of the keys 201 to 203.
fn first() -> RosterBody {
    let mut san_miguel = member(1, "San Miguel", &[Role::Municipal]);
    san_miguel.codes = vec![Code::chile(13130)];
    san_miguel.authority = Some(MemberId([3; 32]));
    san_miguel.neighbours = vec![MemberId([2; 32])];
    let mut san_joaquin = member(2, "San Joaquín", &[Role::Municipal]);
    san_joaquin.codes = vec![Code::chile(13129)];
    san_joaquin.authority = Some(MemberId([3; 32]));
    let mut precinct = member(3, "Prefectura Sur", &[Role::Service, Role::Aggregator]);
    precinct.authority = Some(MemberId([4; 32]));
    let country = member(4, "País", &[Role::Aggregator]);
    let mut body = RosterBody {
        federation: FederationId([0; 32]),
        version: 1,
        previous: vec![],
        threshold: 2,
        root_keys: root_keys(&[201, 202, 203]),
        issued: Millis(1_000),
        expires: Millis(2_000),
        rules_version: 1,
        members: vec![san_miguel, san_joaquin, precinct, country],
    };
    body.sort();
    body
}

fn sign(mut body: RosterBody, seeds: &[u8]) -> SignedRoster {
    body.sort();
    let mut signed = SignedRoster::unsigned(&body);
    for seed in seeds {
        signed.sign(&key(*seed));
    }
    signed
}

fn chain() -> RosterChain {
    RosterChain::start(sign(first(), &[201, 202])).unwrap()
}

/// The version that follows the head of `chain`, not signed yet.
fn next(chain: &RosterChain) -> RosterBody {
    RosterBody {
        federation: chain.federation(),
        version: chain.head().version + 1,
        previous: vec![chain.head().hash()],
        ..(**chain.head()).clone()
    }
}

fn named(body: &mut RosterBody, seed: u8) -> &mut Member {
    body.members.iter_mut().find(|member| member.id == MemberId([seed; 32])).unwrap()
}

fn refusal_of(change: impl FnOnce(&mut RosterBody)) -> RosterError {
    let mut chain = chain();
    let head = chain.head().hash();
    let mut body = next(&chain);
    change(&mut body);
    let refusal = chain.add(sign(body, &[201, 202, 203])).unwrap_err();
    assert_eq!(
        (chain.head().hash(), chain.versions_after(0).len()),
        (head, 1),
        "a refusal changed the chain"
    );
    refusal
}

fn fault_of(change: impl FnOnce(&mut RosterBody)) -> MemberFault {
    let refusal = refusal_of(change);
    let RosterError::Member(_, fault) = refusal else {
        panic!("expected a fault of a member, got: {refusal}")
    };
    fault
}

#[test]
fn first_version_is_the_federation() {
    let chain = chain();
    assert_eq!(chain.federation().0, chain.head().hash().0);
    assert_eq!(chain.head().federation(), chain.federation());
    let later = sign(RosterBody { version: 2, ..first() }, &[201, 202]);
    assert_eq!(RosterChain::start(later).unwrap_err(), RosterError::Genesis);
    let named = sign(RosterBody { federation: FederationId([1; 32]), ..first() }, &[201, 202]);
    assert_eq!(RosterChain::start(named).unwrap_err(), RosterError::Genesis);
}

#[test]
fn next_version_becomes_the_head_once() {
    let mut chain = chain();
    let signed = sign(next(&chain), &[202, 203]);
    let again = SignedRoster::decode(&signed.encode()).unwrap();
    assert_eq!(chain.add(signed), Ok(Added::Head));
    assert_eq!(chain.add(again), Ok(Added::AlreadyHeld));
    assert_eq!(chain.head().version, 2);
    assert_eq!(chain.versions_after(1).len(), 1);
}

#[test]
fn one_key_that_signs_twice_counts_once() {
    let mut chain = chain();
    let mut signed = sign(next(&chain), &[201]);
    signed.signatures.push(signed.signatures[0].clone());
    let twice = SignedRoster::decode(&signed.encode()).unwrap();
    assert_eq!(twice.signatures().len(), 2);
    let refusal = RosterError::Signatures { whose: Whose::Previous, signed: 1, needed: 2 };
    assert_eq!(chain.add(twice), Err(refusal));
}

#[test]
fn root_key_listed_twice_does_not_parse() {
    let refusal = refusal_of(|body| body.root_keys = root_keys(&[201, 201, 202]));
    assert_eq!(refusal, RosterError::Layout(WireError::Order));
}

#[test]
fn threshold_of_zero_or_above_the_keys_is_refused() {
    assert_eq!(refusal_of(|body| body.threshold = 0), RosterError::Threshold);
    assert_eq!(refusal_of(|body| body.threshold = 4), RosterError::Threshold);
    let genesis = sign(RosterBody { threshold: 0, ..first() }, &[]);
    assert_eq!(RosterChain::start(genesis).unwrap_err(), RosterError::Threshold);
}

#[test]
fn changed_bytes_are_not_signed() {
    let mut chain = chain();
    let signed = sign(next(&chain), &[201, 202]);
    let mut body = signed.unverified_body().unwrap();
    named(&mut body, 1).name = "San Miguel de Otros".into();
    let changed = SignedRoster { bytes: body.encode(), signatures: signed.signatures };
    let refusal = RosterError::Signatures { whose: Whose::Previous, signed: 0, needed: 2 };
    assert_eq!(chain.add(changed), Err(refusal));
}

#[test]
fn strangers_signature_does_not_count() {
    let mut chain = chain();
    let signed = sign(next(&chain), &[201, 99]);
    let refusal = RosterError::Signatures { whose: Whose::Previous, signed: 1, needed: 2 };
    assert_eq!(chain.add(signed), Err(refusal));
}

#[test]
fn version_must_be_exactly_one_further() {
    assert_eq!(refusal_of(|body| body.version = 3), RosterError::Version { expected: 2, found: 3 });
    assert_eq!(refusal_of(|body| body.version = 1), RosterError::Genesis);
    assert_eq!(refusal_of(|body| body.previous = vec![]), RosterError::Genesis);
    assert_eq!(refusal_of(|body| body.previous = vec![RosterHash([7; 32])]), RosterError::UnknownPrevious);
    assert_eq!(refusal_of(|body| body.federation = FederationId([7; 32])), RosterError::OtherFederation);
    let mut chain = chain();
    chain.add(sign(next(&chain), &[201, 202])).unwrap();
    let equal = RosterBody { version: 2, ..next(&chain) };
    let refusal = RosterError::Version { expected: 3, found: 2 };
    assert_eq!(chain.add(sign(equal, &[201, 202])), Err(refusal), "not a second time the same number");
}

#[test]
fn members_are_not_even_parsed_before_the_signatures_hold() {
    let mut chain = chain();
    let mut body = next(&chain);
    named(&mut body, 1).roles = Roles::default();
    let refusal = RosterError::Signatures { whose: Whose::Previous, signed: 0, needed: 2 };
    assert_eq!(chain.add(sign(body, &[])), Err(refusal));
}

#[test]
fn new_root_keys_need_the_old_threshold_and_their_own() {
    let mut chain = chain();
    let rotated = RosterBody { root_keys: root_keys(&[211, 212, 213]), threshold: 3, ..next(&chain) };
    let refused = |whose, signed, needed| Err(RosterError::Signatures { whose, signed, needed });
    let only_new = sign(rotated.clone(), &[211, 212, 213]);
    assert_eq!(chain.add(only_new), refused(Whose::Previous, 0, 2));
    let too_few_new = sign(rotated.clone(), &[201, 202, 211, 212]);
    assert_eq!(chain.add(too_few_new), refused(Whose::Own, 2, 3));
    assert_eq!(chain.add(sign(rotated, &[201, 202, 211, 212, 213])), Ok(Added::Head));
    let by_old = sign(next(&chain), &[201, 202, 203]);
    assert_eq!(chain.add(by_old), refused(Whose::Previous, 0, 3));
}

#[test]
fn copies_that_were_signed_apart_become_one_that_all_signed() {
    let mut chain = chain();
    let mut one = sign(next(&chain), &[201]);
    let mut other = sign(next(&chain), &[203]);
    other.signatures[0].signature[7] ^= 1;
    assert!(!one.take_signatures(&other), "a bad signature is not taken");
    assert!(one.take_signatures(&sign(next(&chain), &[203])));
    assert!(!one.take_signatures(&sign(next(&chain), &[203])), "nothing is new");
    assert!(other.take_signatures(&one), "a bad one gives way to a good one");
    assert_eq!(other.signers(&chain.head().root_keys).len(), 2);
    let later = RosterBody { issued: Millis(1_001), ..next(&chain) };
    assert!(!one.take_signatures(&sign(later, &[202])), "of another version");
    assert_eq!(chain.add(one), Ok(Added::Head));
}

#[test]
fn draft_that_could_never_be_in_force_is_known_before_anybody_signs_it() {
    let chain = chain();
    let unsigned = |change: &dyn Fn(&mut RosterBody)| {
        let mut body = next(&chain);
        change(&mut body);
        chain.check_unsigned(&sign(body, &[]))
    };
    assert_eq!(unsigned(&|_| {}), Ok(()));
    assert_eq!(unsigned(&|body| body.threshold = 9), Err(RosterError::Threshold));
    let dropped = unsigned(&|body| named(body, 1).keys.truncate(1));
    assert_eq!(dropped, Err(RosterError::Member(MemberId([1; 32]), MemberFault::KeyChanged(2))));
    let unknown = unsigned(&|body| body.previous = vec![RosterHash([7; 32])]);
    assert_eq!(unknown, Err(RosterError::UnknownPrevious));
}

#[test]
fn longer_branch_of_rotated_out_keys_never_takes_over() {
    let mut chain = chain();
    let mut thief = chain.clone();
    let rotated = RosterBody { root_keys: root_keys(&[211, 212]), threshold: 2, ..next(&chain) };
    let head = sign(rotated, &[201, 202, 211, 212]);
    assert_eq!(chain.add(head), Ok(Added::Head));
    for round in 0..3 {
        let mut body = next(&thief);
        body.issued = Millis(1_100 + round);
        let branch = sign(body, &[201, 202]);
        assert_eq!(thief.add(branch.clone()), Ok(Added::Head));
        assert_eq!(chain.add(branch), Ok(Added::Fork));
    }
    assert_eq!(chain.head().version, 2);
    assert_eq!(chain.head().threshold, 2);
    assert_eq!(chain.forks().len(), 3);
}

#[test]
fn older_version_never_becomes_the_head_again() {
    let mut chain = chain();
    let genesis = chain.versions_after(0)[0].clone();
    chain.add(sign(next(&chain), &[201, 202])).unwrap();
    assert_eq!(chain.add(genesis), Ok(Added::AlreadyHeld));
    assert_eq!(chain.head().version, 2);
}

#[test]
fn two_versions_of_one_number_alarm_until_a_later_one_joins_them() {
    let mut chain = chain();
    let base = next(&chain);
    let first = sign(base.clone(), &[201, 202]);
    let second = sign(RosterBody { issued: Millis(1_500), ..base }, &[202, 203]);
    assert_eq!(chain.add(first.clone()), Ok(Added::Head));
    assert_eq!(chain.add(second.clone()), Ok(Added::Fork));
    assert_eq!(chain.head().hash(), first.hash());
    assert_eq!(chain.forks(), [second.hash()]);
    assert!(chain.get(&second.hash()).is_some());
    let joined = RosterBody { previous: vec![first.hash(), second.hash()], ..next(&chain) };
    assert_eq!(chain.add(sign(joined, &[201, 203])), Ok(Added::Head));
    assert_eq!(chain.forks(), []);
    // The other side held them the other way round and ends at the same head.
    let mut other = RosterChain::start(chain.versions_after(0)[0].clone()).unwrap();
    other.add(second).unwrap();
    for signed in chain.versions_after(0) {
        other.add(signed.clone()).unwrap();
    }
    assert_eq!(other.head().hash(), chain.head().hash());
    assert_eq!(other.forks(), []);
}

#[test]
fn branches_of_one_number_are_bounded_and_never_crowd_out_the_head() {
    let mut chain = chain();
    let base = next(&chain);
    let branch = |n: u64| sign(RosterBody { issued: Millis(1_000 + n), ..base.clone() }, &[201, 202]);
    chain.add(branch(0)).unwrap();
    for n in 1..4 {
        assert_eq!(chain.add(branch(n)), Ok(Added::Fork));
    }
    assert_eq!(chain.add(branch(4)), Err(RosterError::TooManyForks));
    assert_eq!(chain.add(sign(next(&chain), &[201, 202])), Ok(Added::Head));
}

#[test]
fn authorities_form_no_circle_and_no_tower() {
    assert_eq!(
        fault_of(|body| named(body, 4).authority = Some(MemberId([3; 32]))),
        MemberFault::AuthorityDepth
    );
    let tower = |levels: u8| {
        move |body: &mut RosterBody| {
            for level in 0..levels {
                let mut office = member(10 + level, "Región", &[Role::Aggregator]);
                office.authority = (level > 0).then(|| MemberId([9 + level; 32]));
                body.members.push(office);
            }
            named(body, 1).authority = Some(MemberId([9 + levels; 32]));
        }
    };
    assert_eq!(fault_of(tower(9)), MemberFault::AuthorityDepth);
    let mut chain = chain();
    let mut body = next(&chain);
    tower(8)(&mut body);
    assert_eq!(chain.add(sign(body, &[201, 202])), Ok(Added::Head));
    assert_eq!(chain.head().above(MemberId([1; 32])).len(), AUTHORITY_DEPTH_MAX);
}

#[test]
fn member_faults_are_refused() {
    use MemberFault as F;
    assert_eq!(
        fault_of(|body| named(body, 2).codes = vec![Code::chile(13129), Code::chile(13130)]),
        F::CodeTaken(Code::chile(13130))
    );
    assert_eq!(fault_of(|body| named(body, 2).codes = vec![Code::OUTSIDE]), F::CodeOutside);
    assert_eq!(fault_of(|body| named(body, 1).authority = Some(MemberId([2; 32]))), F::Authority);
    assert_eq!(fault_of(|body| named(body, 1).authority = Some(MemberId([77; 32]))), F::Authority);
    assert_eq!(fault_of(|body| named(body, 1).neighbours = vec![MemberId([1; 32])]), F::Unlisted);
    assert_eq!(fault_of(|body| named(body, 1).operated_by = Some(MemberId([77; 32]))), F::Unlisted);
    assert_eq!(fault_of(|body| named(body, 1).name = "a\nb".into()), F::Name);
    assert_eq!(fault_of(|body| named(body, 1).roles = Roles::default()), F::NoRole);
    assert_eq!(fault_of(|body| body.members.push(member(0, "Nadie", &[Role::Service]))), F::Id);
    assert_eq!(fault_of(|body| body.members.retain(|member| member.name != "San Miguel")), F::Dropped);
    assert_eq!(fault_of(|body| named(body, 1).keys[0].public = [0; 32]), F::Key(1));
    assert_eq!(fault_of(|body| named(body, 1).keys[0].algorithm = Algorithm::X25519), F::Key(1));
    assert_eq!(
        fault_of(|body| named(body, 1).keys.push(member_key(3, KeyPurpose::Tls, 2))),
        F::KeyTwice(1),
        "a member's key may not be another's"
    );
    assert_eq!(fault_of(|body| named(body, 1).keys.truncate(1)), F::KeyChanged(2));
    assert_eq!(
        fault_of(|body| named(body, 1).keys[0] = member_key(1, KeyPurpose::Envelope, 50)),
        F::KeyChanged(1)
    );
}

#[test]
fn dates_rules_and_root_keys_must_make_sense() {
    assert_eq!(refusal_of(|body| body.rules_version = 0), RosterError::Dates);
    assert_eq!(refusal_of(|body| body.expires = body.issued), RosterError::Dates);
    assert_eq!(refusal_of(|body| body.root_keys.push(RootKey::ed25519([0; 32]))), RosterError::RootKey);
}

#[test]
fn revoked_key_stays_revoked_and_says_since_when() {
    let mut chain = chain();
    let mut body = next(&chain);
    named(&mut body, 1).keys[0].state = KeyState::Revoked;
    chain.add(sign(body, &[201, 202])).unwrap();
    chain.add(sign(next(&chain), &[201, 202])).unwrap();
    let san_miguel = MemberId([1; 32]);
    assert_eq!(chain.revoked_since(&san_miguel, KeyIndex(1)), Some(2));
    assert_eq!(chain.revoked_since(&san_miguel, KeyIndex(2)), None);
    assert!(!chain.head().good(&san_miguel));
    assert_eq!(chain.head().receiving_node(Code::chile(13130)), None);
    assert_eq!(chain.head().stand_in(san_miguel), Some(MemberId([3; 32])));
    let mut body = next(&chain);
    named(&mut body, 1).keys[0].state = KeyState::Active;
    let refusal = chain.add(sign(body, &[201, 202])).unwrap_err();
    assert_eq!(refusal, RosterError::Member(san_miguel, MemberFault::KeyChanged(1)));
}

#[test]
fn roster_answers_who_is_who() {
    let chain = chain();
    let roster = chain.head();
    let [san_miguel, san_joaquin, precinct, country] = [1, 2, 3, 4].map(|seed| MemberId([seed; 32]));
    assert_eq!(roster.receiving_node(Code::chile(13130)), Some(san_miguel));
    assert_eq!(roster.receiving_node(Code::chile(13101)), None);
    assert_eq!(roster.above(san_miguel), [precinct, country]);
    assert_eq!(roster.stand_in(san_miguel), Some(san_miguel));
    assert_eq!(roster.neighbours(san_joaquin), [san_miguel]);
    assert_eq!(roster.tls_key_owner(&key(101).verifying_key().to_bytes()), Some(san_miguel));
    assert_eq!(
        roster.tls_key_owner(&key(1).verifying_key().to_bytes()),
        None,
        "an envelope key opens no door"
    );
    assert!(roster.envelope_key(&san_miguel, KeyIndex(1)).is_some());
    assert!(roster.envelope_key(&san_miguel, KeyIndex(2)).is_none());
    assert!(roster.has_role(&precinct, Role::Service) && !roster.has_role(&country, Role::Service));
    assert!(!roster.expired(Millis(1_999)) && roster.expired(Millis(2_000)));
}

#[test]
fn layout_reads_back_and_spoiled_bytes_never_panic() {
    let signed = sign(first(), &[201, 202]);
    let bytes = signed.encode();
    assert_eq!(SignedRoster::decode(&bytes), Ok(signed.clone()));
    assert_eq!(signed.unverified_body(), Ok(first()));
    arbtest::arbtest(|u| {
        let mut spoiled = bytes.clone();
        for _ in 0..u.int_in_range(1..=8)? {
            let at = u.choose_index(spoiled.len())?;
            spoiled[at] = u.arbitrary()?;
        }
        spoiled.truncate(u.int_in_range(0..=bytes.len())?.max(bytes.len() / 2));
        if let Ok(parsed) = SignedRoster::decode(&spoiled) {
            let _ = parsed.unverified_body();
            if let Ok(chain) = RosterChain::start(parsed) {
                assert_eq!(
                    chain.federation().0,
                    signed.hash().0,
                    "other bytes passed with the old signatures"
                );
            }
        }
        Ok(())
    });
}

#[test]
fn every_prefix_is_refused() {
    let bytes = first().encode();
    for length in 0..bytes.len() {
        assert!(RosterBody::decode(&bytes[..length]).is_err());
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(RosterBody::decode(&longer), Err(WireError::Trailing));
}
