//! Kills every process with a tag in its environment, in whatever group or session it is, and its descendants.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use std::{fs, thread};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ProcessTag;

/// How often to look before giving up on a process that does not die.
const ROUNDS: usize = 500;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// Kills every process with `tag` and all their descendants, until none is found. Returns the number of processes that it
/// found. It never kills this process. Without `/proc` it finds none.
pub fn sweep(tag: ProcessTag) -> usize {
    let mut killed: BTreeSet<i32> = BTreeSet::new();
    // A killed process may have started another one just before, so one look is not enough.
    for _ in 0..ROUNDS {
        let found = tagged(tag);
        if found.is_empty() {
            break;
        }
        // A keeper adopts the descendants without a tag. It ends last, so that they can still be found.
        let (keepers, others): (Vec<i32>, Vec<i32>) = found.into_iter().partition(|pid| is_keeper(*pid));
        let now = if others.is_empty() { keepers } else { others };
        killed.extend(&now);
        kill_all(now);
        thread::sleep(PAUSE);
    }
    killed.len()
}

/// Kills all living descendants of this process but `spared` and theirs, until there is none. This process must adopt those
/// that lose their parent.
pub(super) fn descendants(spared: &[i32]) {
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    for _ in 0..ROUNDS {
        let mut processes = processes();
        processes.retain(|pid, _| !spared.contains(pid));
        let mut found = BTreeSet::from([own]);
        add_descendants(&mut found, &processes);
        found.remove(&own);
        if found.is_empty() {
            break;
        }
        kill_all(found);
        thread::sleep(PAUSE);
    }
}

fn kill_all(processes: impl IntoIterator<Item = i32>) {
    for pid in processes {
        // It fails only if the process is already gone.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// Whether `pid` is the keeper of a cage. A program that looks like one only dies later.
fn is_keeper(pid: i32) -> bool {
    let mode = super::cage::HIDDEN_MODE.as_bytes();
    fs::read(format!("/proc/{pid}/cmdline"))
        .is_ok_and(|arguments| arguments.split(|byte| *byte == 0).nth(1) == Some(mode))
}

/// The ids of the processes with `tag` (of its trial, if it has one) and of all their descendants, without this process.
pub fn tagged(tag: ProcessTag) -> BTreeSet<i32> {
    let (name, value) = tag.variables().next_back().expect("a tag has a run");
    let entry = format!("{name}={value}");
    let processes = processes();
    let mut found: BTreeSet<i32> = processes
        .keys()
        .filter(|pid| has_variable(**pid, entry.as_bytes()))
        .copied()
        .collect();
    // Descendants may have been started with another environment.
    add_descendants(&mut found, &processes);
    let own = i32::try_from(std::process::id()).ok();
    found.retain(|pid| Some(*pid) != own);
    found
}

/// Adds every descendant of a process in `found`.
fn add_descendants(found: &mut BTreeSet<i32>, processes: &BTreeMap<i32, i32>) {
    loop {
        let more: Vec<i32> = processes
            .iter()
            .filter(|(pid, parent)| found.contains(parent) && !found.contains(pid))
            .map(|(pid, _)| *pid)
            .collect();
        if more.is_empty() {
            break;
        }
        found.extend(more);
    }
}

/// Each living process and its parent.
fn processes() -> BTreeMap<i32, i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, living_parent(pid)?))
        })
        .collect()
}

/// The parent of `pid`; `None` for a zombie, which is dead and only waits to be reaped.
fn living_parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state ppid …`: the name may hold anything, so the fields are counted from its last `)`.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z" && state != "X").then(|| fields.next()?.parse().ok())?
}

/// Whether the environment that `pid` started with has `entry`. Another user's environment cannot be read, and such a
/// process is never ours.
fn has_variable(pid: i32, entry: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|found| found == entry))
}
