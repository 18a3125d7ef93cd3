//! A member's contact record: where its node listens, signed by the member itself and versioned, so
//! that an address can change without a new roster. It says nothing about who may belong.

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};

use crate::author::Hand;
use crate::ids::{FederationId, KeyIndex, MemberId};
use crate::limits::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, CONTACT_BYTES_MAX, SIGNATURE_BYTES_MAX};
use crate::roster::{KeyState, Roster};
use crate::wire::{Reader, WireError, Writer};

/// Domain of a contact record's signature.
const DOMAIN: &[u8] = b"cuadra/contact/v1\0";

/// Where a member's node can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    /// The federation that this is for.
    pub federation: FederationId,
    /// The member.
    pub member: MemberId,
    /// Which of its envelope keys signed.
    pub key_index: KeyIndex,
    /// Counts up with every change; the highest is the one that is used.
    pub version: u64,
    /// Addresses as `host:port`, the preferred first; at most [`ADDRESSES_MAX`].
    pub addresses: Vec<String>,
}

/// A contact record with its signature, not believed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedContact {
    contact: Contact,
    signature: Vec<u8>,
}

/// Why a contact record is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContactError {
    /// Of another federation.
    #[error("the contact record is of another federation")]
    Federation,
    /// The roster gives the member no such active key.
    #[error("the roster gives the member no such active key")]
    Key,
    /// The signature does not hold.
    #[error("the signature of the contact record does not hold")]
    Signature,
}

impl SignedContact {
    /// Signs the node's own record.
    #[must_use]
    pub fn seal(
        federation: FederationId,
        version: u64,
        addresses: Vec<String>,
        hand: &Hand,
    ) -> SignedContact {
        let (member, key_index) = (hand.member, hand.key_index);
        let contact = Contact { federation, member, key_index, version, addresses };
        let signature = hand.key.sign(&contact.sig_input()).to_bytes().to_vec();
        SignedContact { contact, signature }
    }

    /// Parses the layout that [`SignedContact::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<SignedContact, WireError> {
        if bytes.len() > CONTACT_BYTES_MAX {
            return Err(WireError::TooLong);
        }
        let mut r = Reader::new(bytes);
        let contact = Contact {
            federation: FederationId(r.array()?),
            member: r.member_id()?,
            key_index: KeyIndex(r.u16()?),
            version: r.integer()?,
            addresses: r.list(ADDRESSES_MAX, |r| r.text(ADDRESS_BYTES_MAX))?,
        };
        let signature = r.bytes(SIGNATURE_BYTES_MAX)?.to_vec();
        r.end()?;
        Ok(SignedContact { contact, signature })
    }

    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        self.contact.write(&mut w);
        w.bytes(&self.signature);
        w.into_bytes()
    }

    /// What it says, before anybody has verified it.
    #[must_use]
    pub fn unverified(&self) -> &Contact {
        &self.contact
    }

    /// What it says, if the member's own active key signed it.
    pub fn verify(&self, federation: FederationId, roster: &Roster) -> Result<&Contact, ContactError> {
        let contact = &self.contact;
        if contact.federation != federation {
            return Err(ContactError::Federation);
        }
        let key = roster
            .envelope_key(&contact.member, contact.key_index)
            .filter(|key| key.state == KeyState::Active)
            .and_then(|key| VerifyingKey::from_bytes(&key.public).ok())
            .ok_or(ContactError::Key)?;
        let signature = Signature::from_slice(&self.signature).map_err(|_| ContactError::Signature)?;
        let holds = key.verify_strict(&contact.sig_input(), &signature).is_ok();
        if holds { Ok(contact) } else { Err(ContactError::Signature) }
    }
}

impl Contact {
    fn sig_input(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(DOMAIN);
        self.write(&mut w);
        w.into_bytes()
    }

    fn write(&self, w: &mut Writer) {
        w.raw(&self.federation.0).raw(&self.member.0).u16(self.key_index.0).u64(self.version);
        w.list(&self.addresses, |w, address| _ = w.bytes(address.as_bytes()));
    }
}
