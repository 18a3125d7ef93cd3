//! The node's own figures: counted from its own tables, written into its summary document of the day
//! whenever they change. What people see is read back from those documents, nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use protocol::author::Draft;
use protocol::ids::{Code, Millis};
use protocol::limits::SUMMARY_VALUES_MAX;
use protocol::operation::{Measure, Operation, Summary};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, watch};

use crate::desk::Desk;
use crate::store::limits::SUMMARY_MONTHS_MAX;
use crate::store::{AppendError, Committed, Queue, Reader, Tx, WriteError, sorted_values};

/// Changes are gathered so long before they are written.
const GATHER: Duration = Duration::from_secs(2);
/// Once a day's document has this many envelopes, changes are gathered for longer, so that the day's
/// room for them is not used up before its evening.
const GATHER_LONGER_FROM: u32 = 300;
/// How long then.
const GATHER_LONGER: Duration = Duration::from_secs(75);
/// Counting goes through all incidents and households of this node. It rests so many times as long as it took, and
/// so never takes more than a twentieth of a core.
const REST_FACTOR: u32 = 19;

/// Without any change they are looked at again so often, for the month that begins at midnight.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

/// Figures by measure and kind.
type Values = BTreeMap<(Measure, u16), u64>;

/// Writes figures at the start, after changes, and when a new day begins, until `stop` is true.
pub async fn keep_figures(desk: Desk, mut stop: watch::Receiver<bool>) {
    let mut commits = desk.commits();
    loop {
        let began = Instant::now();
        let longest = write_figures(&desk).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the figures could not be written; tried again with the next change");
            0
        });
        let gather = gather_for(longest, began.elapsed());
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(gather) => {}
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            changed = changed(&mut commits) => if !changed { return },
        }
    }
}

/// How long changes are gathered after a round that took so long, if the longest document of the day has so many
/// envelopes.
fn gather_for(longest: u32, took: Duration) -> Duration {
    let least = if longest >= GATHER_LONGER_FROM { GATHER_LONGER } else { GATHER };
    least.max(took * REST_FACTOR)
}

/// Waits until something was committed, or a month may have begun; false once the store is gone. What
/// this node writes itself wakes it once more, finds nothing changed, and then it sleeps.
async fn changed(commits: &mut broadcast::Receiver<Committed>) -> bool {
    match tokio::time::timeout(LOOK_AGAIN, commits.recv()).await {
        Ok(Err(RecvError::Closed)) => false,
        Ok(Ok(_) | Err(RecvError::Lagged(_))) | Err(_) => true,
    }
}

/// Writes what has changed since it was last written. Answers with the length of the longest summary
/// document of today. A node without residents has no figures.
pub async fn write_figures(desk: &Desk) -> Result<u32, AppendError> {
    let codes: Vec<(Code, u64)> = own_populations(desk);
    if codes.is_empty() {
        return Ok(0);
    }
    // Counting goes through all that this node has, so it is done beside the writer: an alert never
    // waits for it. What is committed meanwhile brings the next round.
    let now = desk.store().now();
    let counting = move |r: &Reader<'_>| -> Result<(u32, Vec<Summary>), WriteError> {
        let (mut longest, mut changed) = (0, Vec::new());
        for (code, population) in &codes {
            longest = longest.max(length(r, *code, r.calendar().day(now))?);
            changed.append(&mut changed_figures(r, *code, *population, now)?);
        }
        Ok((longest, changed))
    };
    let (longest, changed) = desk.store().read(counting).await?;
    if changed.is_empty() {
        return Ok(longest);
    }
    let work = move |tx: &mut Tx<'_>| -> Result<u32, AppendError> {
        let mut longest = longest;
        for summary in &changed {
            let (code, day) = (summary.code, summary.day);
            let doc = tx.reader().own_summary(code, day)?.map(|(doc, _)| doc);
            let operation = Operation::Summary(summary.clone());
            let draft = Draft { operation, blobs: Vec::new(), answers: Vec::new(), written_at: now };
            tx.append(doc, &draft, None)?;
            longest = longest.max(length(&tx.reader(), code, day)?);
        }
        Ok(longest)
    };
    desk.store().write(Queue::Normal, work).await
}

