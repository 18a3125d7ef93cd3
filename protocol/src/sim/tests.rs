use super::*;

/// Few enough for every test run; `cargo dev sim` plays as many as one likes.
const SEEDS: u64 = 24;

#[test]
fn small_federations_come_into_step_whatever_breaks() {
    let mut crashes = 0;
    for seed in 0..SEEDS {
        match run(seed, Settings::of_seed(seed)) {
            Ok(report) => crashes += report.crashes,
            Err(violation) => panic!("{violation}\n{:?}", Settings::of_seed(seed)),
        }
    }
    assert!(crashes > SEEDS, "the weather was too kind: {crashes} crashes");
}

#[test]
fn same_seed_plays_the_same() {
    let settings = Settings::of_seed(3);
    assert_eq!(run(3, settings), run(3, settings));
}
