//! The event streams: one message is encoded once and its bytes are shared by all who may know it.
//! A reader that falls behind is told to load its page again; nobody waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::counts::Counts;
use super::limits::{
    EVENT_STREAM_LIFE, EVENT_STREAMS_PER_SESSION_MAX, EVENT_STREAMS_PUBLIC_MAX, EVENTS_QUEUED_MAX,
    KEEP_ALIVE_EVERY,
};

/// Tells sessions apart without holding what signs them in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SessionKey(pub [u8; 32]);

/// One event, encoded for the two kinds of reader.
#[derive(Debug)]
pub(super) struct Told<Reach> {
    /// Its number.
    pub number: u64,
    /// What those get who may know it in full.
    pub full: Bytes,
    /// What everybody gets where figures are public; `None` for nothing.
    pub public: Option<Bytes>,
    /// Who may know it.
    pub reach: Reach,
}

/// The bytes of one event; the number is what a reader comes back with.
pub(super) fn frame(number: u64, event: &str, data: &str) -> Bytes {
    Bytes::from(format!("id: {number}\nevent: {event}\ndata: {data}\n\n"))
}

/// Tells the reader to load its page again, and from where to go on.
pub(super) fn reload(number: u64) -> Bytes {
    frame(number, "reload", "{}")
}

/// Tells the reader from where to go on, and to come back 2 s after a lost connection.
pub(super) fn opening(number: u64) -> Bytes {
    Bytes::from(format!("retry: 2000\nid: {number}\n\n"))
}

const KEEP_ALIVE: Bytes = Bytes::from_static(b":\n\n");

enum Message<Reach> {
    Told(Arc<Told<Reach>>),
    Reload(u64),
    Ended(SessionKey),
    Stop,
}

impl<Reach> Clone for Message<Reach> {
    fn clone(&self) -> Self {
        match self {
            Self::Told(told) => Self::Told(Arc::clone(told)),
            Self::Reload(number) => Self::Reload(*number),
            Self::Ended(session) => Self::Ended(*session),
            Self::Stop => Self::Stop,
        }
    }
}

/// All open event streams.
pub(super) struct Hub<Reach> {
    messages: broadcast::Sender<Message<Reach>>,
    open: Arc<Mutex<Open>>,
    counts: Arc<Counts>,
    streams_max: usize,
}

#[derive(Default)]
struct Open {
    all: usize,
    public: usize,
    sessions: BTreeMap<SessionKey, usize>,
}

impl<Reach: Send + Sync + 'static> Hub<Reach> {
    pub(super) fn new(counts: Arc<Counts>, streams_max: usize) -> Self {
        let (messages, _) = broadcast::channel(EVENTS_QUEUED_MAX);
        Self { messages, open: Arc::default(), counts, streams_max }
    }

    /// Tells all readers; those who may know it pass it on.
    pub(super) fn tell(&self, told: Arc<Told<Reach>>) {
        // An error only says that nobody listens.
        let _ = self.messages.send(Message::Told(told));
    }

    /// Tells all readers to load their pages again.
    pub(super) fn reload(&self, number: u64) {
        let _ = self.messages.send(Message::Reload(number));
    }

    /// Ends the streams of a session that was signed out.
    pub(super) fn end(&self, session: SessionKey) {
        let _ = self.messages.send(Message::Ended(session));
    }

    /// Ends all streams: the node stops.
    pub(super) fn stop(&self) {
        let _ = self.messages.send(Message::Stop);
    }

    pub(super) fn count_commit(&self) {
        self.counts.commits.fetch_add(1, Ordering::Relaxed);
    }

    /// True if somebody listens.
    pub(super) fn heard(&self) -> bool {
        self.messages.receiver_count() > 0
    }

    /// A place for one more stream, and every message from now on; `None` at a limit.
    pub(super) fn enter(&self, session: Option<SessionKey>) -> Option<Seat<Reach>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let full = match session {
            Some(session) => {
                open.sessions.get(&session).copied().unwrap_or(0) >= EVENT_STREAMS_PER_SESSION_MAX
            }
            None => open.public >= EVENT_STREAMS_PUBLIC_MAX,
        };
        if full || open.all >= self.streams_max {
            return None;
        }
        open.all += 1;
        match session {
            Some(session) => *open.sessions.entry(session).or_insert(0) += 1,
            None => open.public += 1,
        }
        self.counts.streams.store(open.all, Ordering::Relaxed);
        let place = Place { open: Arc::clone(&self.open), session, counts: Arc::clone(&self.counts) };
        Some(Seat { messages: self.messages.subscribe(), place })
    }
}

