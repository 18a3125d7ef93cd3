//! The rotation request: the small file by which a node asks those who hold the root keys to list new keys
//! of it. The key that signs for the node now vouches for all of them, and each shows that it is held.

use ed25519_dalek::{Signer as _, SigningKey};
use protocol::ids::{FederationId, MemberId, sha256};
use protocol::roster::{KeyPurpose, KeyState, Member, Roster};
use protocol::wire::Writer;
use serde::{Deserialize, Serialize};

use super::request::{hex_bytes, proves};
use crate::home::{HeldKey, purpose_name};
use crate::rotation::PURPOSES;

const DOMAIN: &[u8] = b"cuadra/rotation/v1\0";

/// Public keys and what each is for.
pub type NewKeys = Vec<(KeyPurpose, [u8; 32])>;

/// Keys that one request may bring: one of each purpose.
const NEW_KEYS_MAX: usize = 4;

/// What a node asks for. JSON, so that people can read what they are asked to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotationRequest {
    /// The federation.
    pub federation: FederationId,
    /// The member's id.
    pub member: MemberId,
    /// Its name, for people; what counts is the id.
    pub name: String,
    /// The new keys.
    pub keys: Vec<NewKey>,
    #[serde(with = "hex_bytes")]
    signed_by: Vec<u8>,
    #[serde(with = "hex_bytes")]
    signature: Vec<u8>,
}

/// One new key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// `envelope`, `tls`, `box` or `credential`.
    pub purpose: String,
    #[serde(with = "hex_bytes")]
    public: Vec<u8>,
    /// Empty for a key that signs nothing.
    #[serde(with = "hex_bytes")]
    proof: Vec<u8>,
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// Not the file that `cuadra keys rotate` writes.
    #[error("this is not a rotation request")]
    Json(#[from] serde_json::Error),
    /// Of another federation.
    #[error("it is meant for another federation")]
    Federation,
    /// The roster lists no such member.
    #[error("the roster lists no member with the id {0}")]
    Nobody(MemberId),
    /// No keys, two of one purpose, or of none that there is.
    #[error("it must bring one key of each purpose that it names: envelope, tls, box or credential")]
    Purposes,
    /// Signed by a key that does not sign for that member now.
    #[error("the key that signed it is no active key of that member")]
    Signer,
    /// Changed afterwards, or a key is not held by who asks.
    #[error("it was changed after it was made, or its maker does not hold the keys")]
    Proof,
}

impl RotationRequest {
    /// A request of `member` for these keys, vouched for by the key that signs for it now.
    #[must_use]
    pub fn make(federation: FederationId, member: &Member, new: &[HeldKey], now: &SigningKey) -> Self {
        let key = |held: &HeldKey| NewKey {
            purpose: purpose_name(held.purpose).to_owned(),
            public: held.public.to_vec(),
            proof: Vec::new(),
        };
        let mut request = Self {
            federation,
            member: member.id,
            name: member.name.clone(),
            keys: new.iter().map(key).collect(),
            signed_by: now.verifying_key().to_bytes().to_vec(),
            signature: Vec::new(),
        };
        let message = request.message();
        for (key, held) in request.keys.iter_mut().zip(new) {
            key.proof =
                held.signing().map(|held| held.sign(&message).to_bytes().to_vec()).unwrap_or_default();
        }
        request.signature = now.sign(&message).to_bytes().to_vec();
        request
    }

    /// The file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("strings and lists have a form in JSON");
        text.push('\n');
        text
    }

    /// Reads a file and judges it by the roster in force; gives the member and its new keys.
    pub fn read(json: &[u8], head: &Roster) -> Result<(MemberId, NewKeys), RotationError> {
        let request: Self = serde_json::from_slice(json)?;
        if request.federation != head.federation() {
            return Err(RotationError::Federation);
        }
        let member = head.member(&request.member).ok_or(RotationError::Nobody(request.member))?;
        let message = request.message();
        let signer: [u8; 32] = request.signed_by.as_slice().try_into().map_err(|_| RotationError::Signer)?;
        let active = member.keys.iter().any(|key| {
            key.public == signer && key.purpose == KeyPurpose::Envelope && key.state == KeyState::Active
        });
        if !active {
            return Err(RotationError::Signer);
        }
        if !proves(&signer, &request.signature, &message) {
            return Err(RotationError::Proof);
        }
        let keys = request.keys.iter().map(|key| key.judge(&message)).collect::<Result<Vec<_>, _>>()?;
        let once =
            PURPOSES.into_iter().all(|one| keys.iter().filter(|(purpose, _)| *purpose == one).count() < 2);
        if keys.is_empty() || keys.len() > NEW_KEYS_MAX || !once {
            return Err(RotationError::Purposes);
        }
        Ok((member.id, keys))
    }

    /// A few digits of the request for the telephone: whoever signs compares them with whoever asks.
    #[must_use]
    pub fn spoken(&self) -> String {
        let digits = hex::encode(sha256(&[&self.message()]));
        let groups: Vec<&str> = [0, 4, 8, 12].iter().filter_map(|at| digits.get(*at..*at + 4)).collect();
        groups.join(" ")
    }

    fn message(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(DOMAIN).raw(&self.federation.0).raw(self.member.as_bytes()).bytes(self.name.as_bytes());
        w.list(&self.keys, |w, key| {
            w.bytes(key.purpose.as_bytes()).bytes(&key.public);
        });
        w.bytes(&self.signed_by);
        w.into_bytes()
    }
}

