//! Every bound of the HTTP side, with its reason and with what happens when it is reached.

use std::time::Duration;

/// A form or a JSON body. The longest text that is kept has 3 KiB, so this is generous.
/// More than this is answered 413; an SOS is kept without its body.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// One uploaded picture, as it comes from the phone and before it is made smaller. 413 beyond.
pub const PICTURE_BYTES_MAX: usize = 12 * 1024 * 1024;

/// What surrounds a picture in a multipart body.
pub const MULTIPART_EXTRA_BYTES_MAX: usize = 16 * 1024;

/// All headers of a request over HTTP/1 and HTTP/2. The connection is answered 431 and closed.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

/// How many headers a request may have over HTTP/1. Answered 431 beyond.
pub const HEADERS_MAX: usize = 64;

/// From the first byte of a request to the end of its headers, and how long a kept-alive
/// connection may be idle. The connection is closed.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The TLS handshake. The connection is closed.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// From the headers of a request to the headers of its answer, its body included. Answered 408.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The same for a picture: 12 MiB at the 400 kbit/s of a poor signal would take 4 minutes, and
/// the web app makes pictures smaller first. Answered 408.
pub const PICTURE_TIMEOUT: Duration = Duration::from_secs(120);

/// Signed roster versions in one answer, so that a stranger cannot ask for much with little. Cut after a
/// whole version; whoever wants more asks again from there.
pub const ROSTER_ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Connections at one time. A process may hold 20,000 descriptors on a common Linux; the store,
/// the peers and the blobs need a few hundred. The next connection is closed at once.
pub const CONNECTIONS_MAX: usize = 8_192;

/// Connections from one address, so that one machine cannot take them all; many phones share an
/// address behind a mobile network. Named proxies and loopback are not counted.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 1_024;

/// HTTP/2 requests at one time on one connection. The client waits.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 64;

/// Open event streams of one session: a person has a few tabs. The next one is answered 429.
pub const EVENT_STREAMS_PER_SESSION_MAX: usize = 8;

/// Open event streams without a session, together, where the figures are public. 429 beyond.
pub const EVENT_STREAMS_PUBLIC_MAX: usize = 2_048;

/// Event streams of all kinds together, so that pages always find a free connection. 429 beyond.
pub const EVENT_STREAMS_MAX: usize = 6_144;

/// Events that wait for one slow reader. Beyond, it is told to load the page again.
pub const EVENTS_QUEUED_MAX: usize = 1_024;

/// Events that a reader who comes back is sent one by one. Beyond, it is told to load the page again.
pub const EVENTS_RESUMED_MAX: usize = 1_000;

/// Events of catching up that readers are told one by one in [`BULK_TOLD_EVERY`]. Beyond, they are told to load
/// their pages again, once each time, and an alarm's event does not wait behind them.
pub const BULK_TOLD_MAX: usize = 32;

/// See [`BULK_TOLD_MAX`]. A page that is open while a node catches up with very much asks so often.
pub const BULK_TOLD_EVERY: Duration = Duration::from_secs(1);

/// A comment that keeps proxies and mobile networks from closing a quiet event stream, and lets a
/// page notice that its node is gone.
pub const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);

/// After this an event stream ends and the page opens another, so that no session outlives its end
/// by more.
pub const EVENT_STREAM_LIFE: Duration = Duration::from_secs(15 * 60);

/// How long running requests may take to end when the node stops.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Free text in a report, a note, a contribution, as the store keeps it. 422 beyond; an SOS keeps the
/// beginning.
pub use crate::store::limits::TEXT_BYTES_MAX;

/// A name, an address, a phone number, a crew, as the store keeps it. 422 beyond.
pub use crate::store::limits::FIELD_BYTES_MAX as LINE_BYTES_MAX;

/// Ids in one list of a request. 422 beyond.
pub const IDS_MAX: usize = 64;

const _: () = assert!(BODY_BYTES_MAX >= TEXT_BYTES_MAX * 6, "a text of escaped characters must fit a form");
const _: () = assert!(EVENT_STREAMS_MAX < CONNECTIONS_MAX, "pages must find a free connection");
const _: () = assert!(EVENT_STREAMS_PUBLIC_MAX < EVENT_STREAMS_MAX, "residents must find a free stream");
const _: () = assert!(CONNECTIONS_PER_ADDRESS_MAX < CONNECTIONS_MAX, "one address must not take all");
const _: () = assert!(EVENTS_RESUMED_MAX < EVENTS_QUEUED_MAX, "what is resumed must fit the queue");
const _: () = assert!(PICTURE_BYTES_MAX > BODY_BYTES_MAX, "pictures are larger than forms");
