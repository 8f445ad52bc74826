//! Who has a store's file open: other processes, and this one.
//!
//! Files are looked at with `stat` alone, through the links of `/proc`. Whatever opens a file also
//! closes it, and that drops every lock that the process has on it.

use std::io;
use std::path::Path;
use std::{fs, process};

use crate::host::Process;

/// Which file a path leads to; another one may take its place while we run.
pub(super) type FileId = (u64, u64);

#[cfg(unix)]
pub(super) fn file_id(metadata: &fs::Metadata) -> FileId {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
pub(super) fn file_id(_: &fs::Metadata) -> FileId {
    (0, 0)
}

/// The processes other than this one that have the file open, as far as this user may see
/// (Linux only: elsewhere none are found).
pub(super) fn open_in(path: &Path) -> Vec<Process> {
    let Ok(file) = fs::metadata(path).map(|metadata| file_id(&metadata)) else { return Vec::new() };
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    let has_it_open = |pid: u32| descriptors(&format!("/proc/{pid}/fd"), file).is_ok_and(|count| count > 0);
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&pid| pid != process::id() && has_it_open(pid))
        .map(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            Process { pid, name: name.trim_end().to_owned() }
        })
        .collect()
}

/// How many descriptors of this process lead to the file.
pub(super) fn here(file: FileId) -> io::Result<usize> {
    descriptors(if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" }, file)
}

fn descriptors(folder: &str, file: FileId) -> io::Result<usize> {
    let links = fs::read_dir(folder)?.flatten();
    Ok(links.filter(|link| fs::metadata(link.path()).is_ok_and(|open| file_id(&open) == file)).count())
}
