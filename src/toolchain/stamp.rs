//! Whether an installed file is what was installed, read again only where the system says that something touched it.
//!
//! A stamp is what the system knows of a file without reading it. That of the last look is kept beside the receipt: the time
//! of change in it is the system's own, which nobody can set back. It never stands for a digest that was not computed.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cache::Installed;
use super::integrity::{Hasher, Sha512};
use crate::atomic_write;

/// The name of the file that a stamp is kept in.
const STAMP: &str = "stamp.json";

/// An installed file that cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not what was installed.
    #[error(transparent)]
    Changed(Box<Changed>),
    #[error("cannot read `{}`: {reason}", path.display())]
    Unreadable { path: PathBuf, reason: io::Error },
    #[error("the receipt of `{}` has no digest", path.display())]
    NoDigest { path: PathBuf },
}

/// An installed file that is not what was installed.
#[derive(Debug, thiserror::Error)]
#[error("`{}` was changed since it was installed\n  expected: {expected}\n  actual:   {actual}", path.display())]
pub struct Changed {
    pub path: PathBuf,
    /// Its digest when it was installed.
    pub expected: Sha512,
    pub actual: Sha512,
}

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

    /// Where it cannot be kept the file is read each time.
    fn keep(&self, installed: &Installed) {
        let text = serde_json::to_string(self).expect("a stamp is JSON");
        let _ = atomic_write::write(&installed.directory.join(STAMP), &text);
    }
}

/// Looks whether the program is what was installed: by its digest, or by its stamp where that was found right before.
pub fn look(installed: &Installed) -> Result<(), ProgramError> {
    match Stamp::of(&installed.program()) {
        Ok(stamp) if Stamp::kept(installed).as_ref() == Some(&stamp) => Ok(()),
        _ => read(installed),
    }
}

/// Reads the program and looks whether it is what was installed.
pub fn read(installed: &Installed) -> Result<(), ProgramError> {
    let path = installed.program();
    let Some(file) = &installed.receipt.file else {
        return Err(ProgramError::NoDigest { path });
    };
    // The stamp is taken first: a change while the file is read makes it another.
    match Stamp::of(&path).and_then(|stamp| Ok((stamp, digest_of(&path)?))) {
        Ok((stamp, actual)) if actual == file.sha512 => {
            stamp.keep(installed);
            Ok(())
        }
        Ok((_, actual)) => Err(ProgramError::Changed(Box::new(Changed {
            path,
            expected: file.sha512,
            actual,
        }))),
        Err(reason) => Err(ProgramError::Unreadable { path, reason }),
    }
}

fn digest_of(path: &Path) -> io::Result<Sha512> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        }
    }
}
