//! Whether an installed file is unchanged. It is read again only if its metadata changed.
//!
//! A stamp holds the file's metadata. The stamp of the last successful read lies beside the receipt. It includes the
//! system's time of change (`ctime`), which no program can set back.

use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use super::cache::Installed;
use crate::digest::{Hasher, Sha512};
use crate::files::atomic_write;

const STAMP: &str = "stamp.json";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    inode: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        let metadata = path.metadata()?;
        Ok(Self {
            bytes: metadata.len(),
            inode: metadata.ino(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn kept(installed: &Installed) -> Option<Self> {
        let text = std::fs::read(installed.directory.join(STAMP)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn keep(&self, installed: &Installed) {
        let text = serde_json::to_string(self).expect("a stamp is JSON");
        // Without a stamp the file is read each time.
        let _ = atomic_write::write(&installed.directory.join(STAMP), &text);
    }
}

/// Checks that the program is unchanged: by its stamp, or by its digest if the stamp differs.
pub fn check(installed: &Installed) -> anyhow::Result<()> {
    match Stamp::of(&installed.program()) {
        Ok(stamp) if Stamp::kept(installed).as_ref() == Some(&stamp) => Ok(()),
        _ => check_digest(installed),
    }
}

/// Reads the program and checks its digest.
pub fn check_digest(installed: &Installed) -> anyhow::Result<()> {
    let program = installed.program();
    let path = program.display();
    let Some(file) = &installed.receipt.file else {
        bail!("the receipt of `{path}` has no digest");
    };
    // The stamp is taken first, so that a change during the read gives another stamp.
    let (stamp, actual) = Stamp::of(&program)
        .and_then(|stamp| Ok((stamp, digest_of(&program)?)))
        .with_context(|| format!("cannot read `{path}`"))?;
    let expected = file.sha512;
    if actual != expected {
        bail!("`{path}` was changed since it was installed\n  expected: {expected}\n  actual:   {actual}");
    }
    stamp.keep(installed);
    Ok(())
}

/// The digest of a file's content.
pub fn digest_of(path: &Path) -> io::Result<Sha512> {
    let mut hasher = Hasher::default();
    let mut content = BufReader::with_capacity(1 << 18, File::open(path)?);
    io::copy(&mut content, &mut hasher)?;
    Ok(hasher.finish())
}
