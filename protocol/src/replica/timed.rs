//! What began at a time, by document and by that time: looking for what is late costs nothing while nothing is.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{DocId, Millis};

/// Documents, each with when something began about it and what else is known of that.
#[derive(Debug)]
pub(super) struct Timed<T> {
    by_doc: BTreeMap<DocId, (Millis, T)>,
    by_time: BTreeSet<(Millis, DocId)>,
}

impl<T> Default for Timed<T> {
    fn default() -> Self {
        Self { by_doc: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<T> Timed<T> {
    /// How many.
    pub fn len(&self) -> usize {
        self.by_doc.len()
    }

    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.by_doc.is_empty()
    }

    /// True if something began about this document.
    pub fn contains(&self, doc: &DocId) -> bool {
        self.by_doc.contains_key(doc)
    }

    /// It begins, or begins anew.
    pub fn begin(&mut self, doc: DocId, at: Millis, what: T) {
        if let Some((before, _)) = self.by_doc.insert(doc, (at, what)) {
            self.by_time.remove(&(before, doc));
        }
        self.by_time.insert((at, doc));
    }

    /// It ends.
    pub fn end(&mut self, doc: &DocId) -> Option<T> {
        let (at, what) = self.by_doc.remove(doc)?;
        self.by_time.remove(&(at, *doc));
        Some(what)
    }

    /// What is known of it.
    pub fn get(&self, doc: &DocId) -> Option<&T> {
        self.by_doc.get(doc).map(|(_, what)| what)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, doc: &DocId) -> Option<&mut T> {
        self.by_doc.get_mut(doc).map(|(_, what)| what)
    }

    /// When the oldest of them began.
    pub fn oldest(&self) -> Option<Millis> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The documents of those that began at least so many ms ago, by document.
    pub fn late(&self, now: Millis, after_ms: u64) -> BTreeSet<DocId> {
        let late = self.by_time.iter().take_while(|(at, _)| now.since(*at).0 >= after_ms);
        late.map(|(_, doc)| *doc).collect()
    }

    /// Ends those that began at least so many ms ago.
    pub fn end_late(&mut self, now: Millis, after_ms: u64) {
        while let Some((at, doc)) = self.by_time.first().copied()
            && now.since(at).0 >= after_ms
        {
            self.end(&doc);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(n: u8) -> DocId {
        DocId([n; 32])
    }

    #[test]
    fn what_is_late_is_what_began_long_ago_and_neither_ended_nor_began_anew() {
        let mut timed = Timed::default();
        for n in [3, 1, 2, 4] {
            timed.begin(doc(n), Millis(u64::from(n) * 10), n);
        }
        timed.begin(doc(1), Millis(45), 9);
        assert_eq!(timed.end(&doc(2)), Some(2));
        assert_eq!((timed.len(), timed.oldest()), (3, Some(Millis(30))));
        assert_eq!(timed.late(Millis(50), 10), BTreeSet::from([doc(3), doc(4)]));
        assert_eq!(timed.late(Millis(50), 11), BTreeSet::from([doc(3)]));
        timed.end_late(Millis(50), 11);
        assert!(!timed.contains(&doc(3)) && timed.contains(&doc(4)));
        *timed.get_mut(&doc(1)).unwrap() += 1;
        assert_eq!(timed.end(&doc(1)), Some(10));
        assert_eq!(timed.end(&doc(1)), None);
        timed.end_late(Millis(50), 0);
        assert!(timed.is_empty() && timed.oldest().is_none());
    }
}
