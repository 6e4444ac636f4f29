//! The gateway's log: every line kept with its time, so that a trial gets the lines of its own time.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// How many lines are kept in memory for slicing; the file has them all.
const KEPT: usize = 100_000;

/// A log that grows while its gateway runs.
#[derive(Clone, Debug)]
pub struct Log {
    inner: Arc<Mutex<Inner>>,
    path: PathBuf,
}

#[derive(Debug)]
struct Inner {
    file: std::fs::File,
    lines: Vec<(u64, String)>,
    secrets: Vec<String>,
}

impl Log {
    /// A log written to the file `path`, which is made anew. None of `secrets` ever stands in it.
    pub fn create(path: &Path, secrets: Vec<String>) -> std::io::Result<Self> {
        Ok(Self {
            inner: Arc::new(Mutex::new(Inner {
                file: std::fs::File::create(path)?,
                lines: Vec::new(),
                secrets,
            })),
            path: path.to_owned(),
        })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line.
    pub fn push(&self, line: &str) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let line = redacted(line, &inner.secrets);
        // The file is for people; a full disk must not stop the run that would tell them.
        let _ = writeln!(inner.file, "{line}");
        if inner.lines.len() < KEPT {
            inner.lines.push((now_ms(), line));
        }
    }

    /// The lines from `since_ms` on, in milliseconds since the Unix epoch.
    pub fn since(&self, since_ms: u64) -> Vec<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let first = inner.lines.partition_point(|(at, _)| *at < since_ms);
        inner.lines[first..]
            .iter()
            .map(|(_, line)| line.clone())
            .collect()
    }

    /// The last `count` lines.
    pub fn tail(&self, count: usize) -> Vec<String> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let first = inner.lines.len().saturating_sub(count);
        inner.lines[first..]
            .iter()
            .map(|(_, line)| line.clone())
            .collect()
    }
}

fn redacted(line: &str, secrets: &[String]) -> String {
    secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(line.to_owned(), |line, secret| line.replace(secret, "[redacted]"))
}

fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}
