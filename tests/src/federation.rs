//! `cargo dev federation`: a small federation for journeys in a browser. It prints where its nodes are
//! as one line of JSON, then answers commands on standard input, one line each, until that ends.

use serde_json::{Value, json};
use tests::cluster::places::{BRIGADE, NATIONAL, PRECINCT, SAN_JOAQUIN, SAN_MIGUEL};
use tests::cluster::{Cluster, Town};
use tokio::task::spawn_blocking;

/// The towns that a journey may name.
const TOWNS: [(&str, Town); 5] = [
    ("san-miguel", SAN_MIGUEL),
    ("san-joaquin", SAN_JOAQUIN),
    ("brigade", BRIGADE),
    ("precinct", PRECINCT),
    ("national", NATIONAL),
];

/// Runs until standard input ends.
pub async fn serve() -> anyhow::Result<()> {
    let towns = TOWNS.map(|(_, town)| town);
    let mut plan = Cluster::laid_out(&towns);
    plan.keep_ports();
    let mut cluster = plan.run().await;
    let urls: serde_json::Map<String, Value> =
        TOWNS.iter().map(|(name, town)| ((*name).to_owned(), json!(cluster[*town].base()))).collect();
    println!("{}", json!({ "nodes": urls, "folder": cluster.folder() }));
    loop {
        let line = spawn_blocking(|| std::io::stdin().lines().next()).await?;
        let Some(line) = line.transpose()? else { return Ok(()) };
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = carry_out(&mut cluster, &words).await.unwrap_or_else(|| json!({ "unknown": line }));
        println!("{answer}");
    }
}

async fn carry_out(cluster: &mut Cluster, words: &[&str]) -> Option<Value> {
    let town = |name: &str| TOWNS.iter().find(|(known, _)| *known == name).map(|(_, town)| *town);
    Some(match words {
        ["resident", name] => json!({ "code": cluster[town(name)?].resident_code() }),
        ["operator", name] => json!({ "code": cluster[town(name)?].operator_code("Marta") }),
        ["kill", name] => {
            cluster.kill(town(name)?).await;
            json!({})
        }
        ["restart", name] => {
            cluster.restart(town(name)?).await;
            json!({ "url": cluster[town(name)?].base() })
        }
        ["cut", one, other] => {
            cluster.cut(town(one)?, town(other)?);
            json!({})
        }
        ["mend", one, other] => {
            cluster.mend(town(one)?, town(other)?);
            json!({})
        }
        _ => return None,
    })
}
