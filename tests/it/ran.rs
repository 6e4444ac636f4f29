//! A program that has ended: how, and what it said.

use std::process::Output;

/// What a program said.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status; `None` if a signal ended it.
    pub status: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

impl Ran {
    /// Of a program that has ended.
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

    /// Whether it ended well.
    pub fn is_success(&self) -> bool {
        self.status == Some(0)
    }
}
