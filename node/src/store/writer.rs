//! The one writer: a thread that takes jobs from three queues, urgent first, runs them in a shared
//! transaction, commits, and only then answers.
//!
//! One job's failure never fails its neighbours. Hardly any fails after it has changed something, and so
//! none is guarded at first: if one does, all are undone and run again, each inside its own savepoint. Where
//! SQLite undoes the whole transaction (no room), each job is run again alone, so that only those fail that
//! do not fit.

use std::collections::VecDeque;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::store::WriteError;
use crate::store::limits::{
    ALERT_RECENT_MS, BULK_GATHERED_MS, BULK_GROUP_MS_MAX, BULK_STREAM_JOBS, GROUP_JOBS_MAX, GROUP_MS_MAX,
    OTHERS_TURN_EVERY_MS, OTHERS_TURN_MS, QUEUE_JOBS_MAX,
};
use crate::store::tx::{Tx, Writing};

/// How soon a job must be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// Alerts and what happens to them.
    Urgent,
    /// Everything that a person waits for.
    Normal,
    /// Catching up, figures, filling.
    Bulk,
}

/// The waiting jobs, shared between the callers and the thread.
pub(super) struct Queues {
    state: Mutex<Waiting>,
    wake: Condvar,
    room: [Arc<Semaphore>; 3],
}

#[derive(Default)]
struct Waiting {
    jobs: [VecDeque<Queued>; 3],
    stopping: bool,
    /// While the writer rests: as much bulk as ends that.
    resting: Option<usize>,
}

impl Waiting {
    /// True while the writer rests and nothing ends that.
    fn rests_on(&self) -> bool {
        let [urgent, normal, bulk] = &self.jobs;
        let only_bulk = urgent.is_empty() && normal.is_empty();
        self.resting.is_some_and(|enough| bulk.len() < enough) && only_bulk && !self.stopping
    }
}

struct Queued {
    job: Box<dyn Job>,
    queue: Queue,
    _room: OwnedSemaphorePermit,
}

impl Queues {
    pub(super) fn new() -> Arc<Self> {
        let room = || Arc::new(Semaphore::new(QUEUE_JOBS_MAX));
        Arc::new(Self { state: Mutex::default(), wake: Condvar::new(), room: [room(), room(), room()] })
    }

    /// Queues `work` and waits until what it did is committed, or undone.
    pub(super) async fn write<T, E, F>(&self, queue: Queue, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: Error + From<WriteError> + Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let Ok(permit) = self.room_of(queue).clone().acquire_owned().await else {
            return Err(WriteError::Stopped.into());
        };
        let (reply, answer) = oneshot::channel();
        let then = move |result| {
            // Who asked may have gone away; the work is done all the same.
            let _ = reply.send(result);
        };
        if !self.push(queue, Box::new(Typed { work, result: None, then: Some(then) }), permit) {
            return Err(WriteError::Stopped.into());
        }
        answer.await.unwrap_or_else(|_| Err(WriteError::Stopped.into()))
    }

    /// As `write` without waiting: `then` is told on the writer's thread. Gives both back without room.
    pub(super) fn write_then<T, E, F, D>(&self, queue: Queue, work: F, then: D) -> Result<(), (F, D)>
    where
        T: Send + 'static,
        E: Error + From<WriteError> + Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        D: FnOnce(Result<T, E>) + Send + 'static,
    {
        let Ok(permit) = self.room_of(queue).clone().try_acquire_owned() else {
            return Err((work, then));
        };
        let job = Box::new(Typed { work, result: None, then: Some(then) });
        // A store that has stopped writes nothing, and nothing waits for this any more.
        let _ = self.push(queue, job, permit);
        Ok(())
    }

    fn room_of(&self, queue: Queue) -> &Arc<Semaphore> {
        let [urgent, normal, bulk] = &self.room;
        match queue {
            Queue::Urgent => urgent,
            Queue::Normal => normal,
            Queue::Bulk => bulk,
        }
    }

    /// False once stopped.
    fn push(&self, queue: Queue, job: Box<dyn Job>, room: OwnedSemaphorePermit) -> bool {
        {
            let mut waiting = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.stopping {
                return false;
            }
            let [urgent, normal, bulk] = &mut waiting.jobs;
            let jobs = match queue {
                Queue::Urgent => urgent,
                Queue::Normal => normal,
                Queue::Bulk => bulk,
            };
            jobs.push_back(Queued { job, queue, _room: room });
            if waiting.rests_on() {
                return true;
            }
        }
        self.wake.notify_one();
        true
    }

