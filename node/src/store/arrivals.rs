//! How incidents came: which of them may ring. One that is old on arrival does not, nor do those of a member that
//! has had its share of this hour.

use protocol::envelope::AdmittedEnvelope;
use protocol::ids::{DocId, EnvelopeId, MemberId, Millis};
use protocol::limits::{PAGING_INCIDENTS_PER_HOUR_MAX, RING_AGE_MS_MAX};
use rusqlite::{OptionalExtension as _, params};

use crate::store::WriteError;
use crate::store::documents::{Arrival, opening};
use crate::store::people::millis;
use crate::store::reader::Reader;
use crate::store::tx::Tx;

const HOUR: Millis = Millis(60 * 60 * 1_000);

/// Whether a new document may ring here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Came {
    /// It may.
    InTime = 0,
    /// It was old on arrival.
    Late = 1,
    /// It is past its author's share.
    PastShare = 2,
}

impl Came {
    /// Its number in the row of the envelope; of what this node raised itself and in time there is nothing to say.
    pub(super) fn kept(self, arrival: Option<Arrival>) -> Option<u8> {
        (arrival.is_some() || self != Self::InTime).then_some(self as u8)
    }
}

impl Reader<'_> {
    /// How a document came, as its first envelope's row says.
    pub(super) fn how_it_came(&self, doc: DocId, genesis: &EnvelopeId) -> Result<Came, WriteError> {
        let mut select = self.db().prepare_cached("SELECT came FROM envelope WHERE doc = ?1 AND id = ?2")?;
        let came: Option<Option<u8>> =
            select.query_row(params![doc.0, genesis.0], |row| row.get(0)).optional()?;
        Ok(match came.flatten() {
            None | Some(0) => Came::InTime,
            Some(1) => Came::Late,
            Some(_) => Came::PastShare,
        })
    }
}

