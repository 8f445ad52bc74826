//! Who has a store's file open: other processes, and this one.
//!
//! Files are looked at with `stat` alone, through the links of `/proc`. Whatever opens a file also
//! closes it, and that drops every lock that the process has on it.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::{fs, process};

use crate::host::Process;
use crate::host::profile::Profile;

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

/// The processes other than this one that have the file open, as far as this user may see (Linux only); and what keeps us
/// from seeing whether the runner is one of them, if anything does.
pub(super) fn open_in(path: &Path, profile: &Profile) -> (Vec<Process>, Option<String>) {
    if !cfg!(target_os = "linux") {
        return (Vec::new(), Some("who has a file open can't be seen on this system".to_owned()));
    }
    let Ok(file) = fs::metadata(path).map(|metadata| file_id(&metadata)) else { return (Vec::new(), None) };
    let Ok(processes) = fs::read_dir("/proc") else {
        return (Vec::new(), Some("there is no /proc to look at".to_owned()));
    };
    let numbers = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let (mut open_in, mut hidden) = (Vec::new(), None);
    for pid in numbers.filter(|&pid| pid != process::id()) {
        match has_open(pid, file) {
            Ok(false) => {}
            Ok(true) => open_in.push(process_of(pid, profile)),
            // Another user's: how it is called can be seen, and what it has open can't.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let process = process_of(pid, profile);
                if process.is_runner {
                    hidden = Some(format!(
                        "{} (pid {pid}) is another user's, so it can't be seen whether it has this store open; root may look",
                        process.name
                    ));
                }
            }
            // It has ended meanwhile.
            Err(_) => {}
        }
    }
    (open_in, hidden)
}

fn has_open(pid: u32, file: FileId) -> io::Result<bool> {
    let links = fs::read_dir(format!("/proc/{pid}/fd"))?.flatten();
    Ok(links.filter_map(|link| fs::metadata(link.path()).ok()).any(|open| file_id(&open) == file))
}

fn process_of(pid: u32, profile: &Profile) -> Process {
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let name = String::from_utf8_lossy(&read("comm")).trim_end().to_owned();
    let command = read("cmdline").iter().map(|&byte| if byte == 0 { b' ' } else { byte }).collect::<Vec<_>>();
    let is_runner =
        [&*name, String::from_utf8_lossy(&command).trim_end()].iter().any(|called| profile.seen_as.is_command(called));
    Process { pid, name, is_runner }
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
