//! The things that `cuadra doctor` looks at, each by itself.

use std::error::Error;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _, UdpSocket};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use config::settings::Tls;
use config::{Config, PeerName};
use protocol::ids::Millis;
use protocol::roster::{KeyPurpose, RosterChain};

use super::Found;
use crate::home::{Home, purpose_name};
use crate::open::address_file;
use crate::rotation::{Place, Standing, own_member, standings};
use crate::store::{check_files, machine_clock};

/// Below this the disk counts as nearly full.
const FREE_BYTES_WARN: u64 = 1024 * 1024 * 1024;
/// Below this nothing can be promised.
const FREE_BYTES_BAD: u64 = 100 * 1024 * 1024;
/// People are reminded of a roster's renewal this long before.
const RENEWAL_WARN_MS: u64 = 30 * 24 * 60 * 60 * 1000;
/// People are reminded of copies that are older than this.
const COPY_AGE_WARN_SECONDS: u64 = 7 * 24 * 60 * 60;
/// 1 January 2025: a clock before this was never set.
const CLOCK_MIN_MS: u64 = 1_735_689_600_000;

/// Looks at everything. What cannot be looked at without something earlier is left out.
pub(super) fn all(folder: &Path) -> Vec<Found> {
    let path = folder.join("cuadra.toml");
    let config = match Config::load(&path) {
        Ok(config) => config,
        Err(error) => {
            let todo = "Correct that line (`cuadra config example` shows every setting), or make a node with `cuadra init`.";
            return vec![Found::Bad(format!("configuration: {}", words(&error)), todo.into())];
        }
    };
    let mut found = vec![Found::Good(format!("configuration of “{}”", config.node.name))];
    let home = Home::at(&config.storage.folder);
    found.push(rights(home.folder()));
    found.push(keys(&home));
    found.extend(roster(&home));
    found.push(databases(home.folder()));
    found.push(clock());
    found.push(disk(home.folder()));
    let running = address_file(home.folder()).exists();
    found.extend(ports(&config, running));
    found.extend(peers(&config));
    found.extend(copies(&config, &home));
    found
}

fn rights(folder: &Path) -> Found {
    let meta = match std::fs::metadata(folder) {
        Ok(meta) => meta,
        Err(error) => {
            return bad(
                format!("the folder {} cannot be read: {error}", folder.display()),
                "Give it to the user that runs the node: chown -R, then chmod 700.",
            );
        }
    };
    let own = std::fs::metadata("/proc/self").map(|me| me.uid());
    if own.is_ok_and(|own| own != meta.uid() && own != 0) {
        let what = format!("the folder {} belongs to another user", folder.display());
        return bad(what, "Run this as the user that runs the node, or give it the folder with chown -R.");
    }
    if meta.permissions().mode() & 0o077 != 0 {
        let what = format!("other users of this machine can look into {}", folder.display());
        return Found::Warning(what, format!("chmod 700 {}", folder.display()));
    }
    Found::Good(format!("folder {}", folder.display()))
}

fn keys(home: &Home) -> Found {
    match home.keyring() {
        Ok(_) => Found::Good("the node's keys".into()),
        Err(error) => bad(
            format!("the node's keys: {}", words(&error)),
            "Put secrets/ back from your copy of the keys. Without them the node must join anew.",
        ),
    }
}

fn roster(home: &Home) -> Vec<Found> {
    let todo = "Take the roster file that your federation sent: cuadra join ROSTER-FILE";
    let rosters = match home.rosters() {
        Ok(rosters) => rosters,
        Err(error) => return vec![bad(format!("the roster: {}", words(&error)), todo)],
    };
    let Some(chain) = rosters.chain() else {
        return vec![bad("the node belongs to no federation yet".into(), todo)];
    };
    let mut found = vec![membership(home, chain), renewal(chain)];
    found.extend(rotation(home, chain));
    if !chain.forks().is_empty() {
        found.push(bad(
            "the federation's root keys signed two different rosters".into(),
            "Call the holders of the root keys: one of them may be in wrong hands. They join both: cuadra roster add, then cuadra roster renew",
        ));
    }
    found
}

/// How far the rotation of this node's keys has come, and what comes next.
fn rotation(home: &Home, chain: &RosterChain) -> Vec<Found> {
    let Ok(ring) = home.keyring() else { return Vec::new() };
    let Some(member) = own_member(chain, &ring).filter(|member| member.is_good()) else { return Vec::new() };
    standings(member, &ring).iter().flat_map(|standing| place(standing, &member.name)).collect()
}

