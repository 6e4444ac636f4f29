//! Passes a digest of the source to the library: a running session serves only runs of the same source. Puts the project's files
//! into the program.
//!
//! The digest is not cryptographic: it distinguishes states of a working tree and protects nothing.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// The library is built from these.
const SOURCE: [&str; 2] = ["src", "Cargo.lock"];

/// The project that `compat run` uses where there is none.
const PROJECT: [&str; 8] = [
    "manifest.yaml",
    "proxy_config.yaml",
    "prices.yaml",
    "docs/findings",
    "docs/why-red.md",
    "cells",
    "gateways",
    "toolchain",
];

fn main() -> io::Result<()> {
    let mut hasher = DefaultHasher::new();
    for path in SOURCE {
        println!("cargo::rerun-if-changed={path}");
        for file in files(Path::new(path))? {
            file.hash(&mut hasher);
            fs::read(&file)?.hash(&mut hasher);
        }
    }
    built_in(&mut hasher.clone())?;
    println!("cargo::rustc-env=SOURCE_DIGEST={:016x}", hasher.finish());
    Ok(())
}

/// Writes the list of the project's files. Only a release has them: in a checkout, a changed cell must not build the library again.
fn built_in(hasher: &mut DefaultHasher) -> io::Result<()> {
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let mut built_in = String::new();
    for path in PROJECT.into_iter().filter(|_| is_release) {
        println!("cargo::rerun-if-changed={path}");
        for file in files(Path::new(path))? {
            let full = fs::canonicalize(&file)?;
            fs::read(&file)?.hash(hasher);
            built_in.push_str(&format!("    ({file:?}, include_bytes!({full:?})),\n"));
        }
    }
    let text = format!("/// The project's files.\nconst FILES: &[(&str, &[u8])] = &[\n{built_in}];\n");
    let out = std::env::var("OUT_DIR").expect("cargo sets it");
    println!("cargo::rustc-env=BUILT_IN_DIGEST={:016x}", hasher.finish());
    fs::write(Path::new(&out).join("built_in.rs"), text)
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