/// A place and the messages since it was taken.
pub(super) struct Seat<Reach> {
    messages: broadcast::Receiver<Message<Reach>>,
    place: Place,
}

struct Place {
    open: Arc<Mutex<Open>>,
    session: Option<SessionKey>,
    counts: Arc<Counts>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.all -= 1;
        match self.session {
            None => open.public -= 1,
            Some(session) => {
                if let Some(streams) = open.sessions.get_mut(&session) {
                    *streams -= 1;
                    if *streams == 0 {
                        open.sessions.remove(&session);
                    }
                }
            }
        }
        self.counts.streams.store(open.all, Ordering::Relaxed);
    }
}

/// What a reader may be sent of an event.
pub(super) type Choose<Reach> = Box<dyn Fn(&Told<Reach>) -> Option<Bytes> + Send>;

struct Reading<Reach> {
    seat: Seat<Reach>,
    choose: Choose<Reach>,
    /// Number of the last event that is behind this reader.
    last: u64,
    first: VecDeque<Bytes>,
    end: Instant,
    keep_alive: Interval,
    over: bool,
}

impl<Reach: Send + Sync + 'static> Seat<Reach> {
    /// The answer: first what was missed up to number `last`, then what comes.
    pub(super) fn read(self, last: u64, first: VecDeque<Bytes>, choose: Choose<Reach>) -> Response {
        let mut keep_alive = interval_at(Instant::now() + KEEP_ALIVE_EVERY, KEEP_ALIVE_EVERY);
        keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = Instant::now() + EVENT_STREAM_LIFE;
        let reading = Reading { seat: self, choose, last, first, end, keep_alive, over: false };
        let bytes = stream::unfold(reading, |mut reading| async move {
            let bytes = reading.next().await?;
            Some((Ok::<_, Infallible>(bytes), reading))
        });
        let mut response = Body::from_stream(bytes).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        // nginx would otherwise gather the stream.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

impl<Reach> Reading<Reach> {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(bytes) = self.first.pop_front() {
            return Some(bytes);
        }
        while !self.over {
            tokio::select! {
                message = self.seat.messages.recv() => {
                    if let Some(bytes) = self.taken(message) {
                        return Some(bytes);
                    }
                }
                _ = self.keep_alive.tick() => return Some(KEEP_ALIVE),
                () = sleep_until(self.end) => self.over = true,
            }
        }
        None
    }

    fn taken(&mut self, message: Result<Message<Reach>, RecvError>) -> Option<Bytes> {
        match message {
            // What was missed has been sent already, up to `last`.
            Ok(Message::Told(told)) if told.number <= self.last => None,
            Ok(Message::Told(told)) => {
                self.last = told.number;
                (self.choose)(&told)
            }
            Ok(Message::Reload(number)) => {
                self.last = self.last.max(number);
                Some(reload(self.last))
            }
            Ok(Message::Ended(session)) => {
                self.over = self.seat.place.session == Some(session);
                None
            }
            Ok(Message::Stop) | Err(RecvError::Closed) => {
                self.over = true;
                None
            }
            Err(RecvError::Lagged(_)) => {
                self.seat.place.counts.streams_reloaded.fetch_add(1, Ordering::Relaxed);
                // The page asks for everything anew and comes back from where it was; the events that
                // it then gets twice only make it ask twice.
                Some(reload(self.last))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::limits::EVENT_STREAMS_MAX;
    use futures_util::StreamExt as _;

    const ONE: SessionKey = SessionKey([1; 32]);
    const TWO: SessionKey = SessionKey([2; 32]);

    fn hub() -> Hub<&'static str> {
        Hub::new(Arc::default(), EVENT_STREAMS_MAX)
    }

    fn told(number: u64, reach: &'static str) -> Arc<Told<&'static str>> {
        let full = frame(number, "incident", "{\"id\":\"d\"}");
        Arc::new(Told { number, full, public: None, reach })
    }

    /// Reads for somebody who may know what reaches `name`.
    fn reader(
        hub: &Hub<&'static str>,
        session: SessionKey,
        name: &'static str,
        last: u64,
    ) -> axum::body::BodyDataStream {
        let choose: Choose<_> = Box::new(move |told| (told.reach == name).then(|| told.full.clone()));
        let response = hub.enter(Some(session)).expect("below the limit").read(last, VecDeque::new(), choose);
        assert_eq!(response.headers()[CONTENT_TYPE], "text/event-stream");
        response.into_body().into_data_stream()
    }

    #[tokio::test]
    async fn each_reader_gets_what_it_may_know_and_the_bytes_are_shared() {
        let hub = hub();
        let (mut one, mut two) = (reader(&hub, ONE, "one", 0), reader(&hub, TWO, "two", 0));
        let mut one_again = reader(&hub, ONE, "one", 0);
        let (for_two, for_one) = (told(1, "two"), told(2, "one"));
        hub.tell(for_two.clone());
        hub.tell(for_one.clone());
        let first = one.next().await.unwrap().unwrap();
        assert_eq!(&first[..], b"id: 2\nevent: incident\ndata: {\"id\":\"d\"}\n\n");
        assert_eq!(first.as_ptr(), for_one.full.as_ptr(), "encoded once");
        assert_eq!(one_again.next().await.unwrap().unwrap().as_ptr(), for_one.full.as_ptr());
        assert_eq!(two.next().await.unwrap().unwrap(), for_two.full);
    }

    #[tokio::test]
    async fn what_was_sent_before_is_not_sent_again() {
        let hub = hub();
        let mut reading = reader(&hub, ONE, "one", 7);
        hub.tell(told(7, "one"));
        hub.tell(told(8, "one"));
        assert_eq!(reading.next().await.unwrap().unwrap(), told(8, "one").full);
    }

    #[tokio::test]
    async fn a_reader_that_falls_behind_is_told_to_load_again() {
        let hub = hub();
        let mut reading = reader(&hub, ONE, "one", 0);
        let overfull = u64::try_from(EVENTS_QUEUED_MAX).unwrap() + 10;
        for number in 1..=overfull {
            hub.tell(told(number, "one"));
        }
        let first = reading.next().await.unwrap().unwrap();
        assert_eq!(first, reload(0));
        assert!(reading.next().await.is_some(), "and it goes on");
    }

    #[tokio::test]
    async fn signing_out_ends_that_sessions_streams_alone() {
        let hub = hub();
        let (mut one, mut two) = (reader(&hub, ONE, "x", 0), reader(&hub, TWO, "x", 0));
        hub.end(ONE);
        hub.tell(told(1, "x"));
        assert!(one.next().await.is_none());
        assert!(two.next().await.is_some());
        hub.stop();
        assert!(two.next().await.is_none());
    }

    #[test]
    fn streams_of_one_session_and_of_the_public_are_bounded() {
        let hub = hub();
        let mut seats: Vec<_> =
            (0..EVENT_STREAMS_PER_SESSION_MAX).map(|_| hub.enter(Some(ONE)).unwrap()).collect();
        assert!(hub.enter(Some(ONE)).is_none());
        assert!(hub.enter(Some(TWO)).is_some());
        seats.pop();
        assert!(hub.enter(Some(ONE)).is_some(), "a closed tab makes room");
        let public: Vec<_> = (0..EVENT_STREAMS_PUBLIC_MAX).map(|_| hub.enter(None).unwrap()).collect();
        assert!(hub.enter(None).is_none());
        assert!(hub.enter(Some(TWO)).is_some());
        drop((seats, public));
        assert_eq!(hub.open.lock().unwrap().all, 0);
    }
}
