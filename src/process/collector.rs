//! Reads an output in the background and keeps a bounded part of it.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long to wait for the rest of an output once its program has ended.
pub(super) const DRAIN: Duration = Duration::from_secs(1);

/// Which bytes of an output are kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum Keep {
    First(usize),
    Last(usize),
}

/// Reads an output in the background, so that the program never waits for a reader.
#[derive(Debug)]
pub(super) struct Collector {
    collected: Arc<Mutex<Collected>>,
    reader: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Collected {
    bytes: Vec<u8>,
    truncated: bool,
}

impl Collected {
    fn add(&mut self, part: &[u8], keep: Keep) {
        match keep {
            Keep::First(bound) => {
                let room = bound - self.bytes.len();
                self.bytes.extend_from_slice(&part[..part.len().min(room)]);
                self.truncated |= part.len() > room;
            }
            Keep::Last(bound) => {
                self.bytes.extend_from_slice(part);
                let surplus = self.bytes.len().saturating_sub(bound);
                self.bytes.drain(..surplus);
                self.truncated |= surplus > 0;
            }
        }
    }
}

impl Collector {
    pub(super) fn start(source: Option<impl AsyncRead + Unpin + Send + 'static>, keep: Keep) -> Self {
        let collected = Arc::new(Mutex::new(Collected::default()));
        let sink = collected.clone();
        let reader = tokio::spawn(async move {
            let Some(mut source) = source else { return };
            let mut buffer = vec![0; 16 << 10];
            // A read error counts as the end.
            while let Ok(count @ 1..) = source.read(&mut buffer).await {
                sink.lock().add(&buffer[..count], keep);
            }
        });
        Self { collected, reader }
    }

    /// Calls `look` with the kept bytes so far.
    pub(super) fn look(&self, look: impl FnOnce(&[u8])) {
        look(&self.collected.lock().bytes);
    }

    /// The bytes that came before the output ended or [`DRAIN`] was over: a descendant that left the group may hold the
    /// output open for ever. The flag says whether bytes were dropped.
    pub(super) async fn finish(mut self) -> (Vec<u8>, bool) {
        let _ = timeout(DRAIN, &mut self.reader).await;
        self.reader.abort();
        let collected = std::mem::take(&mut *self.collected.lock());
        (collected.bytes, collected.truncated)
    }
}
