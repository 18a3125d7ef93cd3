//! A small disk of its own for one node, in a mount namespace that ends with the process.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::node::data_of;

/// Size of the disk, in MiB: room for an empty node and some alerts.
const DISK_MIB: u32 = 24;

/// A disk that can be filled to the last byte.
#[derive(Debug, Clone)]
pub struct SmallDisk {
    data: PathBuf,
    /// The process that sees the disk.
    process: Arc<Mutex<Option<u32>>>,
}

impl SmallDisk {
    /// For the node in `folder`; the disk will hold what its data folder holds when it starts.
    #[must_use]
    pub fn new(folder: &Path) -> SmallDisk {
        SmallDisk { data: data_of(folder), process: Arc::default() }
    }

    /// What stands before the program's name so that it runs with this disk.
    #[must_use]
    pub fn wrapper(&self) -> Vec<String> {
        let script = format!(
            "set -e; cp -a \"$0\" \"$0.before\"; mount -t tmpfs -o size={DISK_MIB}m tmpfs \"$0\"; \
             cp -a \"$0.before/.\" \"$0\"; exec \"$@\""
        );
        let data = self.data.display().to_string();
        ["unshare", "--map-root-user", "--mount", "sh", "-c"]
            .map(str::to_owned)
            .into_iter()
            .chain([script, data])
            .collect()
    }

    /// Says which process sees the disk.
    pub fn of_process(&self, number: u32) {
        *self.process.lock().expect("nobody panics with it") = Some(number);
    }

    /// What stands before the name of a program that is to see the disk too.
    #[must_use]
    pub fn enter(&self) -> Vec<String> {
        let number = self.process.lock().expect("nobody panics with it").expect("the node runs").to_string();
        ["nsenter", "--preserve-credentials", "--user", "--mount", "--target", &number]
            .map(str::to_owned)
            .into()
    }

    fn filler(&self) -> PathBuf {
        let number = self.process.lock().expect("nobody panics with it").expect("the node runs");
        // The process's own view of the files: nobody else sees this disk.
        let data = self.data.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(number.to_string()).join("root").join(data).join("filler")
    }

    /// Fills what is free, to the last byte.
    pub fn fill(&self) {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.filler()).expect("a file there");
        for size in [64 * 1024, 4 * 1024, 512, 1] {
            let block = vec![0x55; size];
            while file.write(&block).is_ok_and(|written| written == size) {}
        }
    }

    /// Gives the room back.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("it was filled");
    }
}
