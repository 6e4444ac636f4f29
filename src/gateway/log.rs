//! The log file of a gateway: it grows, and each trial reads the lines of its time span.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::wire::redaction;
use crate::wire::secrets::Secrets;

/// The most bytes read for a tail.
const TAIL_BYTES: u64 = 64 << 10;
/// The number of lines of a tail in a message.
const TAIL_LINES: usize = 20;

/// A log file that this or another process writes.
#[derive(Clone, Debug)]
pub struct LogFile {
    path: PathBuf,
    writer: Option<Arc<Mutex<Writer>>>,
}

#[derive(Debug)]
struct Writer {
    file: File,
    secrets: Secrets,
    /// Whether the last line was within a private key.
    in_key: bool,
}

impl LogFile {
    /// Creates or truncates `path` for writing. The log will contain none of `secrets`.
    pub fn create(path: &Path, secrets: Secrets) -> std::io::Result<Self> {
        let file = File::create(path)?;
        Ok(Self {
            path: path.to_owned(),
            writer: Some(Arc::new(Mutex::new(Writer {
                file,
                secrets,
                in_key: false,
            }))),
        })
    }

    /// The log that another process writes to `path`.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            writer: None,
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line, if this process writes the log.
    pub fn push(&self, line: &str) {
        let Some(writer) = &self.writer else { return };
        let mut writer = writer.lock();
        let line = writer.redacted(line) + "\n";
        // A full disk must not stop the run.
        let _ = writer.file.write_all(line.as_bytes());
    }

    /// Its length now, in bytes.
    pub fn position(&self) -> u64 {
        self.path.metadata().map_or(0, |metadata| metadata.len())
    }

    /// The lines after `position`; none if the file cannot be read.
    pub fn since(&self, position: u64) -> Vec<String> {
        let read = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(position))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().unwrap_or_default();
        String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// The last `count` lines.
    pub fn tail(&self, count: usize) -> Vec<String> {
        let mut lines = self.since(self.position().saturating_sub(TAIL_BYTES));
        lines.drain(..lines.len().saturating_sub(count));
        lines
    }

    /// The first exception of the log: later ones follow from it. The frame that raised it, its line and the exception.
    pub fn first_exception(&self) -> Option<String> {
        first_exception(&self.since(0))
    }

    /// The last lines, indented, for a message.
    pub fn indented_tail(&self) -> String {
        let lines = self.tail(TAIL_LINES).into_iter().map(|line| format!("  {line}"));
        lines.collect::<Vec<_>>().join("\n")
    }
}

impl Writer {
    /// `line` without secrets. A key that no one knows is found by its first line; its body ends with a line of another form.
    fn redacted(&mut self, line: &str) -> String {
        let is_body = !line.trim().is_empty()
            && line
                .trim()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
        if self.in_key && is_body {
            return "[redacted]".to_owned();
        }
        self.in_key =
            line.contains("-----BEGIN ") && line.contains("PRIVATE KEY-----") && !line.contains("-----END ");
        redaction::of_log_line(&self.secrets.removed(line))
    }
}

fn first_exception(lines: &[String]) -> Option<String> {
    exception_of_python(lines).or_else(|| exception_of_node(lines))
}

/// Node prints the exception, then its frames, the one that raised it first.
fn exception_of_node(lines: &[String]) -> Option<String> {
    let is_error = |line: &str| {
        let name = line.split([':', ' ']).next().unwrap_or_default();
        name.ends_with("Error") && line.contains(": ")
    };
    let is_frame = |line: &&String| line.trim_start().starts_with("at ");
    // A missing module has the files that need it between both.
    let is_of_stack = |line: &&String| line.trim() == "Require stack:" || line.starts_with("- ");
    let frame_below = |at: usize| {
        let mut below = lines[at + 1..].iter().skip_while(is_of_stack);
        below.next().filter(is_frame)
    };
    let mut errors = (0..lines.len()).filter(|at| is_error(lines[*at].trim()));
    let (at, frame) = errors.find_map(|at| Some((at, frame_below(at)?)))?;
    Some(format!("  {}\n  {}", frame.trim(), lines[at].trim()))
}

