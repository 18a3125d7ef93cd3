//! Faults that a test plants into the running program: it panics over one document, at one place. Only
//! builds for developers and those made with the feature `planted-faults` have them; the program that is
//! shipped has not.

use protocol::envelope::{AdmittedEnvelope, Header};
use protocol::replica::{Arrived, Checked};

/// Names the place: `core`, `store` or `show`.
const PLACE: &str = "CUADRA_PLANTED_PANIC";
/// An envelope that says it was written at this time is the one that breaks the program.
pub const WRITTEN_AT_MS: u64 = 666_000_666_000;

fn breaks(place: &str, mut headers: impl Iterator<Item = u64>) {
    let planted = std::env::var_os(PLACE).is_some_and(|named| named == place);
    assert!(!(planted && headers.any(|at| at == WRITTEN_AT_MS)), "a planted fault");
}

fn written(header: &Header) -> u64 {
    header.written_at.0
}

/// While the replica takes a message.
pub fn core(message: &Arrived) {
    let Arrived::Items(arrived) = message else { return };
    let headers = arrived.items.iter().filter_map(|item| match &item.envelope {
        Checked::Verified(envelope) => Some(written(envelope.header())),
        Checked::UnknownRoster(_) | Checked::Faulty(..) => None,
    });
    breaks("core", headers);
}

/// While an envelope is stored.
pub fn store(envelope: &AdmittedEnvelope) {
    breaks("store", std::iter::once(written(envelope.header())));
}

/// While somebody looks at a document.
pub fn show<'a>(envelopes: impl Iterator<Item = &'a AdmittedEnvelope>) {
    breaks("show", envelopes.map(|envelope| written(envelope.header())));
}