fn place(standing: &Standing, name: &str) -> Vec<Found> {
    let what = format!("{} key", purpose_name(standing.purpose));
    let place = match standing.place {
        Place::Settled => Found::Good(format!("{what}: the roster lists the one that is here")),
        Place::AskedFor => Found::Warning(
            format!("{what}: a new one is here that the roster does not list yet; the old one is used"),
            "Send rotation-request.json to the holders of the root keys (cuadra keys rotate writes it again). They run: cuadra roster rotate"
                .into(),
        ),
        Place::Overlap => Found::Warning(
            format!("{what}: the new one is used, and the old one is still good"),
            format!(
                "When every node has this roster, the holders of the root keys run: \
                 cuadra roster retire \"{name}\""
            ),
        ),
        Place::NewestLost => Found::Warning(
            format!("{what}: the newest that the roster lists is not here; an older one is used"),
            "Put secrets/ back from your copy of the keys, or ask for another one: cuadra keys rotate".into(),
        ),
        Place::Lost => bad(
            format!("{what}: none that the roster lists as active is here"),
            "Put secrets/ back from your newest copy of the keys, or call the holders of the root keys.",
        ),
    };
    let mut found = vec![place];
    if !standing.done.is_empty() {
        let files: Vec<String> =
            standing.done.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect();
        let why = if standing.purpose == KeyPurpose::Tls {
            "kept, so that nodes that slept still find this one"
        } else {
            "signs nothing any more; cuadra keys tidy removes it"
        };
        found.push(Found::Good(format!("{what} replaced: {} ({why})", files.join(", "))));
    }
    found
}

fn membership(home: &Home, chain: &RosterChain) -> Found {
    let Ok(ring) = home.keyring() else {
        return bad("membership cannot be checked without keys".into(), "See above.");
    };
    match own_member(chain, &ring) {
        Some(member) if member.is_good() => {
            Found::Good(format!("listed in the federation as “{}”", member.name))
        }
        Some(member) => bad(
            format!("“{}” was expelled from the federation", member.name),
            "Call the holders of the root keys.",
        ),
        None => bad(
            "the roster does not list this node".into(),
            "Send member-request.json to the holders of the root keys (cuadra join writes it).",
        ),
    }
}

fn renewal(chain: &RosterChain) -> Found {
    let (head, now) = (chain.head(), machine_clock()());
    let what = format!("version {} of the roster", head.version);
    let todo = "Everything goes on working. Remind the holders of the root keys to sign a new version.";
    if head.expired(now) {
        return Found::Warning(format!("{what} has expired"), todo.into());
    }
    if head.expired(now.plus(Millis(RENEWAL_WARN_MS))) {
        return Found::Warning(format!("{what} expires within a month"), todo.into());
    }
    Found::Good(what)
}

fn databases(folder: &Path) -> Found {
    match check_files(folder) {
        Ok(true) => Found::Good("the databases open and are whole".into()),
        Ok(false) => bad(
            "a database is damaged".into(),
            "Stop the node, copy the whole folder somewhere safe, then call for help before anything else.",
        ),
        Err(error) => bad(
            format!("the databases: {}", words(&error)),
            "See whether the disk works and the folder belongs to the node's user.",
        ),
    }
}

fn clock() -> Found {
    if machine_clock()().0 < CLOCK_MIN_MS {
        return bad(
            "the machine's clock was never set".into(),
            "Turn on time synchronisation: timedatectl set-ntp true",
        );
    }
    let synchronised = Path::new("/run/systemd/timesync/synchronized").exists()
        || Path::new("/run/chrony").exists()
        || Path::new("/var/lib/ntp").exists();
    if synchronised {
        return Found::Good("the clock is kept right by the network".into());
    }
    Found::Warning(
        "nobody seems to keep this machine's clock right".into(),
        "Times on screens may be wrong. Turn on time synchronisation: timedatectl set-ntp true".into(),
    )
}

fn disk(folder: &Path) -> Found {
    let Ok(free) = rustix::fs::statvfs(folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)) else {
        return Found::Warning(
            "the free room on the disk could not be asked for".into(),
            "Look with: df -h".into(),
        );
    };
    let what = format!("{} MB free on the disk", free / 1024 / 1024);
    let todo = "Make room now: when the disk is full, photos are refused first and alerts last.";
    match free {
        free if free < FREE_BYTES_BAD => bad(what, todo),
        free if free < FREE_BYTES_WARN => Found::Warning(what, todo.into()),
        _ => Found::Good(what),
    }
}

