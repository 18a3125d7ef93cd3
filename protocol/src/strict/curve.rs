//! Points of the curve that Ed25519 is over, with additions that are as short as they can be where what is added was
//! prepared. For what everybody may know: how long it takes tells of the numbers.
//!
//! The curve is -x² + y² = 1 + d x² y². A point is kept as X, Y, Z and T with x = X/Z, y = Y/Z and xy = T/Z. (Hisil,
//! Wong, Carter, Dawson, "Twisted Edwards Curves Revisited", 2008, sections 3.1 to 3.3.)

use std::sync::LazyLock;

use curve25519_dalek::edwards::EdwardsPoint;

use super::field::{Field, Sum};

/// -121665/121666 (RFC 8032, section 5.1), and twice that.
static D: LazyLock<(Field, Field)> = LazyLock::new(|| {
    let d = Field::ZERO
        .minus(Field::product(Field::from_u32(121_665), Field::from_u32(121_666).inverse()))
        .carried();
    (d, d.plus(d).carried())
});

/// A point.
#[derive(Clone, Copy)]
pub(super) struct Point {
    x: Field,
    y: Field,
    z: Field,
    t: Field,
}

/// A point prepared to be added: y + x, y - x and 2dxy.
#[derive(Clone, Copy)]
pub(super) struct Addend {
    sum: Field,
    difference: Field,
    product: Field,
}

impl Point {
    /// What adding changes nothing.
    pub const NOTHING: Point = Point { x: Field::ZERO, y: Field::ONE, z: Field::ONE, t: Field::ZERO };

    /// The same point of the library's, which gives y and the sign of x (RFC 8032, section 5.1.3).
    pub fn of(point: &EdwardsPoint) -> Point {
        let bytes = point.compress().to_bytes();
        let y = Field::from_bytes(bytes);
        let square = Field::square(y);
        let over = square.minus(Field::ONE).carried();
        let under = Field::product(D.0, square).plus(Field::ONE).carried();
        let root = Field::root(over, under).expect("what the library wrote is a point");
        let negative = bytes[31] & 0x80 != 0;
        let x = if root.is_odd() == negative { root } else { Field::ZERO.minus(root).carried() };
        Point { x, y, z: Field::ONE, t: Field::product(x, y) }
    }

    /// Twice the point. 8 multiplications, half of them squares.
    pub fn doubled(&self) -> Point {
        let (xx, yy) = (Field::square(self.x), Field::square(self.y));
        let zz = Field::square(self.z);
        let both = yy.plus(xx).carried();
        let apart = yy.minus(xx).carried();
        let cross = Field::square(self.x.plus(self.y)).minus(both);
        let rest = zz.plus(zz).carried().minus(apart);
        Self::of_products(cross, apart.into(), both.into(), rest)
    }

    /// 7 multiplications.
    pub fn plus(&self, other: &Addend) -> Point {
        let one = Field::product(self.y.minus(self.x), other.difference);
        let two = Field::product(self.y.plus(self.x), other.sum);
        let (more, less) = self.around(other);
        Self::of_products(two.minus(one), more, two.plus(one), less)
    }

    /// The same with the point's negative.
    pub fn minus(&self, other: &Addend) -> Point {
        let one = Field::product(self.y.minus(self.x), other.sum);
        let two = Field::product(self.y.plus(self.x), other.difference);
        let (more, less) = self.around(other);
        Self::of_products(two.minus(one), less, two.plus(one), more)
    }

    /// 2Z more and less by T's product.
    fn around(&self, other: &Addend) -> (Sum, Sum) {
        let product = Field::product(self.t, other.product);
        let twice = self.z.plus(self.z).carried();
        (twice.plus(product), twice.minus(product))
    }

    fn of_products(e: Sum, g: Sum, h: Sum, f: Sum) -> Point {
        let product = |one: Sum, other: Sum| Field::product(one, other);
        Point { x: product(e, f), y: product(g, h), z: product(f, g), t: product(e, h) }
    }
}

/// x and y of each point, by one division for all.
fn affine(points: &[Point]) -> impl Iterator<Item = (Field, Field)> {
    let below: Vec<Field> = points.iter().map(|point| point.z).collect();
    let inverses = Field::inverses(&below).into_iter();
    points
        .iter()
        .zip(inverses)
        .map(|(point, inverse)| (Field::product(point.x, inverse), Field::product(point.y, inverse)))
}

/// Each point prepared to be added.
pub(super) fn prepared(points: &[Point]) -> Vec<Addend> {
    let prepare = |(x, y): (Field, Field)| Addend {
        sum: y.plus(x).carried(),
        difference: y.minus(x).carried(),
        product: Field::product(Field::product(x, y), D.1),
    };
    affine(points).map(prepare).collect()
}

/// The bytes of each point (RFC 8032, section 5.1.2).
pub(super) fn written(points: &[Point]) -> Vec<[u8; 32]> {
    let write = |(x, y): (Field, Field)| {
        let mut bytes = y.to_bytes();
        bytes[31] |= u8::from(x.is_odd()) << 7;
        bytes
    };
    affine(points).map(write).collect()
}
