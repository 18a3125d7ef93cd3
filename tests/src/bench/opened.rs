//! A node that does not run, opened in this process with much of its database in memory: for filling,
//! and for comparing what it derived from its log with what a rebuild makes of the log.

use std::path::Path;

use node::open::Opened;
use node::store::WriteError;
use rusqlite::Connection;
use tests::cluster::node::data_of;

/// Pages of a database that are held in memory meanwhile, 3.2 GB at most: all of a node's with 1,000,000
/// incidents, for what a transaction changes and has no room for is written twice.
const PAGES_CACHED: u32 = 800_000;

/// Opens the node in this folder.
pub async fn open(folder: &Path) -> anyhow::Result<Opened> {
    cached(&data_of(folder), PAGES_CACHED)?;
    open_as_shipped(folder).await
}

/// The same with no more memory than a running node takes.
pub async fn open_as_shipped(folder: &Path) -> anyhow::Result<Opened> {
    let config = config::Config::load(&folder.join("cuadra.toml"))?;
    Ok(tokio::task::spawn_blocking(move || Opened::open(config)).await??)
}

/// Closes it, as it would be had it been opened as usual.
pub async fn close(opened: Opened) -> anyhow::Result<()> {
    let (store, folder) = (opened.desk.store().clone(), opened.home.folder().to_owned());
    drop(opened);
    let closed = move || {
        store.stop();
        drop(store);
        cached(&folder, 0)
    };
    tokio::task::spawn_blocking(closed).await?
}

/// Fails unless everything that the node derived from its log is what a rebuild makes of the log.
/// Compares as `cuadra rebuild` does.
pub async fn equals_a_rebuild(folder: &Path) -> anyhow::Result<()> {
    let opened = open(folder).await?;
    let store = opened.desk.store().clone();
    let compared = async {
        let before = store.dump_derived().await?;
        store.rebuild().await?;
        Ok::<_, WriteError>(before == store.dump_derived().await?)
    };
    let equal = compared.await?;
    drop(store);
    close(opened).await?;
    anyhow::ensure!(equal, "the tables of {} are not what its log says", folder.display());
    Ok(())
}

/// How many pages every connection to this node's database may hold from now on; 0 for SQLite's own.
fn cached(data: &Path, pages: u32) -> anyhow::Result<()> {
    let path = data.join("node.db");
    if !path.exists() {
        return Ok(());
    }
    let db = Connection::open(path)?;
    // Of the pragmas for this, the one that stays with the file: the product's own code opens it.
    db.pragma_update(None, "default_cache_size", pages)?;
    Ok(())
}
