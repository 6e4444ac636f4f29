//! Running programs: their output and exit status.

use std::path::Path;
use std::process::{Command, Output};

use compat_matrix::env;

use super::text::{assert_has, assert_lacks};

/// A finished program.
#[derive(Debug)]
pub struct Ran {
    /// The exit status; `None` if a signal ended the program.
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

    /// Runs `command` to its end, beside the servers of this process.
    pub async fn beside(mut command: Command) -> Self {
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        Self::new(output.unwrap().expect("the program starts"))
    }

    /// Fails unless the exit status is `status`.
    #[track_caller]
    pub fn exits(&self, status: i32) {
        assert_eq!(self.status, Some(status), "{}\n{}", self.out, self.err);
    }

    /// Fails unless standard error contains `text`.
    #[track_caller]
    pub fn err_has(&self, text: &str) {
        assert_has(&self.err, text);
    }

    /// Fails if standard error contains `text`.
    #[track_caller]
    pub fn err_lacks(&self, text: &str) {
        assert_lacks(&self.err, text);
    }

    /// Fails unless standard output contains `text` this many times.
    #[track_caller]
    pub fn out_has(&self, text: &str, times: usize) {
        assert_eq!(self.out.matches(text).count(), times, "`{text}` in {}", self.out);
    }
}

/// Runs `compat` in `folder`.
pub fn compat(folder: impl AsRef<Path>, arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_compat"));
    command
        .args(arguments)
        .current_dir(folder)
        .env_remove(env::CARGO_PKG_NAME);
    Ran::new(command.output().expect("the program starts"))
}

/// The standard output of `compat` in `folder`, which must succeed.
#[track_caller]
pub fn printed(folder: impl AsRef<Path>, arguments: &[&str]) -> String {
    let ran = compat(folder, arguments);
    ran.exits(0);
    ran.out
}