impl NewKey {
    fn judge(&self, message: &[u8]) -> Result<(KeyPurpose, [u8; 32]), RotationError> {
        let purpose = PURPOSES.into_iter().find(|purpose| purpose_name(*purpose) == self.purpose);
        let purpose = purpose.ok_or(RotationError::Purposes)?;
        let public: [u8; 32] = self.public.as_slice().try_into().map_err(|_| RotationError::Proof)?;
        let held = match purpose {
            KeyPurpose::Box => self.proof.is_empty(),
            KeyPurpose::Envelope | KeyPurpose::Tls | KeyPurpose::Credential => {
                proves(&public, &self.proof, message)
            }
        };
        if held { Ok((purpose, public)) } else { Err(RotationError::Proof) }
    }
}

#[cfg(test)]
mod tests {
    use protocol::fixture::{Federation, member_key};

    use super::*;
    use crate::home::{Home, Keyring};

    fn ring() -> (tempfile::TempDir, Keyring) {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        home.make_folders().unwrap();
        home.make_keys().unwrap();
        let mut ring = home.keyring().unwrap();
        ring.make(KeyPurpose::Box).unwrap();
        (folder, ring)
    }

    fn request(federation: &Federation, ring: &Keyring, signer: &SigningKey) -> RotationRequest {
        let member = federation.rosters.head().member(&federation.id(0)).unwrap();
        RotationRequest::make(federation.rosters.federation(), member, ring.keys(), signer)
    }

    #[test]
    fn request_reads_back_as_the_keys_that_it_asks_for() {
        let (federation, (_folder, ring)) = (Federation::new(2), ring());
        let made = request(&federation, &ring, &member_key(0, 0));
        let head = federation.rosters.head();
        let (member, keys) = RotationRequest::read(made.to_json().as_bytes(), head).unwrap();
        let expected: Vec<_> = ring.keys().iter().map(|key| (key.purpose, key.public)).collect();
        assert_eq!((member, keys), (federation.id(0), expected));
        assert_eq!(made.spoken().len(), 19);
    }

    #[test]
    fn request_that_the_member_did_not_sign_or_that_was_changed_is_refused() {
        let (mut federation, (_folder, ring)) = (Federation::new(2), ring());
        let honest = request(&federation, &ring, &member_key(0, 0));
        let read = |request: &RotationRequest, federation: &Federation| {
            RotationRequest::read(request.to_json().as_bytes(), federation.rosters.head()).unwrap_err()
        };
        let by_another = request(&federation, &ring, &member_key(1, 0));
        assert!(matches!(read(&by_another, &federation), RotationError::Signer));
        let mut swapped = honest.clone();
        swapped.keys.swap(0, 1);
        assert!(matches!(read(&swapped, &federation), RotationError::Proof));
        let mut unproven = honest.clone();
        unproven.keys[0].proof = unproven.keys[1].proof.clone();
        assert!(matches!(read(&unproven, &federation), RotationError::Proof));
        let elsewhere = RotationRequest { federation: FederationId([7; 32]), ..honest.clone() };
        assert!(matches!(read(&elsewhere, &federation), RotationError::Federation));
        let nobody = RotationRequest { member: MemberId([7; 32]), ..honest.clone() };
        assert!(matches!(read(&nobody, &federation), RotationError::Nobody(_)));
        let none = RotationRequest::make(
            honest.federation,
            federation.rosters.head().member(&federation.id(0)).unwrap(),
            &[],
            &member_key(0, 0),
        );
        assert!(matches!(read(&none, &federation), RotationError::Purposes));
        federation.revoke(0);
        assert!(matches!(read(&honest, &federation), RotationError::Signer));
        assert!(matches!(
            RotationRequest::read(b"{}", federation.rosters.head()),
            Err(RotationError::Json(_))
        ));
    }
}