    /// How many jobs wait or are being done: urgent, normal, bulk.
    pub(super) fn waiting(&self) -> [usize; 3] {
        self.room.each_ref().map(|room| QUEUE_JOBS_MAX.saturating_sub(room.available_permits()))
    }

    /// Lets the thread finish what is queued and end; later jobs are refused.
    pub(super) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopping = true;
        self.wake.notify_all();
    }

    /// The next job, urgent first; `None` once stopped and empty. Waits only if `wait`.
    fn next(&self, wait: bool, bulk_too: bool) -> Option<Queued> {
        let mut waiting = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let [urgent, normal, bulk] = &mut waiting.jobs;
            let next = urgent.pop_front().or_else(|| normal.pop_front());
            let next = if bulk_too { next.or_else(|| bulk.pop_front()) } else { next };
            if next.is_some() || !wait || waiting.stopping {
                return next;
            }
            waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits so long, or until something else than bulk is to be done, or so many jobs of bulk. True if it took all
    /// of the time.
    fn rest(&self, time: Duration, enough: usize) -> bool {
        let mut waiting = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.resting = Some(enough);
        let rested = self.wake.wait_timeout_while(waiting, time, |waiting| waiting.rests_on());
        let (mut waiting, timeout) = rested.unwrap_or_else(PoisonError::into_inner);
        waiting.resting = None;
        timeout.timed_out()
    }
}

/// Runs until the queues are stopped and empty, or the disk fails.
pub(super) fn run(queues: &Queues, writing: &mut Writing) {
    let mut pace = Pace::default();
    let mut others_turn = Instant::now();
    loop {
        let asked = Instant::now();
        let Some(first) = queues.next(true, true) else { return };
        if asked.elapsed() >= Duration::from_millis(OTHERS_TURN_MS) {
            others_turn = Instant::now();
        }
        let gather = match commit_group(queues, writing, first, &mut pace) {
            Ok(group) => group.is_followed_by_more(),
            Err(fault) => {
                writing.report_fatal(&fault);
                queues.stop();
                while let Some(left) = queues.next(false, true) {
                    left.job.answer(Some(fault.again()));
                }
                return;
            }
        };
        // Another process asks for the database once in a while, and finds it free only between two transactions:
        // however much bulk waits meanwhile.
        if others_turn.elapsed() >= Duration::from_millis(OTHERS_TURN_EVERY_MS) {
            queues.rest(Duration::from_millis(OTHERS_TURN_MS), usize::MAX);
            others_turn = Instant::now();
        } else if gather && queues.rest(Duration::from_millis(BULK_GATHERED_MS), GROUP_JOBS_MAX) {
            others_turn = Instant::now();
        }
    }
}

/// How long a transaction may gather jobs: an alert that comes meanwhile waits for it and its commit, and where
/// one has come lately the next one is near.
#[derive(Default)]
struct Pace {
    /// When the last urgent job began.
    urgent_at: Option<Instant>,
}

impl Pace {
    fn note(&mut self, queue: Queue, now: Instant) {
        if queue == Queue::Urgent {
            self.urgent_at = Some(now);
        }
    }

    /// For a transaction that holds bulk, or does not.
    fn most(&self, bulk: bool, now: Instant) -> Duration {
        let alert = self.alert_is_near(now);
        Duration::from_millis(if bulk && alert { BULK_GROUP_MS_MAX } else { GROUP_MS_MAX })
    }

    /// True if one came lately.
    fn alert_is_near(&self, now: Instant) -> bool {
        let recent = Duration::from_millis(ALERT_RECENT_MS);
        self.urgent_at.is_some_and(|at| now.saturating_duration_since(at) < recent)
    }
}

/// What a transaction held.
struct Group {
    jobs: usize,
    /// It held bulk, and no alert came lately.
    bulk_alone: bool,
}

impl Group {
    /// True if it was one of a stream of bulk: the fewer commits that makes, the fewer pages are written. Jobs of which
    /// each waits for the one before it gain nothing from waiting.
    fn is_followed_by_more(&self) -> bool {
        self.bulk_alone && self.jobs >= BULK_STREAM_JOBS
    }
}

