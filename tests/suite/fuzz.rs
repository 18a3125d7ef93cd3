//! The inputs that fuzzers kept hold in every run, and every target has a fuzzer.

use protocol::targets::{TARGETS, Unstructured};

use crate::tidy::tree::{root, source};

/// Most that the kept inputs of all targets may hold together, in bytes.
const CORPUS_BYTES_MAX: usize = 128 * 1024;

#[test]
fn every_kept_input_of_every_fuzzer_holds() {
    let mut bytes_of_all = 0;
    for (name, target) in TARGETS {
        let folder = root().join("tests/fuzz/corpus").join(name);
        let mut played = 0;
        for entry in std::fs::read_dir(&folder).expect("every target has a corpus") {
            let path = entry.expect("it is readable").path();
            let input = std::fs::read(&path).expect("it is readable");
            bytes_of_all += input.len();
            played += 1;
            let outcome = std::panic::catch_unwind(|| target(&mut Unstructured::new(&input)));
            assert!(outcome.is_ok(), "{} breaks a promise of {name}", path.display());
        }
        assert!(played >= 3, "{name} has {played} inputs");
    }
    assert!(bytes_of_all <= CORPUS_BYTES_MAX, "{bytes_of_all} bytes of corpus");
}

#[test]
fn every_target_has_a_fuzzer_that_plays_it() {
    let manifest = &source("tests/fuzz/Cargo.toml").text;
    for (name, _) in TARGETS {
        let program = &source(&format!("tests/fuzz/fuzz_targets/{name}.rs")).text;
        assert!(
            program.contains(&format!("tests_fuzz::play(\"{name}\", data)")),
            "{name} plays another target"
        );
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not built");
    }
}
