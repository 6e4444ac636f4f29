//! The gateway's log: a file that grows, of which a trial gets the lines of its own time.

use parking_lot::Mutex;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much of the end is read for a tail, in bytes.
const TAIL_BYTES: u64 = 64 << 10;
/// How many lines a tail for people has.
const TAIL_LINES: usize = 20;

/// A log that grows while its gateway runs, whoever writes it.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
    writer: Option<Arc<Mutex<Writer>>>,
}

#[derive(Debug)]
struct Writer {
    file: File,
    secrets: Vec<String>,
}

impl Log {
    /// A log written to the file `path`, which is made anew. None of `secrets` ever stands in it.
    pub fn create(path: &Path, secrets: Vec<String>) -> std::io::Result<Self> {
        let file = File::create(path)?;
        Ok(Self {
            path: path.to_owned(),
            writer: Some(Arc::new(Mutex::new(Writer { file, secrets }))),
        })
    }

    /// The log that another process writes to the file `path`.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            writer: None,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, if this process writes it.
    pub fn push(&self, line: &str) {
        let Some(writer) = &self.writer else { return };
        let mut writer = writer.lock();
        let line = redacted(line, &writer.secrets) + "\n";
        // The file is for people; a full disk must not stop the run that would tell them.
        let _ = writer.file.write_all(line.as_bytes());
    }

    /// Where it ends now, in bytes.
    pub fn position(&self) -> u64 {
        self.path.metadata().map_or(0, |metadata| metadata.len())
    }

    pub fn since(&self, position: u64) -> Vec<String> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(position))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        // A log that cannot be read has nothing to tell.
        let bytes = read().unwrap_or_default();
        String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    pub fn tail(&self, count: usize) -> Vec<String> {
        let mut lines = self.since(self.position().saturating_sub(TAIL_BYTES));
        lines.drain(..lines.len().saturating_sub(count));
        lines
    }

    /// The last lines for people, below a line that says what they are.
    pub fn indented_tail(&self) -> String {
        let lines = self.tail(TAIL_LINES).into_iter().map(|line| format!("  {line}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn redacted(line: &str, secrets: &[String]) -> String {
    secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(line.to_owned(), |line, secret| line.replace(secret, "[redacted]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_gets_the_lines_of_its_own_time_whoever_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        assert_eq!(Log::at(&path).since(0), [""; 0]);
        let written = Log::create(&path, vec!["sk-secret".into()]).unwrap();
        written.push("before");
        let read = Log::at(&path);
        assert_eq!(read.position(), written.position());
        let position = read.position();
        written.push("the key is sk-secret");
        read.push("never written");
        for log in [&read, &written] {
            assert_eq!(log.since(position), ["the key is [redacted]"]);
            assert_eq!(log.tail(1), ["the key is [redacted]"]);
            assert_eq!(log.tail(5).len(), 2);
        }
    }
}