/// A traceback of Python has indented frames, and ends with the exception at the indentation of its head.
fn exception_of_python(lines: &[String]) -> Option<String> {
    const HEAD: &str = "Traceback (most recent call last):";
    let head = lines.iter().position(|line| line.trim() == HEAD)?;
    let indent = lines[head].len() - lines[head].trim_start().len();
    let is_inside = |line: &&String| line.len() - line.trim_start().len() > indent || line.trim().is_empty();
    let body: Vec<&String> = lines[head + 1..].iter().take_while(is_inside).collect();
    let exception = lines.get(head + 1 + body.len())?;
    let frame = body
        .iter()
        .rposition(|line| line.trim_start().starts_with("File \""));
    let is_code = |line: &str| line.bytes().any(|byte| !b"^~".contains(&byte));
    let raised = body[frame.unwrap_or(body.len())..].iter().map(|line| line.trim());
    let shown = raised.filter(|line| is_code(line)).chain([exception.trim()]);
    Some(
        shown
            .map(|line| format!("  {line}"))
            .collect::<Vec<_>>()
            .join("\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_returns_the_lines_after_a_position() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        assert_eq!(LogFile::at(&path).since(0), [""; 0]);
        let written = LogFile::create(&path, Secrets::new(["sk-secret-1"])).unwrap();
        written.push("before");
        let read = LogFile::at(&path);
        assert_eq!(read.position(), written.position());
        let position = read.position();
        written.push("the key is sk-secret-1");
        read.push("never written");
        for log in [&read, &written] {
            assert_eq!(log.since(position), ["the key is [redacted]"]);
            assert_eq!(log.tail(1), ["the key is [redacted]"]);
            assert_eq!(log.tail(5).len(), 2);
        }
    }

    #[test]
    fn the_first_exception_of_a_log_is_the_cause() {
        let text = r#"INFO starting
Traceback (most recent call last):
  File "/site-packages/litellm/proxy/proxy_cli.py", line 1000, in run_server
    from .proxy_server import app
  File "/site-packages/litellm/utils.py", line 10, in <module>
    from openai import Gone
    ^^^^^^^^^^^^^^^^^^^^^^^
ImportError: cannot import name 'Gone' from 'openai'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/bin/litellm", line 10, in <module>
    sys.exit(run_server())
ModuleNotFoundError: No module named 'proxy_server'"#;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        assert_eq!(
            first_exception(&lines).unwrap(),
            "  File \"/site-packages/litellm/utils.py\", line 10, in <module>\n  from openai import Gone\n  ImportError: cannot import \
             name 'Gone' from 'openai'"
        );
        let of_node = "starting\nnode:net:1\n    throw er;\n\nError: listen EADDRINUSE: address already in use\n    at Server.listen \
                       (node:net:9:1)\n    at main (index.js:3:1)\nTypeError: later\n    at x (y.js:1:1)";
        let of_node: Vec<String> = of_node.lines().map(str::to_owned).collect();
        assert_eq!(
            first_exception(&of_node).unwrap(),
            "  at Server.listen (node:net:9:1)\n  Error: listen EADDRINUSE: address already in use"
        );
        let without_module =
            "Error: Cannot find module 'x'\nRequire stack:\n- /srv/y.js\n    at load (node:1:1)";
        let without_module: Vec<String> = without_module.lines().map(str::to_owned).collect();
        assert_eq!(
            first_exception(&without_module).unwrap(),
            "  at load (node:1:1)\n  Error: Cannot find module 'x'"
        );
        let later =
            "ConfigError: x is missing: using defaults\nloading\nTypeError: no y\n    at main (z.js:1:1)";
        let later: Vec<String> = later.lines().map(str::to_owned).collect();
        assert_eq!(
            first_exception(&later).unwrap(),
            "  at main (z.js:1:1)\n  TypeError: no y"
        );
        assert_eq!(first_exception(&lines[..1]), None);
        assert_eq!(first_exception(&lines[..3]), None);
    }

    #[test]
    fn the_lines_of_an_unknown_key_are_redacted() {
        let folder = tempfile::tempdir().unwrap();
        let log = LogFile::create(&folder.path().join("gateway.log"), Secrets::default()).unwrap();
        for line in [
            "-----BEGIN PRIVATE KEY-----",
            "MIIEvQIBADANBgkqh1",
            "ab==",
            "-----END PRIVATE KEY-----",
            "ready",
        ] {
            log.push(line);
        }
        let redacted = "[redacted]";
        assert_eq!(
            log.since(0),
            [redacted, redacted, redacted, "-----END PRIVATE KEY-----", "ready"]
        );
    }
}
