//! How much memory a process has needed at most.

use std::fs;

/// This process's peak of resident memory in kilobytes. Linux only.
pub fn own_peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells the peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number of kilobytes")
}
