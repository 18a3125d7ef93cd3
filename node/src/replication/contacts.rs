//! Where other nodes can be reached: first addresses from the configuration, later ones from the
//! members' own signed contact records, kept as small files beside the roster.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use config::{Peer, PeerName};
use protocol::contact::SignedContact;
use protocol::ids::MemberId;
use protocol::roster::Roster;

use crate::home::{HomeError, write_private};

/// The contact records that this node holds, its own among them. Clones share them.
#[derive(Debug, Clone)]
pub struct Contacts {
    folder: PathBuf,
    held: Arc<Mutex<BTreeMap<MemberId, SignedContact>>>,
}

impl Contacts {
    /// Reads the records in `folder`. One that does not parse is left out: it comes again.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut held = BTreeMap::new();
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|kind| kind == "contact")
                && let Ok(record) = SignedContact::decode(&std::fs::read(&path)?)
            {
                held.insert(record.unverified().member, record);
            }
        }
        Ok(Self { folder: folder.to_owned(), held: Arc::new(Mutex::new(held)) })
    }

    /// Keeps a record whose signature holds, unless a newer one of the same member is here.
    pub fn keep(&self, record: SignedContact) -> Result<(), HomeError> {
        let member = record.unverified().member;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let version = |record: &SignedContact| record.unverified().version;
        if held.get(&member).is_some_and(|known| version(known) >= version(&record)) {
            return Ok(());
        }
        write_private(&self.folder.join(format!("{member}.contact")), &record.encode())?;
        held.insert(member, record);
        Ok(())
    }

    /// Every record.
    #[must_use]
    pub fn all(&self) -> Vec<SignedContact> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The record of one member.
    #[must_use]
    pub fn of(&self, member: &MemberId) -> Option<SignedContact> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).get(member).cloned()
    }

    /// Whom to dial and where: good members only, configured addresses first.
    #[must_use]
    pub fn to_dial(
        &self,
        roster: &Roster,
        configured: &[Peer],
        us: MemberId,
    ) -> BTreeMap<MemberId, Vec<String>> {
        let mut dial: BTreeMap<MemberId, Vec<String>> = BTreeMap::new();
        for peer in configured {
            let id = match &peer.member {
                PeerName::Id(id) => Some(*id),
                PeerName::Name(name) => roster
                    .members()
                    .iter()
                    .find(|member| member.name == name.as_str())
                    .map(|member| member.id),
            };
            if let Some(id) = id {
                dial.entry(id).or_default().push(peer.address.as_str().to_owned());
            }
        }
        for record in self.all() {
            let contact = record.unverified();
            let known = dial.entry(contact.member).or_default();
            for address in &contact.addresses {
                if !known.contains(address) {
                    known.push(address.clone());
                }
            }
        }
        dial.retain(|member, _| *member != us && roster.good(member));
        dial
    }
}

#[cfg(test)]
mod tests {
    use protocol::fixture::Federation;

    use super::*;

    fn peer(name: &str, address: &str) -> Peer {
        let text = format!("[[federation.peers]]\nmember = \"{name}\"\naddress = \"{address}\"\n");
        config::Config::parse(&text, "test").unwrap().federation.peers.remove(0)
    }

    #[test]
    fn newer_record_replaces_an_older_one_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let federation = Federation::new(2);
        let roster = federation.rosters.head();
        let record = |version, address: &str| {
            SignedContact::seal(roster.federation(), version, vec![address.into()], &federation.hand(1))
        };
        let contacts = Contacts::open(folder.path()).unwrap();
        contacts.keep(record(2, "10.0.0.2:1")).unwrap();
        contacts.keep(record(1, "10.0.0.1:1")).unwrap();
        let contacts = Contacts::open(folder.path()).unwrap();
        let configured = [peer("node 1", "10.9.9.9:1"), peer("stranger", "10.8.8.8:1")];
        let dial = contacts.to_dial(roster, &configured, federation.id(0));
        let expected = vec!["10.9.9.9:1".to_owned(), "10.0.0.2:1".to_owned()];
        assert_eq!(dial, BTreeMap::from([(federation.id(1), expected)]));
        assert!(
            contacts.to_dial(roster, &configured, federation.id(1)).is_empty(),
            "nobody dials themselves"
        );
    }
}
