//! Whether this machine can run trials at all: space for temporary files, and a loopback interface that is up.
//!
//! Without these, each part fails in its own way, and a gateway only after minutes.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::sys::statvfs::statvfs;

/// The temporary files of 32 trials at once, and the log of the gateway.
const NEEDED_BYTES: u64 = 64 << 20;

/// The longest wait for a connection on loopback.
const LOOPBACK_PATIENCE: Duration = Duration::from_secs(2);

/// Fails with advice if the machine cannot run trials; `scratch` is the run's temporary folder.
pub(super) fn check(scratch: &Path) -> anyhow::Result<()> {
    let free = free_bytes(scratch)
        .with_context(|| format!("cannot read the free space of `{}`", scratch.display()))?;
    ensure!(
        free >= NEEDED_BYTES,
        "the disk of `{}` has {} MB left, and a run needs {} MB: free some space, or set `TMPDIR` to a folder on another disk",
        scratch.display(),
        free >> 20,
        NEEDED_BYTES >> 20
    );
    loopback()
        .context("this machine cannot connect to itself: check the interface `lo` (`ip link set lo up`)")
}

fn free_bytes(folder: &Path) -> io::Result<u64> {
    let state = statvfs(folder)?;
    Ok(state.blocks_available() as u64 * state.fragment_size() as u64)
}

fn loopback() -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    TcpStream::connect_timeout(&listener.local_addr()?, LOOPBACK_PATIENCE).map(drop)
}
