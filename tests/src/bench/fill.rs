//! Filling nodes that do not run, as fast as the machine goes, through the product's own code alone:
//! incidents are signed, admitted and stored by the store's writer, each with its story; the neighbour
//! takes the same envelopes in by the way of all envelopes, and what it holds is due to it no more.

use std::path::Path;
use std::time::{Duration, Instant};

use node::desk::{Desk, FilledAlert, Fix, NewAlert};
use node::store::{AppendError, Arrival, Queue, Tx, Visibility, WriteError};
use protocol::author::Draft;
use protocol::digest::Fingerprint;
use protocol::document::Document;
use protocol::envelope::AdmittedEnvelope;
use protocol::ids::{DocId, MemberId, Millis, alert_nonce};
use protocol::kind::Kind;
use protocol::operation::{Open, Operation, Outcome, Point, Response, Step};
use tests::cluster::places::Place;

use super::opened;
use super::statistics::count;

/// Operations of a whole story: open, received, crew on the way, on site, resolved, closed.
pub const OPERATIONS: usize = 6;
/// Envelopes in one transaction: enough that each page of the random-key indexes is written once for many. The
/// pages that it changes are nearly all of them, whatever is held already, so fewer and larger is less to write.
const ENVELOPES_AT_ONCE: usize = 250_000;
/// How far back the incidents of a shared past reach, in ms: two years.
const PAST_MS: u64 = 2 * 365 * 24 * 60 * 60 * 1_000;

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Story {
    /// Incidents.
    pub incidents: usize,
    /// Operations of each, 1 to [`OPERATIONS`]: the beginning of the story, and its end from two on.
    pub operations: usize,
    /// True if each has words, in a blob of its own.
    pub words: bool,
    /// True if they lie evenly in the past two years, else all are of now.
    pub past: bool,
}

/// How long it took.
#[derive(Debug, Clone, Copy)]
pub struct Filled {
    /// Envelopes that a node wrote.
    pub envelopes: usize,
    /// In all, from opening the stores until they were closed.
    pub took: Duration,
}

impl Filled {
    /// Envelopes a second.
    pub fn per_second(&self) -> f64 {
        count(self.envelopes) / self.took.as_secs_f64()
    }
}

/// Writes incidents at the node in `folder` alone.
pub async fn one(folder: &Path, at: Place, story: Story) -> anyhow::Result<Filled> {
    fill(folder, None, at, story).await
}

/// Writes incidents at the first node, and gives them to the second, whom they concern.
pub async fn both(first: &Path, second: &Path, at: Place, story: Story) -> anyhow::Result<Filled> {
    anyhow::ensure!(!story.words, "words go from node to node over the network only");
    fill(first, Some(second), at, story).await
}

async fn fill(first: &Path, second: Option<&Path>, at: Place, story: Story) -> anyhow::Result<Filled> {
    let began = Instant::now();
    let author = opened::open(first).await?;
    let reader = match second {
        Some(second) => Some(opened::open(second).await?),
        None => None,
    };
    let envelopes = lay(&author.desk, reader.as_ref().map(|reader| &reader.desk), at, story).await?;
    opened::close(author).await?;
    if let Some(reader) = reader {
        opened::close(reader).await?;
    }
    Ok(Filled { envelopes, took: began.elapsed() })
}

async fn lay(author: &Desk, reader: Option<&Desk>, at: Place, story: Story) -> anyhow::Result<usize> {
    let began = Instant::now();
    let at_once = (ENVELOPES_AT_ONCE / story.operations).max(1);
    let mut template = None;
    let (mut done, mut handed) = (0, Vec::new());
    while done < story.incidents {
        let part = Part { from: done, incidents: (story.incidents - done).min(at_once), story };
        let made = async {
            let raised = if story.words { part.incidents } else { usize::from(template.is_none()) };
            let opened = raise(author, at, part, raised).await?;
            if template.is_none() {
                template = opened.first().cloned();
            }
            write(author, part, opened, template.clone()).await
        };
        // While the author writes the next part, the other takes in the one before.
        let (made, ()) = tokio::try_join!(made, hand_over(author, reader, std::mem::take(&mut handed)))?;
        handed = made;
        done += part.incidents;
        let rate = count(done * story.operations) / began.elapsed().as_secs_f64();
        eprintln!("{done} of {} incidents laid down, {rate:.0} envelopes a second", story.incidents);
    }
    hand_over(author, reader, handed).await?;
    Ok(done * story.operations)
}

/// Some incidents of a story, written in one transaction.
#[derive(Debug, Clone, Copy)]
struct Part {
    from: usize,
    incidents: usize,
    story: Story,
}

impl Part {
    /// When an incident of this part was opened.
    fn opened(self, place: usize, now: Millis) -> Millis {
        let ago = u64::try_from(self.story.incidents - self.from - place).unwrap_or_default();
        let incidents = u64::try_from(self.story.incidents).unwrap_or(u64::MAX);
        if self.story.past { now.since(Millis(PAST_MS / incidents.max(1) * ago)) } else { now }
    }
}

/// Raises the first alerts of a part at the desk, with their words; gives what they opened. All other
/// incidents say the same of their place as the first one, since the desk has decided that.
async fn raise(desk: &Desk, at: Place, part: Part, alerts: usize) -> anyhow::Result<Vec<AdmittedEnvelope>> {
    let now = desk.store().now();
    let alerts = (0..alerts).map(|place| alert(at, part.opened(place, now)));
    let raised = desk.fill_alerts(alerts.collect::<anyhow::Result<Vec<_>>>()?).await?;
    let docs = raised.iter().map(|raised| raised.id.parse::<DocId>());
    let docs = docs.collect::<Result<Vec<_>, _>>().map_err(|_| anyhow::anyhow!("an id is none"))?;
    let opened = desk.store().read(move |r| {
        let documents = docs.iter().map(|doc| r.document(*doc));
        documents.map(|document| Ok(document?.as_ref().and_then(Document::genesis).cloned())).collect()
    });
    let opened: Result<Option<Vec<_>>, WriteError> = opened.await;
    opened?.ok_or_else(|| anyhow::anyhow!("an alert opened no incident"))
}

