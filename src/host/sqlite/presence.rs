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
    let has_it_open = |pid: u32| {
        let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        links.filter_map(|link| fs::metadata(link.path()).ok()).any(|open| file_id(&open) == file)
    };
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
#[cfg(unix)]
pub(super) fn here(file: FileId) -> io::Result<usize> {
    let names = fs::read_dir(if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" })?;
    let numbers = names.flatten().filter_map(|name| name.file_name().to_str()?.parse().ok());
    Ok(numbers.filter(|&number| of_descriptor(number) == Some(file)).count())
}

/// Which file a descriptor leads to. By its number, since this is asked twice a call, and paths cost
/// four times as much; `None` if it was closed meanwhile.
#[cfg(unix)]
fn of_descriptor(number: i32) -> Option<FileId> {
    let mut stat = std::mem::MaybeUninit::uninit();
    // SAFETY: any number may be asked for, and there is room for the answer, which is whole if 0 is returned.
    let stat = unsafe { (libc::fstat(number, stat.as_mut_ptr()) == 0).then(|| stat.assume_init()) }?;
    Some((stat.st_dev as _, stat.st_ino as _))
}

#[cfg(not(unix))]
pub(super) fn here(_: FileId) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
