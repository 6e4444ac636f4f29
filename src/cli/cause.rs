//! `compat cause`: reads failure messages, one per line, and prints the cause of each.

use std::io::{self, BufRead, Read as _, Write};
use std::process::ExitCode;

use anyhow::Context;
use serde::Serialize;
use serde_json::Value;

use crate::cause::{self, Diagnosis, ErrorMessage};
use crate::outcome::Cause;

/// Print the cause of each failure message on standard input
///
/// Reads one message per line and immediately prints one JSON object per line: `cause`, `confidence` (0 to 1), `why` (the
/// recognized shape) and `next` (what to do). The causes are gateway, assertion, config, auth, account, rate_limit,
/// upstream, cli and harness.
///
/// A line may be plain text, a JSON string, or a JSON object with a string `message`, without `error`, and optionally with
/// a number `status` and a string `error_type`. Any other JSON counts as plain text. An empty line gets an answer too.
/// Bytes that are not UTF-8 are replaced.
#[derive(clap::Args, Debug)]
#[command(after_long_help = "\
Examples:
  echo 'API Error: 529 Overloaded' | compat cause
  compat cause < failures.jsonl | jq -r .cause | sort | uniq -c
  tail -f gateway.log | compat cause")]
pub struct Arguments {}

/// Ends with standard input, or when the reader of standard output closes the pipe.
pub fn run(_arguments: Arguments) -> anyhow::Result<ExitCode> {
    match answer(io::stdin().lock(), io::stdout().lock()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        answered => {
            answered.context("cannot read messages from standard input")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// One line of output.
#[derive(Serialize)]
struct Line<'a> {
    cause: Cause,
    confidence: f64,
    why: &'a str,
    next: &'a str,
}

/// The longest part of a line that is read: an error message has a few kilobytes.
const MAX_BYTES: u64 = 64 << 10;

fn answer(mut messages: impl BufRead, mut answers: impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    while read_line(&mut messages, &mut line)? {
        let Diagnosis {
            cause,
            confidence,
            why,
            next,
            ..
        } = cause::diagnose(&message(&line));
        serde_json::to_writer(
            &mut answers,
            &Line {
                cause,
                confidence,
                why: &why,
                next: &next,
            },
        )?;
        answers.write_all(b"\n")?;
        answers.flush()?;
        line.clear();
    }
    Ok(())
}

/// Reads the first [`MAX_BYTES`] of a line, and skips the rest. Returns whether there was a line.
fn read_line(messages: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let found = messages.by_ref().take(MAX_BYTES).read_until(b'\n', line)? > 0;
    if found && !line.ends_with(b"\n") {
        messages.skip_until(b'\n')?;
    }
    Ok(found)
}

fn message(line: &[u8]) -> ErrorMessage {
    let text = String::from_utf8_lossy(line);
    match serde_json::from_str(&text) {
        Ok(Value::String(message)) => ErrorMessage::new(&message),
        Ok(Value::Object(object)) => match object.get("message").and_then(Value::as_str) {
            Some(message) if !object.contains_key("error") => with_facts(ErrorMessage::new(message), &object),
            _ => ErrorMessage::new(&text),
        },
        _ => ErrorMessage::new(&text),
    }
}

fn with_facts(message: ErrorMessage, object: &serde_json::Map<String, Value>) -> ErrorMessage {
    let status = object
        .get("status")
        .and_then(Value::as_u64)
        .and_then(|status| u16::try_from(status).ok());
    let message = message.with_status(status);
    match object.get("error_type").and_then(Value::as_str) {
        Some(error_type) => message.with_error_type(error_type),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(messages: &[u8]) -> Vec<Value> {
        let mut answers = Vec::new();
        answer(messages, &mut answers).unwrap();
        let text = String::from_utf8(answers).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    #[test]
    fn each_line_gets_one_answer_in_order() {
        let answers =
            answers(b"API Error: 529 Overloaded\n\n\xff\xfe broken bytes\nAPI Error: 401 x\r\nlast 429 {");
        let causes: Vec<_> = answers
            .iter()
            .map(|answer| answer["cause"].as_str().unwrap())
            .collect();
        assert_eq!(
            causes,
            ["upstream", "assertion", "assertion", "auth", "rate_limit"]
        );
    }

    #[test]
    fn a_line_may_be_a_json_string_or_object() {
        let answers = answers(
            b"\"API Error: 529 Overloaded\"\n\
              {\"message\": \"nothing to see\", \"status\": 403, \"cause\": \"upstream\"}\n\
              {\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":\"x\"}}\n",
        );
        let causes: Vec<_> = answers
            .iter()
            .map(|answer| answer["cause"].as_str().unwrap())
            .collect();
        assert_eq!(causes, ["upstream", "auth", "auth"]);
    }

    #[test]
    fn a_long_line_is_cut_and_gets_one_answer() {
        let long = "x".repeat(1 << 20);
        let answers = answers(format!("API Error: 529 Overloaded {long}\nlast 429 {{\n").as_bytes());
        let causes: Vec<_> = answers.iter().map(|answer| answer["cause"].clone()).collect();
        assert_eq!(causes, ["upstream", "rate_limit"]);
    }

    #[test]
    fn an_answer_has_four_fields() {
        let answers = answers(b"x\n");
        let keys: Vec<_> = answers[0].as_object().unwrap().keys().collect();
        assert_eq!(keys, ["cause", "confidence", "why", "next"]);
    }
}
