//! Products of points that are multiplied often: multiples of each are kept, so that a product is a few dozen
//! additions.
//!
//! Of the base, and of a key that signs much, every multiple that a byte of a scalar can ask for is kept, and a product is
//! one addition a byte. Of other keys fewer are kept: a scalar is cut into parts of 16 bits, for each part the odd
//! multiples of the point times that part's weight are kept, and all parts share the 16 doublings that are left.
//! (Signed digits: Hankerson, Menezes, Vanstone, "Guide to Elliptic Curve Cryptography", algorithm 3.35; shared
//! doublings: the same, algorithm 3.51.)

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;

use super::curve::{Addend, Point, prepared};

/// Parts of a scalar of which few multiples are kept.
const PARTS: usize = 16;
/// Signed digits of a part: its 16 bits and what is carried out of them.
const PLACES: usize = 17;
/// Odd multiples of a part that are kept: by 1, 3, ... 15.
const ODD: usize = 8;
/// How many bits one of their digits stands for: it is odd and less than 16 either way.
const WIDTH: u32 = 5;
/// Bytes of a scalar.
const BYTES: usize = 32;
/// Multiples that a signed byte may ask for.
const MULTIPLES_OF_BYTE: usize = 128;

/// A point's multiples by 1, 3, ... 15, times each of 2^0, 2^16, ... 2^240: 15 KiB.
pub(super) struct Few(Vec<Vec<Addend>>);

impl Few {
    /// Costs some 400 additions.
    pub fn of(point: &EdwardsPoint) -> Self {
        let mut weighted = Point::of(point);
        let parts = (0..PARTS).map(|_| {
            let odd = prepared(&row(weighted, &alone(weighted.doubled()), ODD));
            weighted = (0..16).fold(weighted, |point, _| point.doubled());
            odd
        });
        Self(parts.collect())
    }

    /// The point times a scalar, or the negative of that.
    fn product(&self, scalar: &Scalar, negative: bool) -> Point {
        let (words, _) = scalar.as_bytes().as_chunks::<2>();
        let mut digits = [[0; PLACES]; PARTS];
        for (digits, word) in digits.iter_mut().zip(words) {
            lay_digits(u16::from_le_bytes(*word), digits);
        }
        let mut sum = Point::NOTHING;
        for place in (0..PLACES).rev() {
            sum = sum.doubled();
            for (odd, digits) in self.0.iter().zip(&digits) {
                let digit = digits.get(place).copied().unwrap_or_default();
                // Of 0 there is none.
                if let Some(multiple) = odd.get(usize::from(digit.unsigned_abs() / 2)).filter(|_| digit != 0)
                {
                    sum = step(&sum, multiple, (digit < 0) != negative);
                }
            }
        }
        sum
    }
}

/// A point's multiples by 1, 2, ... 128, times each of 2^0, 2^8, ... 2^248: 480 KiB.
pub(super) struct Many(Vec<Vec<Addend>>);

impl Many {
    /// Costs some 4,000 additions.
    pub fn of(point: &EdwardsPoint) -> Self {
        let mut weighted = Point::of(point);
        let bytes = (0..BYTES).map(|_| {
            let all = row(weighted, &alone(weighted), MULTIPLES_OF_BYTE);
            weighted = all.last().map_or(weighted, Point::doubled);
            prepared(&all)
        });
        Self(bytes.collect())
    }

    /// Adds multiples whose sum is the point times a scalar, or the negative of that; each with whether it is taken away.
    fn lay_steps(&self, scalar: &Scalar, negative: bool, steps: &mut Vec<(Addend, bool)>) {
        let mut carry = 0;
        for (multiples, byte) in self.0.iter().zip(scalar.as_bytes()) {
            let whole = i16::from(*byte) + carry;
            carry = i16::from(whole > 128);
            let digit = whole - 256 * carry;
            let place = usize::from(digit.unsigned_abs()).checked_sub(1);
            if let Some(multiple) = place.and_then(|place| multiples.get(place)) {
                steps.push((*multiple, (digit < 0) != negative));
            }
        }
    }
}

/// What is kept of a key.
pub(super) enum Kept {
    Few(Few),
    Many(Many),
}

/// `one` times the first point less `other` times the second. Takes as long as the scalars happen to need: for what
/// everybody may know.
pub(super) fn difference((one, first): (&Scalar, &Many), (other, second): (&Scalar, &Kept)) -> Point {
    // Read before anything is added: they lie far apart, and what is not in a near cache then comes at the same time.
    let mut steps = Vec::with_capacity(2 * BYTES);
    let taken = match second {
        Kept::Few(few) => few.product(other, true),
        Kept::Many(many) => {
            many.lay_steps(other, true, &mut steps);
            Point::NOTHING
        }
    };
    first.lay_steps(one, false, &mut steps);
    steps.iter().fold(taken, |sum, (multiple, minus)| step(&sum, multiple, *minus))
}

