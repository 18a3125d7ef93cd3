//! Planted faults do not rot: each still fits the sources, and the test that must notice it is there.
//! That each is noticed is shown by `cargo dev faults`, which takes too long for every run.

use std::collections::BTreeSet;

use tests::faults::{Fault, read};

use crate::tidy::tree::{root, source, sources_under};

/// Fewer would leave rules without a fault.
const FAULTS_MIN: usize = 20;

#[test]
fn every_planted_fault_fits_the_sources_and_its_test_exists() {
    let faults = read(&root()).expect("the faults parse");
    let mut names = BTreeSet::new();
    let mut violations = Vec::new();
    for fault in &faults {
        if let Err(error) = fault.plant(&|file| Ok(source(file).text.clone())) {
            violations.push(format!("{error:#}"));
        }
        if !test_exists(fault) {
            violations.push(format!("{}: {} has no test {}", fault.name, fault.package, fault.test));
        }
        if !names.insert(&fault.name) {
            violations.push(format!("{}: two faults have this name", fault.name));
        }
        if fault.says.len() < 7 || fault.breaks.len() < 20 {
            violations.push(format!("{}: says too little", fault.name));
        }
    }
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
    assert!(faults.len() >= FAULTS_MIN, "only {} faults", faults.len());
}

/// True if a file of the crate has a function of that name and the module's file says it is its.
fn test_exists(fault: &Fault) -> bool {
    let function = format!("fn {}(", fault.test_function());
    sources_under(&format!("{}/src/", fault.package)).iter().any(|source| source.text.contains(&function))
}

#[test]
fn a_fault_whose_place_is_gone_or_there_twice_is_told() {
    let faults = read(&root()).expect("the faults parse");
    let fault = faults.first().expect("there are faults");
    let find = &fault.edit[0].find;
    let gone = fault.plant(&|_| Ok("fn nothing() {}".into())).expect_err("the place is not there");
    assert!(gone.to_string().contains("0 times"), "{gone}");
    let twice = fault.plant(&|_| Ok(format!("{find}\n{find}"))).expect_err("it is not clear which");
    assert!(twice.to_string().contains("2 times"), "{twice}");
}
