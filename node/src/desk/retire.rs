//! What ends by itself: a duplicate with the incident that it is shown below, and a closed incident once
//! it has been kept for as long as this node is told to.

use std::time::Duration;

use protocol::author::Draft;
use protocol::ids::{DocId, Millis};
use protocol::operation::Operation;
use tokio::sync::watch;

use super::{ActError, Desk};
use crate::store::limits::{RETIRE_LOOK_MS, RETIRED_AT_ONCE};
use crate::store::{AuditEntry, Queue, RetireCursor, Tx};

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

impl Desk {
    /// Looks at what is to end, from time to time, until `stop`.
    pub async fn keep_retiring(self, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(Duration::from_millis(RETIRE_LOOK_MS));
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.retire_all() => {}
            }
        }
    }

    async fn retire_all(&self) {
        if let Err(error) = self.close_merged().await {
            tracing::warn!(%error, "duplicates were not closed with the incident that stays");
        }
        let mut after = None;
        loop {
            match self.retire_some(after).await {
                Ok(Some(next)) => after = Some(next),
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "old incidents were not retired");
                    return;
                }
            }
        }
    }

    /// Closes own duplicates whose incident that stays is closed, with how that one ended. Answers with how many.
    pub async fn close_merged(&self) -> Result<usize, ActError> {
        let left = self.store().read(|r| r.left_open_below()).await?;
        let mut closed = 0;
        for doc in left {
            match self.store().write(Queue::Bulk, move |tx| close_below(tx, doc)).await {
                Ok(done) => closed += usize::from(done),
                Err(error) => tracing::warn!(%doc, %error, "a duplicate was not closed"),
            }
        }
        Ok(closed)
    }

    /// Retires own incidents that were closed long enough ago, at most a round of them behind `after`.
    /// Answers with where to go on; none once there is nothing more.
    pub async fn retire_some(&self, after: Option<RetireCursor>) -> Result<Option<RetireCursor>, ActError> {
        let days = u64::from(self.config().storage.retention_days.get());
        let before = self.store().now().since(Millis(days.saturating_mul(DAY_MS)));
        let due = self.store().read(move |r| r.to_retire(before, after)).await?;
        for (_, doc) in &due {
            let doc = *doc;
            // One that cannot be written is passed over, so that it does not hold up the others.
            if let Err(error) = self.store().write(Queue::Bulk, move |tx| retire(tx, doc, before)).await {
                tracing::warn!(%doc, %error, "an old incident was not retired");
            }
        }
        Ok(due.last().copied().filter(|_| due.len() == RETIRED_AT_ONCE))
    }
}

fn close_below(tx: &mut Tx<'_>, doc: DocId) -> Result<bool, ActError> {
    let reader = tx.reader();
    let Some(kept) = reader.merged_into(doc)? else { return Ok(false) };
    let (Some(row), Some(kept)) = (reader.incident(doc)?, reader.incident(kept)?) else { return Ok(false) };
    let Some(outcome) = kept.outcome.filter(|_| row.outcome.is_none() && row.owner == tx.member()) else {
        return Ok(false);
    };
    let by = tx.own_pseudonym(doc);
    write_alone(
        tx,
        doc,
        Operation::Close { outcome, by },
        "the incident below which it is shown was closed",
    )?;
    Ok(true)
}

/// Looks once more inside the transaction: somebody may have opened it again.
fn retire(tx: &mut Tx<'_>, doc: DocId, before: Millis) -> Result<(), ActError> {
    if !tx.reader().is_to_retire(doc, before)? {
        return Ok(());
    }
    write_alone(tx, doc, Operation::Retire, "closed and kept for as long as it is to be")
}

fn write_alone(tx: &mut Tx<'_>, doc: DocId, operation: Operation, why: &str) -> Result<(), ActError> {
    let entry = AuditEntry {
        who: "node".into(),
        what: operation.name().into(),
        on: doc.to_string(),
        why: why.into(),
    };
    let draft = Draft { operation, blobs: Vec::new(), answers: Vec::new(), written_at: tx.now() };
    tx.append(Some(doc), &draft, None)?;
    tx.audit(None, &entry)?;
    Ok(())
}

#[cfg(test)]
mod tests;
