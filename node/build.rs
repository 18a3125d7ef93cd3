//! Builds the web app in `web/` with npm when its sources changed, and turns the result into a table
//! of embedded files. Nothing is done while the sources are the same as last time.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio, exit};

/// What the web app is made of, below `web/`.
const SOURCES: [&str; 10] = [
    "build",
    "icons",
    "map",
    "src",
    "styles",
    "words",
    ".npmrc",
    "package-lock.json",
    "package.json",
    "vite.config.ts",
];

fn main() {
    let web = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("web");
    let out = PathBuf::from(variable("OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", web.join(source).display());
    }
    if let Err(error) = build(&web, &out) {
        println!("cargo::error={error}");
        exit(1);
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("cargo sets it for build scripts")
}

fn build(web: &Path, out: &Path) -> Result<(), String> {
    let failed = |what: &str, error: io::Error| format!("The web app could not be built: {what}: {error}.");
    // Two builds of different profiles share the folder.
    let lock = fs::File::create(web.join(".build-lock")).map_err(|e| failed("its lock", e))?;
    lock.lock().map_err(|e| failed("its lock", e))?;
    let dist = web.join("dist");
    let stamp = fingerprint(web).map_err(|e| failed("reading its sources", e))?;
    if fs::read_to_string(dist.join("stamp")).ok().as_deref() != Some(stamp.as_str()) {
        install(web)?;
        npm(web, &["run", "--silent", "build"])?;
        fs::write(dist.join("stamp"), stamp).map_err(|e| failed("its stamp", e))?;
    }
    let target = out.join("web");
    let _ = fs::remove_dir_all(&target);
    copy(&dist, &target).map_err(|e| failed("copying its files", e))?;
    fs::copy(dist.join("assets.rs"), out.join("assets.rs")).map_err(|e| failed("its table", e))?;
    Ok(())
}

/// Installs the packages of the lock file, unless they are those already.
fn install(web: &Path) -> Result<(), String> {
    let wanted = fs::read_to_string(web.join("package-lock.json")).unwrap_or_default();
    let mark = web.join("node_modules/.installed");
    if fs::read_to_string(&mark).ok().as_deref() == Some(wanted.as_str()) {
        return Ok(());
    }
    npm(web, &["ci", "--silent", "--no-audit", "--no-fund"])?;
    fs::write(&mark, wanted).map_err(|e| format!("The web app could not be built: node_modules: {e}."))
}

fn npm(web: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("npm").args(arguments).current_dir(web).stdin(Stdio::null()).output();
    let output = output.map_err(|_| {
        "The web app is built with npm, which was not found: install Node.js 20.19 or newer with npm \
         (on Debian: apt install nodejs npm) and build again."
            .to_owned()
    })?;
    if output.status.success() {
        return Ok(());
    }
    for line in [output.stdout, output.stderr].iter().flat_map(|bytes| bytes.split(|b| *b == b'\n')) {
        eprintln!("{}", String::from_utf8_lossy(line));
    }
    Err(format!("`npm {}` failed in {}; its words are below.", arguments.join(" "), web.display()))
}

fn fingerprint(web: &Path) -> io::Result<String> {
    let mut hasher = DefaultHasher::new();
    for source in SOURCES {
        hash(&web.join(source), &mut hasher)?;
    }
    Ok(format!("{:016x}", hasher.finish()))
}

fn hash(path: &Path, hasher: &mut DefaultHasher) -> io::Result<()> {
    path.hash(hasher);
    if !path.is_dir() {
        fs::read(path)?.hash(hasher);
        return Ok(());
    }
    for entry in sorted(path)? {
        hash(&entry, hasher)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop);
    }
    fs::create_dir_all(to)?;
    for entry in sorted(from)? {
        if let Some(name) = entry.file_name() {
            copy(&entry, &to.join(name))?;
        }
    }
    Ok(())
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = fs::read_dir(folder)?.map(|e| e.map(|e| e.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}
