//! What the runs of one machine tell each other: a provider asked for less. A run with `--shard` is one of several.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::digest::Sha512;
use crate::env::Environment;
use crate::toolchain::Cache;

/// Below the folder of installed tools. No tool's name starts with a dot.
const FOLDER: &str = ".pacing";

/// The last time that a provider asked for less, by the clock of the machine, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Slowdown {
    /// When the request that it answered was sent.
    pub sent_at_ms: u64,
    /// Until when it wants no request; 0 if it did not say.
    pub blocked_until_ms: u64,
}

impl Slowdown {
    /// Both, without the times of a clock that was ahead.
    fn with_earlier(self, earlier: Self) -> Self {
        let is_past = earlier.sent_at_ms <= now_ms();
        let earlier = if is_past { earlier } else { Self::default() };
        Self {
            sent_at_ms: self.sent_at_ms.max(earlier.sent_at_ms),
            blocked_until_ms: self.blocked_until_ms.max(earlier.blocked_until_ms),
        }
    }
}

/// The time of day. All runs of the machine must agree on it, so it follows corrections of the clock.
pub(super) fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since_epoch.as_millis() as u64
}

/// The folder of one gateway or project: a file for each provider and tier.
#[derive(Debug)]
pub struct Slowdowns {
    folder: PathBuf,
    prefix: String,
}

impl Slowdowns {
    /// Those of the runs with the same `shared`: the address of a gateway, or the project that starts one. An environment that names
    /// no folder for the cache shares nothing.
    pub fn of(environment: &Environment, shared: &str) -> Self {
        let cache = Cache::of(environment);
        Self::at(cache.as_ref().map_or(Path::new("/dev/null"), Cache::root), shared)
    }

    pub(super) fn at(cache: &Path, shared: &str) -> Self {
        Self {
            folder: cache.join(FOLDER),
            prefix: Sha512::of(shared.as_bytes()).short(),
        }
    }

    pub(super) fn of_lane(&self, lane: &str) -> SharedSlowdown {
        SharedSlowdown {
            folder: self.folder.clone(),
            name: format!("{}-{}", self.prefix, Sha512::of(lane.as_bytes()).short()),
            error: Mutex::default(),
        }
    }
}

/// The file of one provider and tier.
#[derive(Debug)]
pub(super) struct SharedSlowdown {
    folder: PathBuf,
    name: String,
    /// The first error.
    error: Mutex<Option<String>>,
}

impl SharedSlowdown {
    /// `None` if there is none, or if it cannot be read.
    pub(super) fn read(&self) -> Option<Slowdown> {
        let file = File::open(self.folder.join(&self.name)).ok()?;
        file.lock_shared().ok()?;
        serde_json::from_reader(&file).ok()
    }

    pub(super) fn tell(&self, slowdown: Slowdown) {
        if let Err(error) = self.write(slowdown) {
            let path = self.folder.join(&self.name);
            let text = format!("cannot write `{}`: {error}", path.display());
            self.error.lock().get_or_insert(text);
        }
    }

    /// Why other runs do not learn what a provider asked for.
    pub(super) fn error(&self) -> Option<String> {
        self.error.lock().clone()
    }

    fn write(&self, slowdown: Slowdown) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)?;
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(self.folder.join(&self.name))?;
        file.lock()?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let before = serde_json::from_str(&text).unwrap_or_default();
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(&slowdown.with_earlier(before)).expect("it is JSON"))
    }
}
