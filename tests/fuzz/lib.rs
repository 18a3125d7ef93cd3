//! What every fuzzer here does: hands its input to the promise of `protocol::targets` that it is named after.

use protocol::targets::{TARGETS, Unstructured};

/// Plays one input of one target. Input that is too short is no finding.
///
/// # Panics
/// Where the promise does not hold.
pub fn play(name: &str, data: &[u8]) {
    let (_, target) =
        TARGETS.iter().find(|(target, _)| *target == name).expect("every fuzzer names a target");
    _ = target(&mut Unstructured::new(data));
}
