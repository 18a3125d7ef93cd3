//! The federation that all cases share, and what can be looked at from outside: the log, the refusals,
//! the gauges.

use std::collections::{BTreeMap, BTreeSet};

use ed25519_dalek::SigningKey;
use protocol::document::Document;
use protocol::envelope::{AdmittedEnvelope, SignedEnvelope};
use protocol::ids::{DocId, EnvelopeId, FederationId, KeyIndex, Millis};
use protocol::message::{Message, RosterPiece};
use protocol::proof::Proof;
use protocol::roster::{Algorithm, KeyPurpose, KeyState, MemberKey, RosterBody, SignedRoster};
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use tests::cluster::places::{
    BORDER_OF_SAN_MIGUEL, LA_PINTANA, NATIONAL, SAN_JOAQUIN, SAN_MIGUEL, SAN_RAMON,
};
use tests::cluster::{Cluster, Node, Person, wait_for};
use tests::peer::{Identity, Peer};

use super::story::Cast;

/// Index of the hostile member's retired envelope key.
pub const RETIRED_KEY: KeyIndex = KeyIndex(40);
/// Index of its revoked one.
pub const REVOKED_KEY: KeyIndex = KeyIndex(41);

/// The running federation.
pub struct Stage {
    pub cluster: Cluster,
    pub cast: Cast,
    pub peer: Peer,
    pub resident: Person,
    pub desk: Person,
    log: Connection,
}

impl Stage {
    /// San Miguel and La Pintana really run; the others are played.
    pub async fn set() -> Stage {
        let mut plan = Cluster::laid_out(&[SAN_MIGUEL, LA_PINTANA, SAN_JOAQUIN, SAN_RAMON, NATIONAL]);
        for played in [SAN_JOAQUIN, SAN_RAMON, NATIONAL] {
            plan.scripted(played);
        }
        let cluster = plan.run().await;
        let mut cast = cast(&cluster);
        let peer = Peer::connect(&cast.hostile, &cluster[SAN_MIGUEL]).await;
        let second = second_roster(&cast);
        send_roster(&peer, 2, &second.encode()).await;
        for identity in [&mut cast.hostile, &mut cast.other, &mut cast.office] {
            identity.rosters.add(second.clone()).expect("the second version holds");
        }
        let path = cluster[SAN_MIGUEL].data().join("node.db");
        let log = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a log");
        let resident = cluster[SAN_MIGUEL].resident("Ana").await;
        let desk = cluster[SAN_MIGUEL].operator().await;
        let stage = Stage { cluster, cast, peer, resident, desk, log };
        wait_for("the second roster", async || (stage.roster_version().await == 2).then_some(())).await;
        stage
    }

    /// The attacked node.
    pub fn node(&self) -> &Node {
        &self.cluster[SAN_MIGUEL]
    }

    /// The newest roster that it goes by.
    pub async fn roster_version(&self) -> u64 {
        let node = self.node().stranger().get("/api/v1/node").await.expect(200);
        node["roster_version"].as_u64().expect("a number")
    }

    /// A new incident of the attacked node beside the border; its genesis.
    pub async fn raise(&self) -> SignedEnvelope {
        let raised = self.resident.raise("robbery", BORDER_OF_SAN_MIGUEL, "At the corner").await;
        let doc: DocId = raised["id"].as_str().expect("an id").parse().expect("64 digits");
        let envelopes = self.envelopes(doc);
        envelopes.first().expect("stored before 201").signed().clone()
    }

    /// The envelopes of a document in the attacked node's log.
    pub fn envelopes(&self, doc: DocId) -> Vec<AdmittedEnvelope> {
        let mut select = self
            .log
            .prepare_cached("SELECT bytes FROM envelope WHERE doc = ?1 ORDER BY number")
            .expect("SQL");
        let rows = select.query_map(params![doc.0], |row| row.get::<_, Vec<u8>>(0)).expect("rows");
        rows.map(|bytes| AdmittedEnvelope::from_log(&bytes.expect("bytes")).expect("an envelope")).collect()
    }

    /// Their ids.
    pub fn ids(&self, doc: DocId) -> BTreeSet<EnvelopeId> {
        self.envelopes(doc).iter().map(AdmittedEnvelope::id).collect()
    }

    /// The document's hash as the node has it, and as its envelopes give it.
    pub fn fingerprints(&self, doc: DocId) -> (Option<[u8; 32]>, [u8; 32]) {
        let stored = self
            .log
            .query_row("SELECT fingerprint FROM document WHERE id = ?1", params![doc.0], |row| row.get(0))
            .optional()
            .expect("SQL");
        let mut document = Document::from_log(self.envelopes(doc)).expect("parents come first");
        for proof in self.proofs(doc) {
            document.add_proof(proof);
        }
        (stored, document.fingerprint())
    }

