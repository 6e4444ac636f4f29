//! The output and exit status of a finished program.

use std::process::Output;

#[derive(Debug)]
pub struct Ran {
    /// The exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ran {
    pub fn new(output: Output) -> Self {
        Self {
            status: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs `command` to its end.
    pub async fn of(command: &mut tokio::process::Command) -> Self {
        Self::new(command.output().await.expect("the program starts"))
    }

    /// Fails unless standard error contains `text`.
    #[track_caller]
    pub fn err_has(&self, text: &str) {
        assert!(self.err.contains(text), "no `{text}` in {}", self.err);
    }

    /// Fails unless standard output contains `text` this many times.
    #[track_caller]
    pub fn out_has(&self, text: &str, times: usize) {
        assert_eq!(self.out.matches(text).count(), times, "`{text}` in {}", self.out);
    }

    pub fn is_success(&self) -> bool {
        self.status == Some(0)
    }
}
