//! Lines of a byte stream as they arrive, each with a bounded length.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// How many bytes of a line are kept; the rest is read and dropped.
pub const MAX_LINE_BYTES: usize = 16 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The text, with bytes that are not UTF-8 replaced.
    pub text: String,
    /// The length in bytes, if the line was cut.
    pub cut_from: Option<usize>,
    /// Whether all kept bytes are UTF-8.
    pub is_utf8: bool,
}

#[derive(Debug)]
pub struct Lines<R> {
    source: BufReader<R>,
    partial: Vec<u8>,
    length: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub fn new(source: R) -> Self {
        Self {
            source: BufReader::with_capacity(64 << 10, source),
            partial: Vec::new(),
            length: 0,
        }
    }

    /// The next line, or the rest after the last line end; `None` at the end. A dropped call loses nothing. A read error
    /// counts as the end.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            let available = self.source.fill_buf().await.unwrap_or_default();
            if available.is_empty() {
                return (self.length > 0).then(|| self.take());
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = &available[..end.unwrap_or(available.len())];
            let room = MAX_LINE_BYTES - self.partial.len();
            self.partial.extend_from_slice(&part[..part.len().min(room)]);
            self.length += part.len();
            let consumed = part.len() + usize::from(end.is_some());
            self.source.consume(consumed);
            if end.is_some() {
                return Some(self.take());
            }
        }
    }

    fn take(&mut self) -> Line {
        let bytes = std::mem::take(&mut self.partial);
        let length = std::mem::take(&mut self.length);
        let cut_from = (length > bytes.len()).then_some(length);
        let (mut text, is_utf8) = match String::from_utf8(bytes) {
            Ok(text) => (text, true),
            Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), false),
        };
        if text.ends_with('\r') {
            text.pop();
        }
        Line {
            text,
            cut_from,
            is_utf8,
        }
    }
}
