//! The result of a run for readers: Markdown for a job summary, JSON for a webhook in Slack's format.
//!
//! Pure. Its input holds no secret.
#![warn(clippy::disallowed_methods)]

use std::fmt;

use serde_json::{Value, json};

use super::gate::{Candidate, GateDecision};
use super::plan::Plan;
use crate::matrix::diff::{CellChange, ChangeKind, Diff};
use crate::matrix::markdown;
use crate::text::counted;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The commit.
    Pushed(String),
    Proposed {
        url: String,
        auto_merge: bool,
    },
    /// The docs repository already has this matrix.
    Unchanged,
    Skipped,
    Planned,
    Refused,
    /// Why the published matrix must not be replaced.
    Withheld(String),
    Failed {
        step: String,
        error: String,
    },
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pushed(commit) => write!(f, "published as commit {}", &commit[..commit.len().min(12)]),
            Self::Proposed { url, auto_merge } => match auto_merge {
                true => write!(f, "proposed as {url}, which merges automatically"),
                false => write!(f, "proposed as {url}, which needs a manual merge"),
            },
            Self::Unchanged => f.write_str("matrix JSON unchanged; skipping push"),
            Self::Skipped => f.write_str("skip-publish: not pushing to docs repo"),
            Self::Planned => f.write_str("planned, not published"),
            Self::Refused => f.write_str("not published: the published matrix stays"),
            Self::Withheld(why) => write!(f, "not published: the published matrix stays: {why}"),
            Self::Failed { step, error } => write!(f, "failed to publish: {step}: {error}"),
        }
    }
}

impl Ending {
    fn is_failure(&self) -> bool {
        self.is_refusal() || matches!(self, Self::Failed { .. })
    }

    /// Whether the run went well but its result must not be published.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused | Self::Withheld(_))
    }
}

/// The results of a run at its end; a run that failed early has few.
#[derive(Clone, Copy, Debug, Default)]
pub struct SummaryInput<'a> {
    pub decision: Option<&'a GateDecision>,
    pub plan: Option<&'a Plan>,
}

impl<'a> SummaryInput<'a> {
    fn diff(self) -> Option<&'a Diff> {
        self.plan?.diff.as_ref()
    }

    fn refusals(self) -> Vec<String> {
        let refusals = self.decision.into_iter().flat_map(|decision| &decision.refusals);
        refusals.map(ToString::to_string).collect()
    }
}

/// The job summary: the ending, refusals, changes, the matrix. Ends with a newline.
pub fn markdown(ending: &Ending, input: SummaryInput) -> String {
    let title = markdown::escaped(&ending.to_string());
    let mut text = format!("## Claude Code compatibility: {title}\n");
    for refusal in input.refusals() {
        text += &format!("\n- {}", markdown::escaped(&refusal));
    }
    for note in input.decision.iter().flat_map(|decision| &decision.notes) {
        text += &format!("\n- {}", markdown::escaped(note));
    }
    let left_out = input.decision.map_or(0, |decision| decision.left_out.len());
    if left_out > 0 {
        let left_out = counted(left_out, "trial");
        text += &format!("\nNot judged, and so published as not tested: {left_out}.\n");
    }
    if let Some(diff) = input.diff() {
        text += &format!("\n{}", markdown::of_diff(diff));
    }
    if let Some(decision) = input.decision {
        let Candidate { matrix, details, .. } = &decision.candidate;
        text += &format!("\n{}", markdown::of_matrix(matrix, Some(details)));
    }
    text.trim_end().to_owned() + "\n"
}

/// The text of a pull request: regressions first. Ends with a newline.
pub fn of_pull_request(plan: &Plan) -> String {
    let changes = match &plan.diff {
        Some(diff) => markdown::of_diff(diff),
        None => "The docs repository has no matrix yet.\n".into(),
    };
    let advice = if plan.has_regressions() {
        "Cells that passed now fail, so this needs a manual merge."
    } else {
        "No cell that passed now fails."
    };
    format!("{advice}\n\n{changes}")
}

/// The message for a webhook; `None` without a regression, a fix or a failure.
pub fn webhook(ending: &Ending, input: SummaryInput) -> Option<Value> {
    let of_kind = |kind| -> Vec<&CellChange> {
        let changes = input.diff().into_iter().flat_map(|diff| diff.of_kind(kind));
        changes.collect()
    };
    let (regressions, fixes) = (of_kind(ChangeKind::Regression), of_kind(ChangeKind::Fix));
    let is_news = !(regressions.is_empty() && fixes.is_empty())
        && matches!(ending, Ending::Pushed(_) | Ending::Proposed { .. });
    if !is_news && !ending.is_failure() {
        return None;
    }
    let mut lines = vec![format!("*Claude Code compatibility matrix*: {ending}")];
    lines.extend(input.refusals().into_iter().map(|refusal| format!("• {refusal}")));
    if is_news {
        lines.extend(input.diff().map(Diff::headline));
        lines.extend(regressions.iter().map(|change| line(":red_circle:", change)));
        lines.extend(fixes.iter().map(|change| line(":large_green_circle:", change)));
    }
    Some(json!({ "text": slack_escaped(&lines.join("\n")) }))
}

fn line(sign: &str, change: &CellChange) -> String {
    let fault = match change.fault() {
        fault if fault.is_empty() => fault,
        fault => format!(" ({fault})"),
    };
    format!(
        "{sign} {} on {}: {}{fault}",
        change.name,
        change.provider,
        change.words()
    )
}

/// Slack reads these three characters as markup.
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
