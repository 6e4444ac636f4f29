//! The log of a job, prepared for the rules: plain lines without colours, timestamps and prefixes, each with its kind.

use std::sync::LazyLock;

use regex::Regex;
use serde::Deserialize;

use super::pattern;

/// The bytes that count at each end of a log.
const KEPT: usize = 2 << 20;
/// The most bytes of a line that count.
const LONGEST: usize = 64 << 10;

/// A cleaned log.
#[derive(Clone, Debug, Default)]
pub struct CiLog {
    lines: Vec<CleanLine>,
    /// Whether the middle of the log was left out, because the log is long.
    pub is_cut: bool,
}

#[derive(Clone, Debug)]
struct CleanLine {
    /// From 1.
    number: usize,
    text: String,
    kind: LineKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LineKind {
    Plain,
    /// A passed test, a warning, a retry, an echoed command: no failure.
    Noise,
    /// The output of a test that pytest captured. Tests of error handling print errors too.
    Captured,
}

/// Lines of a log as one text, with their numbers.
#[derive(Debug, Default)]
pub(super) struct LogText {
    pub(super) text: String,
    numbers: Vec<usize>,
}

impl LogText {
    /// The number in the log of the line at byte `position`.
    pub(super) fn number_at(&self, position: usize) -> usize {
        let index = self.text[..position].matches('\n').count();
        self.numbers.get(index).copied().unwrap_or_default()
    }
}

impl CiLog {
    /// Reads a log: plain text, the output of `gh run view --log`, or the JSON of a CircleCI step.
    pub fn new(raw: &str) -> Self {
        let joined = of_chunks(raw);
        let raw = joined.as_deref().unwrap_or(raw);
        let (mut is_captured, mut is_cut) = (false, false);
        let mut position = 0;
        let lines = raw.split_inclusive('\n').enumerate().filter_map(|(index, line)| {
            let (start, end) = (position, position + line.len());
            position = end;
            let is_far = start > KEPT && end + KEPT < raw.len();
            if is_far && !FAILURE_WORD.is_match(line) {
                is_cut = true;
                return None;
            }
            let is_command = line.contains(SCRIPT_COLOUR);
            is_cut |= line.len() > LONGEST;
            let text = plain(&shortened(line));
            if text.trim().is_empty() {
                return None;
            }
            if SECTION.is_match(&text) {
                is_captured = text.contains("Captured ");
            }
            let kind = match () {
                () if is_command || NOISE.is_match(&text) => LineKind::Noise,
                () if is_captured => LineKind::Captured,
                () => LineKind::Plain,
            };
            let number = index + 1;
            Some(CleanLine { number, text, kind })
        });
        let lines = lines.collect();
        Self { lines, is_cut }
    }

    /// The lines without noise, and without captured output.
    pub(super) fn plain(&self) -> LogText {
        self.select(|kind| kind == LineKind::Plain)
    }

    /// The lines without noise.
    pub(super) fn with_captured(&self) -> LogText {
        self.select(|kind| kind != LineKind::Noise)
    }

    /// All lines.
    pub(super) fn all(&self) -> LogText {
        self.select(|_| true)
    }

    fn select(&self, is_wanted: impl Fn(LineKind) -> bool) -> LogText {
        let mut selected = LogText::default();
        for line in self.lines.iter().filter(|line| is_wanted(line.kind)) {
            selected.text.push_str(&line.text);
            selected.text.push('\n');
            selected.numbers.push(line.number);
        }
        selected
    }

    /// All lines, each with whether it is plain and whether it is captured output.
    pub(super) fn marked(&self) -> impl Iterator<Item = (&str, bool, bool)> {
        self.lines.iter().map(|line| {
            let is = |kind| line.kind == kind;
            (line.text.as_str(), is(LineKind::Plain), is(LineKind::Captured))
        })
    }

    /// The lines of `range`, an index range of [`Self::marked`].
    pub(super) fn part(&self, range: std::ops::Range<usize>) -> Self {
        Self {
            lines: self.lines[range].to_vec(),
            is_cut: self.is_cut,
        }
    }

    /// The last `most` lines that are not noise.
    pub fn tail(&self, most: usize) -> Vec<&str> {
        let lines = self.lines.iter().filter(|line| line.kind != LineKind::Noise);
        let lines: Vec<&str> = lines.map(|line| line.text.trim_end()).collect();
        lines[lines.len().saturating_sub(most)..].to_vec()
    }
}

/// One piece of a step's output in CircleCI's API v1.1: `[{"message": …, "time": …, "type": "out"}]`.
#[derive(Deserialize)]
struct Chunk {
    message: String,
}

/// The text of a step's output in CircleCI's JSON; `None` for other texts.
pub fn of_chunks(raw: &str) -> Option<String> {
    let is_list = raw.trim_start().starts_with('[');
    let chunks: Vec<Chunk> = is_list.then(|| serde_json::from_str(raw).ok())??;
    Some(chunks.into_iter().map(|chunk| chunk.message).collect())
}

/// The beginning and the end of a long line.
fn shortened(line: &str) -> String {
    if line.len() <= LONGEST {
        return line.to_owned();
    }
    let start = line.floor_char_boundary(LONGEST / 2);
    let end = line.ceil_char_boundary(line.len() - LONGEST / 2);
    format!("{} … {}", &line[..start], &line[end..])
}

/// GitHub prints the lines of a step's script in this colour.
const SCRIPT_COLOUR: &str = "[36;1m";

fn plain(line: &str) -> String {
    // A progress bar overwrites its line: the last text stays visible. A failure that it hides counts too.
    let (hidden, last) = line.trim_end().rsplit_once('\r').unwrap_or(("", line.trim_end()));
    let hidden = hidden.split('\r').filter(|part| FAILURE_WORD.is_match(part));
    let line = hidden.chain([last]).collect::<Vec<_>>().join(" ");
    let line = COLOUR.replace_all(&line, "");
    let line = PREFIX.replace(&line, "");
    let line = PREFIX.replace(&line, "");
    let line = ERROR_MARK.replace(&line, "Error: ");
    line.chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

static COLOUR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]|\[(?:\d{1,3};)*\d{0,3}m")
});

