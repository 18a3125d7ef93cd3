//! Identities and small quantities: one newtype each, so that none can stand in for another.
//!
//! Every 32-byte identity prints as lowercase hex; `Debug` prints its first eight digits.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// SHA-256 over the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 hexadecimal digits")]
pub struct NotAnId;

macro_rules! id32 {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The raw 32 bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
            /// From a slice of exactly 32 bytes.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = hex::encode(self.0);
                write!(f, "{}({})", stringify!($name), text.get(..8).unwrap_or_default())
            }
        }
        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let mut bytes = [0; 32];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| NotAnId)?;
                Ok(Self(bytes))
            }
        }
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id32!(
    /// SHA-256 of an envelope's signed bytes.
    EnvelopeId
);
id32!(
    /// Identity of a document, derived from its genesis.
    DocId
);
id32!(
    /// A member of the federation (a node). It outlives the member's keys.
    MemberId
);
id32!(
    /// The federation: SHA-256 of its first roster.
    FederationId
);
id32!(
    /// SHA-256 of one roster version's signed bytes.
    RosterHash
);
id32!(
    /// Salted commitment to a blob's content, and its name in storage.
    BlobId
);
id32!(
    /// Nonce of a genesis: a hash of the alert's own secret id, or of what else makes it unique.
    Nonce
);
id32!(
    /// Pseudonym of an operator or of a contributor inside one document.
    Pseudonym
);

/// Milliseconds: an instant (Unix time) or a span, as the field says.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// This instant plus a span, stopping at the largest value.
    #[must_use]
    pub fn plus(self, span: Millis) -> Millis {
        Millis(self.0.saturating_add(span.0))
    }
    /// The span since `earlier`; zero if that lies later.
    #[must_use]
    pub fn since(self, earlier: Millis) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// Index of one of a member's keys in the roster; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct KeyIndex(pub u16);

/// Generation of a node's store: `counter u32 | random u32`. Drawn anew at init, restore and raise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// From its counter and its random part.
    #[must_use]
    pub fn new(counter: u32, random: u32) -> Self {
        Self(u64::from(counter) << 32 | u64::from(random))
    }
    /// The counter, which only grows.
    #[must_use]
    pub fn counter(self) -> u32 {
        u32::try_from(self.0 >> 32).expect("a 64-bit value shifted by 32 fits 32 bits")
    }
}

/// Position of an envelope on its author's chain in one document, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u32);

/// A jurisdiction: ISO 3166-1 country letters and that country's official number of the territory.
/// `Code::OUTSIDE` (all zero) is a place outside every territory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    /// Two capital letters, or two zero bytes outside all territory.
    pub country: [u8; 2],
    /// The official number; for Chile the five-digit commune code (CUT).
    pub number: u32,
}

impl Code {
    /// A place outside every territory.
    pub const OUTSIDE: Code = Code { country: [0, 0], number: 0 };

    /// A commune of Chile by its official code.
    #[must_use]
    pub const fn chile(number: u32) -> Code {
        Code { country: *b"CL", number }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Code::OUTSIDE {
            return f.write_str("outside");
        }
        let [a, b] = self.country;
        write!(f, "{}{}-{:05}", char::from(a), char::from(b), self.number)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({self})")
    }
}

/// A text that is not a jurisdiction code such as `CL-13130`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected two capital letters, a hyphen and a number, such as CL-13130")]
pub struct NotACode;

impl FromStr for Code {
    type Err = NotACode;
    fn from_str(text: &str) -> Result<Self, NotACode> {
        if text == "outside" {
            return Ok(Code::OUTSIDE);
        }
        let (country, number) = text.split_once('-').ok_or(NotACode)?;
        let country: [u8; 2] = country.as_bytes().try_into().map_err(|_| NotACode)?;
        if !country.iter().all(u8::is_ascii_uppercase) || number.len() > 9 {
            return Err(NotACode);
        }
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotACode);
        }
        Ok(Code { country, number: number.parse().map_err(|_| NotACode)? })
    }
}

impl serde::Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An H3 cell index (resolution 5 to 9), or 0 where no place belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cell(pub u64);

/// A blob's commitment: SHA-256 over the domain, a 32-byte salt and the content.
#[must_use]
pub fn commitment(salt: &[u8; 32], content: &[u8]) -> BlobId {
    BlobId(sha256(&[b"cuadra/blob/v1\0", salt, content]))
}

/// The genesis nonce of an alert, from the secret 32-byte id that the phone made.
#[must_use]
pub fn alert_nonce(alert_secret: &[u8; 32]) -> Nonce {
    Nonce(sha256(&[b"cuadra/alert/v1\0", alert_secret]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_prints_and_parses_back() {
        for text in ["CL-13130", "CL-01101", "AR-00007", "outside"] {
            let code: Code = text.parse().unwrap();
            assert_eq!(code.to_string(), text);
        }
        for text in ["", "CL", "CL-", "cl-13130", "CL-1x", "CLP-13130", "CL-9999999999", "CL-+5"] {
            assert_eq!(text.parse::<Code>(), Err(NotACode), "{text}");
        }
    }

    #[test]
    fn id_prints_and_parses_back() {
        let id = DocId(sha256(&[b"x"]));
        assert_eq!(id.to_string().parse::<DocId>(), Ok(id));
        assert_eq!("abc".parse::<DocId>(), Err(NotAnId));
    }
}