fn alert(at: Place, opened: Millis) -> anyhow::Result<FilledAlert> {
    let kind = Kind::by_name("robbery").ok_or_else(|| anyhow::anyhow!("the kind is gone"))?;
    let point = Point::from_degrees(at.0, at.1).ok_or_else(|| anyhow::anyhow!("not on Earth"))?;
    let alert = NewAlert {
        secret: secret()?,
        kind,
        urgency: None,
        fix: Some(Fix { point, accuracy_m: Some(12) }),
        text: "Two people on a motorbike took a bag and left to the south".into(),
        silent: false,
        visibility: Visibility::Operator,
    };
    Ok(FilledAlert { reporter: None, alert, opened })
}

fn secret() -> anyhow::Result<[u8; 32]> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no random bytes: {error}"))?;
    Ok(secret)
}

/// Writes a part in one transaction: what is opened already goes on, further incidents are opened like
/// `template`. Gives the envelopes by document.
async fn write(
    desk: &Desk,
    part: Part,
    opened: Vec<AdmittedEnvelope>,
    template: Option<AdmittedEnvelope>,
) -> anyhow::Result<Vec<Vec<AdmittedEnvelope>>> {
    let Some(Operation::Open(like)) = template.map(|genesis| genesis.operation().clone()) else {
        anyhow::bail!("nothing says what to open");
    };
    let secrets = (0..part.incidents).map(|_| secret()).collect::<anyhow::Result<Vec<_>>>()?;
    let work = move |tx: &mut Tx<'_>| -> Result<Vec<Vec<AdmittedEnvelope>>, AppendError> {
        let mut written = Vec::with_capacity(part.incidents);
        for (place, secret) in secrets.iter().enumerate() {
            let at = part.opened(place, tx.now());
            let genesis = match opened.get(place) {
                Some(genesis) => genesis.clone(),
                None => {
                    let open = Open { nonce: alert_nonce(secret), opened: at, ..like.clone() };
                    tx.append(None, &draft(Operation::Open(open), at), None)?
                }
            };
            let doc = genesis.header().doc;
            let mut envelopes = vec![genesis];
            for operation in story(tx, doc, part.story.operations) {
                envelopes.push(tx.append(Some(doc), &draft(operation, at), None)?);
            }
            written.push(envelopes);
        }
        Ok(written)
    };
    Ok(desk.store().write(Queue::Bulk, work).await?)
}

fn draft(operation: Operation, written_at: Millis) -> Draft {
    Draft { operation, blobs: Vec::new(), answers: Vec::new(), written_at }
}

/// What follows the opening.
fn story(tx: &Tx<'_>, doc: DocId, operations: usize) -> Vec<Operation> {
    if operations < 2 {
        return Vec::new();
    }
    let by = tx.crew_pseudonym("Bench", doc);
    let mut story = vec![
        Operation::Step { step: Step::Received, by },
        Operation::Respond { response: Response::OnTheWay, crew: tx.crew_pseudonym("Patrol 3", doc) },
        Operation::Step { step: Step::OnSite, by },
        Operation::Step { step: Step::Resolved, by },
    ];
    story.truncate(operations - 2);
    story.push(Operation::Close { outcome: Outcome::NothingFound, by });
    story
}

/// The other node takes in what was written; after its commit, none of it is due to it.
async fn hand_over(
    author: &Desk,
    reader: Option<&Desk>,
    written: Vec<Vec<AdmittedEnvelope>>,
) -> anyhow::Result<()> {
    let Some(reader) = reader.filter(|_| !written.is_empty()) else { return Ok(()) };
    let (from, to) = (author.store().member(), reader.store().member());
    let taken = reader.store().write(Queue::Bulk, move |tx| take_in(tx, from, &written)).await?;
    let cleared = move |tx: &mut Tx<'_>| -> Result<(), WriteError> {
        taken.iter().try_for_each(|(doc, at)| tx.clear_due_at(to, *doc, at))
    };
    Ok(author.store().write(Queue::Bulk, cleared).await?)
}

/// Stores what another node wrote, and gives what is held of each document then.
fn take_in(
    tx: &mut Tx<'_>,
    from: MemberId,
    written: &[Vec<AdmittedEnvelope>],
) -> Result<Vec<(DocId, Fingerprint)>, WriteError> {
    let mut taken = Vec::with_capacity(written.len());
    for envelopes in written {
        let now = tx.now();
        let arrived: Vec<_> = envelopes
            .iter()
            .map(|envelope| {
                (
                    envelope,
                    Arrival { from, age: Millis(now.0.saturating_sub(envelope.header().written_at.0)) },
                )
            })
            .collect();
        let Some(doc) = envelopes.first().map(|envelope| envelope.header().doc) else { continue };
        tx.take_in_all(doc, &arrived)?;
        let mut document = Document::default();
        for envelope in envelopes {
            document
                .insert(envelope.clone())
                .map_err(|_| WriteError::Broken("an envelope was written before its parents".into()))?;
        }
        taken.push((doc, Fingerprint(document.fingerprint())));
    }
    Ok(taken)
}
