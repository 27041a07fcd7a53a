//! What processes use, as the kernel says.

use std::fs;

/// CPU time of a process so far, in seconds. 0 if it has ended.
pub(crate) fn cpu(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name may have spaces; the fields are counted behind it.
    let fields = text.rsplit(") ").next().unwrap_or_default().split(' ');
    let ticks: u64 = fields.skip(11).take(2).filter_map(|it| it.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}

/// CPU time of these processes together.
pub(crate) fn cpu_of(pids: &[u32]) -> f64 {
    pids.iter().map(|pid| cpu(*pid)).sum()
}

/// Memory that a process has, in MiB.
pub(crate) fn memory(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}
