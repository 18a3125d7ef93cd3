//! Signatures are verified once a run, not once a node: the verdict on the same bytes under the same key
//! is the same everywhere, and verifying is what a run would otherwise spend its time on.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::envelope::{Signed, strictly};
use crate::ids::{EnvelopeId, sha256};
use crate::message::Message;
use crate::replica::Arrived;
use crate::roster::RosterChain;

/// What was verified: the signed bytes by their hash, and key and signature by theirs.
type Question = (EnvelopeId, [u8; 32]);

/// Verdicts of this run.
#[derive(Debug, Default)]
pub(super) struct Signatures {
    verdicts: RefCell<BTreeMap<Question, bool>>,
}

impl Signatures {
    /// As [`Arrived::check`]. Nothing but the verdict on a signature is remembered.
    pub fn check(&self, message: Message, rosters: &RosterChain) -> Arrived {
        Arrived::check_by(message, rosters, &|signed: &[Signed<'_>]| {
            signed.iter().map(|one| self.verdict(one)).collect()
        })
    }

    fn verdict(&self, signed: &Signed<'_>) -> bool {
        let question = (signed.id, sha256(&[signed.public, signed.signature]));
        let known = self.verdicts.borrow().get(&question).copied();
        known.unwrap_or_else(|| {
            let holds = strictly(std::slice::from_ref(signed)) == [true];
            self.verdicts.borrow_mut().insert(question, holds);
            holds
        })
    }
}
