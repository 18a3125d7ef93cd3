//! Room on the disk that is given up when there is none left, so that the next alert still fits.

use std::path::Path;

use crate::store::WriteError;

/// The file that is deleted when the disk is full.
pub(super) const BALLAST: &str = "ballast";

/// Bytes that this process may still write to the folder's file system.
pub(super) fn free_bytes(folder: &Path) -> Result<u64, WriteError> {
    let stat = rustix::fs::statvfs(folder).map_err(std::io::Error::from)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Reserves room on the disk. Without room for it the node runs all the same, below its red line.
pub(super) fn lay_ballast(path: &Path, bytes: u64) {
    let length = std::fs::metadata(path).map(|meta| meta.len()).unwrap_or_default();
    if length == bytes {
        return;
    }
    if let Err(error) = write_ballast(path, bytes) {
        tracing::warn!(%error, "no room for the reserve: the disk is nearly full");
        let _ = std::fs::remove_file(path);
    }
}

/// Takes real room: blocks are reserved or, where the file system cannot, zeros are written out.
fn write_ballast(path: &Path, bytes: u64) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path)?;
    if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes).is_err() {
        let chunk = vec![0_u8; 64 * 1024];
        let mut left = bytes;
        while left > 0 {
            let part = chunk.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(&chunk);
            file.write_all(part)?;
            left = left.saturating_sub(u64::try_from(part.len()).unwrap_or(left));
        }
    }
    file.sync_all()
}
