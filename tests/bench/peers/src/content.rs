//! What is written: an incident as a document, whose first change is the alert and whose others are short.
//! The same at every system, and different in every document, so that nothing is stored only once.

use automerge::transaction::Transactable as _;
use automerge::{Automerge, AutomergeError, ObjType, ROOT};

/// Words of a text, chosen by the document's number.
const WORDS: [&str; 32] = [
    "two",
    "people",
    "took",
    "a",
    "bag",
    "and",
    "left",
    "to",
    "the",
    "south",
    "on",
    "motorbike",
    "near",
    "corner",
    "with",
    "red",
    "jacket",
    "school",
    "gate",
    "dark",
    "street",
    "shouting",
    "window",
    "broken",
    "car",
    "parked",
    "third",
    "floor",
    "smoke",
    "yellow",
    "house",
    "dog",
];
/// Words of the text of one alert.
const TEXT_WORDS: u64 = 22;

/// The fields of one change of a document: about 300 bytes for the first, about 80 for the others.
#[must_use]
pub fn fields(document: u32, change: u32) -> Vec<(&'static str, String)> {
    let number = |field: u64| scatter(u64::from(document) << 20 | u64::from(change) << 10 | field);
    if change > 0 {
        let step = ["received", "called", "on the way", "on site", "resolved", "closed"];
        let step = step.get(change as usize % step.len()).copied().unwrap_or("received");
        return vec![
            ("step", step.to_owned()),
            ("author", format!("{:016x}", number(1))),
            ("written_ms", number(2).to_string()),
        ];
    }
    let word = |at: u64| usize::try_from(number(100 + at) % 32).ok().and_then(|at| WORDS.get(at).copied());
    let text: Vec<&str> = (0..TEXT_WORDS).filter_map(word).collect();
    vec![
        ("kind", "robbery".to_owned()),
        ("urgency", "high".to_owned()),
        ("code", "CL-13130".to_owned()),
        ("cell", format!("{:015x}", number(1) >> 4)),
        ("nonce", format!("{:016x}{:016x}", number(2), number(3))),
        ("written_ms", number(4).to_string()),
        ("text", text.join(" ")),
    ]
}

/// The same as one value.
#[must_use]
pub fn bytes(document: u32, change: u32) -> Vec<u8> {
    let pairs = fields(document, change).into_iter().map(|(name, value)| (name.to_owned(), value.into()));
    serde_json::Value::Object(pairs.collect()).to_string().into_bytes()
}

/// Adds one change to an Automerge document: a map of its fields.
pub fn change(automerge: &mut Automerge, document: u32, change: u32) -> Result<(), AutomergeError> {
    let done = automerge.transact::<_, _, AutomergeError>(|transaction| {
        let entry = transaction.put_object(ROOT, change.to_string(), ObjType::Map)?;
        for (name, value) in fields(document, change) {
            transaction.put(&entry, name, value)?;
        }
        Ok(())
    });
    done.map(|_| ()).map_err(|failed| failed.error)
}

/// An Automerge document with so many changes.
pub fn automerge(document: u32, changes: u32) -> Result<Automerge, AutomergeError> {
    let mut automerge = Automerge::new();
    for number in 0..changes {
        change(&mut automerge, document, number)?;
    }
    Ok(automerge)
}

/// Sixteen bytes for a document, as scattered as random ones.
#[must_use]
pub fn key(document: u32) -> [u8; 16] {
    let high = scatter(u64::from(document));
    (u128::from(high) << 64 | u128::from(scatter(high))).to_be_bytes()
}

/// Scatters numbers over 64 bits (the finalizer of SplitMix64); different ones stay different.
fn scatter(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_has_about_300_bytes_and_a_later_change_far_fewer() {
        let size =
            |document, change| fields(document, change).iter().map(|(_, value)| value.len()).sum::<usize>();
        for document in 0..1_000 {
            assert!((150..330).contains(&size(document, 0)), "{}", size(document, 0));
            assert!((250..400).contains(&bytes(document, 0).len()), "{}", bytes(document, 0).len());
            assert!((20..90).contains(&size(document, 3)), "{}", size(document, 3));
        }
    }

    #[test]
    fn no_two_documents_hold_the_same() {
        let all: std::collections::BTreeSet<Vec<u8>> =
            (0..1_000).map(|document| bytes(document, 0)).collect();
        assert_eq!(all.len(), 1_000);
        let keys: std::collections::BTreeSet<[u8; 16]> = (0..1_000).map(key).collect();
        assert_eq!(keys.len(), 1_000);
    }
}
