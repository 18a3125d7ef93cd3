//! Copies of a node: what is in them, how they are packed, and how they are put back.
//!
//! A **backup** holds the log and everything derived from it, blobs, contacts and the configuration. It
//! never holds keys, so that erasing a key erases it in old backups too, nor the roster and the mark of
//! the incarnation, so that putting a backup back cannot roll those back. The **key copy** holds just
//! these: only the newest one is kept, apart from the backups, and always sealed.

mod archive;
mod sealed;

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use protocol::ids::Millis;
use serde::{Deserialize, Serialize};

use crate::home::{Home, HomeError, write_private};
use crate::store::{WriteError, copy_database, forget_unreadable, large_blobs};
use archive::{Packer, Unpacker};
use sealed::Opener;
pub use sealed::{OfflineKey, SealTo, Sealer};

/// The name of the offline key's public half in the node's folder.
const PUBLIC_FILE: &str = "offline.pub";
/// The databases of a node.
const NODE_DB: &str = "node.db";
const KEYS_DB: &str = "keys.db";
/// Where something is unpacked before it is put in its place.
const DRAFT: &str = "restoring";
/// Says when the keys were copied last.
const KEYS_COPIED: &str = "keys-copied";

/// Why a copy was not made or not put back.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A file.
    #[error("{0}")]
    File(PathBuf, #[source] io::Error),
    /// The copy itself.
    #[error("the copy cannot be read: it is damaged, or no copy of a node")]
    Spoiled(#[source] io::Error),
    /// It is sealed and no key was given.
    #[error("the copy is sealed; the offline key is needed to open it")]
    KeyNeeded,
    /// It is a copy of something else.
    #[error("this is {found}, and {wanted} is wanted")]
    OtherKind {
        /// What it is.
        found: String,
        /// What was asked for.
        wanted: &'static str,
    },
    /// There is something in the way.
    #[error("{0} is there already")]
    There(PathBuf),
    /// The node's keys and roster are not here.
    #[error("the node's keys and roster are not in {0}")]
    NoKeys(PathBuf),
    /// The node's own small files.
    #[error("the node's folder cannot be used")]
    Home(#[from] HomeError),
    /// A database.
    #[error("a database cannot be copied")]
    Database(#[from] WriteError),
}

/// What a copy says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `backup` or `keys`.
    pub kind: String,
    /// When it was made.
    pub made_ms: u64,
    /// The counter of the incarnation under which the node wrote then.
    pub incarnation: u32,
    /// The software that made it.
    pub software: String,
}

/// Makes an offline key: its secret half in `folder`, its public half in the node's folder.
///
/// # Errors
/// If a key is there already, or a file cannot be written.
pub fn make_offline_key(home: &Home, folder: &Path) -> Result<PathBuf, CopyError> {
    let (secret, public) = (folder.join("offline.key"), home.folder().join(PUBLIC_FILE));
    for path in [&secret, &public] {
        if path.exists() {
            return Err(CopyError::There(path.clone()));
        }
    }
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    let key = OfflineKey::new(crate::home::write_signing_key(&secret)?.to_bytes());
    write_private(&public, format!("{}\n", hex::encode(key.public().0)).as_bytes())?;
    Ok(secret)
}

/// The offline key to which copies are sealed, if one was made.
///
/// # Errors
/// If its file cannot be read.
pub fn seal_to(home: &Home) -> Result<Option<SealTo>, CopyError> {
    let path = home.folder().join(PUBLIC_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CopyError::File(path, error)),
    };
    let mut public = [0; 32];
    hex::decode_to_slice(text.trim(), &mut public).map_err(|_| HomeError::Spoiled(path))?;
    Ok(Some(SealTo(public)))
}

/// Reads the secret half.
///
/// # Errors
/// If it cannot be read, or others may read it.
pub fn read_offline_key(path: &Path) -> Result<OfflineKey, CopyError> {
    Ok(OfflineKey::new(crate::home::read_signing_key(path)?.to_bytes()))
}

/// Writes a backup, beside a running node too: one consistent state of the log, and the blobs that it
/// names.
///
/// # Errors
/// As [`CopyError`] says; no file is left then.
pub fn back_up(
    home: &Home,
    config: &Path,
    to: &Path,
    seal: Option<SealTo>,
    now: Millis,
) -> Result<(), CopyError> {
    let snapshot = home.folder().join("backup.part.db");
    let _left_by_a_crash = std::fs::remove_file(&snapshot);
    copy_database(home.folder(), NODE_DB, &snapshot)?;
    let written = write_whole(to, seal, |out| {
        let mut packer = Packer::begin(out)?;
        packer.bytes("manifest.json", &manifest(home, "backup", now))?;
        packer.bytes("cuadra.toml", &std::fs::read(config)?)?;
        packer.file("data/node.db", &snapshot)?;
        pack_folder(&mut packer, "data/contacts", &home.folder().join("contacts"))?;
        for name in large_blobs(&snapshot).map_err(|error| io::Error::other(error.to_string()))? {
            let place = format!("blobs/{}/{name}", name.get(..2).unwrap_or_default());
            let file = home.folder().join(&place);
            // What is erased meanwhile is not in the copy.
            if file.exists() {
                packer.file(&format!("data/{place}"), &file)?;
            }
        }
        packer.finish()
    });
    std::fs::remove_file(&snapshot).map_err(at(&snapshot))?;
    written
}

/// Writes the key copy: keys of people and blobs, the node's own keys, roster and incarnation mark. It
/// takes the place of an older one.
///
/// # Errors
/// As [`CopyError`] says; an older copy is as it was then.
pub fn copy_keys(home: &Home, to: &Path, seal: SealTo, now: Millis) -> Result<(), CopyError> {
    let snapshot = home.folder().join("keys.part.db");
    let _left_by_a_crash = std::fs::remove_file(&snapshot);
    copy_database(home.folder(), KEYS_DB, &snapshot)?;
    let written = write_whole(to, Some(seal), |out| {
        let mut packer = Packer::begin(out)?;
        packer.bytes("manifest.json", &manifest(home, "keys", now))?;
        packer.file("data/keys.db", &snapshot)?;
        for folder in ["secrets", "roster"] {
            pack_folder(&mut packer, &format!("data/{folder}"), &home.folder().join(folder))?;
        }
        packer.finish()
    });
    std::fs::remove_file(&snapshot).map_err(at(&snapshot))?;
    written?;
    Ok(write_private(&home.folder().join(KEYS_COPIED), format!("{}\n", now.0).as_bytes())?)
}

/// When the keys were last copied; none if never.
#[must_use]
pub fn keys_copied(home: &Home) -> Option<Millis> {
    let text = std::fs::read_to_string(home.folder().join(KEYS_COPIED)).ok()?;
    text.trim().parse().ok().map(Millis)
}

/// What putting a backup back came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutBack {
    /// What the backup said about itself.
    pub manifest: Manifest,
    /// The counter of the incarnation that was drawn.
    pub incarnation: u32,
    /// Words and photos that cannot be read and are asked of other nodes.
    pub missing_blobs: u64,
}

