//! The results for readers: text for a terminal, Markdown for a job summary.

use super::{FailureCategory, SortedLog};
use crate::matrix::markdown::escaped;

/// The verdict on one log. Ends with a newline.
pub fn sorted_text(sorted: &SortedLog) -> String {
    let mut text = match sorted.category {
        FailureCategory::None | FailureCategory::Unknown => format!("{}: {}\n", sorted.category.as_str(), sorted.why),
        category => format!(
            "{} ({:.0} %): {}\n",
            category.as_str(),
            sorted.confidence * 100.0,
            sorted.why
        ),
    };
    if sorted.line_number > 0 {
        text += &format!("  line {}: {}\n", sorted.line_number, sorted.line);
    }
    for line in &sorted.tail {
        text += &format!("  | {line}\n");
    }
    if sorted.category != FailureCategory::None {
        text += &format!("  do:    {}\n", sorted.action);
        text += &format!("  rerun: {}\n", rerun_words(sorted.rerun_helps));
    }
    text
}

/// Whether a rerun helps, in words.
pub fn rerun_words(helps: bool) -> &'static str {
    match helps {
        true => "may help",
        false => "does not help",
    }
}

/// The same as Markdown, in which nothing of the log is markup.
pub fn sorted_markdown(sorted: &SortedLog) -> String {
    let lines = sorted_text(sorted);
    let lines: Vec<String> = lines.lines().map(|line| format!("- {}", escaped(line.trim()))).collect();
    lines.join("\n") + "\n"
}
