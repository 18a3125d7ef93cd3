//! Strict Ed25519: the verdict of `verify_strict`, without working out for every envelope what is known.
//!
//! `verify_strict` turns the signature's first half, R, into a point for one reason: to refuse one of small
//! order. What it then compares is R's bytes with the bytes of a point that it computed, and those are always
//! the canonical ones. So an R of small order that could pass is one of eight strings of bytes, and comparing
//! with these says the same. (The curve: RFC 8032, section 5.1; how verifiers differ: Chalkias, Garillot,
//! Nikolaenko, "Taming the many EdDSAs", 2020.)
//!
//! The point that it computes is a product of the base less one of the key. Nodes are few and sign much: of a key
//! that has signed some envelopes, multiples are kept, and of those that sign the most of all still more.

mod curve;
mod field;
mod multiples;
mod signers;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use sha2::{Digest as _, Sha512};

use curve::{Point, written};
use multiples::{Kept, Many, difference};

/// Keys that a thread keeps as points. More: it begins anew.
const POINTS_KEPT_MAX: usize = 1_024;
/// Signatures under a key that are verified without multiples of it, so that a key which is seen rarely costs no more.
const SIGNATURES_BEFORE_MULTIPLES: u32 = 8;
/// The points of small order, as bytes.
static SMALL_ORDER: LazyLock<[[u8; 32]; 8]> =
    LazyLock::new(|| EIGHT_TORSION.map(|point| point.compress().to_bytes()));

/// Multiples of the base.
static BASE: LazyLock<Many> = LazyLock::new(|| Many::of(&ED25519_BASEPOINT_POINT));

/// A key that is one, and not of small order.
#[derive(Clone, Copy)]
struct Known {
    key: VerifyingKey,
    /// Signatures under it that were verified without multiples of it.
    seen: u32,
}

thread_local! {
    /// Keys that this thread saw, each as the point that its bytes are; none for bytes that are no key, or one
    /// under which anything can be signed.
    static POINTS: RefCell<BTreeMap<[u8; 32], Option<Known>>> = const { RefCell::new(BTreeMap::new()) };
}

/// A signature, and what it is said to be over and by whom.
pub(crate) struct Claim<'a> {
    pub public: &'a [u8; 32],
    /// In two parts, one behind the other.
    pub message: [&'a [u8]; 2],
    pub signature: &'a [u8],
}

