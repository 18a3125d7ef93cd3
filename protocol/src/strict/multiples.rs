//! Products of points that are multiplied often: multiples of each are kept, so that a product is a few dozen
//! additions.
//!
//! A scalar is cut into parts of 16 bits; for each part the odd multiples of the point times that part's weight
//! are kept. All parts share the 16 doublings that are left. (Signed digits: Hankerson, Menezes, Vanstone, "Guide to
//! Elliptic Curve Cryptography", algorithm 3.35; shared doublings: the same, algorithm 3.51.)

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity as _;

/// Parts of a scalar.
const PARTS: usize = 16;
/// Signed digits of a part: its 16 bits and what is carried out of them.
const PLACES: usize = 17;

/// A point's multiples by 1, 3, ... 2 · `ODD` - 1, times each of 2^0, 2^16, ... 2^240. `ODD` is a power of two and at
/// most 64.
pub(super) struct Multiples<const ODD: usize>(Vec<[EdwardsPoint; ODD]>);

impl<const ODD: usize> Multiples<ODD> {
    /// How many bits a digit stands for: it is odd and less than 2 · `ODD` either way.
    const WIDTH: u32 = ODD.ilog2() + 2;

    /// Costs 16 · (`ODD` + 17) additions.
    pub(super) fn of(point: EdwardsPoint) -> Self {
        let mut weighted = point;
        let parts = (0..PARTS).map(|_| {
            let (mut next, double) = (weighted, weighted + weighted);
            let multiples = std::array::from_fn(|_| {
                let odd = next;
                next += double;
                odd
            });
            weighted = (0..16).fold(weighted, |point, _| point + point);
            multiples
        });
        Self(parts.collect())
    }

    fn digits(scalar: &Scalar) -> [[i8; PLACES]; PARTS] {
        let (words, _) = scalar.as_bytes().as_chunks::<2>();
        std::array::from_fn(|part| {
            digits(words.get(part).map_or(0, |word| u16::from_le_bytes(*word)), Self::WIDTH)
        })
    }

    /// The multiple by an odd digit of a part.
    fn get(&self, part: usize, digit: u8) -> Option<&EdwardsPoint> {
        self.0.get(part)?.get(usize::from(digit / 2))
    }

    /// Adds, or takes away, what the digits in this place stand for.
    fn add_place(&self, digits: &[[i8; PLACES]; PARTS], place: usize, minus: bool, sum: &mut EdwardsPoint) {
        for (part, digits) in digits.iter().enumerate() {
            let digit = digits.get(place).copied().unwrap_or_default();
            if digit == 0 {
                continue;
            }
            let Some(multiple) = self.get(part, digit.unsigned_abs()) else { continue };
            if (digit < 0) == minus {
                *sum += multiple;
            } else {
                *sum -= multiple;
            }
        }
    }
}

/// `one` times the first point less `other` times the second. Takes as long as the scalars happen to need: for what
/// everybody may know.
pub(super) fn difference<const ONE: usize, const OTHER: usize>(
    (one, first): (&Scalar, &Multiples<ONE>),
    (other, second): (&Scalar, &Multiples<OTHER>),
) -> EdwardsPoint {
    let (one, other) = (Multiples::<ONE>::digits(one), Multiples::<OTHER>::digits(other));
    let mut sum = EdwardsPoint::identity();
    for place in (0..PLACES).rev() {
        sum += sum;
        first.add_place(&one, place, false, &mut sum);
        second.add_place(&other, place, true, &mut sum);
    }
    sum
}

/// A number as signed digits, the least first: each is zero, or odd and less than 2^(`width` - 1) either way and
/// followed by `width` - 1 zeros.
fn digits(number: u16, width: u32) -> [i8; PLACES] {
    let (mut left, window) = (i64::from(number), 1_i64 << width);
    std::array::from_fn(|_| {
        let low = left & (window - 1);
        let digit = match (left & 1, low < window / 2) {
            (0, _) => 0,
            (_, true) => low,
            (_, false) => low - window,
        };
        left = (left - digit) / 2;
        i8::try_from(digit).expect("a digit is less than 128 either way")
    })
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use sha2::{Digest as _, Sha512};

    use super::*;

    fn scalar(seed: u32) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&Sha512::digest(seed.to_le_bytes()).into())
    }

    #[test]
    fn digits_are_the_number_and_few() {
        for number in 0..=u16::MAX {
            for width in [5, 8] {
                let digits = digits(number, width);
                let value = digits.iter().rev().fold(0, |sum, digit| sum * 2 + i64::from(*digit));
                assert_eq!(value, i64::from(number));
                let mut zeros = width;
                for digit in digits {
                    assert!(digit == 0 || digit % 2 != 0 && i64::from(digit).abs() < 1 << (width - 1));
                    assert!(digit == 0 || zeros >= width - 1, "{number} {digits:?}");
                    zeros = if digit == 0 { zeros + 1 } else { 0 };
                }
            }
        }
    }

    #[test]
    fn a_difference_of_products_is_that_of_the_library_also_with_parts_of_small_order() {
        let base = Multiples::<64>::of(ED25519_BASEPOINT_POINT);
        let edges = [
            Scalar::ZERO,
            Scalar::ONE,
            -Scalar::ONE,
            Scalar::from(u64::from(u32::MAX)),
            Scalar::from(1_u64 << 32),
        ];
        for (n, torsion) in (0..).zip(EIGHT_TORSION) {
            for point in [EdwardsPoint::mul_base(&scalar(n)) + torsion, torsion] {
                let key = Multiples::<8>::of(point);
                let scalars: Vec<Scalar> =
                    edges.into_iter().chain((0..10).map(|m| scalar(100 * n + m))).collect();
                for (one, other) in scalars.iter().zip(scalars.iter().rev()) {
                    let ours = difference((one, &base), (other, &key));
                    // The library's product is by the number itself too, not by it modulo the order of the base.
                    let theirs = EdwardsPoint::vartime_double_scalar_mul_basepoint(other, &-point, one);
                    assert_eq!(ours, theirs);
                    assert_eq!(ours.compress(), theirs.compress());
                }
            }
        }
    }
}
