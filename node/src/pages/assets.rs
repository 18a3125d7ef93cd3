//! The built web app, embedded: hashed names, so that browsers may keep them for good.

/// One file of the built web app.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// The path that it is served at.
    pub path: &'static str,
    /// Its type, for `Content-Type`.
    pub mime: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
    /// Its bytes compressed with gzip, where that is worth it.
    pub gzip: Option<&'static [u8]>,
    /// True if its name changes with its content: `Cache-Control: public, max-age=31536000, immutable`.
    /// Otherwise `no-cache`.
    pub immutable: bool,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// The file served at a path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.path == path)
}

/// Every file.
#[must_use]
pub fn all() -> &'static [Asset] {
    ASSETS
}

/// The hashed path of a source's name: `app.css` → `/assets/app-1f3a.css`.
pub(super) fn address(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|(source, _)| *source == name).map(|(_, path)| *path)
}

/// The files that a script loads at once, by the name of its source.
pub(super) fn loads(name: &str) -> &'static [&'static str] {
    LOADS.iter().find(|(source, _)| *source == name).map_or(&[], |(_, files)| *files)
}