/// One transaction: `first` and what else is waiting. An error is fatal to the store.
fn commit_group(
    queues: &Queues,
    writing: &mut Writing,
    first: Queued,
    pace: &mut Pace,
) -> Result<Group, WriteError> {
    let started = Instant::now();
    let mut urgent = first.queue == Queue::Urgent;
    let mut bulk = false;
    let mut done = Vec::new();
    let mut next = Some(first);
    let mut fault = writing.begin().err();
    while let Some(mut queued) = next.take() {
        let mut undo = false;
        if fault.is_none() {
            match run_free(writing, &mut queued) {
                Ok(whole) => undo = !whole,
                Err(error) => fault = Some(error),
            }
        }
        bulk |= queued.queue == Queue::Bulk;
        pace.note(queued.queue, started);
        done.push(queued);
        if undo {
            fault = run_guarded(writing, &mut done).err();
            break;
        }
        let in_time = started.elapsed() < pace.most(bulk, started);
        if fault.is_none() && done.len() < GROUP_JOBS_MAX && in_time {
            next = queues.next(false, !urgent);
            urgent |= next.as_ref().is_some_and(|queued| queued.queue == Queue::Urgent);
        }
    }
    let group = Group { jobs: done.len(), bulk_alone: bulk && !pace.alert_is_near(started) };
    if fault.is_none() {
        writing.checkpoints.set_bulk_alone(group.bulk_alone);
        fault = writing.commit().err();
    }
    let Some(fault) = fault else {
        done.into_iter().for_each(|queued| queued.job.answer(None));
        return Ok(group);
    };
    writing.roll_back();
    if matches!(fault, WriteError::Full) {
        writing.free_ballast();
        return one_by_one(writing, done).map(|()| group);
    }
    done.into_iter().for_each(|queued| queued.job.answer(Some(fault.again())));
    if matches!(fault, WriteError::Io) { Err(fault) } else { Ok(group) }
}

/// Runs a job without a guard. False if it failed and left something behind: the transaction is to be
/// undone. An error means that too.
fn run_free(writing: &mut Writing, queued: &mut Queued) -> Result<bool, WriteError> {
    let before = writing.changes();
    writing.start_job(queued.queue);
    match attempt(writing, queued.job.as_mut()) {
        JobEnd::Keep => writing.keep_job(),
        JobEnd::Undo if writing.changes() == before => writing.forget_job(),
        JobEnd::Undo => return Ok(false),
        JobEnd::Fault(fault) => return Err(fault),
    }
    Ok(true)
}

/// Undoes everything and runs the jobs again, each in its savepoint.
fn run_guarded(writing: &mut Writing, jobs: &mut [Queued]) -> Result<(), WriteError> {
    writing.roll_back();
    writing.begin()?;
    jobs.iter_mut().try_for_each(|queued| run_one(writing, queued))
}

/// After a shared transaction found no room: each job in a transaction of its own.
fn one_by_one(writing: &mut Writing, jobs: Vec<Queued>) -> Result<(), WriteError> {
    let mut fatal = None;
    for mut queued in jobs {
        let outcome = match &fatal {
            Some(WriteError::Io) => Err(WriteError::Io),
            _ => alone(writing, &mut queued),
        };
        let fault = outcome.err();
        if let Some(WriteError::Io) = &fault {
            fatal = Some(WriteError::Io);
        }
        queued.job.answer(fault);
    }
    fatal.map_or(Ok(()), Err)
}

fn alone(writing: &mut Writing, queued: &mut Queued) -> Result<(), WriteError> {
    let outcome = writing.begin().and_then(|()| run_one(writing, queued)).and_then(|()| writing.commit());
    if outcome.is_err() {
        writing.roll_back();
    }
    outcome
}

/// Runs a job in its savepoint. An error means that the whole transaction must be undone.
fn run_one(writing: &mut Writing, queued: &mut Queued) -> Result<(), WriteError> {
    writing.savepoint(queued.queue)?;
    match attempt(writing, queued.job.as_mut()) {
        JobEnd::Keep => writing.keep_savepoint(),
        JobEnd::Undo => writing.undo_savepoint(),
        JobEnd::Fault(fault) => Err(fault),
    }
}

fn attempt(writing: &mut Writing, job: &mut dyn Job) -> JobEnd {
    catch_unwind(AssertUnwindSafe(|| writing.with_tx(|tx| job.run(tx)))).unwrap_or_else(|_| {
        tracing::error!("a job of the store panicked; nothing of it was stored");
        job.fail(WriteError::Broken("panic".into()));
        JobEnd::Undo
    })
}

enum JobEnd {
    Keep,
    Undo,
    /// No room or a failed disk: more than this job is concerned.
    Fault(WriteError),
}

