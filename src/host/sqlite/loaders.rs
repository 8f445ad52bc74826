//! The connections of the host's that have loaded us as their extension, by the file that each has open now. As long
//! as there is one, the host surely uses our copy of SQLite for that file.

use std::collections::BTreeMap;
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::presence::FileId;

static LOADERS: Mutex<Loaders> = Mutex::new(Loaders { pid: 0, files: BTreeMap::new() });

struct Loaders {
    /// The process that the connections belong to.
    pid: u32,
    /// How many have each file open.
    files: BTreeMap<FileId, usize>,
}

/// A connection that has loaded us; it is dropped when that is closed.
#[cfg(feature = "shared-sqlite")]
pub(crate) struct Loader {
    pid: u32,
    file: FileId,
}

#[cfg(feature = "shared-sqlite")]
impl Loader {
    pub(super) fn new(file: FileId) -> Self {
        let mut loaders = lock();
        *loaders.files.entry(file).or_default() += 1;
        Loader { pid: loaders.pid, file }
    }
}

#[cfg(feature = "shared-sqlite")]
impl Drop for Loader {
    fn drop(&mut self) {
        let mut loaders = lock();
        if loaders.pid != self.pid {
            return;
        }
        if let Some(count) = loaders.files.get_mut(&self.file) {
            *count -= 1;
            if *count == 0 {
                loaders.files.remove(&self.file);
            }
        }
    }
}

/// Whether one has the file open now.
pub(super) fn have_open(file: FileId) -> bool {
    lock().files.contains_key(&file)
}

/// A forked child has none: its parent's are not to be used in it.
fn lock() -> MutexGuard<'static, Loaders> {
    let mut loaders = LOADERS.lock().unwrap_or_else(PoisonError::into_inner);
    let pid = process::id();
    if loaders.pid != pid {
        *loaders = Loaders { pid, files: BTreeMap::new() };
    }
    loaders
}
