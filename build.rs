//! Passes a digest of the source to the library: a running session serves only runs of the same source.
//!
//! The digest is not cryptographic: it distinguishes states of a working tree and protects nothing.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// The library is built from these.
const SOURCE: [&str; 2] = ["src", "Cargo.lock"];

fn main() -> io::Result<()> {
    let mut hasher = DefaultHasher::new();
    for path in SOURCE {
        println!("cargo::rerun-if-changed={path}");
        for file in files(Path::new(path))? {
            file.hash(&mut hasher);
            fs::read(&file)?.hash(&mut hasher);
        }
    }
    println!("cargo::rustc-env=SOURCE_DIGEST={:016x}", hasher.finish());
    Ok(())
}

/// The files in `path`, in the order of their names.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut entries: Vec<PathBuf> = fs::read_dir(path)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<_>>()?;
    entries.sort();
    let below: Vec<Vec<PathBuf>> = entries
        .iter()
        .map(|entry| files(entry))
        .collect::<io::Result<_>>()?;
    Ok(below.concat())
}
