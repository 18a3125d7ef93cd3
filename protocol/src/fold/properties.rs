//! Any graph that admission lets through reads the same in every order of arrival.

use crate::targets::{Unstructured, bytes_of_seed, graph};

/// Graphs tried; a failing one is named by its number.
const CASES: u64 = 200;

#[test]
fn any_admitted_graph_reads_the_same_in_every_order() {
    let (mut handed_over, mut taken_over, mut forked) = (0, 0, 0);
    for seed in 0..CASES {
        let bytes = bytes_of_seed(seed, 128);
        let grown =
            graph::read_in_two_orders(&mut Unstructured::new(&bytes)).expect("there are bytes enough");
        handed_over += u32::from(grown.handed_over);
        taken_over += u32::from(grown.taken_over);
        forked += u32::from(grown.forked);
    }
    println!("{CASES} inputs tried");
    let tried = [handed_over, taken_over, forked];
    assert!(tried.iter().all(|count| *count > 4), "handed over, taken over, forked: {tried:?}");
}
