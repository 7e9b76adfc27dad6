//! What the kernel says about processes: time on a core, descriptors, memory.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Nanoseconds on a core since its start, of all threads.
pub(crate) fn cpu(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks
        .map(|task| {
            let text = fs::read_to_string(task.unwrap().path().join("schedstat"));
            // A thread may end between two looks.
            let text = text.unwrap_or_default();
            text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0)
        })
        .sum()
}

/// Open descriptors.
pub(crate) fn descriptors(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// Raises the soft limit of descriptors to the hard one, here and in whatever is started later;
/// answers with both as they were.
pub(crate) fn raise_descriptors() -> (u64, u64) {
    let before = getrlimit(Resource::Nofile);
    let hard = before.maximum.unwrap_or(u64::MAX);
    let raised = Rlimit { current: before.maximum, maximum: before.maximum };
    // Where that is refused, what needs more fails and says so.
    let _ = setrlimit(Resource::Nofile, raised);
    (before.current.unwrap_or(hard), hard)
}
