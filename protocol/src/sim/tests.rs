use super::*;

/// Few enough for every test run; `cargo dev sim` plays as many as one likes.
const SEEDS: u64 = 12;

#[test]
fn federations_come_into_step_whatever_breaks() {
    let mut sum = Report::default();
    for seed in 0..SEEDS {
        match run(seed, Settings::of_seed(seed)) {
            Ok(report) => sum.add(&report),
            Err(violation) => panic!("{violation}\n{:?}", Settings::of_seed(seed)),
        }
    }
    assert!(sum.times("crash") > SEEDS, "the weather was too kind: {sum:?}");
}

#[test]
fn same_seed_plays_the_same() {
    let settings = Settings::of_seed(3);
    assert_eq!(run(3, settings), run(3, settings));
}
