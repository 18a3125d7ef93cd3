//! Filling a node that does not run: incidents through its own use cases, each with its whole story.

use std::path::Path;

use futures_util::future::try_join_all;
use node::desk::{Desk, FilledAlert, Fix, NewAlert, Viewer};
use node::open::Opened;
use node::store::Visibility;
use protocol::ids::DocId;
use protocol::kind::Kind;
use protocol::operation::{Outcome, Point, Response, Step};
use tests::cluster::places::Place;

/// Operations of one filled incident: open, received, crew on the way, on site, resolved, closed.
pub const OPERATIONS: usize = 6;
/// Incidents that are written together, so that commits are shared.
const TOGETHER: usize = 64;

/// Opens the node in `folder`, writes so many incidents at this place, and closes it again.
pub async fn incidents(folder: &Path, at: Place, incidents: usize) -> anyhow::Result<()> {
    let config = config::Config::load(&folder.join("cuadra.toml"))?;
    let opened = tokio::task::spawn_blocking(move || Opened::open(config)).await??;
    let desk = opened.desk.clone();
    let operator = Viewer::Operator(desk.add_operator("Bench").await?);
    let mut left = incidents;
    while left > 0 {
        let now = left.min(TOGETHER);
        let alerts = (0..now).map(|_| alert(&desk, at)).collect::<anyhow::Result<Vec<_>>>()?;
        let raised = desk.fill_alerts(alerts).await?;
        try_join_all(raised.iter().map(|raised| answer(&desk, operator, &raised.id))).await?;
        left -= now;
    }
    let store = desk.store().clone();
    tokio::task::spawn_blocking(move || store.stop()).await?;
    Ok(())
}

fn alert(desk: &Desk, at: Place) -> anyhow::Result<FilledAlert> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    let kind = Kind::by_name("robbery").ok_or_else(|| anyhow::anyhow!("the kind is gone"))?;
    let point = Point::from_degrees(at.0, at.1).ok_or_else(|| anyhow::anyhow!("not on Earth"))?;
    let alert = NewAlert {
        secret,
        kind,
        urgency: None,
        fix: Some(Fix { point, accuracy_m: Some(12) }),
        text: "Two people on a motorbike took a bag and left to the south".into(),
        silent: false,
        visibility: Visibility::Operator,
    };
    Ok(FilledAlert { reporter: None, alert, opened: desk.store().now() })
}

async fn answer(desk: &Desk, operator: Viewer, id: &str) -> anyhow::Result<()> {
    let doc: DocId = id.parse().map_err(|_| anyhow::anyhow!("{id} is no document"))?;
    desk.claim(operator, doc).await?;
    desk.respond(operator, doc, Response::OnTheWay, "Patrol 3").await?;
    desk.step(operator, doc, Step::OnSite).await?;
    desk.step(operator, doc, Step::Resolved).await?;
    desk.close(operator, doc, Outcome::NothingFound).await?;
    Ok(())
}
