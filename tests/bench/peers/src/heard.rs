//! The subscriber: hears of every change that this process has made durable, and says so to who asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::now_ns;

/// Hears of changes; may be cloned into whatever stores them.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    wanted: Wanted,
    changes: HashMap<String, u32>,
    documents: usize,
}

/// What is to be said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Nothing.
    #[default]
    Nothing,
    /// Every change.
    Each,
    /// When so many documents have got so many changes each.
    All { documents: usize, changes: u32 },
}

impl Heard {
    /// Forgets what was heard, and wants this from now on.
    pub fn want(&self, wanted: Wanted) {
        *self.inner() = Inner { wanted, ..Inner::default() };
    }

    /// So many changes of a document are on the disk.
    pub fn stored(&self, document: &str, changes: u32) {
        let now = now_ns();
        let mut inner = self.inner();
        match inner.wanted {
            Wanted::Nothing => {}
            Wanted::Each => println!("told {document} {now}"),
            Wanted::All { documents, changes: each } => {
                let held = inner.changes.entry(document.to_owned()).or_default();
                let before = *held;
                *held += changes;
                if before < each && *held >= each {
                    inner.documents += 1;
                    if inner.documents == documents {
                        println!("all {now}");
                    } else if inner.documents % (documents / 50).max(1) == 0 {
                        println!("some {}", inner.documents);
                    }
                }
            }
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
