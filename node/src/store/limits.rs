//! The store's limits: each with its unit, its reason, and what happens when it is reached.

/// Jobs waiting for the writer in one queue. Full: the caller waits until there is room.
pub const QUEUE_JOBS_MAX: usize = 1_024;
/// Jobs in one commit, so that the first of them is not kept waiting. More: the next commit.
pub const GROUP_JOBS_MAX: usize = 128;
/// Time after which no further job joins a commit, in ms. Later ones: the next commit.
pub const GROUP_MS_MAX: u64 = 10;
/// The same for a commit that holds bulk, while alerts come, in ms: so long the next one waits for it.
pub const BULK_GROUP_MS_MAX: u64 = 3;
/// Jobs in a commit of bulk alone from which on it is taken to be one of a stream of them.
pub const BULK_STREAM_JOBS: usize = 4;
/// How long the next commit of such a stream gathers, in ms: an alert or a commit's fill of jobs ends it.
pub const BULK_GATHERED_MS: u64 = 5;
/// For how long after an alert the next one is taken to be near, in ms.
pub const ALERT_RECENT_MS: u64 = 500;
/// How often the writer leaves the database to other processes while bulk keeps it busy, in ms.
pub const OTHERS_TURN_EVERY_MS: u64 = 50;
/// For how long, in ms: longer than the time between two of their tries. An alert ends it.
pub const OTHERS_TURN_MS: u64 = 3;
/// How often a process tries to write while another one does, in ms.
pub const BUSY_TRY_MS: u64 = 1;
/// Reader connections, and so reads at the same time. More: the caller waits.
pub const READERS_MAX: usize = 6;
/// How long SQLite waits for another process (a backup, a person with a shell), in ms. Longer: an error.
pub const BUSY_MS_MAX: u64 = 5_000;
/// Events kept for a page that was away. Older: the page is told to reload.
pub const EVENTS_KEPT_MAX: u64 = 10_000;
/// Events in one answer. More: the next answer.
pub const EVENTS_ANSWER_MAX: usize = 1_000;
/// Commits that a slow listener may lag behind. More: it reads what it missed from the event table.
pub const COMMITS_LAG_MAX: usize = 1_024;
/// Documents that the writer keeps parsed. More: the one unused longest goes, and is read again.
pub const DOCUMENTS_CACHED_MAX: usize = 512;
/// Envelopes of which it is kept in memory when they were written: those that are sent on at once. Of others that is read.
pub const WRITTEN_KEPT_MAX: usize = 256;
/// Pages of the database that the writer keeps in memory, in KiB. More: the one unused longest is read again
/// from the log or the database, and a large transaction is written in pieces. After a commit that split a page SQLite
/// goes through all of them, so that more are no better: with 8 MiB that took a fifteenth of the writer's time.
pub const WRITER_CACHE_KIB: i64 = 2 * 1024;
/// Free disk below which photos are refused, so that the rest is left to alerts, in bytes.
pub const RED_LINE_BYTES: u64 = 64 * 1024 * 1024;
/// Free pages below which photos are refused, where the database has a page limit.
pub const RED_LINE_PAGES: u64 = 64;
/// Incidents in one answer (queue, near, ticker). More: the ones of least concern are left out.
pub const INCIDENTS_ANSWER_MAX: usize = 500;
/// Pictures: pixels before decoding. More: refused.
pub const PICTURE_PIXELS_MAX: u64 = 40_000_000;
/// Pictures: longest side as kept, in pixels. Larger: scaled down.
pub const PICTURE_SIDE_MAX: u32 = 1_600;
/// Words of a report or a note, in bytes of UTF-8. Longer: refused; in an SOS cut.
pub const TEXT_BYTES_MAX: usize = 3 * 1024;
/// A person's name, address or phone, in bytes of UTF-8. Longer: refused.
pub const FIELD_BYTES_MAX: usize = 200;
/// A resident's session is prolonged when this much of it is over, in ms, and not at every click.
pub const SESSION_TOUCH_MS: u64 = 24 * 60 * 60 * 1_000;
/// How long an operator stays signed in: one shift, in ms.
pub const OPERATOR_SESSION_MS: u64 = 12 * 60 * 60 * 1_000;
/// Months back for which figures are written again when they change. Older months stay as they are.
pub const SUMMARY_MONTHS_MAX: usize = 24;
/// Refusals kept for people to read. More: the oldest go.
pub const REFUSALS_KEPT_MAX: u64 = 10_000;
/// Reads of who reported that are remembered, so that a page that refreshes itself is one read. More:
/// forgotten, and logged again.
pub const READS_REMEMBERED_MAX: usize = 10_000;
/// Pages of the write-ahead log after which they are moved into the database. More: the log grows until
/// the last reader of them is done.
pub const WAL_PAGES: u32 = 4_000;
/// Pages of the write-ahead log after which a thread beside the writer moves them into the database: those of four
/// alerts or so. The disk is busy with them at a stretch, and an alert that meets that waits: with 8 times as many,
/// one alert in a hundred waited twice as long. It falls behind: the writer does it at [`WAL_PAGES`], and what is
/// being stored waits for that.
pub const CHECKPOINT_PAGES: u32 = 125;
/// The same while only bulk is written and no alert has come for [`ALERT_RECENT_MS`]: pages that many documents share
/// are moved once.
pub const CHECKPOINT_BULK_PAGES: u32 = 1_000;
/// Documents brought up to date in one job after the roster changed. More: the next job, behind alerts.
pub const DERIVED_AT_ONCE: usize = 32;
/// Digits of a document's id by which hashes of what is shared with a peer are kept: 70,000 rows a peer
/// at most. Below them, hashes are made from the few documents there.
pub const DIGEST_DIGITS_KEPT: usize = 4;
/// Hashes made and kept in one job. More: the next job, behind alerts.
pub const DIGEST_PLACES_AT_ONCE: usize = 256;
/// Hashes made while the loop waits, some 5 ms, and alarms with it. More: the comparison waits until they were made
/// behind everything else.
pub const DIGEST_PLACES_SOON: usize = 64;
/// How soon hashes are made again that are asked for again, in ms.
pub const DIGEST_ASKED_AGAIN_MS: u64 = 1_000;
/// How long changes are gathered before the hashes above them are made anew, in ms.
pub const DIGEST_REFRESH_MS: u64 = 5_000;
/// Incidents of a lost node that are offered, answered or sealed in one job, so that alerts wait for no more
/// than that. More: the next job.
pub const TAKEOVERS_AT_ONCE: usize = 32;
/// Incidents that one request offers, answers or seals. More: what is left is shown, with the button to go on.
pub const TAKEOVERS_PER_REQUEST_MAX: usize = 256;
/// Open incidents of a lost node that its page lists. More: counted and not listed.
pub const TAKEOVERS_LISTED_MAX: usize = 100;
/// Mass messages read for one answer. More: the ones of least concern are left out.
pub const NOTICES_READ_MAX: usize = 100;
/// Words of a mass message in one language, in bytes as they are kept. Larger: not shown.
pub const NOTICE_WORDS_BYTES_MAX: i64 = 16 * 1024;
/// The headline of a mass message, in characters: what fits on a locked screen. Longer: refused; of another
/// node's, cut off.
pub const NOTICE_HEADLINE_CHARS_MAX: usize = 90;
/// The rest of its words in one language, in characters. Longer: refused; of another node's, cut off.
pub const NOTICE_TEXT_CHARS_MAX: usize = 1_000;
/// For how many hours a mass message may say something: a week. Longer: refused; it can be prolonged.
pub const NOTICE_HOURS_MAX: u32 = 7 * 24;
/// Drafts of mass messages that wait for a second person. More: refused until one is decided.
pub const NOTICE_DRAFTS_MAX: usize = 20;
/// Blobs whose erasure is finished in one round. More: the next round.
pub const ERASURES_AT_ONCE: usize = 1_024;
/// Incidents that are looked at for ones that may be the same, on either side in time. More: further ones
/// are not suggested.
pub const DUPLICATES_LOOKED_AT_MAX: usize = 500;
/// Incidents that are suggested as being the same. More: the least likely are left out.
pub const DUPLICATES_OFFERED_MAX: usize = 5;
/// Incidents that are shown as the same as one. More: the newest are left out.
pub const DUPLICATES_SHOWN_MAX: usize = 50;
/// Time between two reports of the same thing, in ms. More: not suggested.
pub const DUPLICATES_APART_MS: u64 = 2 * 60 * 60 * 1_000;
/// Incidents below one another that are followed. More: the one at the bottom is shown by itself.
pub const MERGES_DEPTH_MAX: usize = 64;
/// Closed incidents that are retired in one round. More: the next round.
pub const RETIRED_AT_ONCE: usize = 64;
/// How long between two looks at what is to be retired, in ms.
pub const RETIRE_LOOK_MS: u64 = 10 * 60 * 1_000;
/// Retired documents whose contents are dropped in one job. More: the next job, behind alerts.
pub const RETIRED_DROPPED_AT_ONCE: usize = 16;
/// How often it is looked which retired documents are past their retention, in ms.
pub const RETENTION_LOOK_MS: u64 = 60 * 60 * 1_000;
/// How long until an erasure that could not be finished is tried again, in ms.
pub const ERASURE_RETRY_MS: u64 = 5_000;
/// How often what erased people told is looked for, in ms: another process may have erased them.
pub const ERASURE_LOOK_MS: u64 = 10_000;
/// Keys of blobs made and stored at once, ahead of need: 70 bytes each. All used up: a blob's own
/// transaction stores its key, and waits for the disk twice.
pub const SPARE_KEYS: usize = 512;
/// Keys left at which more are made. Fewer: as above.
pub const SPARE_KEYS_LOW: usize = 384;
