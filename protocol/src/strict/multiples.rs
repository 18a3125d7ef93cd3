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

    /// Puts every digit of the scalar into its place, as what is to be added there, or taken away.
    fn place<'a>(&'a self, scalar: &Scalar, minus: bool, places: &mut Places<'a>) {
        let (words, _) = scalar.as_bytes().as_chunks::<2>();
        for (odd, word) in self.0.iter().zip(words) {
            for (place, digit) in digits(u16::from_le_bytes(*word), Self::WIDTH) {
                if let Some(multiple) = odd.get(usize::from(digit.unsigned_abs() / 2)) {
                    places.put(place, Step { multiple, minus: (digit < 0) != minus });
                }
            }
        }
    }
}

/// A multiple that is added, or taken away.
#[derive(Clone, Copy)]
struct Step<'a> {
    multiple: &'a EdwardsPoint,
    minus: bool,
}

/// What is to be done in each place: of both scalars each part has a digit there at most.
struct Places<'a> {
    steps: [[Option<Step<'a>>; 2 * PARTS]; PLACES],
    taken: [usize; PLACES],
}

impl<'a> Places<'a> {
    fn new() -> Self {
        Self { steps: [[None; 2 * PARTS]; PLACES], taken: [0; PLACES] }
    }

    fn put(&mut self, place: usize, step: Step<'a>) {
        if let (Some(steps), Some(taken)) = (self.steps.get_mut(place), self.taken.get_mut(place))
            && let Some(free) = steps.get_mut(*taken)
        {
            *free = Some(step);
            *taken += 1;
        }
    }
}

/// `one` times the first point less `other` times the second. Takes as long as the scalars happen to need: for what
/// everybody may know.
pub(super) fn difference<const ONE: usize, const OTHER: usize>(
    (one, first): (&Scalar, &Multiples<ONE>),
    (other, second): (&Scalar, &Multiples<OTHER>),
) -> EdwardsPoint {
    let mut places = Places::new();
    first.place(one, false, &mut places);
    second.place(other, true, &mut places);
    let mut sum = EdwardsPoint::identity();
    for steps in places.steps.iter().rev() {
        sum += sum;
        for Step { multiple, minus } in steps.iter().map_while(|step| *step) {
            if minus {
                sum -= multiple;
            } else {
                sum += multiple;
            }
        }
    }
    sum
}

/// The signed digits of a number that are not zero, each with its place, the least first: each is odd and less than
/// 2^(`width` - 1) either way, and followed by `width` - 1 zeros.
fn digits(number: u16, width: u32) -> impl Iterator<Item = (usize, i8)> {
    let (mut left, mut place, window) = (i32::from(number), 0, 1_i32 << width);
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let zeros = left.trailing_zeros();
        left >>= zeros;
        place += zeros as usize;
        let low = left & (window - 1);
        let digit = if low < window / 2 { low } else { low - window };
        left -= digit;
        Some((place, i8::try_from(digit).expect("a digit is less than 128 either way")))
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
                let digits: Vec<(usize, i8)> = digits(number, width).collect();
                let value: i64 = digits.iter().map(|(place, digit)| i64::from(*digit) << place).sum();
                assert_eq!(value, i64::from(number));
                for (place, digit) in &digits {
                    assert!(*place < PLACES && digit % 2 != 0 && i64::from(*digit).abs() < 1 << (width - 1));
                }
                let near = |two: &[(usize, i8)]| two[1].0 - two[0].0 < width as usize;
                assert!(!digits.windows(2).any(near), "{number} {digits:?}");
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
