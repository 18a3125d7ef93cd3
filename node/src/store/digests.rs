//! Digests of what is shared with each peer, as tables: two nodes prove with one row that they hold the
//! same, and find what differs with a few rows a difference, however much they share.
//!
//! The hash of a place is kept from when it was last asked for or refreshed. Whoever changes a document
//! drops the kept hashes of every place above it in the same transaction, so that what is kept is true;
//! what is not kept is made from the documents below.

use std::collections::BTreeSet;

use protocol::digest::{Fingerprint, Place};
use protocol::ids::{DocId, MemberId};
use protocol::limits::{DIGEST_LEAF_MAX, DIGEST_PREFIX_NIBBLES_MAX};
use protocol::message::Prefix;
use rusqlite::{OptionalExtension as _, params};

use crate::store::limits::{DIGEST_DIGITS_KEPT, DIGEST_PLACES_AT_ONCE};
use crate::store::reader::Reader;
use crate::store::tx::Tx;
use crate::store::{Queue, Store, WriteError};

impl Reader<'_> {
    /// What lies below some digits of what is shared with a peer.
    pub fn digest_place(&self, peer: &MemberId, prefix: &Prefix) -> Result<Place, WriteError> {
        self.digest_made(peer, prefix, &mut Vec::new(), usize::MAX)
    }

    /// The same, if it is kept or fewer than `most` hashes make it.
    pub fn digest_place_soon(
        &self,
        peer: &MemberId,
        prefix: &Prefix,
        most: usize,
    ) -> Result<Option<Place>, WriteError> {
        let mut made = Vec::new();
        let place = self.digest_made(peer, prefix, &mut made, most)?;
        Ok((made.len() < most).then_some(place))
    }

    /// The documents there that both this node and the peer may hold, ascending, at most `limit`.
    pub fn digest_below(
        &self,
        peer: &MemberId,
        prefix: &Prefix,
        limit: usize,
    ) -> Result<Vec<(DocId, Fingerprint)>, WriteError> {
        let Some((first, last)) = prefix.bounds() else { return Ok(Vec::new()) };
        let mut select = self.db().prepare_cached(
            "SELECT document.id, document.fingerprint FROM audience AS theirs
             JOIN document ON document.id = theirs.doc AND document.ours > 0
             WHERE theirs.member = ?1 AND theirs.doc >= ?2 AND theirs.doc <= ?3
             ORDER BY theirs.doc LIMIT ?4",
        )?;
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let values = params![peer.0, first.0, last.0, most];
        let rows = select.query_map(values, |row| Ok((DocId(row.get(0)?), Fingerprint(row.get(1)?))))?;
        self.with_gone(peer, prefix, limit, rows.collect::<Result<_, _>>()?)
    }

    fn digest_kept(&self, peer: &MemberId, prefix: &Prefix) -> Result<Option<Place>, WriteError> {
        if prefix.0.len() > DIGEST_DIGITS_KEPT {
            return Ok(None);
        }
        let mut select =
            self.db().prepare_cached("SELECT hash, documents FROM digest WHERE peer = ?1 AND digits = ?2")?;
        let found = select.query_row(params![peer.0, prefix.0], |row| {
            let documents: i64 = row.get(1)?;
            let documents = u64::try_from(documents).unwrap_or_default();
            Ok(Place { hash: Fingerprint(row.get(0)?), documents })
        });
        Ok(found.optional()?)
    }

    /// What is kept, or is made now; what was made and can be kept is put into `made`, at most `most`.
    fn digest_made(
        &self,
        peer: &MemberId,
        prefix: &Prefix,
        made: &mut Vec<(Prefix, Place)>,
        most: usize,
    ) -> Result<Place, WriteError> {
        if let Some(kept) = self.digest_kept(peer, prefix)? {
            return Ok(kept);
        }
        let few = self.digest_below(peer, prefix, DIGEST_LEAF_MAX + 1)?;
        let place = if prefix.0.len() >= DIGEST_PREFIX_NIBBLES_MAX {
            Place::leaf(&self.digest_below(peer, prefix, usize::MAX)?)
        } else if few.len() <= DIGEST_LEAF_MAX {
            Place::leaf(&few)
        } else {
            let mut children = [Place::EMPTY; 16];
            for (digit, child) in children.iter_mut().enumerate() {
                if made.len() >= most {
                    // Cut short: what was made is true all the same, this place is not made.
                    return Ok(Place::EMPTY);
                }
                *child = self.digest_made(peer, &prefix.child(digit), made, most)?;
            }
            Place::node(&children)
        };
        if prefix.0.len() <= DIGEST_DIGITS_KEPT && made.len() < most {
            made.push((prefix.clone(), place));
        }
        Ok(place)
    }

    /// Peers of whose digest something is not kept.
    fn digests_stale(&self) -> Result<BTreeSet<MemberId>, WriteError> {
        let rosters = self.shared().rosters();
        let mut stale = BTreeSet::new();
        for member in rosters.head().members() {
            if member.id != self.shared().member
                && self.digest_kept(&member.id, &Prefix::default())?.is_none()
            {
                stale.insert(member.id);
            }
        }
        Ok(stale)
    }
}

