//! The shape of `cuadra.toml`: one struct a table, one field a key, every field with its default.
//! What a value may be is held by the types of `values`, so a `Config` that exists is usable.

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

use protocol::ids::{Code, MemberId};
use serde::{Deserialize, Serialize};

use crate::kinds::KindEdit;
use crate::roles::NodeRole;
use crate::secret::Secret;
use crate::values::{
    EmergencyNumber, HostPort, Language, Name, Origin, Percent, TimeZoneName, ip_addresses, socket_address,
    unique,
};

/// Everything an operator can set: the whole of `cuadra.toml`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who this node is.
    pub node: Node,
    /// The pages and the API for people.
    pub http: Http,
    /// The link to the other nodes.
    pub federation: Federation,
    /// Where everything is kept.
    pub storage: Storage,
    /// Limits that an operator may set.
    pub limits: Limits,
    /// Own words and tighter rules for kinds of incident; at most one entry a kind.
    #[serde(deserialize_with = "unique_kinds")]
    pub kinds: Vec<KindEdit>,
    /// Official boundaries.
    pub territory: TerritoryFiles,
    /// What is written to the log.
    pub log: Log,
}

/// `[node]`: who this node is and what it answers for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// What people call it: the municipality's or precinct's name.
    pub name: Name,
    /// The telephone number shown wherever something fails.
    pub emergency_number: EmergencyNumber,
    /// Language of pages for people who have not chosen one.
    pub language: Language,
    /// Time zone that clocks on the screens are shown in.
    pub time_zone: TimeZoneName,
    /// What it is for. A hint for `init` and for the first screen; the roster decides what it may do.
    pub roles: Vec<NodeRole>,
    /// True where households, addresses and points are invented (demonstrations): pages then say so.
    pub invented_places: bool,
    /// The territories it answers for, each once.
    #[serde(deserialize_with = "unique_codes", rename = "jurisdiction")]
    pub jurisdictions: Vec<Jurisdiction>,
}

/// `[[node.jurisdiction]]`: one territory of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jurisdiction {
    /// Official code, such as `CL-13130`.
    pub code: Code,
    /// Its name on screens.
    pub name: Name,
    /// Inhabitants, the base of the coverage target.
    pub population: u64,
    /// Share of the population whose addresses are to be registered, in percent.
    #[serde(default)]
    pub target_percent: Percent,
}

/// `[http]`: the pages and the API for people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port to listen on.
    #[serde(deserialize_with = "socket_address")]
    pub listen: SocketAddr,
    /// What people type: scheme, host name and port. Cookies and links hang on it.
    pub origin: Origin,
    /// How connections are encrypted.
    pub tls: Tls,
    /// Addresses of reverse proxies whose `Forwarded` headers are believed.
    #[serde(deserialize_with = "ip_addresses")]
    pub trusted_proxies: Vec<IpAddr>,
}

/// How `[http]` encrypts: `"off"`, `"self-signed"`, or a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Tls {
    /// Plain HTTP: behind a proxy that encrypts, or on the loopback.
    Off,
    /// A certificate that the node makes for itself and that browsers warn about.
    #[default]
    SelfSigned,
    /// A certificate from elsewhere.
    Files(TlsFiles),
}

/// A certificate chain and its private key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsFiles {
    /// PEM file of the certificate chain.
    pub cert: PathBuf,
    /// Where the PEM private key comes from.
    pub key: Secret,
}

/// `[federation]`: the QUIC link to the other nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Federation {
    /// UDP address and port to listen on.
    #[serde(deserialize_with = "socket_address")]
    pub listen: SocketAddr,
    /// What other nodes dial; the listening address if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advertise: Option<HostPort>,
    /// First addresses of other nodes; later ones are learnt from the nodes themselves.
    pub peers: Vec<Peer>,
}

/// `[[federation.peers]]`: where to find another node the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its member id (64 hexadecimal digits) or its name in the roster.
    pub member: PeerName,
    /// Host and UDP port.
    pub address: HostPort,
}

/// How a peer is named: by its id, or by its name in the roster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerName {
    /// By its member id.
    Id(MemberId),
    /// By its name in the roster.
    Name(Name),
}

/// `[storage]`: where everything is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Storage {
    /// Folder of databases, keys and blobs.
    pub folder: PathBuf,
    /// Size of the file that is deleted to make room when the disk is full, in bytes.
    pub ballast_bytes: u64,
    /// Folder into which backups are written without another place; keys never go there.
    pub backups: PathBuf,
    /// Days after which a closed incident of this node ends for good; then its words, places and photos
    /// may be dropped everywhere.
    pub retention_days: NonZeroU32,
    /// Days for which this node keeps the contents of an incident after it ended for good, its own or another's.
    pub retired_days: NonZeroU32,
}

