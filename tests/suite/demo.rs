//! The demo as a person starts it: nine processes, the real figures of the first month, one Ctrl-C.

use std::net::{TcpListener, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tests::cluster::process::cuadra_binary;
use tests::cluster::{Person, wait_for};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Making the federation and filling in a month of seven towns, in a debug build on two busy cores.
const FILLED_WITHIN: Duration = Duration::from_secs(420);
/// Nine processes that were told to stop.
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
/// Ports that the demo takes above its base.
const PORTS: u16 = 9;

/// A base above which the demo's ports are free.
fn free_base() -> u16 {
    let free = |port: u16| {
        TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok()
    };
    let mut bases = (20_000..30_000).step_by(20);
    bases.find(|base| (*base..=base + PORTS + 1).all(free)).expect("some ports are free")
}

/// The published table: one row a town, and the totals.
fn published() -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/data/south-precinct-first-month.csv");
    let csv = std::fs::read_to_string(path).expect("the figures are in the project");
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let number = |place: usize| cells[place].parse::<u64>().expect("a number");
        json!({
            "code": if cells[1].is_empty() { String::new() } else { format!("CL-{}", cells[1]) },
            "registered_addresses": number(2), "population": number(3), "target": number(4),
            "missing": number(5), "compliance_percent": cells[6].parse::<f64>().expect("a share"),
            "reports": number(7),
        })
    };
    csv.lines().skip(1).filter(|line| !line.is_empty()).map(row).collect()
}

fn assert_same(found: &Value, expected: &Value) {
    for (field, value) in expected.as_object().expect("an object") {
        assert_eq!(&found[field], value, "{field} of {found}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_precincts_table_equals_the_published_one_to_the_digit_and_one_ctrl_c_ends_all() {
    let base = free_base();
    let folder = tempfile::tempdir().expect("a folder for the demo");
    let mut demo = Command::new(cuadra_binary())
        .args(["demo", "--port-base", &base.to_string(), "--keep"])
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .expect("the program starts");
    let (origin, period) = timeout(FILLED_WITHIN, coverage_link(&mut demo)).await.expect("a table in time");

    let public = Person::stranger(&origin);
    let table = wait_for("the figures of all towns", async || {
        let table = public.get(&format!("/api/v1/coverage?period={period}")).await.expect(200);
        (table["totals"]["reports"] == 3_568 && table["totals"]["registered_addresses"] == 18_029)
            .then_some(table)
    })
    .await;
    let mut expected = published();
    assert_same(&table["totals"], &expected.pop().expect("totals"));
    let rows = table["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), expected.len(), "{table}");
    // In the published order: by compliance, highest first.
    for (row, expected) in rows.iter().zip(&expected) {
        assert_same(row, expected);
    }

    let number = demo.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill").args(["-INT", &number]).status().expect("kill is there");
    assert!(sent.success());
    let ended =
        timeout(STOPPED_WITHIN, demo.wait()).await.expect("it ends in time").expect("it can be waited for");
    assert!(ended.success(), "{ended}");
    wait_for("no node is left", async || {
        let free = (base..=base + PORTS).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
        free.then_some(())
    })
    .await;
}

/// Reads what the demo prints until the precinct's coverage page; gives its origin and month.
async fn coverage_link(demo: &mut Child) -> (String, String) {
    let mut lines = BufReader::new(demo.stdout.take().expect("piped above")).lines();
    let mut link = None;
    while let Some(line) = lines.next_line().await.expect("its output can be read") {
        if let Some((origin, period)) = line.trim().split_once("/coverage?period=") {
            // Browsers know NAME.localhost by themselves; here the address does.
            let port = origin.rsplit(':').next().expect("a link has a port");
            link.get_or_insert((format!("http://127.0.0.1:{port}"), period.to_owned()));
        }
        if line.contains("Ctrl-C") {
            break;
        }
    }
    // What it prints later has nobody to read it; an unread pipe must not stop it.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    link.expect("the precinct's coverage page is in the table")
}