impl Tx<'_> {
    /// A document has changed, or may be held by one more: no hash above it is true any more.
    pub(super) fn drop_digests(
        &self,
        doc: &DocId,
        members: impl Iterator<Item = MemberId>,
    ) -> Result<(), WriteError> {
        let digits = Prefix::of(doc).0;
        let mut drop = self.db().prepare_cached("DELETE FROM digest WHERE peer = ?1 AND digits = ?2")?;
        for member in members.filter(|member| *member != self.member()) {
            // One by one: a list in the statement would be a table of its own each time.
            for length in 0..=DIGEST_DIGITS_KEPT {
                drop.execute(params![member.0, digits.get(..length).unwrap_or_default()])?;
            }
        }
        Ok(())
    }

    /// Forgets every hash kept for a peer.
    pub fn forget_digest(&self, peer: &MemberId) -> Result<(), WriteError> {
        self.db().prepare_cached("DELETE FROM digest WHERE peer = ?1")?.execute(params![peer.0])?;
        Ok(())
    }

    /// Makes and keeps some hashes that are not kept. True if that was all of them.
    fn refresh_digest(&self, peer: &MemberId) -> Result<bool, WriteError> {
        let mut made = Vec::new();
        self.reader().digest_made(peer, &Prefix::default(), &mut made, DIGEST_PLACES_AT_ONCE)?;
        let mut keep = self.db().prepare_cached(
            "INSERT OR REPLACE INTO digest (peer, digits, hash, documents) VALUES (?1, ?2, ?3, ?4)",
        )?;
        for (prefix, place) in &made {
            let documents = i64::try_from(place.documents).unwrap_or(i64::MAX);
            keep.execute(params![peer.0, prefix.0, place.hash.0, documents])?;
        }
        Ok(made.len() < DIGEST_PLACES_AT_ONCE)
    }
}

impl Store {
    /// Asks for what is not kept to be made, without waiting for it.
    pub fn ask_digests(&self) {
        self.inner.shared.hashing.notify_one();
    }

    /// Waits until somebody does.
    pub async fn digests_asked(&self) {
        self.inner.shared.hashing.notified().await;
    }

    /// Makes what is not kept of every peer's digest, in small transactions behind everything else.
    pub async fn refresh_digests(&self) -> Result<(), WriteError> {
        for peer in self.read(|r| r.digests_stale()).await? {
            while !self.write(Queue::Bulk, move |tx| tx.refresh_digest(&peer)).await? {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use protocol::digest::Digest;
    use protocol::fixture::{Federation, code, open, somebody};
    use protocol::ids::Millis;
    use protocol::operation::{Operation, Step};

    use super::*;
    use crate::store::tests::open_as;

    /// What is kept and made, against a digest of the same documents built at once.
    fn compare(store: &Store, peer: MemberId) {
        let (whole, places) = store
            .read_here(|r| {
                let whole = Digest::of(r.digest_below(&peer, &Prefix::default(), usize::MAX)?);
                let root = Prefix::default();
                let mut places = vec![root.clone()];
                for digit in 0..16 {
                    places.push(root.child(digit));
                    places.push(root.child(digit).child(15 - digit));
                }
                let read: Result<Vec<_>, WriteError> = places
                    .into_iter()
                    .map(|place| Ok((place.clone(), r.digest_place(&peer, &place)?)))
                    .collect();
                Ok::<_, WriteError>((whole, read?))
            })
            .unwrap();
        for (prefix, place) in places {
            assert_eq!(place, whole.place(&prefix), "at {prefix:?}");
        }
    }

    #[tokio::test]
    async fn hashes_that_are_kept_are_those_of_the_documents_whatever_changed_since() {
        let federation = Federation::new(3);
        let folder = tempfile::tempdir().unwrap();
        let store = open_as(folder.path(), &federation, 0, None);
        let (near, far) = (federation.id(1), federation.id(2));
        let kind = protocol::kind::Kind::by_name("noise").unwrap();
        let mut docs = Vec::new();
        for round in 0..4_u64 {
            for n in 0..60_u64 {
                let involved: &[MemberId] = if n % 3 == 0 { &[near, far] } else { &[near] };
                let operation = open(code(0), kind, involved, None, round * 100 + n);
                let draft = protocol::author::Draft {
                    operation,
                    blobs: Vec::new(),
                    answers: Vec::new(),
                    written_at: Millis(1_000),
                };
                let kept = store.write(Queue::Normal, move |tx| tx.append(None, &draft, None)).await.unwrap();
                docs.push(kept.header().doc);
            }
            // Not kept, half kept, and then changed in some places.
            compare(&store, near);
            let soon =
                |most| store.read_here(|r| r.digest_place_soon(&near, &Prefix::default(), most)).unwrap();
            assert_eq!(soon(4), None, "that is more than can be waited for");
            let root = soon(usize::MAX);
            store.refresh_digests().await.unwrap();
            assert_eq!(soon(1), root, "what is kept is read");
            assert_eq!(store.read_here(|r| r.digests_stale()).unwrap(), BTreeSet::new(), "all is kept");
            compare(&store, near);
            for doc in docs.iter().copied().step_by(7) {
                let draft = protocol::author::Draft {
                    operation: Operation::Step { step: Step::Received, by: somebody(1) },
                    blobs: Vec::new(),
                    answers: Vec::new(),
                    written_at: Millis(2_000 + round),
                };
                store.write(Queue::Normal, move |tx| tx.append(Some(doc), &draft, None)).await.unwrap();
            }
            compare(&store, near);
            compare(&store, far);
        }
        store.refresh_digests().await.unwrap();
        store.write(Queue::Normal, move |tx| tx.forget_digest(&near)).await.unwrap();
        assert_eq!(store.read_here(|r| r.digests_stale()).unwrap(), BTreeSet::from([near]));
    }
}
