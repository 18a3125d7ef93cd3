//! Every limit of the transport, with its unit, its reason and what happens when it is reached.
//! The relations between them are asserted when this file is compiled.

use std::time::Duration;

use protocol::ids::Millis;

pub use protocol::limits::{
    BLOB_BYTES_MAX, BLOB_PIECE_BYTES, FRAME_BYTES_MAX, ROSTER_BYTES_MAX, ROSTER_PIECE_BYTES,
    SOFTWARE_BYTES_MAX,
};

/// Unaccepted connection attempts that the endpoint holds. More: refused, the dialler tries again.
pub const INCOMING_MAX: usize = 256;
/// Bytes buffered for one attempt before it is accepted. More: dropped, the dialler resends.
pub const INCOMING_BUFFER_BYTES: u64 = 64 * 1024;
/// The same over all attempts, so that a flood costs a fixed amount of memory. More: dropped.
pub const INCOMING_BUFFER_BYTES_TOTAL: u64 = 4 * 1024 * 1024;
/// Accepted attempts that have not been through the welcome yet. More wait among the unaccepted.
pub const HANDSHAKES_MAX: usize = 128;
/// Of those, from one address: a stranger cannot take every place. More: refused.
pub const HANDSHAKES_PER_ADDRESS_MAX: usize = 24;
/// Time for the TLS handshake, and again for the two welcomes. Longer: closed.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Time for handing over the missing roster versions before anything else. Longer: closed.
pub const ROSTERS_TIME_MAX: Duration = Duration::from_secs(60);
/// Roster versions taken from a peer over one connection. More: closed.
pub const ROSTERS_PER_CONNECTION_MAX: usize = 1_024;
/// Roster versions waiting to be judged on a connection that is up. More: reading waits.
pub const ROSTERS_WAITING_MAX: usize = 2;
/// Silence after which a connection is dead.
pub const IDLE_MAX: Duration = Duration::from_secs(30);
/// Silence after which a packet is sent only to keep the path open.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Steps in which a path is tried for larger datagrams, in bytes: the largest at once, and nothing between it and
/// the smallest. Each try costs a datagram of that size each way at every connection, and the steps between
/// would save a sixth of a path's datagrams at most.
pub const MTU_CHANGE_MIN_BYTES: u16 = 128;
/// Time between pings on the control stream.
pub const PING_EVERY: Duration = Duration::from_secs(5);
/// Time for anything to be heard after a ping. Longer: the connection is dropped.
pub const PING_ANSWER_MAX: Duration = Duration::from_secs(2);
/// Pings in a row that may go unanswered on a connection that nobody contests: a machine under load is
/// not a dead one. A contested connection is dropped at the first. More: dropped.
pub const PING_MISSES_MAX: u32 = 2;
/// A wait that ends this much too late means that we stood still ourselves, and the answer may lie
/// unread: it is waited for anew.
pub const STALL_MIN: Duration = Duration::from_millis(250);
/// How long the member with the larger id waits before it dials, so that one side usually dials alone.
pub const LARGER_WAITS: Duration = Duration::from_secs(2);
/// First wait after a dial that failed; it doubles up to the cap in the settings.
pub const REDIAL_FIRST: Duration = Duration::from_millis(250);
/// The cap of that wait where the settings do not say otherwise.
pub const REDIAL_CAP: Duration = Duration::from_secs(5);
/// Time for one write on the control stream. Longer: the peer does not read, its connection is closed.
pub const CONTROL_WRITE_MAX: Duration = Duration::from_secs(10);
/// Time for the endpoint to say goodbye at shutdown. Longer: the socket is closed without it.
pub const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// Lanes, one stream each way: urgent, normal, backfill, blobs.
pub const LANES: usize = 4;
/// Blob streams that a peer may have open towards us. More wait at the peer.
pub const BLOB_STREAMS_MAX: u32 = 2;
/// Bytes in flight on one stream: two whole frames, so that one is on the way while one is read.
pub const STREAM_WINDOW_BYTES: u32 = 128 * 1024;
/// Streams on which a peer can have bytes in flight to us at once: its lanes, the control stream, the
/// blob requests it opened and the blob responses to ours.
const STREAMS_MAX: u32 = LANES as u32 + 1 + 2 * BLOB_STREAMS_MAX;
/// Bytes in flight on one connection towards us; also the most that a hostile peer can make us hold
/// unread. Every other stream can be full and the urgent lane still has its whole window.
pub const RECEIVE_WINDOW_BYTES: u32 = (STREAMS_MAX + 1) * STREAM_WINDOW_BYTES;
/// Bytes written and not yet acknowledged on one connection. The same rule for the sending side.
pub const SEND_WINDOW_BYTES: u64 = RECEIVE_WINDOW_BYTES as u64;
/// Unacknowledged handshake bytes: a raw key needs little. More: the connection fails.
pub const CRYPTO_BUFFER_BYTES: usize = 16 * 1024;

