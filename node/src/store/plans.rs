//! How SQLite goes about the queries that are asked often: none goes through all that a node holds.

use rusqlite::Connection;

use super::duplicates::LEFT_OPEN_BELOW;
use super::figures::counts_sql;
use super::incidents::PER_DAY;
use super::queue::{closed_sql, open_sql};
use super::rebuild::NEXT_DERIVED;
use super::schema::migrate_node;
use super::shelf::DUE_AFTER;
use super::takeovers::SEALABLE;

/// Tables that grow for as long as a node lives.
const GROWING: [&str; 16] = [
    "actor",
    "alert",
    "audience",
    "audit",
    "blob",
    "blob_gone",
    "blob_missing",
    "blob_use",
    "document",
    "due",
    "envelope",
    "event",
    "household",
    "incident",
    "person",
    "session",
];

/// What goes through one of them all the same, by how it begins, and why it may.
const GO_THROUGH: [(&str, &str); 12] = [
    ("SELECT max(number) FROM event", "by its key"),
    ("SELECT min(number) FROM event", "by its key"),
    ("SELECT number, chain FROM audit ORDER BY number DESC LIMIT 1", "the newest alone"),
    ("SELECT number, at_ms, commitment, chain FROM audit", "a person has the audit checked"),
    ("SELECT id FROM blob WHERE sealed IS NULL", "a backup"),
    ("SELECT id, sealed, key FROM blob", "a backup"),
    ("SELECT envelope.bytes FROM actor", "somebody leaves, and what they wrote is erased"),
    ("DELETE FROM actor WHERE person = ?1", "somebody leaves"),
    ("INSERT INTO lock (doc, why) SELECT DISTINCT doc, ?1 FROM audience", "once after a restore"),
    ("SELECT bytes FROM envelope WHERE author = ?1", "once after a restore"),
    ("SELECT doc FROM envelope GROUP BY doc", "a rebuild"),
    ("SELECT doc, blob, class FROM blob_missing", "what is missing is few, but at an aggregator"),
];

fn node_db() -> Connection {
    let mut db = Connection::open_in_memory().unwrap();
    migrate_node(&mut db).unwrap();
    db
}

/// Step by step.
fn plan(sql: &str) -> Vec<String> {
    plan_in(&node_db(), sql).unwrap()
}

fn plan_in(db: &Connection, sql: &str) -> rusqlite::Result<Vec<String>> {
    let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
    let count = plan.parameter_count();
    let values = rusqlite::params_from_iter(std::iter::repeat_n(1, count));
    plan.query_map(values, |row| row.get(3))?.collect()
}

/// The string literals of a source, without those of its tests, each as it stands there.
fn literals(source: &str) -> Vec<String> {
    let code = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    // An escaped quotation mark ends none; what stands between two ends is a literal every other time.
    code.replace("\\\"", "'").split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Every query that stands whole in the sources of the store.
fn queries() -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let sources = files.filter(|path| {
        let name = path.file_name().unwrap_or_default();
        path.extension().is_some_and(|end| end == "rs")
            && !["tests.rs", "plans.rs", "schema.rs"].iter().any(|other| name == *other)
    });
    let all = sources.flat_map(|path| literals(&std::fs::read_to_string(path).unwrap()));
    let words = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "];
    all.filter(|text| words.iter().any(|word| text.starts_with(word)) && !text.contains('{')).collect()
}