/// Length of this node's summary document of a day; 0 if it did not begin one.
fn length(r: &Reader<'_>, code: Code, day: u32) -> Result<u32, WriteError> {
    Ok(r.own_summary(code, day)?.map_or(0, |(_, length)| length))
}

/// The codes that the roster gives this node, with their inhabitants as its configuration says.
fn own_populations(desk: &Desk) -> Vec<(Code, u64)> {
    let rosters = desk.store().rosters();
    let Some(us) = rosters.head().member(&desk.store().member()) else { return Vec::new() };
    let population = |code: &Code| {
        let own = desk.config().node.jurisdictions.iter().find(|own| own.code == *code);
        own.map_or(0, |own| own.population)
    };
    us.codes.iter().map(|code| (*code, population(code))).collect()
}

/// The figures of each month that are not what this node said of it last.
fn changed_figures(
    r: &Reader<'_>,
    code: Code,
    population: u64,
    now: Millis,
) -> Result<Vec<Summary>, WriteError> {
    let day = r.calendar().day(now);
    let mut changed = Vec::new();
    for (period, values) in count(r, code, population, now)? {
        if unchanged(r, code, period, &values)? {
            continue;
        }
        let values = sorted_values(&values);
        if values.len() > SUMMARY_VALUES_MAX {
            tracing::error!(%code, period, "more figures than one summary holds");
            continue;
        }
        changed.push(Summary { code, day, period, values });
    }
    Ok(changed)
}

/// True if these are the newest figures that this node gave for that month.
fn unchanged(r: &Reader<'_>, code: Code, period: u32, values: &Values) -> Result<bool, WriteError> {
    let given = r.figures(period)?.into_iter().find(|figures| figures.key.code == code);
    Ok(given.is_some_and(|given| given.author == r.member() && given.values == *values))
}