fn ports(config: &Config, running: bool) -> Vec<Found> {
    let (http, quic) = (config.http.listen, config.federation.listen);
    let taken = |what: String, error: std::io::Error| {
        if running && error.kind() == std::io::ErrorKind::AddrInUse {
            return Found::Good(format!("{what} is in use, by this node as it seems"));
        }
        bad(
            format!("{what} cannot be used: {error}"),
            "See what uses it (ss -lnp), or choose another in cuadra.toml.",
        )
    };
    let tcp = match TcpListener::bind(http) {
        Ok(_) => Found::Good(format!("TCP {http} is free for the pages")),
        Err(error) => taken(format!("TCP {http}"), error),
    };
    let udp = match UdpSocket::bind(quic) {
        Ok(_) => Found::Good(format!("UDP {quic} is free for the other nodes")),
        Err(error) => taken(format!("UDP {quic}"), error),
    };
    let mut found = vec![tcp, udp];
    if config.http.tls == Tls::Off && config.http.trusted_proxies.is_empty() && !http.ip().is_loopback() {
        found.push(bad(
            "the pages would be served unencrypted to the network".into(),
            "Set tls = \"self-signed\" in [http], give a certificate, or name the proxy in trusted_proxies.",
        ));
    }
    found
}

/// Whether each peer's name resolves and its address answers to anything at all. Who it is shows only
/// the node itself, with its keys.
fn peers(config: &Config) -> Vec<Found> {
    let mut found = Vec::new();
    for peer in &config.federation.peers {
        let name = match &peer.member {
            PeerName::Id(id) => id.to_string(),
            PeerName::Name(name) => name.as_str().to_owned(),
        };
        let address = peer.address.as_str();
        let addresses: Vec<SocketAddr> = address.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        found.push(match addresses.first() {
            None => Found::Warning(
                format!("the address {address} of {name} is not known to this network"),
                "See whether the name is right and the network is up; alerts are taken all the same.".into(),
            ),
            Some(first) if !answers(*first) => Found::Warning(
                format!("{name} does not answer at {address}"),
                "Its node may be down, or a firewall stops UDP. What is due to it goes later.".into(),
            ),
            Some(_) => Found::Good(format!("{name} at {address} can be reached")),
        });
    }
    found
}

/// False if the machine at the other end says that nobody listens there, or no way leads there. UDP
/// says no more than that without a handshake.
fn answers(address: SocketAddr) -> bool {
    let any: SocketAddr = if address.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let probe = || -> std::io::Result<()> {
        let socket = UdpSocket::bind(any)?;
        socket.connect(address)?;
        socket.set_read_timeout(Some(std::time::Duration::from_millis(300)))?;
        socket.send(&[0])?;
        match socket.recv(&mut [0; 16]) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    };
    probe().is_ok()
}

/// The newest backup where `cuadra backup` writes them, and the copy of the keys.
fn copies(config: &Config, home: &Home) -> Vec<Found> {
    let (folder, now) = (&config.storage.backups, machine_clock()());
    let newest = std::fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|entry| {
        let made = entry.metadata().ok()?.modified().ok()?;
        entry.path().extension().is_some_and(|is| is == "backup").then_some(made)
    });
    let age = newest.max().and_then(|made| made.elapsed().ok());
    let backup = match age {
        Some(age) if age.as_secs() < COPY_AGE_WARN_SECONDS => {
            Found::Good(format!("a backup of this week in {}", folder.display()))
        }
        Some(_) => Found::Warning(
            format!("the newest backup in {} is older than a week", folder.display()),
            "Make one: cuadra backup".into(),
        ),
        None => Found::Warning(
            format!("there is no backup in {}", folder.display()),
            "Make the offline key once (cuadra keys offline DIR), then a backup every night: cuadra backup"
                .into(),
        ),
    };
    let keys = match crate::backup::keys_copied(home) {
        Some(at) if now.since(at).0 < COPY_AGE_WARN_SECONDS * 1000 => Found::Good("a copy of the keys of this week".into()),
        Some(_) => Found::Warning(
            "the copy of the keys is older than a week".into(),
            "What is newer cannot be read without them, and what was erased still can with the old copy: cuadra keys copy FILE".into(),
        ),
        None => Found::Warning(
            "the keys were never copied".into(),
            "Copy them apart from the backups: cuadra keys copy FILE. Without them no backup can be read.".into(),
        ),
    };
    vec![backup, keys]
}

fn bad(what: String, todo: &str) -> Found {
    Found::Bad(what, todo.to_owned())
}

/// An error and its causes in one line.
fn words(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(found: &[Found]) -> Vec<&str> {
        found
            .iter()
            .filter_map(|f| if let Found::Bad(what, _) = f { Some(what.as_str()) } else { None })
            .collect()
    }

    #[test]
    fn folder_without_a_node_is_told_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let found = all(folder.path());
        assert_eq!(wrong(&found).len(), 1);
        assert!(wrong(&found)[0].starts_with("configuration: "), "{found:?}");
    }

    #[test]
    fn address_where_nobody_listens_does_not_answer() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert!(answers(address));
        drop(socket);
        assert!(!answers(address));
    }
}
