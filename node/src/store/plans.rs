//! How SQLite goes about the queries that are asked often: none goes through all that a node holds.

use rusqlite::Connection;

use super::duplicates::LEFT_OPEN_BELOW;
use super::figures::counts_sql;
use super::incidents::PER_DAY;
use super::queue::{closed_sql, open_sql};
use super::schema::migrate_node;
use super::takeovers::SEALABLE;

/// Step by step.
fn plan(sql: &str) -> Vec<String> {
    let mut db = Connection::open_in_memory().unwrap();
    migrate_node(&mut db).unwrap();
    let mut plan = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let count = plan.parameter_count();
    let values = rusqlite::params_from_iter(std::iter::repeat_n(1, count));
    plan.query_map(values, |row| row.get(3)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn what_is_asked_for_each_alert_is_found_by_key() {
    for sql in [
        "SELECT written_ms FROM envelope WHERE doc = ?1 AND id = ?2",
        "SELECT bytes FROM envelope WHERE doc = ?1 ORDER BY number",
        "SELECT max(received_ms) FROM envelope WHERE doc = ?1",
        "SELECT peer FROM due WHERE doc = ?1",
        "DELETE FROM due WHERE peer = ?1 AND doc = ?2",
        "SELECT 1 FROM incident WHERE doc = ?1 AND ours >= 2",
        "SELECT came FROM envelope WHERE doc = ?1 AND id = ?2",
        "SELECT doc, class FROM blob WHERE id = ?1 UNION ALL SELECT doc, class FROM blob_use WHERE blob = ?1",
        "SELECT doc FROM due WHERE peer = ?1 ORDER BY urgent DESC, since_ms DESC, doc",
    ] {
        let steps = plan(sql);
        assert!(steps.iter().all(|step| !step.starts_with("SCAN")), "{sql}: {steps:?}");
        assert!(!sql.contains("urgent") || steps.len() == 1, "sorted by the index: {steps:?}");
    }
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

#[test]
fn what_is_few_among_many_is_found_by_an_index_of_its_own() {
    for (sql, way) in [
        (
            "SELECT id, sealed FROM person WHERE role = 'operator' ORDER BY id",
            "SCAN person USING INDEX person_at_desk",
        ),
        (
            "DELETE FROM session WHERE expires_ms <= ?1",
            "SEARCH session USING INDEX session_by_end (expires_ms<?)",
        ),
        (
            "SELECT blob FROM blob_gone WHERE doc = ?1 AND asked",
            "SEARCH blob_gone USING INDEX blob_gone_asked (doc=?)",
        ),
    ] {
        assert_eq!(plan(sql), [way], "{sql}");
    }
}
