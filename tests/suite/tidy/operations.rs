//! The table of operations in the documents, column by column against the code: names and numbers, fields
//! and their bytes, who may, and what it changes in the fold.

use std::collections::BTreeSet;

use protocol::fixture::{Federation, Scribe};
use protocol::fold::Fold;
use protocol::operation::{Operation, op_type};
use protocol::targets::one_of_each;

use super::tree::source;

/// Fields of the fold that no operation sets by itself: they follow from the roster, from keys and from proofs.
const OF_NO_OPERATION: [&str; 2] = ["answering", "equivocators"];

/// The rows of the table: name, number, bytes, who may, in the fold.
fn rows() -> Vec<[&'static str; 5]> {
    let lines = source("docs/documents.md").text.lines();
    let table = lines.skip_while(|line| !line.starts_with("| operation | number |")).skip(2);
    let rows = table.take_while(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        <[&str; 5]>::try_from(cells).unwrap_or_else(|cells| panic!("a row of {} cells: {line}", cells.len()))
    });
    rows.collect()
}

fn name_of(row: &[&'static str; 5]) -> &'static str {
    row[0].trim_matches('`')
}

#[test]
fn the_table_of_operations_has_every_name_and_number_of_the_code_and_no_other() {
    let documented: Vec<(&str, u16)> =
        rows().iter().map(|row| (name_of(row), row[1].parse().expect("a number"))).collect();
    assert_eq!(documented, op_type::TABLE);
}

/// Names of the fields of something that prints itself as the code wrote it.
fn fields(printed: &str) -> Vec<&str> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let named = |line: &&str| line.trim_start().split_once(": ").is_some_and(|(name, _)| !name.contains(' '));
    let outer = printed.lines().find(named).map_or(0, indent);
    let lines = printed.lines().filter(named).filter(|line| indent(line) == outer);
    lines.filter_map(|line| line.trim_start().split(": ").next()).collect()
}

/// Bytes that a cell promises: the fixed ones, and those of each item of its list.
fn bytes_of(cell: &str) -> (usize, usize) {
    let sum = |text: &str| {
        let words = text.split(|c: char| c.is_whitespace() || "(),".contains(c));
        words.filter_map(|word| word.parse::<usize>().ok()).sum::<usize>()
    };
    // What stands behind an equals sign is the value, not the length.
    let parts = cell.split('·').map(|part| part.split(" = ").next().unwrap_or(part));
    parts.fold((0, 0), |(fixed, each), part| match part.split_once("+ n × ") {
        Some((before, item)) => (fixed + sum(before), each + sum(item)),
        None => (fixed + sum(part), each),
    })
}

#[test]
fn the_table_of_operations_has_every_field_with_its_bytes() {
    let (rows, all) = (rows(), one_of_each());
    assert_eq!(all.len(), rows.len(), "not one of each");
    let mut violations = Vec::new();
    for (row, operation) in rows.iter().zip(&all) {
        let mut cell = row[2];
        if let Some(other) = cell.strip_prefix("as `").and_then(|rest| rest.strip_suffix('`')) {
            cell = rows.iter().find(|row| name_of(row) == other).expect("a row like it")[2];
        }
        let words = cell.replace("local kind", "local_kind");
        for field in fields(&format!("{operation:#?}")) {
            let there = words.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == field);
            if !there {
                violations.push(format!("{}: no field {field}", row[0]));
            }
        }
        let (fixed, each) = bytes_of(cell);
        let length = operation.encode().len();
        if length != fixed && length != fixed + each {
            violations.push(format!("{}: {length} bytes, the table says {fixed} + n × {each}", row[0]));
        }
    }
    super::check(&violations);
}

/// Who may, in the words of the documents, for the members that the hand-written oracle names in an
/// incident that was just opened or, if nobody may there, in the state in which somebody may.
fn words_for(letters: &str) -> &'static str {
    match letters {
        "o" => "the owner",
        "oi" => "involved nodes",
        "f" => "the node that the owner's last offer names",
        "p" => "authority",
        "oipn" => "each holder",
        _ => "",
    }
}

#[test]
fn the_table_of_operations_says_who_may_as_the_oracle_does() {
    let oracle = &source("protocol/src/admission/oracle.rs").text;
    let table = oracle.split("const TABLE: &str = \"").nth(1).and_then(|rest| rest.split('"').next());
    let mut violations = Vec::new();
    let mut compared = 0;
    for line in table.expect("the oracle has its table").lines().filter(|line| !line.is_empty()) {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let name = cells[0].replace('_', " ");
        // These are for somebody in particular; the oracle's letter is whom it asked, or whose blob it took.
        if ["answer referral", "takeover commit", "redact"].contains(&name.as_str()) {
            continue;
        }
        let Some(letters) = cells[1..].iter().find(|cell| **cell != "-") else { continue };
        let rows = rows();
        let row = rows.iter().find(|row| name_of(row) == name).expect("a row of every operation");
        compared += 1;
        let words = words_for(letters);
        if words.is_empty() || !row[3].contains(words) {
            violations.push(format!("{name}: the oracle says {letters}, the table says «{}»", row[3]));
        }
    }
    super::check(&violations);
    assert!(compared >= 24, "only {compared} rows were compared");
}

#[test]
fn the_table_of_operations_names_what_each_changes_in_the_fold() {
    let federation = Federation::new(2);
    let mut scribe = Scribe::new(&federation);
    scribe.open(0, &[1]);
    let fold = format!("{:#?}", Fold::of(&scribe.document, &federation.rosters).expect("a genesis"));
    let known: BTreeSet<&str> = fields(&fold).into_iter().collect();
    let mut named: BTreeSet<&str> = OF_NO_OPERATION.into();
    let mut violations = Vec::new();
    for row in rows() {
        let fields: Vec<&str> = row[4].split('`').skip(1).step_by(2).collect();
        if fields.is_empty() && !row[4].starts_with("nothing") {
            violations.push(format!("{}: says nothing of the fold", row[0]));
        }
        violations.extend(
            fields
                .iter()
                .filter(|field| !known.contains(*field))
                .map(|f| format!("{}: no field {f}", row[0])),
        );
        named.extend(fields);
    }
    violations.extend(known.difference(&named).map(|field| format!("no operation sets {field}")));
    super::check(&violations);
}

#[test]
fn an_operation_prints_its_fields_and_a_cell_its_bytes() {
    let offer =
        one_of_each().into_iter().find(|o| matches!(o, Operation::Offer { .. })).expect("one of each");
    assert_eq!(fields(&format!("{offer:#?}")), ["to", "reason"]);
    assert_eq!(bytes_of("day 4 (yyyymmdd) · values 2 + n × (measure 1, kind 2, value 8), sorted"), (6, 11));
    assert_eq!(bytes_of("class 1 = 2 (notice) · cell 8 = 0"), (9, 0));
    assert_eq!(bytes_of("has point 1 · lat, lon × 10^7 4 + 4"), (9, 0));
}