impl Tx<'_> {
    /// Whether a document that begins with this envelope may ring here: not if it is old on arrival, nor past its
    /// author's share.
    pub(super) fn came(
        &mut self,
        envelope: &AdmittedEnvelope,
        arrival: Option<Arrival>,
    ) -> Result<Came, WriteError> {
        let now = self.now();
        let age = match arrival {
            None => now.since(opening(envelope).map_or(now, |open| open.opened)),
            Some(arrival) => arrival.age,
        };
        if age.0 > RING_AGE_MS_MAX {
            return Ok(Came::Late);
        }
        let past = arrival.is_some() && self.has_had_its_share(envelope.header().author)?;
        Ok(if past { Came::PastShare } else { Came::InTime })
    }

    /// True if as many incidents of this member's as may ring came within the last hour. Once they did, that holds
    /// until the first of them is an hour old, and nothing is counted until then.
    fn has_had_its_share(&mut self, author: MemberId) -> Result<bool, WriteError> {
        let now = self.now();
        if self.writing.shares_end.get(&author).is_some_and(|end| now < *end) {
            return Ok(true);
        }
        let others = PAGING_INCIDENTS_PER_HOUR_MAX - 1;
        let first: Option<i64> = self
            .db()
            .prepare_cached(
                "SELECT received_ms FROM envelope WHERE author = ?1 AND received_ms > ?2 AND came = 0
                 ORDER BY received_ms DESC LIMIT 1 OFFSET ?3",
            )?
            .query_row(params![author.0, millis(now.since(HOUR)), others], |row| row.get(0))
            .optional()?;
        if let Some(first) = first {
            let end = Millis(u64::try_from(first).unwrap_or_default()).plus(HOUR);
            self.writing.shares_end.insert(author, end);
        }
        Ok(first.is_some())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use protocol::fixture::{Federation, Scribe, code, open};
    use protocol::kind::Kind;

    use super::*;
    use crate::store::tests::opening;
    use crate::store::{Opening, Queue, Store};

    const START: u64 = 10_000_000;
    const SHARE: u64 = PAGING_INCIDENTS_PER_HOUR_MAX as u64;

    struct Node<'a> {
        federation: &'a Federation,
        store: Store,
        now: Arc<AtomicU64>,
        written: AtomicU64,
    }

    impl Node<'_> {
        /// Another incident of the first member's.
        fn incident(&self) -> AdmittedEnvelope {
            let (seed, kind) = (self.written.fetch_add(1, Ordering::Relaxed), Kind::by_name("sos").unwrap());
            let operation = open(code(0), kind, &[self.federation.id(1)], None, seed);
            Scribe::new(self.federation).write(0, operation).unwrap()
        }

        /// Takes in one of the first member's incidents at this time; true if it may ring. A job that fails leaves
        /// nothing behind.
        async fn rings(&self, at: u64, age: u64, fails: bool) -> bool {
            self.now.store(at, Ordering::Relaxed);
            let envelope = self.incident();
            let how = Arrival { from: self.federation.id(0), age: Millis(age) };
            let doc = envelope.header().doc;
            let work = move |tx: &mut Tx<'_>| {
                tx.take_in(&envelope, how)?;
                let rings = may_ring(tx, doc)?;
                if fails { Err(WriteError::Broken(format!("{rings}"))) } else { Ok(rings) }
            };
            match self.store.write(Queue::Normal, work).await {
                Ok(rings) => rings,
                Err(WriteError::Broken(rings)) => rings == "true",
                Err(fault) => panic!("{fault}"),
            }
        }
    }

    fn may_ring(tx: &Tx<'_>, doc: DocId) -> Result<bool, WriteError> {
        let sql = "SELECT came = 0 FROM envelope WHERE doc = ?1";
        Ok(tx.db().query_row(sql, params![doc.0], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn a_members_share_of_an_hour_rings_and_the_rest_does_not() {
        let federation = Federation::new(2);
        let folder = tempfile::tempdir().unwrap();
        let now = Arc::new(AtomicU64::new(START));
        let clock = now.clone();
        let store = Store::open(Opening {
            clock: Arc::new(move || Millis(clock.load(Ordering::Relaxed))),
            ..opening(folder.path(), &federation, 1)
        });
        let node = Node { federation: &federation, store: store.unwrap(), now, written: AtomicU64::new(0) };
        for n in 0..SHARE {
            assert!(!node.rings(START + n, RING_AGE_MS_MAX + 1, false).await, "it is old on arrival");
            assert!(node.rings(START + n, 0, true).await, "what was undone is not counted");
            assert!(node.rings(START + n, 0, false).await, "number {n}");
        }
        for n in [SHARE, SHARE + 1, HOUR.0 - 1] {
            assert!(!node.rings(START + n, 0, n == SHARE).await, "{n} ms after the first");
        }
        // Each that is an hour old makes room for one.
        assert!(node.rings(START + HOUR.0, 0, true).await);
        assert!(node.rings(START + HOUR.0, 0, false).await);
        assert!(!node.rings(START + HOUR.0, 0, false).await);
        assert!(node.rings(START + HOUR.0 + 1, 0, false).await);
        assert!(!node.rings(START + HOUR.0 + 1, 0, false).await);
    }

    #[tokio::test]
    async fn a_share_that_only_an_undone_job_would_have_used_up_is_left() {
        let federation = Federation::new(2);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(opening(folder.path(), &federation, 1)).unwrap();
        let node = Node { federation: &federation, store, now: Arc::default(), written: AtomicU64::new(0) };
        for n in 1..SHARE {
            assert!(node.rings(0, 0, false).await, "number {n}");
        }
        let two = [(), ()].map(|()| node.incident());
        let how = Arrival { from: federation.id(0), age: Millis(0) };
        let work = move |tx: &mut Tx<'_>| -> Result<(), WriteError> {
            for envelope in &two {
                tx.take_in(envelope, how)?;
            }
            Err(WriteError::Broken("undone".into()))
        };
        assert!(node.store.write(Queue::Normal, work).await.is_err());
        assert!(node.rings(0, 0, false).await, "the last of the share");
        assert!(!node.rings(0, 0, false).await);
    }
}