/// Bytes queued to one peer on one lane, each frame counted with `FRAME_OVERHEAD_BYTES`. More: that
/// peer is disconnected; what it lacks is found again from have and want when it is back.
pub const LANE_QUEUE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// What a queued frame costs beside its bytes, so that tiny frames are bounded too.
pub const FRAME_OVERHEAD_BYTES: usize = 64;
/// Frames gathered into one write.
pub const FRAMES_PER_WRITE_MAX: usize = 32;
/// Judged frames of one lane of one peer that wait for the loop. More: that lane is not read.
pub const INBOX_FRAMES_MAX: usize = 8;
/// Urgent frames taken in a row before one turn of the other lanes: a peer that calls everything
/// urgent cannot stop the others' catching up.
pub const URGENT_RUN_MAX: usize = 16;
/// Time for which nothing is taken of a peer whose frame broke the core: it begins anew each time, and
/// that must not become what it does all day.
pub const MUTED: Millis = Millis(10_000);
/// A frame in which something proves nothing is paid for with this many times the time that it took to
/// read, in which nothing more of that connection is read, and one of which nothing came with as many times
/// the time that it took the loop: at most a fifth of a core goes to waste.
pub const WASTE_FACTOR: u32 = 4;
/// The same for envelopes that nobody asked for and of which nothing was stored, and for the loop's time where
/// only words came of a frame: at most half a core.
pub const PUSH_FACTOR: u32 = 1;
/// How long after something on the urgent lane catching up is slowed: on a machine whose cores are all busy with
/// it, an alarm would wait at each of the dozen threads that it goes through.
pub const BULK_YIELDS: Duration = Duration::from_millis(500);
/// What catches up rests then this many times as long as it took to be read and judged.
pub const YIELD_FACTOR: u32 = 2;
/// What is owed is paid once it is this much: a live alert is one envelope, and waits for nothing.
pub const OWED_MIN: Duration = Duration::from_millis(2);
/// Commands to the loop that wait. More: whoever gives one waits.
pub const COMMANDS_MAX: usize = 1_024;
/// Comings and goings of connections that wait for the loop. More: that connection waits.
pub const EVENTS_MAX: usize = 1_024;
/// Commands carried out in a row before a frame gets its turn.
pub const COMMANDS_RUN_MAX: usize = 64;

/// Pongs that wait to be written. More: pings are not answered.
pub const PONGS_MAX: usize = 4;

/// Blobs fetched at once, all peers together: what that can hold in memory is bounded. More wait.
pub const FETCHES_MAX: usize = 4;
/// Blobs served at once, all peers together. More wait at the peer.
pub const SERVES_MAX: usize = 32;
/// Time without a byte of a blob's response. Longer: that peer is left, another or a later try resumes.
pub const BLOB_SILENCE_MAX: Duration = Duration::from_secs(10);
/// Tries at one blob over all its holders. More: the fetch fails, and whoever wanted it may ask anew.
pub const FETCH_TRIES_MAX: usize = 32;
/// Time for one fetch, waiting for holders included. Longer: it fails, and may be asked for anew.
pub const FETCH_TIME_MAX: Duration = Duration::from_secs(600);
/// Wait for a holder to come back within a fetch. Longer: the fetch fails and makes room for others.
pub const HOLDER_WAIT_MAX: Duration = Duration::from_secs(20);
/// Questions to the loop whether a peer may have a blob that wait. More: the next peer waits.
pub const BLOB_ASKS_MAX: usize = 64;
/// Addresses tried of one peer. More: the later ones are not.
pub const ADDRESSES_PER_PEER_MAX: usize = 8;

const _: () = {
    // Blobs and every other stream may be full, and the urgent lane is still not blocked: not by what
    // we hold unread, and not by what we have sent.
    assert!(RECEIVE_WINDOW_BYTES >= (STREAMS_MAX - 1 + 1) * STREAM_WINDOW_BYTES);
    assert!(SEND_WINDOW_BYTES >= (STREAMS_MAX - 1 + 1) as u64 * STREAM_WINDOW_BYTES as u64);
    assert!(STREAM_WINDOW_BYTES as usize >= 2 * FRAME_BYTES_MAX);
    assert!(BLOB_PIECE_BYTES <= STREAM_WINDOW_BYTES as usize);
    assert!(LANE_QUEUE_BYTES_MAX >= 16 * FRAME_BYTES_MAX);
    assert!(INCOMING_BUFFER_BYTES * 64 <= INCOMING_BUFFER_BYTES_TOTAL);
    assert!(KEEP_ALIVE.as_millis() * 2 <= IDLE_MAX.as_millis());
    assert!(PING_ANSWER_MAX.as_millis() < PING_EVERY.as_millis());
    assert!(BLOB_BYTES_MAX <= u32::MAX as usize);
    assert!(ROSTER_BYTES_MAX <= u32::MAX as usize);
    assert!(HANDSHAKES_PER_ADDRESS_MAX < HANDSHAKES_MAX && HANDSHAKES_MAX <= INCOMING_MAX);
};