/// Puts a backup back into the node's folder, in the place of what is there. Before anything else a new
/// incarnation is drawn, above the backup's and above every other one that was drawn here; where its mark
/// is lost, not below the seconds of today.
///
/// # Errors
/// As [`CopyError`] says. Up to the last step what was there is untouched.
pub fn put_back(
    home: &Home,
    from: &Path,
    key: Option<&OfflineKey>,
    now: Millis,
) -> Result<PutBack, CopyError> {
    if !home.has_keys() || !home.folder().join(KEYS_DB).exists() {
        return Err(CopyError::NoKeys(home.folder().to_owned()));
    }
    let draft = home.folder().join(DRAFT);
    let manifest = unpack(from, key, "backup", &draft)?;
    let lost = !home.folder().join("roster").join("incarnation").exists();
    let seconds = u32::try_from(now.0 / 1000).unwrap_or(u32::MAX);
    let at_least =
        if lost { manifest.incarnation.max(seconds.saturating_sub(1)) } else { manifest.incarnation };
    let incarnation = home.draw_incarnation(at_least)?.counter();
    for old in ["node.db-wal", "node.db-shm"] {
        let _may_not_be_there = std::fs::remove_file(home.folder().join(old));
    }
    move_into(&draft.join("data"), home.folder())?;
    std::fs::remove_dir_all(&draft).map_err(at(&draft))?;
    let missing_blobs = forget_unreadable(home.folder())?;
    Ok(PutBack { manifest, incarnation, missing_blobs })
}

/// Puts a key copy back into a folder that has no keys.
///
/// # Errors
/// As [`CopyError`] says; nothing is replaced.
pub fn put_keys_back(home: &Home, from: &Path, key: &OfflineKey, now: Millis) -> Result<Manifest, CopyError> {
    if home.has_keys() {
        return Err(CopyError::There(home.secrets()));
    }
    let there = home.folder().join(KEYS_DB);
    if there.exists() {
        return Err(CopyError::There(there));
    }
    home.make_folders()?;
    let draft = home.folder().join(DRAFT);
    let manifest = unpack(from, Some(key), "keys", &draft)?;
    move_into(&draft.join("data"), home.folder())?;
    std::fs::remove_dir_all(&draft).map_err(at(&draft))?;
    let seconds = u32::try_from(now.0 / 1000).unwrap_or(u32::MAX);
    home.draw_incarnation(manifest.incarnation.max(seconds.saturating_sub(1)))?;
    Ok(manifest)
}

