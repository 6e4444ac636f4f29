//! Hides this process from the programs that it starts.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::env;
use crate::wire::redaction;

/// Whether this process adopts its descendants.
static ADOPTS: AtomicBool = AtomicBool::new(false);

/// No other process of the user reads the memory of this one from now on, and its environment block, which
/// `/proc/<pid>/environ` shows, has no credentials. It also adopts every descendant that loses its parent. Call it before the
/// first thread starts.
pub fn hide() {
    env::keep_snapshot();
    // It fails only without `/proc`, where the block shows nowhere.
    let _ = erase_credentials();
    #[cfg(target_os = "linux")]
    {
        // Each fails only on a kernel without it.
        let _ = nix::sys::prctl::set_dumpable(false);
        let adopts = nix::sys::prctl::set_child_subreaper(true).is_ok();
        ADOPTS.store(adopts, Ordering::Relaxed);
    }
}

/// Whether [`hide`] made this process adopt its descendants.
pub(super) fn adopts() -> bool {
    ADOPTS.load(Ordering::Relaxed)
}

/// Writes zeros over the values, so that the names stay and the variables count as not set.
fn erase_credentials() -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // `pid (name) state …`: the start of the block is the 50th field (proc_pid_stat(5)).
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let start: Option<u64> = fields
        .split_whitespace()
        .nth(47)
        .and_then(|field| field.parse().ok());
    let start = start.ok_or_else(|| io::Error::other("`/proc/self/stat` has no start of the environment"))?;
    let memory = OpenOptions::new().write(true).open("/proc/self/mem")?;
    let mut offset = 0;
    for entry in std::fs::read("/proc/self/environ")?.split(|byte| *byte == 0) {
        if let Some(equals) = entry.iter().position(|byte| *byte == b'=') {
            let (name, value) = (OsStr::from_bytes(&entry[..equals]), &entry[equals + 1..]);
            if env::is_credential(name) || redaction::is_credential(&String::from_utf8_lossy(value)) {
                memory.write_all_at(&vec![0; value.len()], start + offset + equals as u64 + 1)?;
            }
        }
        offset += entry.len() as u64 + 1;
    }
    Ok(())
}
