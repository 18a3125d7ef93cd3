//! The member request: the small file that a new node sends to those who hold the root keys. It says
//! who the node is and proves that it holds both of its keys, so that nobody can ask with another's.

use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use protocol::ids::{Code, KeyIndex};
use protocol::limits::{CODES_MAX, NAME_BYTES_MAX};
use protocol::roster::{Algorithm, KeyPurpose, KeyState, Member, MemberKey, Role};
use protocol::wire::Writer;
use serde::{Deserialize, Serialize};

use crate::home::NodeKeys;

const DOMAIN: &[u8] = b"cuadra/request/v1\0";

/// What a node asks to be listed as. JSON, so that people can read what they are asked to sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRequest {
    /// Name shown to people.
    pub name: String,
    /// Role names: `municipal`, `service`, `aggregator`.
    pub roles: Vec<String>,
    /// Jurisdictions that it answers for.
    pub codes: Vec<Code>,
    /// Name of the precinct or office above it, if it knows.
    pub under: Option<String>,
    #[serde(with = "hex_bytes")]
    envelope_key: Vec<u8>,
    #[serde(with = "hex_bytes")]
    tls_key: Vec<u8>,
    #[serde(with = "hex_bytes")]
    envelope_proof: Vec<u8>,
    #[serde(with = "hex_bytes")]
    tls_proof: Vec<u8>,
}

/// Why a request is not taken.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not the file that `cuadra join` writes.
    #[error("this is not a member request")]
    Json(#[from] serde_json::Error),
    /// A name or a list that the roster could not hold.
    #[error("the name must be 1 to {NAME_BYTES_MAX} bytes long, with at most {CODES_MAX} codes")]
    TooLong,
    /// Not a role.
    #[error("{0} is not a role; municipal, service and aggregator are")]
    Role(String),
    /// Who wrote it does not hold the keys that it names, or it was changed afterwards.
    #[error("it was changed after it was made, or its maker does not hold its keys")]
    Proof,
}

impl MemberRequest {
    /// A request of the node that holds `keys`.
    #[must_use]
    pub fn make(name: &str, roles: &[Role], codes: &[Code], under: Option<&str>, keys: &NodeKeys) -> Self {
        let mut codes = codes.to_vec();
        codes.sort_unstable();
        codes.dedup();
        let mut request = Self {
            name: name.to_owned(),
            roles: roles.iter().map(|role| role.name().to_owned()).collect(),
            codes,
            under: under.map(str::to_owned),
            envelope_key: keys.envelope.verifying_key().to_bytes().to_vec(),
            tls_key: keys.tls.verifying_key().to_bytes().to_vec(),
            envelope_proof: Vec::new(),
            tls_proof: Vec::new(),
        };
        let message = request.message();
        request.envelope_proof = keys.envelope.sign(&message).to_bytes().to_vec();
        request.tls_proof = keys.tls.sign(&message).to_bytes().to_vec();
        request
    }

    /// The file.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("strings and lists have a form in JSON");
        text.push('\n');
        text
    }

    /// Reads a file and gives the member that it asks for, without relations to others.
    pub fn read(json: &[u8]) -> Result<(Self, Member), RequestError> {
        let request: Self = serde_json::from_slice(json)?;
        if request.name.is_empty() || request.name.len() > NAME_BYTES_MAX || request.codes.len() > CODES_MAX {
            return Err(RequestError::TooLong);
        }
        let role = |name: &String| Role::by_name(name).ok_or_else(|| RequestError::Role(name.clone()));
        let roles = request.roles.iter().map(role).collect::<Result<Vec<Role>, _>>()?;
        let message = request.message();
        let envelope = proven(&request.envelope_key, &request.envelope_proof, &message)?;
        let tls = proven(&request.tls_key, &request.tls_proof, &message)?;
        let mut member = Member::new(Member::id_of_first_key(&envelope), &request.name, &roles);
        member.codes.clone_from(&request.codes);
        member.codes.sort_unstable();
        member.codes.dedup();
        member.keys = vec![key(1, KeyPurpose::Envelope, envelope), key(2, KeyPurpose::Tls, tls)];
        Ok((request, member))
    }

    fn message(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(DOMAIN).bytes(self.name.as_bytes()).list(&self.roles, |w, role| {
            w.bytes(role.as_bytes());
        });
        w.list(&self.codes, |w, code| {
            w.code(*code);
        });
        w.bytes(self.under.as_deref().unwrap_or_default().as_bytes());
        w.bytes(&self.envelope_key).bytes(&self.tls_key);
        w.into_bytes()
    }
}

fn key(index: u16, purpose: KeyPurpose, public: [u8; 32]) -> MemberKey {
    let algorithm = Algorithm::Ed25519;
    MemberKey { index: KeyIndex(index), purpose, algorithm, state: KeyState::Active, public }
}

fn proven(public: &[u8], proof: &[u8], message: &[u8]) -> Result<[u8; 32], RequestError> {
    let bytes: [u8; 32] = public.try_into().map_err(|_| RequestError::Proof)?;
    if proves(&bytes, proof, message) { Ok(bytes) } else { Err(RequestError::Proof) }
}

/// True if the holder of this key signed the message.
pub(super) fn proves(public: &[u8; 32], proof: &[u8], message: &[u8]) -> bool {
    let Ok(key) = VerifyingKey::from_bytes(public) else { return false };
    let Ok(signature) = Signature::from_slice(proof) else { return false };
    key.verify_strict(message, &signature).is_ok()
}

/// Bytes in a file for people: hex.
pub(super) mod hex_bytes {
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(in crate::cli) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(bytes))
    }

    pub(in crate::cli) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        hex::decode(text.as_ref()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;

    fn keys() -> NodeKeys {
        NodeKeys { envelope: SigningKey::from_bytes(&[1; 32]), tls: SigningKey::from_bytes(&[2; 32]) }
    }

    fn request() -> MemberRequest {
        MemberRequest::make(
            "San Joaquín",
            &[Role::Municipal],
            &[Code::chile(13129)],
            Some("Prefectura"),
            &keys(),
        )
    }

    #[test]
    fn request_reads_back_as_the_member_it_asks_for() {
        let made = request();
        let (read, member) = MemberRequest::read(made.to_json().as_bytes()).unwrap();
        assert_eq!((&read, member.id), (&made, keys().first_member_id()));
        assert_eq!(member.codes, [Code::chile(13129)]);
        assert!(member.is_good() && member.active_key(KeyPurpose::Tls).is_some());
    }

    #[test]
    fn request_changed_on_the_way_is_refused() {
        let mut other = keys();
        other.tls = SigningKey::from_bytes(&[3; 32]);
        let stolen = MemberRequest { tls_key: other.tls.verifying_key().to_bytes().to_vec(), ..request() };
        let renamed = MemberRequest { name: "San Miguel".into(), ..request() };
        let moved = MemberRequest { codes: vec![Code::chile(13130)], ..request() };
        for spoiled in [stolen, renamed, moved] {
            let refused = MemberRequest::read(spoiled.to_json().as_bytes());
            assert!(matches!(refused, Err(RequestError::Proof)));
        }
        let king = MemberRequest { roles: vec!["king".into()], ..request() };
        assert!(matches!(MemberRequest::read(king.to_json().as_bytes()), Err(RequestError::Role(_))));
        assert!(matches!(MemberRequest::read(b"{}"), Err(RequestError::Json(_))));
        let nameless = MemberRequest { name: String::new(), ..request() };
        assert!(matches!(MemberRequest::read(nameless.to_json().as_bytes()), Err(RequestError::TooLong)));
    }
}