trait Job: Send {
    /// Does the work and keeps its result.
    fn run(&mut self, tx: &mut Tx<'_>) -> JobEnd;
    /// Replaces the result by a failure.
    fn fail(&mut self, fault: WriteError);
    /// Gives the result to who waits; with a fault, that instead.
    fn answer(self: Box<Self>, fault: Option<WriteError>);
}

struct Typed<F, T, E, D> {
    work: F,
    result: Option<Result<T, E>>,
    then: Option<D>,
}

impl<F, T, E, D> Job for Typed<F, T, E, D>
where
    T: Send,
    E: Error + From<WriteError> + Send + 'static,
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send,
    D: FnOnce(Result<T, E>) + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> JobEnd {
        let result = (self.work)(tx);
        let end = match &result {
            Ok(_) => JobEnd::Keep,
            Err(error) => end_of(error),
        };
        self.result = Some(result);
        end
    }

    fn fail(&mut self, fault: WriteError) {
        self.result = Some(Err(fault.into()));
    }

    fn answer(mut self: Box<Self>, fault: Option<WriteError>) {
        let result = match fault {
            Some(fault) => Err(fault.into()),
            None => self.result.take().unwrap_or_else(|| Err(WriteError::Stopped.into())),
        };
        if let Some(then) = self.then.take() {
            then(result);
        }
    }
}

/// Finds the store's own fault in a use case's error.
fn end_of(error: &(dyn Error + 'static)) -> JobEnd {
    let mut cause = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<WriteError>() {
            Some(fault @ (WriteError::Full | WriteError::Io)) => return JobEnd::Fault(fault.again()),
            Some(WriteError::Stopped | WriteError::Broken(_)) | None => cause = error.source(),
        }
    }
    JobEnd::Undo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_is_gathered_for_longer_while_no_alerts_come() {
        let (now, mut pace) = (Instant::now(), Pace::default());
        let (long, short) = (Duration::from_millis(GROUP_MS_MAX), Duration::from_millis(BULK_GROUP_MS_MAX));
        pace.note(Queue::Bulk, now);
        assert_eq!(pace.most(true, now), long);
        pace.note(Queue::Urgent, now);
        assert_eq!((pace.most(true, now), pace.most(false, now)), (short, long));
        let later = now + Duration::from_millis(ALERT_RECENT_MS);
        assert_eq!(pace.most(true, later), long);
    }

    #[test]
    fn gathering_ends_with_an_alert_or_with_as_much_bulk_as_one_commit_takes() {
        let push = |queues: &Queues, queue| {
            assert!(queues.write_then(queue, |_| Ok::<_, WriteError>(()), |_| ()).is_ok());
        };
        let goes_on = |queues: &Queues, enough| {
            let mut waiting = queues.state.lock().unwrap();
            waiting.resting = Some(enough);
            waiting.rests_on()
        };
        let gathers = |queues: &Queues| goes_on(queues, GROUP_JOBS_MAX);
        // Would not come back if nothing ended it.
        let rests = |queues: &Queues| {
            assert!(!queues.rest(Duration::MAX, GROUP_JOBS_MAX));
            assert_eq!(queues.state.lock().unwrap().resting, None, "what comes now wakes the writer again");
        };
        let queues = Queues::new();
        (1..GROUP_JOBS_MAX).for_each(|_| push(&queues, Queue::Bulk));
        assert!(gathers(&queues));
        push(&queues, Queue::Bulk);
        assert!(!gathers(&queues));
        assert!(goes_on(&queues, usize::MAX), "no bulk takes another process's turn");
        assert!(queues.rest(Duration::ZERO, usize::MAX));
        rests(&queues);
        for queue in [Queue::Urgent, Queue::Normal] {
            let queues = Queues::new();
            assert!(gathers(&queues));
            push(&queues, queue);
            assert!(!gathers(&queues));
            rests(&queues);
        }
        let queues = Queues::new();
        queues.stop();
        rests(&queues);
    }

    #[test]
    fn only_a_stream_of_bulk_is_gathered() {
        let gathered = |jobs, bulk_alone| Group { jobs, bulk_alone }.is_followed_by_more();
        assert!(gathered(BULK_STREAM_JOBS, true));
        assert!(!gathered(BULK_STREAM_JOBS, false), "an alert came");
        assert!(!gathered(BULK_STREAM_JOBS - 1, true), "one waits for the other");
    }
}
