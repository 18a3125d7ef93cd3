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

#[test]
fn member_that_breaks_the_rules_harms_nobody_else() {
    let (mut forks, mut blamed, mut rejected) = (0, 0, 0);
    for seed in 0..8 {
        let municipal = if seed % 2 == 0 { 3 } else { 4 };
        let settings = Settings { hostile: true, municipal, action_every_ms: 500, ..Settings::of_seed(seed) };
        let report = run(seed, settings).unwrap_or_else(|violation| panic!("{violation}\n{settings:?}"));
        forks += report.forks;
        blamed += report.blamed;
        rejected += report.rejected;
    }
    assert!(forks > 0 && blamed > 0 && rejected > 0, "it was too kind: {forks}, {blamed}, {rejected}");
}