/// The configuration in a backup, for a machine that has none.
///
/// # Errors
/// As [`CopyError`] says.
pub fn config_in(from: &Path, key: Option<&OfflineKey>) -> Result<Vec<u8>, CopyError> {
    let mut unpacker = Unpacker::begin(input(from, key)?).map_err(CopyError::Spoiled)?;
    while let Some((name, mut content)) = unpacker.next().map_err(CopyError::Spoiled)? {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(CopyError::Spoiled)?;
        if name == "cuadra.toml" {
            return Ok(bytes);
        }
    }
    Err(CopyError::Spoiled(io::ErrorKind::NotFound.into()))
}

fn manifest(home: &Home, kind: &str, now: Millis) -> Vec<u8> {
    let manifest = Manifest {
        kind: kind.to_owned(),
        made_ms: now.0,
        incarnation: home.incarnation().map(|incarnation| incarnation.counter()).unwrap_or_default(),
        software: concat!("cuadra ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    serde_json::to_vec_pretty(&manifest).expect("four values are JSON")
}

/// A file that is whole or not there, for this user only.
fn write_whole(
    to: &Path,
    seal: Option<SealTo>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CopyError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let part = to.with_extension("part");
    let write = || -> io::Result<()> {
        let _left_by_a_crash = std::fs::remove_file(&part);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&part)?;
        let mut out = BufWriter::new(file);
        match seal {
            Some(seal) => {
                let mut sealer = Sealer::begin(&mut out, seal)?;
                fill(&mut sealer)?;
                sealer.finish()?;
            }
            None => fill(&mut out)?,
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&part, to)
    };
    let written = write();
    if written.is_err() {
        let _may_not_be_there = std::fs::remove_file(&part);
    }
    written.map_err(at(to))
}

fn pack_folder(packer: &mut Packer<'_>, name: &str, folder: &Path) -> io::Result<()> {
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for file in files {
        let file = file?;
        // The mark of an old copy would be lower than what was drawn since: better none.
        if file.file_type()?.is_file() && file.file_name() != "incarnation" {
            packer.file(&format!("{name}/{}", file.file_name().to_string_lossy()), &file.path())?;
        }
    }
    Ok(())
}

fn input(from: &Path, key: Option<&OfflineKey>) -> Result<Box<dyn Read>, CopyError> {
    let open = || File::open(from).map(BufReader::new).map_err(at(from));
    let mut first = [0; 13];
    open()?.read_exact(&mut first).map_err(CopyError::Spoiled)?;
    match (&first == b"cuadra sealed", key) {
        (false, _) => Ok(Box::new(open()?)),
        (true, None) => Err(CopyError::KeyNeeded),
        (true, Some(key)) => Ok(Box::new(Opener::begin(open()?, key).map_err(CopyError::Spoiled)?)),
    }
}

/// Unpacks a copy into an empty folder; nothing of it is used before all of it was read.
fn unpack(
    from: &Path,
    key: Option<&OfflineKey>,
    wanted: &'static str,
    to: &Path,
) -> Result<Manifest, CopyError> {
    let _left_by_a_crash = std::fs::remove_dir_all(to);
    let mut unpacker = Unpacker::begin(input(from, key)?).map_err(CopyError::Spoiled)?;
    let mut manifest = None;
    while let Some((name, mut content)) = unpacker.next().map_err(CopyError::Spoiled)? {
        if name == "manifest.json" {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(CopyError::Spoiled)?;
            let said: Manifest = serde_json::from_slice(&bytes).map_err(|e| CopyError::Spoiled(e.into()))?;
            if said.kind != wanted {
                return Err(CopyError::OtherKind { found: said.kind, wanted });
            }
            manifest = Some(said);
            continue;
        }
        let path = to.join(&name);
        write_entry(&path, &mut content).map_err(at(&path))?;
    }
    manifest.ok_or_else(|| CopyError::Spoiled(io::ErrorKind::NotFound.into()))
}

fn write_entry(path: &Path, content: &mut dyn Read) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    if let Some(folder) = path.parent() {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    io::copy(content, &mut file)?;
    file.sync_all()
}

/// Moves files into their places. A blob that is there already stays: its key is the one that is here.
fn move_into(from: &Path, to: &Path) -> Result<(), CopyError> {
    std::fs::create_dir_all(to).map_err(at(to))?;
    for entry in std::fs::read_dir(from).map_err(at(from))? {
        let path = entry.map_err(at(from))?.path();
        let Some(name) = path.file_name() else { continue };
        let target = to.join(name);
        if path.is_dir() {
            move_into(&path, &target)?;
        } else if !(target.exists() && target.ancestors().any(|folder| folder.ends_with("blobs"))) {
            std::fs::rename(&path, &target).map_err(at(&target))?;
        }
    }
    File::open(to).and_then(|folder| folder.sync_all()).map_err(at(to))
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> CopyError {
    let path = path.to_owned();
    move |error| CopyError::File(path, error)
}
