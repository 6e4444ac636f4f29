//! The eviction of old installations.

use std::time::{Duration, SystemTime};

use compat_matrix::progress::Silent;
use compat_matrix::toolchain::Cache;

use super::*;

#[tokio::test]
async fn the_longest_unused_installation_is_evicted_first() {
    let folder = Folder::new();
    let cache = Cache::at(folder.root());
    let (platform, now) = (Platform::current().unwrap(), SystemTime::now());
    let mut folders = Vec::new();
    // The third one may be in use.
    for (version, unused_hours) in [("1.0.0", 30), ("1.1.0", 20), ("1.2.0", 1)] {
        let entry = cache.entry("litellm", version, platform, Sha512::of(version.as_bytes()));
        let install = async |directory: &Path| {
            std::fs::write(directory.join("program"), vec![b'x'; 100_000])?;
            Ok((PathBuf::from("program"), None))
        };
        let directory = entry.ensure(&Silent, install).await.unwrap().directory;
        let receipt = std::fs::File::options()
            .write(true)
            .open(directory.join("receipt.json"))
            .unwrap();
        receipt
            .set_modified(now - Duration::from_secs(unused_hours * 3600))
            .unwrap();
        folders.push(directory);
    }
    assert_eq!(cache.evict(400_000, now).unwrap(), [""; 0].map(PathBuf::from));
    assert_eq!(cache.evict(250_000, now).unwrap(), folders[..1]);
    assert_eq!(cache.evict(0, now).unwrap(), folders[1..2]);
    assert!(folders[2].is_dir());
}

#[tokio::test]
async fn a_use_marks_an_installation() {
    let folder = Folder::new();
    let cache = Cache::at(folder.root());
    let entry = cache.entry("litellm", "1.0.0", Platform::current().unwrap(), Sha512::of(b"x"));
    let install = async |directory: &Path| {
        std::fs::write(directory.join("program"), "x")?;
        Ok((PathBuf::from("program"), None))
    };
    let directory = entry.ensure(&Silent, install).await.unwrap().directory;
    let receipt = directory.join("receipt.json");
    let file = std::fs::File::options().write(true).open(&receipt).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let unused = async |_: &Path| unreachable!("it is installed");
    entry.ensure(&Silent, unused).await.unwrap();
    let used = receipt.metadata().unwrap().modified().unwrap();
    assert!(used.elapsed().unwrap() < Duration::from_secs(60));
}
