//! The slice of the fuzzers that every test run plays: chosen inputs, the same each time.

use std::collections::BTreeSet;

use super::*;
use crate::admission::Refusal;

/// Inputs a target; a failing one is named by its number.
const CASES: u64 = 60;

#[test]
fn every_promise_holds_over_chosen_input() {
    for (name, target) in TARGETS {
        for seed in 0..CASES {
            let bytes = bytes_of_seed(seed ^ 0x5eed, 24);
            let outcome = std::panic::catch_unwind(|| target(&mut Unstructured::new(&bytes)));
            assert!(outcome.is_ok(), "{name} does not hold for seed {seed}");
        }
    }
    println!("{} inputs tried", TARGETS.len() * usize::try_from(CASES).unwrap());
}

#[test]
fn forged_envelopes_meet_many_rules_and_some_are_admitted() {
    let mut refusals = BTreeSet::new();
    let (mut admitted, mut parked, mut held) = (0, 0, 0);
    for seed in 0..150 {
        let bytes = bytes_of_seed(seed, 64);
        let judged = admission::judge_in_two_orders(&mut Unstructured::new(&bytes)).expect("there are bytes");
        admitted += judged.admitted.len();
        parked += judged.parked.len();
        held += judged.held.len();
        refusals.extend(judged.rejected.into_values());
    }
    println!("150 inputs tried");
    assert!(admitted > 500 && parked > 0, "{admitted} admitted, {parked} parked");
    // Each genesis is here in the end, and says by which rules its document is judged.
    assert!(refusals.contains(&Refusal::RulesVersion) && held == 0, "{held} held, {refusals:?}");
    assert!(refusals.len() >= 12, "only these rules were met: {refusals:?}");
}
