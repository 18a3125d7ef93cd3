//! Numbers modulo 2^255 - 19. The arithmetic is fiat-crypto's, which is proven to be right; its two types keep apart
//! what is carried and what is not.

use fiat_crypto::curve25519_64::{
    fiat_25519_add, fiat_25519_carry, fiat_25519_carry_mul, fiat_25519_carry_square, fiat_25519_from_bytes,
    fiat_25519_loose_field_element as Loose, fiat_25519_relax, fiat_25519_sub,
    fiat_25519_tight_field_element as Tight, fiat_25519_to_bytes,
};

/// A number.
#[derive(Clone, Copy)]
pub(super) struct Field(Tight);

/// A sum or a difference of two, before anything is carried: it can be multiplied, and nothing else.
#[derive(Clone, Copy)]
pub(super) struct Sum(Loose);

impl From<Field> for Sum {
    fn from(Field(number): Field) -> Sum {
        let mut sum = Loose([0; 5]);
        fiat_25519_relax(&mut sum, &number);
        Sum(sum)
    }
}

impl Sum {
    pub fn carried(self) -> Field {
        let mut number = Tight([0; 5]);
        fiat_25519_carry(&mut number, &self.0);
        Field(number)
    }
}

impl Field {
    pub const ZERO: Field = Field(Tight([0; 5]));
    pub const ONE: Field = Field(Tight([1, 0, 0, 0, 0]));

    pub fn from_u32(number: u32) -> Field {
        Field(Tight([u64::from(number), 0, 0, 0, 0]))
    }

    /// Little-endian; the highest bit is not looked at.
    pub fn from_bytes(mut bytes: [u8; 32]) -> Field {
        bytes[31] &= 0x7f;
        let mut number = Tight([0; 5]);
        fiat_25519_from_bytes(&mut number, &bytes);
        Field(number)
    }

    /// Little-endian and below 2^255 - 19.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        fiat_25519_to_bytes(&mut bytes, &self.0);
        bytes
    }

    pub fn is_odd(self) -> bool {
        self.to_bytes()[0] & 1 == 1
    }

    pub fn plus(self, other: Field) -> Sum {
        let mut sum = Loose([0; 5]);
        fiat_25519_add(&mut sum, &self.0, &other.0);
        Sum(sum)
    }

    pub fn minus(self, other: Field) -> Sum {
        let mut sum = Loose([0; 5]);
        fiat_25519_sub(&mut sum, &self.0, &other.0);
        Sum(sum)
    }

    pub fn product(one: impl Into<Sum>, other: impl Into<Sum>) -> Field {
        let mut product = Tight([0; 5]);
        fiat_25519_carry_mul(&mut product, &one.into().0, &other.into().0);
        Field(product)
    }

    pub fn square(of: impl Into<Sum>) -> Field {
        let mut square = Tight([0; 5]);
        fiat_25519_carry_square(&mut square, &of.into().0);
        Field(square)
    }

    /// To the power of 2^`times`.
    fn squared(self, times: u32) -> Field {
        (0..times).fold(self, |number, _| Field::square(number))
    }

    /// To the powers of 2^250 - 1 and 11.
    fn near_the_order(self) -> (Field, Field) {
        let two = self.squared(1);
        let nine = Field::product(self, two.squared(2));
        let eleven = Field::product(two, nine);
        // Bits that are all one: twice as many from two of half the length.
        let join = |high: Field, low: Field, bits| Field::product(high.squared(bits), low);
        let bits_5 = Field::product(nine, eleven.squared(1));
        let bits_10 = join(bits_5, bits_5, 5);
        let bits_20 = join(bits_10, bits_10, 10);
        let bits_40 = join(bits_20, bits_20, 20);
        let bits_50 = join(bits_40, bits_10, 10);
        let bits_100 = join(bits_50, bits_50, 50);
        let bits_200 = join(bits_100, bits_100, 100);
        (join(bits_200, bits_50, 50), eleven)
    }

    /// One divided by it; zero for zero.
    pub fn inverse(self) -> Field {
        let (high, eleven) = self.near_the_order();
        Field::product(high.squared(5), eleven)
    }

    /// To the power of 2^252 - 3, of which square roots are made.
    fn near_the_root(self) -> Field {
        Field::product(self.near_the_order().0.squared(2), self)
    }

    /// The root of `over` divided by `under` (RFC 8032, section 5.1.3), either of the two; none if there is none.
    pub fn root(over: Field, under: Field) -> Option<Field> {
        let cube = Field::product(Field::square(under), under);
        let seventh = Field::product(Field::square(cube), under);
        let guess = Field::product(Field::product(over, cube), Field::product(over, seventh).near_the_root());
        let fits = |root: Field| Field::product(Field::square(root), under).to_bytes() == over.to_bytes();
        let two = Field::from_u32(2);
        let root_of_minus_one = Field::product(two, Field::square(two.near_the_root()));
        [guess, Field::product(guess, root_of_minus_one)].into_iter().find(|root| fits(*root))
    }

    /// The inverse of each, by one division for all; none of them is zero.
    pub fn inverses(numbers: &[Field]) -> Vec<Field> {
        let mut all = Field::ONE;
        let mut before = Vec::with_capacity(numbers.len());
        for number in numbers {
            before.push(all);
            all = Field::product(all, *number);
        }
        let mut inverse = all.inverse();
        let mut inverses = Vec::with_capacity(numbers.len());
        for (number, before) in numbers.iter().zip(before).rev() {
            inverses.push(Field::product(inverse, before));
            inverse = Field::product(inverse, *number);
        }
        inverses.reverse();
        inverses
    }
}