fn step(sum: &Point, multiple: &Addend, minus: bool) -> Point {
    if minus { sum.minus(multiple) } else { sum.plus(multiple) }
}

/// `count` points, the first of them this one, each with `step` added to the one before.
fn row(first: Point, step: &Addend, count: usize) -> Vec<Point> {
    std::iter::successors(Some(first), |point| Some(point.plus(step))).take(count).collect()
}

fn alone(point: Point) -> Addend {
    prepared(&[point]).pop().expect("one is prepared of one")
}

/// Puts the signed digits of a number into their places: each is 0, or odd and less than 2^(`WIDTH` - 1) either way
/// and followed by `WIDTH` - 1 zeros.
fn lay_digits(number: u16, digits: &mut [i8; PLACES]) {
    let (mut left, mut place) = (i32::from(number), 0);
    while left != 0 {
        let zeros = left.trailing_zeros();
        left >>= zeros;
        place += zeros as usize;
        let low = left & ((1 << WIDTH) - 1);
        let digit = if low < 1 << (WIDTH - 1) { low } else { low - (1 << WIDTH) };
        left -= digit;
        if let Some(free) = digits.get_mut(place) {
            *free = i8::try_from(digit).expect("a digit is less than 16 either way");
        }
    }
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::traits::Identity as _;
    use sha2::{Digest as _, Sha512};

    use super::super::curve::written;
    use super::*;

    fn scalar(seed: u32) -> Scalar {
        Scalar::from_bytes_mod_order_wide(&Sha512::digest(seed.to_le_bytes()).into())
    }

    #[test]
    fn digits_are_the_number_and_few() {
        for number in 0..=u16::MAX {
            let mut digits = [0; PLACES];
            lay_digits(number, &mut digits);
            let placed = digits.iter().enumerate().filter(|(_, digit)| **digit != 0);
            let placed: Vec<(usize, i8)> = placed.map(|(place, digit)| (place, *digit)).collect();
            let value: i64 = placed.iter().map(|(place, digit)| i64::from(*digit) << place).sum();
            assert_eq!(value, i64::from(number));
            for (_, digit) in &placed {
                assert!(digit % 2 != 0 && i64::from(*digit).abs() < 1 << (WIDTH - 1));
            }
            let near = |two: &[(usize, i8)]| two[1].0 - two[0].0 < WIDTH as usize;
            assert!(!placed.windows(2).any(near), "{number} {placed:?}");
        }
    }

    #[test]
    fn a_difference_of_products_is_that_of_the_library_also_with_parts_of_small_order() {
        let base = Many::of(&ED25519_BASEPOINT_POINT);
        let edges = [
            Scalar::ZERO,
            Scalar::ONE,
            -Scalar::ONE,
            Scalar::from(127_u8),
            Scalar::from(128_u8),
            Scalar::from(129_u8),
            Scalar::from(255_u8),
            Scalar::from(u64::from(u32::MAX)),
            Scalar::from(1_u64 << 32),
        ];
        for (n, torsion) in (0..).zip(EIGHT_TORSION) {
            for point in [EdwardsPoint::mul_base(&scalar(n)) + torsion, torsion] {
                let keys = [Kept::Few(Few::of(&point)), Kept::Many(Many::of(&point))];
                let scalars: Vec<Scalar> =
                    edges.into_iter().chain((0..10).map(|m| scalar(100 * n + m))).collect();
                for (one, other) in scalars.iter().zip(scalars.iter().rev()) {
                    // The library's product is by the number itself too, not by it modulo the order of the base.
                    let theirs = EdwardsPoint::vartime_double_scalar_mul_basepoint(other, &-point, one);
                    let ours = keys.each_ref().map(|key| difference((one, &base), (other, key)));
                    assert_eq!(written(&ours), [theirs.compress().to_bytes(); 2]);
                }
            }
        }
    }

    #[test]
    fn points_of_the_library_are_written_as_they_were() {
        let identity = EdwardsPoint::identity();
        let many = (0..200).map(|n| EdwardsPoint::mul_base(&scalar(n)));
        let points: Vec<EdwardsPoint> = many.chain(EIGHT_TORSION).chain([identity]).collect();
        let ours: Vec<Point> = points.iter().map(Point::of).collect();
        let theirs: Vec<[u8; 32]> = points.iter().map(|point| point.compress().to_bytes()).collect();
        assert_eq!(written(&ours), theirs);
    }
}
