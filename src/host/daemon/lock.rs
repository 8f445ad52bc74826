//! One call at a time has a daemon start runs: who is active is looked at before, and must still be right then.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::host::HostError;

const BETWEEN_TWO_LOOKS: Duration = Duration::from_millis(20);

/// A lock on the store's folder, which keeps nobody out but others of its kind. It lasts until it is dropped.
///
/// The folder, since nothing is to be left there, and the store itself must not be: to close a file drops the locks that
/// SQLite has on it in this process.
pub(super) struct Lock {
    _folder: File,
}

impl Lock {
    /// Waits so long for others.
    pub(super) fn take(folder: &Path, patience: Duration) -> Result<Lock, HostError> {
        let fail = |error: io::Error| {
            HostError::Unusable(format!(
                "the folder {} can't be locked, by which two calls at once are kept from starting the same: {error}; \
                 nothing was changed",
                folder.display()
            ))
        };
        let file = File::open(folder).map_err(fail)?;
        let until = Instant::now() + patience;
        loop {
            // SAFETY: the descriptor is `file`'s, which is open.
            if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
                return Ok(Lock { _folder: file });
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock if Instant::now() < until => thread::sleep(BETWEEN_TWO_LOOKS),
                ErrorKind::WouldBlock => return Err(HostError::Busy { waited: patience }),
                _ => return Err(fail(error)),
            }
        }
    }
}
