//! The eviction of old installations.

use std::time::{Duration, SystemTime};

use compat_matrix::progress::Silent;
use compat_matrix::toolchain::Cache;

use super::*;

#[tokio::test]
async fn the_longest_unused_installation_is_evicted_first() {
    let folder = Folder::new();
    let cache = Cache::at(folder.root());
    let mut folders = Vec::new();
    for (version, unused_hours) in [("1.0.0", 30), ("1.1.0", 1), ("1.2.0", 20)] {
        let directory = installed(&cache, version).await;
        // A copy, because this process holds the first one until its end.
        let copy = directory.with_extension("copy");
        std::fs::create_dir(&copy).unwrap();
        for file in ["program", "receipt.json"] {
            std::fs::copy(directory.join(file), copy.join(file)).unwrap();
        }
        std::fs::remove_dir_all(directory).unwrap();
        let receipt = std::fs::File::options()
            .write(true)
            .open(copy.join("receipt.json"));
        let used = SystemTime::now() - Duration::from_secs(unused_hours * 3600);
        receipt.unwrap().set_modified(used).unwrap();
        folders.push(copy);
    }
    assert_eq!(cache.evict(400_000).unwrap(), [""; 0].map(PathBuf::from));
    assert_eq!(cache.evict(250_000).unwrap(), folders[..1]);
    assert_eq!(cache.evict(150_000).unwrap(), folders[2..]);
    assert!(folders[1].is_dir());
}

#[tokio::test]
async fn a_file_that_installations_share_counts_once() {
    let folder = Folder::new();
    let cache = Cache::at(folder.root());
    let mut programs = Vec::new();
    for version in ["1.0.0", "1.1.0"] {
        programs.push(installed(&cache, version).await.join("program"));
    }
    std::fs::remove_file(&programs[1]).unwrap();
    std::fs::hard_link(&programs[0], &programs[1]).unwrap();
    for program in &programs {
        // No process uses what lies elsewhere.
        let used = program.parent().unwrap();
        let copy = used.with_extension("moved");
        std::fs::create_dir(&copy).unwrap();
        std::fs::hard_link(program, copy.join("program")).unwrap();
        std::fs::copy(used.join("receipt.json"), copy.join("receipt.json")).unwrap();
        std::fs::remove_dir_all(used).unwrap();
    }
    assert_eq!(cache.evict(150_000).unwrap(), [""; 0].map(PathBuf::from));
    assert_eq!(cache.evict(50_000).unwrap().len(), 2, "one alone frees nothing");
}

#[tokio::test]
async fn an_installation_in_use_stays_and_a_broken_one_does_not() {
    let folder = Folder::new();
    let cache = Cache::at(folder.root());
    let used = installed(&cache, "1.0.0").await;
    let receipt = std::fs::File::options()
        .write(true)
        .open(used.join("receipt.json"));
    receipt.unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let broken = used.with_extension("broken");
    // The last one is of a user who named a folder with other files as the cache.
    let others = [".sessions/one", "pins/1.0.0-of-its-day/gateways", "photos/2024"]
        .map(|name| folder.root().join(name));
    for directory in others.iter().chain([&broken]) {
        std::fs::create_dir_all(directory).unwrap();
    }
    let locks = folder.root().join(".locks");
    for lock in ["pins-1.0", "photos-2024"] {
        std::fs::write(locks.join(lock), "").unwrap();
    }
    std::fs::write(others[2].join("receipt.json"), r#"{"shop": "x"}"#).unwrap();
    std::os::unix::fs::symlink(used.parent().unwrap(), folder.root().join("link")).unwrap();

    assert_eq!(cache.evict(0).unwrap(), [""; 0].map(PathBuf::from));
    assert!(!broken.exists());
    let cleaned = cache.clean(|_| false).unwrap();
    assert_eq!((cleaned.removed.len(), cleaned.in_use), (0, vec![used.clone()]));
    assert!(used.join("program").is_file());
    assert!(others.iter().all(|directory| directory.is_dir()));
}

/// The folder of an installation of 100 kB, which this process uses.
async fn installed(cache: &Cache, version: &str) -> PathBuf {
    let platform = Platform::current().unwrap();
    let entry = cache.entry("litellm", version, platform, Sha512::of(version.as_bytes()));
    let install = async |directory: &Path| {
        std::fs::write(directory.join("program"), vec![b'x'; 100_000])?;
        Ok((PathBuf::from("program"), None))
    };
    entry.ensure(&Silent, install).await.unwrap().directory
}

#[tokio::test]
async fn a_use_marks_an_installation() {
    let folder = Folder::new();
    let cache = Cache::at(folder.root());
    let receipt = installed(&cache, "1.0.0").await.join("receipt.json");
    let file = std::fs::File::options().write(true).open(&receipt).unwrap();
    file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(installed(&cache, "1.0.0").await, receipt.parent().unwrap());
    let used = receipt.metadata().unwrap().modified().unwrap();
    assert!(used.elapsed().unwrap() < Duration::from_secs(60));
}