/// Figures of every month from the first that anything is known of to this one, newest first, at most
/// [`SUMMARY_MONTHS_MAX`].
fn count(r: &Reader<'_>, code: Code, population: u64, now: Millis) -> Result<Vec<(u32, Values)>, WriteError> {
    let calendar = r.calendar();
    let opened = r.own_counts(Measure::Reports)?;
    let closed = r.own_counts(Measure::Closed)?;
    let text = code.to_string();
    let first = r.first_household(code)?.map(|at| calendar.period(at));
    let counted: BTreeSet<u32> = opened
        .keys()
        .chain(closed.keys())
        .filter(|(of, _, _)| *of == text)
        .map(|(_, period, _)| *period)
        .collect();
    let this_month = calendar.period(now);
    let first = counted.first().copied().into_iter().chain(first).min().unwrap_or(this_month);
    let mut months = Vec::new();
    let mut period = this_month;
    while period >= first && months.len() < SUMMARY_MONTHS_MAX {
        let (from, end) = (calendar.start(period), calendar.start(calendar.next(period)));
        let mut values = Values::new();
        values.insert((Measure::Population, 0), population);
        values.insert((Measure::RegisteredAddresses, 0), r.households_before(code, end)?);
        values.insert((Measure::ActiveAddresses, 0), r.active_households(code, from, end)?);
        for (measure, counts) in [(Measure::Reports, &opened), (Measure::Closed, &closed)] {
            let of_month = counts.iter().filter(|((of, month, _), _)| *of == text && *month == period);
            let mut total = 0;
            for ((_, _, kind), count) in of_month {
                values.insert((measure, *kind), *count);
                total += count;
            }
            values.insert((measure, 0), total);
        }
        months.push((period, values));
        period = calendar.previous(period);
    }
    Ok(months)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use config::settings::Config;
    use config::territory::Territory;
    use protocol::fixture::{Federation, code};
    use protocol::kind::Kind;
    use protocol::message::Prefix;

    use super::*;
    use crate::desk::{FilledAlert, FilledHousehold, Fix, NewAlert};
    use crate::store::{Arrival, Opening, Store, Visibility};

    #[test]
    fn a_long_count_is_followed_by_a_longer_rest() {
        let (short, long) = (Duration::from_millis(20), Duration::from_secs(5));
        assert_eq!((gather_for(0, short), gather_for(GATHER_LONGER_FROM, short)), (GATHER, GATHER_LONGER));
        assert_eq!(gather_for(0, long), Duration::from_secs(95));
        assert_eq!(gather_for(GATHER_LONGER_FROM, long), Duration::from_secs(95));
    }

    /// 2026-10-15 in UTC.
    const OCTOBER: u64 = 1_792_022_400_000;
    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

    struct Node {
        desk: Desk,
        clock: Arc<AtomicU64>,
        _folder: tempfile::TempDir,
    }

    fn node(federation: &Federation, n: usize, population: u64) -> Node {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicU64::new(OCTOBER + 30 * DAY_MS));
        let ticking = clock.clone();
        let store = Store::open(Opening {
            folder: folder.path().to_owned(),
            clock: Arc::new(move || Millis(ticking.load(Ordering::SeqCst))),
            hand: federation.hand(n),
            rosters: federation.rosters.clone(),
            time_zone: jiff::tz::TimeZone::UTC,
            ballast_bytes: 4_096,
            pages_max: None,
        })
        .unwrap();
        let mut config = Config::default();
        config.node.jurisdictions = vec![config::Jurisdiction {
            code: code(n),
            name: config::values::Name::parse(&format!("Town {n}")).unwrap(),
            population,
            target_percent: config::values::Percent::default(),
        }];
        Node { desk: Desk::new(store, config, Territory::built_in()), clock, _folder: folder }
    }

    async fn fill(node: &Node, n: usize, households: u64, reports: u8) {
        let list = (0..households)
            .map(|index| FilledHousehold {
                name: "Invented".into(),
                address: format!("Street {index}"),
                home: None,
                code: code(n),
                registered: Millis(OCTOBER),
            })
            .collect();
        node.desk.add_households(list).await.unwrap();
        let point = Territory::built_in().invented_point(code(n), 3).unwrap();
        let alert = |secret: u8| NewAlert {
            secret: [secret; 32],
            kind: Kind::by_name(if secret.is_multiple_of(2) { "robbery" } else { "noise" }).unwrap(),
            urgency: None,
            fix: Some(Fix { point, accuracy_m: None }),
            text: String::new(),
            silent: false,
            visibility: Visibility::Operator,
        };
        let filled = |secret| FilledAlert {
            reporter: None,
            alert: alert(secret),
            opened: Millis(OCTOBER + u64::from(secret)),
        };
        node.desk.fill_alerts((0..reports).map(filled).collect()).await.unwrap();
    }

    /// As the federation's driver would: the summary documents of `from`.
    async fn send_figures(from: &Node, to: &Node) {
        let store = from.desk.store();
        let docs = store
            .read_here(|r| r.digest_below(&to.desk.store().member(), &Prefix::default(), usize::MAX))
            .unwrap();
        for (doc, _) in docs {
            let document = store.read_here(|r| r.document(doc)).unwrap().unwrap();
            let arrival = Arrival { from: store.member(), age: Millis(1) };
            let envelopes: Vec<_> = document.envelopes().cloned().collect();
            let work = move |tx: &mut Tx<'_>| -> Result<(), WriteError> {
                for envelope in &envelopes {
                    if matches!(envelope.operation(), Operation::Summary(_)) {
                        tx.take_in(envelope, arrival)?;
                    }
                }
                Ok(())
            };
            to.desk.store().write(Queue::Bulk, work).await.unwrap();
        }
    }

    #[tokio::test]
    async fn coverage_above_is_made_of_summaries_alone_and_follows_one_more_household() {
        let federation = Federation::new(2);
        let (a, b) = (node(&federation, 0, 1_234), node(&federation, 1, 100));
        let precinct = node(&federation, federation.precinct(), 0);
        fill(&a, 0, 50, 6).await;
        fill(&b, 1, 7, 3).await;
        for node in [&a, &b] {
            write_figures(&node.desk).await.unwrap();
            send_figures(node, &precinct).await;
        }
        let table = precinct.desk.coverage(Some(202_610)).await.unwrap();
        let figures = |row: &crate::views::CoverageRow| {
            (row.registered_addresses, row.target, row.missing, row.reports)
        };
        assert_eq!(table.rows.iter().map(figures).collect::<Vec<_>>(), [(7, 10, 3, 3), (50, 124, 74, 6)]);
        assert_eq!(figures(&table.totals), (57, 134, 77, 9));
        assert_eq!(table.totals.compliance_percent, 42.5);
        assert!(precinct.desk.country(Some(202_610)).await.unwrap().ticker.is_empty(), "summaries only");

        // The household joins in November; October's own figures stay as they were.
        let late = FilledHousehold {
            name: "One more".into(),
            address: "Street 1000".into(),
            home: None,
            code: code(0),
            registered: Millis(OCTOBER + 20 * DAY_MS),
        };
        a.desk.add_households(vec![late.clone(), late]).await.unwrap();
        write_figures(&a.desk).await.unwrap();
        send_figures(&a, &precinct).await;
        let october = precinct.desk.coverage(Some(202_610)).await.unwrap();
        assert_eq!(october.totals, table.totals);
        let november = precinct.desk.coverage(None).await.unwrap();
        assert_eq!((november.period, november.rows.len()), (202_611, 2));
        assert_eq!(november.totals.registered_addresses, 58, "one household, though it was told twice");
        assert_eq!(november.totals.reports, 0);
        assert_eq!(november.periods, [202_611, 202_610]);
    }

    #[tokio::test]
    async fn figures_are_written_once_and_a_new_day_begins_a_new_document() {
        let federation = Federation::new(2);
        let a = node(&federation, 0, 1_000);
        fill(&a, 0, 3, 2).await;
        let first = write_figures(&a.desk).await.unwrap();
        assert_eq!(first, 2, "October and November");
        assert_eq!(write_figures(&a.desk).await.unwrap(), first, "nothing changed, nothing written");
        a.clock.fetch_add(DAY_MS, Ordering::SeqCst);
        assert_eq!(write_figures(&a.desk).await.unwrap(), 0, "a new day without a change");
        fill(&a, 0, 4, 2).await;
        assert_eq!(write_figures(&a.desk).await.unwrap(), 2);
        let before = a.desk.store().dump_derived().await.unwrap();
        a.desk.store().rebuild().await.unwrap();
        assert_eq!(a.desk.store().dump_derived().await.unwrap(), before);
    }

    #[tokio::test]
    async fn figures_of_a_node_that_the_roster_does_not_name_for_the_code_count_nothing() {
        let mut federation = Federation::new(2);
        let (a, precinct) = (node(&federation, 0, 1_000), node(&federation, federation.precinct(), 0));
        fill(&a, 0, 3, 2).await;
        write_figures(&a.desk).await.unwrap();
        send_figures(&a, &precinct).await;
        assert_eq!(precinct.desk.coverage(Some(202_610)).await.unwrap().rows.len(), 1);
        let id = federation.id(0);
        federation.publish(|body| {
            for member in body.members.iter_mut().filter(|member| member.id == id) {
                member.codes.clear();
            }
        });
        precinct.desk.store().set_rosters(federation.rosters.clone()).await.unwrap();
        assert!(precinct.desk.coverage(Some(202_610)).await.unwrap().rows.is_empty());
    }
}