/// The prefixes of `gh run view --log` (job, step), of GitHub's logs (time), of BuildKit and of Docker Compose.
static PREFIX: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(?:[^\t]+\t[^\t]+\t)?\u{feff}?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3,}Z ?|^#\d+ \d+\.\d+ |^[\w.-]+-\d+ +\| ",
    )
});

static ERROR_MARK: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(?:##\[error\]|::error(?: [^:]*)?::)(?:Error: )?"));

/// Words of a failure, also in a part of the log that is left out.
static FAILURE_WORD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:^|[\sZ])(?:FAILED|FAIL|E  |ERROR|(?i:error)(?:\[\w+\])?:|(?:\w+\.)*\w+(?:Error|Exception):|fatal: |panic: |node down: )|##\[error\]|panicked at|\b[1-9]\d* failed\b|(?i:exited with code )|Killed|^make.{0,8}: \*\*\* ",
    )
});

static SECTION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^-{3,} ?Captured |^={3,}|^_{3,}|^(?:FAILED|ERROR) \S+(?:::|\.py)|^Error: |^Exited with|^-{5,} generated",
    )
});

/// Lines that report no failure, in the forms of pytest, unittest, cargo, Go, Jest, Vitest, npm, pip and the shell.
static NOISE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(concat!(
        r"\b(?:PASSED|SKIPPED|RERUN|XFAIL|XPASS)\b|\.\.\. (?:ok|ignored|skipped)\b|^\s*(?:✓|✔|√|ok \d+ )",
        r"|^\s*--- (?:PASS|SKIP):|^ok\s+\S+\s|^=== (?:RUN|PAUSE|CONT)|^\s*PASS\s",
        r"|^##\[(?:warning|debug|notice|command)\]|^::(?:warning|notice|debug)",
        r"|^\s*(?i:npm (?:warn|notice)|warning\b|warn\b|info\b|debug\b|notice\b)",
        r"|^[\d:,. T/-]*Z?\s*-?\s*\[?(?:WARN(?:ING)?|INFO|DEBUG)\b",
        r"|\b\w*(?:Deprecation|User|Runtime|Future|Resource|Pytest\w*)Warning\b",
        r"|(?i:\bretrying(?: in | with | the | request| \(|\.{2,}|…|,|$)|\bwill (?:be )?retr|\bbefore retry|seconds before trying again|\bback off\b|\(ignored\)|continue-on-error)",
        r"|^\++ \S|^(?i:failed|unable|error) (?i:to (?:parse and )?upload|uploading)|^hypothesis profile|^plugins: ",
    ))
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_times_prefixes_and_progress_are_removed() {
        for (raw, clean) in [
            ("\u{1b}[31mred\u{1b}[0m", "red"),
            (
                "2026-07-30T10:33:37.0359288Z ##[error]Process completed",
                "Error: Process completed",
            ),
            ("build\ttest\t2026-07-30T10:33:37.0359288Z  a", " a"),
            ("#12 3.456 npm error", "npm error"),
            ("web-1  | Traceback", "Traceback"),
            ("10%\r50%\rdone\r", "done"),
            ("10%\rerror: lost\rdone", "error: lost done"),
            ("::error file=a.py,line=1::wrong", "Error: wrong"),
            ("a\u{7}b", "a b"),
        ] {
            assert_eq!(CiLog::new(raw).all().text, format!("{clean}\n"), "{raw:?}");
        }
    }

    #[test]
    fn noise_and_captured_output_are_set_apart() {
        let log = CiLog::new(
            "E   one\n-- x\n--------- Captured stdout call ---------\ntwo\n==== end ====\ntest_a PASSED\n",
        );
        assert_eq!(log.plain().text, "E   one\n-- x\n==== end ====\n");
        assert!(log.with_captured().text.contains("two"));
        assert!(log.all().text.contains("PASSED"));
        assert_eq!(log.plain().number_at(9), 2);
        assert_eq!(log.plain().number_at(14), 5);
    }

    #[test]
    fn the_chunks_of_a_step_are_joined() {
        let raw = r#"[{"message":"one\ntw","type":"out"},{"message":"o\n","type":"err"}]"#;
        assert_eq!(CiLog::new(raw).all().text, "one\ntwo\n");
        assert_eq!(CiLog::new("[gw0] x").all().text, "[gw0] x\n");
    }

    #[test]
    fn a_long_log_keeps_its_ends() {
        let log = CiLog::new(&format!("first\n{}\nlast", "é".repeat(3 << 20)));
        assert!(log.is_cut);
        assert_eq!(log.tail(1), ["last"]);
        assert!(log.all().text.starts_with("first"));
    }

    #[test]
    fn a_cut_keeps_line_numbers_and_failures() {
        let filler = "a line of a green step\n".repeat(150_000);
        let log = CiLog::new(&format!(
            "{filler}FAILED t.py::test_a - assert 1 == 2\n{filler}end\n"
        ));
        assert!(log.is_cut);
        let text = log.all();
        let found = text.text.find("FAILED t.py").unwrap();
        assert_eq!(text.number_at(found), 150_001);
        assert_eq!(text.number_at(text.text.len() - 2), 300_002);
    }
}