    /// The proofs of equivocation about a document.
    pub fn proofs(&self, doc: DocId) -> Vec<Proof> {
        let mut select = self.log.prepare_cached("SELECT bytes FROM proof WHERE doc = ?1").expect("SQL");
        let rows = select.query_map(params![doc.0], |row| row.get::<_, Vec<u8>>(0)).expect("rows");
        rows.map(|bytes| Proof::from_store(&bytes.expect("bytes")).expect("a proof")).collect()
    }

    /// The reason for which an envelope was refused.
    pub fn refusal(&self, id: EnvelopeId) -> Option<String> {
        self.log
            .query_row("SELECT reason FROM refusal WHERE id = ?1", params![id.0], |row| row.get(0))
            .optional()
            .expect("SQL")
    }

    /// True if the content of a blob is there.
    pub fn holds_blob(&self, id: protocol::ids::BlobId) -> bool {
        self.log
            .query_row("SELECT 1 FROM blob WHERE id = ?1", params![id.0], |_| Ok(()))
            .optional()
            .expect("SQL")
            .is_some()
    }

    /// One number of the log about a member.
    pub fn count_of(&self, sql: &str, about: &[u8; 32]) -> i64 {
        self.log.query_row(sql, params![about], |row| row.get(0)).expect("SQL")
    }

    /// What the node has logged.
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(tests::cluster::process::log_of(&self.node().folder)).expect("it logs")
    }

    /// Every gauge of the node by its full name.
    pub async fn gauges(&self) -> BTreeMap<String, u64> {
        let text = self.node().stranger().get("/metrics").await.text();
        let number = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        text.lines().filter(|line| !line.starts_with('#')).filter_map(number).collect()
    }

    /// A gauge about the hostile member.
    pub async fn gauge(&self, name: &str, label: &str) -> u64 {
        let peer = self.cast.hostile.member;
        let name = format!("{name}{{peer=\"{peer}\",{label}}}");
        self.gauges().await.get(&name).copied().unwrap_or_default()
    }

    /// A new connection, if the node closed the old one over what it was sent.
    pub async fn reconnect(&mut self) {
        if !self.peer.connected() {
            self.peer = Peer::connect(&self.cast.hostile, &self.cluster[SAN_MIGUEL]).await;
        }
    }
}

/// Hands over a roster version on the control stream, in its pieces.
pub async fn send_roster(peer: &Peer, version: u64, bytes: &[u8]) {
    for piece in pieces(version, bytes) {
        peer.send_control(&Message::Roster(piece).encode()).await;
    }
}

/// A roster version as it travels.
pub fn pieces(version: u64, bytes: &[u8]) -> Vec<RosterPiece> {
    let chunks: Vec<&[u8]> = bytes.chunks(protocol::limits::ROSTER_PIECE_BYTES).collect();
    let pieces = u16::try_from(chunks.len()).expect("few pieces");
    let piece = |(piece, bytes): (u16, &&[u8])| RosterPiece { version, piece, pieces, bytes: bytes.to_vec() };
    (0..).zip(&chunks).map(piece).collect()
}

fn cast(cluster: &Cluster) -> Cast {
    let played = |town| Identity::of(&cluster[town].folder);
    let hostile = played(SAN_JOAQUIN);
    let roots = (1..=3).map(|number| {
        let path = cluster.folder().join(format!("root-keys/root-{number}.key"));
        node::home::read_signing_key(&path).expect("a root key")
    });
    let older_roster = hostile.rosters.head().hash();
    Cast {
        roots: roots.collect(),
        other: played(SAN_RAMON),
        office: played(NATIONAL),
        target: cluster[SAN_MIGUEL].member.parse().expect("an id"),
        witness: cluster[LA_PINTANA].member.parse().expect("an id"),
        older_roster,
        hostile,
    }
}

/// The body that would come after the roster in force.
pub fn next_body(cast: &Cast) -> RosterBody {
    let head = cast.hostile.rosters.head();
    let mut body: RosterBody = (**head).clone();
    body.federation = FederationId(head.federation().0);
    body.version = head.version + 1;
    body.previous = vec![head.hash()];
    body.issued = Millis(head.issued.0 + 1);
    body
}

/// Signed by these root keys.
pub fn signed_by(body: &mut RosterBody, roots: &[SigningKey]) -> SignedRoster {
    body.sort();
    let mut signed = SignedRoster::unsigned(body);
    for root in roots {
        signed.sign(root);
    }
    signed
}

/// The hostile member gets a retired and a revoked key beside the one that it signs with.
fn second_roster(cast: &Cast) -> SignedRoster {
    let mut body = next_body(cast);
    let member = body.members.iter_mut().find(|member| member.id == cast.hostile.member).expect("listed");
    let key = |index, state, public| MemberKey {
        index,
        purpose: KeyPurpose::Envelope,
        algorithm: Algorithm::Ed25519,
        state,
        public,
    };
    let public = |seed: u8| SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
    member.keys.push(key(RETIRED_KEY, KeyState::Retired, public(40)));
    member.keys.push(key(REVOKED_KEY, KeyState::Revoked, public(41)));
    signed_by(&mut body, &cast.roots)
}
