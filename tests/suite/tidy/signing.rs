//! Nothing signs what somebody else supplied: a node's own hand is used in few places, each over a layout that it
//! fills in itself, and no message of the protocol asks for a signature.

use std::collections::BTreeSet;

use protocol::message::TABLE;

use super::check;
use super::tree::sources_under;

/// Where product code signs, and what.
const SIGNS: [(&str, &str); 6] = [
    ("protocol/src/author.rs", "an envelope that it has laid out from a typed operation"),
    ("protocol/src/contact.rs", "the node's own contact record"),
    ("protocol/src/roster/signed.rs", "a roster, with a root key that a person holds"),
    ("node/src/cli/roster.rs", "the same, from the command line"),
    ("node/src/cli/request.rs", "the node's own request to join"),
    ("node/src/cli/rotation.rs", "the node's own request for new keys, with each key that it holds"),
];
/// What only tests, fuzz targets and the simulator contain.
const NOT_SHIPPED: [&str; 3] = ["protocol/src/fixture.rs", "protocol/src/targets/", "protocol/src/sim/"];

/// A file without the tests at its end.
fn shipped(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

#[test]
fn product_code_signs_only_what_it_laid_out_itself() {
    let mut found = BTreeSet::new();
    for folder in ["protocol/src", "federation/src", "config/src", "node/src"] {
        for source in sources_under(folder) {
            let tests = source.path.contains("/tests") || source.path.ends_with("tests.rs");
            if tests || NOT_SHIPPED.iter().any(|path| source.path.starts_with(path)) {
                continue;
            }
            let shipped = shipped(&source.text);
            if shipped.contains(concat!(".si", "gn(")) || shipped.contains(concat!(".try_si", "gn(")) {
                found.insert(source.path.as_str());
            }
        }
    }
    let listed: BTreeSet<&str> = SIGNS.iter().map(|(path, _)| *path).collect();
    let unlisted = found.difference(&listed).map(|path| format!("{path} signs, and is not listed"));
    let gone = listed.difference(&found).map(|path| format!("{path} is listed and signs nothing"));
    check(&unlisted.chain(gone).collect::<Vec<_>>());
}

#[test]
fn only_the_stores_writer_asks_for_an_envelope_to_be_signed() {
    let mut callers = Vec::new();
    for source in sources_under("node/src") {
        let shipped = shipped(&source.text);
        let imports = shipped.lines().any(|line| {
            let from_author = line.trim_start().starts_with("use protocol::author::");
            from_author && line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "seal")
        });
        if !source.path.contains("/tests") && (imports || shipped.contains("author::seal(")) {
            callers.push(source.path.as_str());
        }
    }
    assert_eq!(callers, ["node/src/store/documents.rs"]);
}

#[test]
fn no_message_asks_for_a_signature() {
    for row in TABLE {
        let words = [row.name, row.when].concat().to_lowercase();
        assert!(!words.contains("sign"), "{}: {}", row.name, row.when);
    }
}