/// `[limits]`: the few limits that an operator may set. All others are fixed in the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Largest photo that is taken in, in bytes, before it is re-encoded.
    pub photo_bytes_max: NonZeroU64,
    /// Days that a person stays signed in without coming back.
    pub session_days: NonZeroU32,
    /// Days that an invitation can be used.
    pub invitation_days: NonZeroU32,
    /// Pages that may be open live at once; further ones reload by themselves instead.
    pub live_pages_max: NonZeroU32,
}

/// `[territory]`: boundaries that replace the built-in ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TerritoryFiles {
    /// Official boundaries, at most one a code.
    #[serde(deserialize_with = "unique_boundaries")]
    pub boundaries: Vec<BoundaryFile>,
}

/// `[[territory.boundaries]]`: an official boundary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundaryFile {
    /// The territory whose built-in polygon it replaces.
    pub code: Code,
    /// GeoJSON: a geometry, a feature, or a collection with one feature; WGS84.
    pub file: PathBuf,
}

/// `[log]`: what is written to the log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The least important lines still written.
    pub level: LogLevel,
    /// One JSON object a line instead of text.
    pub json: bool,
}

/// How much is written to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// What stopped working.
    Error,
    /// And what will stop working if nobody acts.
    Warn,
    /// And what happened.
    #[default]
    Info,
    /// And how.
    Debug,
    /// And every step of it.
    Trace,
}

impl LogLevel {
    /// Its name, as filters write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Node {
            name: Name::known("cuadra"),
            emergency_number: EmergencyNumber::default(),
            language: Language::default(),
            time_zone: TimeZoneName::default(),
            roles: vec![NodeRole::Municipal],
            invented_places: false,
            jurisdictions: Vec::new(),
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Http {
            listen: SocketAddr::from(([0, 0, 0, 0], 8443)),
            origin: Origin::default(),
            tls: Tls::default(),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Federation {
    fn default() -> Self {
        Federation { listen: SocketAddr::from(([0, 0, 0, 0], 8444)), advertise: None, peers: Vec::new() }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Storage {
            folder: PathBuf::from("data"),
            ballast_bytes: 64 * 1024 * 1024,
            backups: PathBuf::from("backups"),
            retention_days: const { NonZeroU32::new(5 * 365).expect("not zero") },
            retired_days: const { NonZeroU32::new(365).expect("not zero") },
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            photo_bytes_max: const { NonZeroU64::new(8 * 1024 * 1024).expect("not zero") },
            session_days: const { NonZeroU32::new(90).expect("not zero") },
            invitation_days: const { NonZeroU32::new(30).expect("not zero") },
            live_pages_max: const { NonZeroU32::new(2_000).expect("not zero") },
        }
    }
}

impl Serialize for Tls {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Tls::Off => serializer.serialize_str("off"),
            Tls::SelfSigned => serializer.serialize_str("self-signed"),
            Tls::Files(files) => files.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Tls {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TlsVisitor)
    }
}

struct TlsVisitor;

impl<'de> serde::de::Visitor<'de> for TlsVisitor {
    type Value = Tls;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(r#""off", "self-signed", or { cert = "FILE", key = { file = "FILE" } }"#)
    }
    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Tls, E> {
        match text {
            "off" => Ok(Tls::Off),
            "self-signed" => Ok(Tls::SelfSigned),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Tls, A::Error> {
        TlsFiles::deserialize(serde::de::value::MapAccessDeserializer::new(map)).map(Tls::Files)
    }
}

impl Serialize for PeerName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            PeerName::Id(id) => id.serialize(serializer),
            PeerName::Name(name) => name.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for PeerName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = Name::deserialize(deserializer)?;
        Ok(name.as_str().parse().map_or(PeerName::Name(name), PeerName::Id))
    }
}

fn unique_codes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Jurisdiction>, D::Error> {
    unique(Vec::deserialize(deserializer)?, |jurisdiction: &Jurisdiction| jurisdiction.code.to_string())
}

fn unique_kinds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<KindEdit>, D::Error> {
    unique(Vec::deserialize(deserializer)?, |edit: &KindEdit| edit.kind().name.to_owned())
}

fn unique_boundaries<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<BoundaryFile>, D::Error> {
    unique(Vec::deserialize(deserializer)?, |boundary: &BoundaryFile| boundary.code.to_string())
}