#[test]
fn no_query_goes_through_what_grows_but_those_that_may() {
    let db = node_db();
    // Keys are in a database of their own, and of some queries only a part stands whole.
    let planned: Vec<_> =
        queries().into_iter().filter_map(|sql| plan_in(&db, &sql).ok().map(|steps| (sql, steps))).collect();
    assert!(planned.len() > 150, "the queries of the store were found: {}", planned.len());
    let is_partial = |step: &str| {
        let index = step.split(" USING INDEX ").nth(1).or(step.split(" USING COVERING INDEX ").nth(1));
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = ?1 AND sql LIKE '% WHERE %'";
        index.is_some_and(|name| db.prepare(sql).unwrap().exists([name]).unwrap())
    };
    let goes_through = |sql: &str, step: &str| {
        // A search without a key is for the least or the greatest of all.
        let whole = step
            .strip_prefix("SCAN ")
            .or(step.strip_prefix("SEARCH ").filter(|rest| !rest.contains(" USING ")));
        let name = whole.and_then(|rest| rest.split(' ').next());
        let grows =
            |name| GROWING.iter().any(|table| *table == name || sql.contains(&format!("{table} AS {name}")));
        name.is_some_and(grows) && !is_partial(step)
    };
    let found: Vec<&String> = planned
        .iter()
        .filter(|(sql, steps)| steps.iter().any(|step| goes_through(sql, step)))
        .map(|(sql, _)| sql)
        .collect();
    for sql in &found {
        assert!(GO_THROUGH.iter().any(|(begins, _)| sql.starts_with(begins)), "{sql}");
    }
    for (begins, why) in GO_THROUGH {
        assert!(
            found.iter().any(|sql| sql.starts_with(begins)),
            "nothing goes through a table for this: {begins} ({why})"
        );
    }
}

#[test]
fn what_is_due_is_read_on_from_where_it_was_read_to() {
    let steps = plan(DUE_AFTER);
    let found: Vec<&str> = steps
        .iter()
        .filter_map(|step| step.strip_prefix("SEARCH due USING COVERING INDEX due_in_order "))
        .collect();
    let ways = [
        "(peer=? AND urgent=? AND since_ms=? AND doc>?)",
        "(peer=? AND urgent=? AND since_ms<?)",
        "(peer=? AND urgent<?)",
    ];
    assert_eq!(found, ways, "{steps:?}");
    assert!(!steps.iter().any(|step| step.starts_with("SCAN") || step.contains("TEMP B-TREE")), "{steps:?}");
}

#[test]
fn the_queue_is_read_by_what_is_open_or_newest() {
    let (opened, closed) = (plan(&open_sql()), plan(&closed_sql()));
    assert!(opened.iter().any(|step| step == "SCAN incident USING INDEX incident_open"), "{opened:?}");
    assert!(closed.iter().any(|step| step == "SCAN incident USING INDEX incident_by_time"), "{closed:?}");
    assert!(
        !closed.iter().any(|step| step.contains("TEMP B-TREE")),
        "read until there are enough: {closed:?}"
    );
}

#[test]
fn incidents_are_counted_for_the_figures_without_reading_any() {
    for column in ["period", "closed_period"] {
        let steps = plan(&counts_sql(column));
        let [step] = steps.as_slice() else { panic!("sorted or scanned: {steps:?}") };
        assert!(step.contains("USING COVERING INDEX"), "{step}");
    }
    let steps = plan(PER_DAY);
    assert!(
        steps.iter().any(|step| step.starts_with("SEARCH incident USING INDEX incident_by_time")),
        "{steps:?}"
    );
}

#[test]
fn duplicates_that_end_with_another_are_found_among_the_duplicates() {
    let steps = plan(LEFT_OPEN_BELOW);
    assert!(steps.iter().any(|step| step.starts_with("SCAN incident_under")), "{steps:?}");
    for name in ["incident", "kept"] {
        let step = format!("SEARCH {name} USING PRIMARY KEY (doc=?)");
        assert!(steps.contains(&step), "{steps:?}");
    }
}

#[test]
fn what_an_expelled_node_wrote_is_found_among_what_is_unconfirmed() {
    let steps = plan(&format!("SELECT count(*) {SEALABLE}"));
    let expected = [
        "SCAN incident USING INDEX incident_unconfirmed",
        "SEARCH part USING PRIMARY KEY (member=? AND doc=?)",
    ];
    assert_eq!(steps, expected);
}

/// A step after a new roster, of which there are as many as documents.
#[test]
fn documents_are_gone_through_from_where_the_last_step_ended() {
    assert_eq!(plan(NEXT_DERIVED), ["SEARCH document USING PRIMARY KEY (id>?)"]);
}