/// For each claim, in order, whether the signature holds under the key, strictly. Several together cost less: what
/// they compute is written out as bytes by one division.
pub(crate) fn verify(claims: &[Claim<'_>]) -> Vec<bool> {
    let looked_at: Vec<Look> = claims.iter().map(look).collect();
    let points =
        looked_at.iter().filter_map(|look| if let Look::Point(point) = look { Some(*point) } else { None });
    let mut computed = written(&points.collect::<Vec<_>>()).into_iter();
    let both = looked_at.iter().zip(claims);
    let verdicts = both.map(|(look, claim)| match look {
        Look::Verdict(holds) => *holds,
        Look::Point(_) => computed.next().is_some_and(|point| claim.signature.starts_with(&point)),
    });
    verdicts.collect()
}

/// What is known of a claim.
enum Look {
    Verdict(bool),
    /// It holds if these are the bytes of the signature's first half.
    Point(Point),
}

fn look(claim: &Claim<'_>) -> Look {
    let Claim { public, message, signature } = claim;
    let Ok(signature) = Signature::from_slice(signature) else { return Look::Verdict(false) };
    if SMALL_ORDER.contains(signature.r_bytes()) {
        return Look::Verdict(false);
    }
    let by =
        |kept: &Kept| point(public, kept, *message, &signature).map_or(Look::Verdict(false), Look::Point);
    if let Some(signer) = signers::find(public) {
        return by(&signer.kept);
    }
    let Some(known) = look_up(public) else { return Look::Verdict(false) };
    if known.seen >= SIGNATURES_BEFORE_MULTIPLES {
        return by(&signers::keep(public, known.key).kept);
    }
    Look::Verdict(known.key.verify(&message.concat(), &signature).is_ok())
}

/// What the signature's first half must be (RFC 8032, section 5.1.7, without a cofactor); none if its second half is
/// no number below the order of the base.
fn point(
    public: &[u8; 32],
    kept: &Kept,
    [first, second]: [&[u8]; 2],
    signature: &Signature,
) -> Option<Point> {
    let s = Option::<Scalar>::from(Scalar::from_canonical_bytes(*signature.s_bytes()))?;
    let hash = Sha512::new().chain_update(signature.r_bytes()).chain_update(public);
    let hash = hash.chain_update(first).chain_update(second);
    let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    Some(difference((&s, &BASE), (&challenge, kept)))
}

/// The key as a point, and how often it was looked up so before.
fn look_up(public: &[u8; 32]) -> Option<Known> {
    POINTS.with_borrow_mut(|points| {
        if !points.contains_key(public) && points.len() >= POINTS_KEPT_MAX {
            points.clear();
        }
        let point = points.entry(*public).or_insert_with(|| {
            let key = VerifyingKey::from_bytes(public).ok().filter(|key| !key.is_weak())?;
            Some(Known { key, seen: 0 })
        });
        let found = *point;
        if let Some(known) = point {
            known.seen = (known.seen + 1) % (SIGNATURES_BEFORE_MULTIPLES + 1);
        }
        found
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
    use ed25519_dalek::{Signer as _, SigningKey};
    use sha2::{Digest as _, Sha512};

    use super::multiples::Few;
    use super::*;

    /// The verdict, which is the same without multiples of the key and with them, alone and beside another.
    fn verifies(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
        let claim = || Claim { public, message: message.split_at(message.len() / 2).into(), signature };
        let verdict = alone(public, message, signature);
        if let (Some(known), Ok(signature)) = (look_up(public), Signature::from_slice(signature)) {
            let small = SMALL_ORDER.contains(signature.r_bytes());
            let plain = !small && known.key.verify(message, &signature).is_ok();
            for kept in kept_of(&known.key).iter() {
                let computed = point(public, kept, [message, &[]], &signature);
                let quick = !small && computed.is_some_and(|p| written(&[p]) == [*signature.r_bytes()]);
                assert_eq!((plain, quick), (verdict, verdict));
            }
        }
        let beside = [good(), claim(), bad(), claim(), good()];
        assert_eq!(verify(&beside), [true, verdict, false, verdict, true], "alone and beside others");
        verdict
    }

    type Both = Arc<[Kept; 2]>;

    thread_local! {
        /// The key that was asked for last.
        static LAST: RefCell<Option<(VerifyingKey, Both)>> = const { RefCell::new(None) };
    }

    /// Both kinds of multiples of a key, made once for signatures in a row.
    fn kept_of(key: &VerifyingKey) -> Both {
        LAST.with_borrow_mut(|last| {
            if let Some((_, kept)) = last.as_ref().filter(|(of, _)| of == key) {
                return kept.clone();
            }
            let point = key.to_edwards();
            let kept = Arc::new([Kept::Few(Few::of(&point)), Kept::Many(Many::of(&point))]);
            *last = Some((*key, kept.clone()));
            kept
        })
    }

    fn alone(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
        verify(&[Claim { public, message: [&[], message], signature }])[0]
    }

    const SIGNER: [u8; 32] = [11; 32];
    static GOOD: LazyLock<([u8; 32], [u8; 64])> = LazyLock::new(|| {
        let key = SigningKey::from_bytes(&SIGNER);
        (key.verifying_key().to_bytes(), key.sign(b"good").to_bytes())
    });

    fn good() -> Claim<'static> {
        Claim { public: &GOOD.0, message: [b"go", b"od"], signature: &GOOD.1 }
    }

    fn bad() -> Claim<'static> {
        Claim { message: [b"bad", b""], ..good() }
    }

    /// What the library's own strict verification says.
    fn library(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(public) else { return false };
        key.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    /// What a verifier says that is not strict.
    fn lax(public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        let Ok(key) = VerifyingKey::from_bytes(public) else { return false };
        key.verify(message, &Signature::from_bytes(signature)).is_ok()
    }

    /// A signature by `secret` under the key `public`, with this R, whose part of large order is `r` times the base.
    fn forged(secret: Scalar, public: &[u8; 32], r: Scalar, first: [u8; 32], message: &[u8]) -> [u8; 64] {
        let hash = Sha512::new().chain_update(first).chain_update(public).chain_update(message).finalize();
        let challenge = Scalar::from_bytes_mod_order_wide(&hash.into());
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&first);
        signature[32..].copy_from_slice((r + challenge * secret).as_bytes());
        signature
    }

    #[test]
    fn an_honest_signature_holds_and_no_changed_one_does() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let message = b"an alert in La Pintana";
        let signature = key.sign(message).to_bytes();
        assert!(verifies(&public, message, &signature));
        for bit in 0..512 {
            let mut changed = signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!verifies(&public, message, &changed), "bit {bit} of the signature");
        }
        for bit in 0..256 {
            let mut other = public;
            other[bit / 8] ^= 1 << (bit % 8);
            assert!(!verifies(&other, message, &signature), "bit {bit} of the key");
        }
        assert!(!verifies(&public, &message[1..], &signature));
        assert!(!verifies(&public, message, &signature[1..]));
    }

    #[test]
    fn keys_and_first_halves_of_small_and_mixed_order_are_judged_as_the_library_does() {
        let secret = Scalar::from_bytes_mod_order([5; 32]);
        let (mut held, mut strict_alone) = (0, 0);
        for torsion in EIGHT_TORSION {
            for key in [EdwardsPoint::mul_base(&secret) + torsion, torsion] {
                let public = key.compress().to_bytes();
                for (part, r) in EIGHT_TORSION.into_iter().flat_map(|part| [(part, 0_u8), (part, 77)]) {
                    let r = Scalar::from(r);
                    let first = (EdwardsPoint::mul_base(&r) + part).compress().to_bytes();
                    for message in 0..16_u8 {
                        let signature = forged(secret, &public, r, first, &[message]);
                        let verdict = verifies(&public, &[message], &signature);
                        assert_eq!(verdict, library(&public, &[message], &signature));
                        held += usize::from(verdict);
                        strict_alone += usize::from(!verdict && lax(&public, &[message], &signature));
                    }
                }
            }
        }
        assert!(held > 0, "some hold");
        assert!(strict_alone > 0, "some are refused for their small order alone");
    }

    #[test]
    fn bytes_that_are_not_canonical_are_judged_as_the_library_does() {
        let key = SigningKey::from_bytes(&[3; 32]);
        let public = key.verifying_key().to_bytes();
        // The identity written as p + 1, and with the sign of a zero.
        let (mut field, mut sign) = ([0xff; 32], EIGHT_TORSION[0].compress().to_bytes());
        (field[0], field[31], sign[31]) = (0xee, 0x7f, sign[31] | 0x80);
        for odd in [field, sign] {
            assert!(CompressedEdwardsY(odd).decompress().is_some(), "it can be read as a point");
            let signature = forged(Scalar::ZERO, &odd, Scalar::ZERO, odd, b"x");
            assert_eq!(verifies(&odd, b"x", &signature), library(&odd, b"x", &signature));
            let secret = key.to_scalar();
            let signature = forged(secret, &public, Scalar::ZERO, odd, b"x");
            assert_eq!(verifies(&public, b"x", &signature), library(&public, b"x", &signature));
        }
        // The second half plus the order of the base: the same number, written otherwise.
        let mut malleable = key.sign(b"x").to_bytes();
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
        let mut carry = 0_u16;
        for (byte, add) in malleable[32..].iter_mut().zip(order) {
            carry += u16::from(*byte) + u16::from(add);
            *byte = u8::try_from(carry & 0xff).unwrap();
            carry >>= 8;
        }
        assert!(!verifies(&public, b"x", &malleable));
        assert!(!library(&public, b"x", &malleable));
    }

    #[test]
    fn a_key_that_signs_often_is_judged_as_before() {
        let key = SigningKey::from_bytes(&[9; 32]);
        let public = key.verifying_key().to_bytes();
        for message in 0..=SIGNATURES_BEFORE_MULTIPLES {
            assert!(signers::find(&public).is_none());
            let message = message.to_le_bytes();
            assert!(alone(&public, &message, &key.sign(&message).to_bytes()));
        }
        assert!(signers::find(&public).is_some());
        let signature = key.sign(b"x").to_bytes();
        assert!(alone(&public, b"x", &signature));
        assert!(!alone(&public, b"y", &signature));
        for bit in 0..512 {
            let mut changed = signature;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(!alone(&public, b"x", &changed), "bit {bit} of the signature");
        }
    }

    #[test]
    fn more_keys_than_are_kept_are_all_judged() {
        for n in 0..=u32::try_from(POINTS_KEPT_MAX).unwrap() {
            let mut seed = [1; 32];
            seed[..4].copy_from_slice(&n.to_le_bytes());
            let key = SigningKey::from_bytes(&seed);
            assert!(alone(key.verifying_key().as_bytes(), b"x", &key.sign(b"x").to_bytes()));
        }
        POINTS.with_borrow(|points| assert_eq!(points.len(), 1));
    }
}
