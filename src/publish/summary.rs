//! What a run came to, for people: Markdown for a job summary, JSON for a webhook in Slack's format.
//!
//! Pure. Nothing secret is in what it is given.
#![warn(clippy::disallowed_methods)]

use serde_json::{Value, json};

use super::gate::{Candidate, Judgement};
use super::plan::Plan;
use crate::matrix::diff::{CellChange, ChangeKind, Diff};
use crate::matrix::markdown;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// A commit is in the docs repository.
    Pushed {
        commit: String,
    },
    Proposed {
        url: String,
        auto_merge: bool,
    },
    /// The docs repository has it already.
    Unchanged,
    Skipped,
    Planned,
    Refused,
    /// What is published must not be replaced by it.
    Withheld {
        why: String,
    },
    Failed {
        step: String,
        error: String,
    },
}

impl Ending {
    pub fn in_words(&self) -> String {
        match self {
            Self::Pushed { commit } => format!("published as commit {}", &commit[..commit.len().min(12)]),
            Self::Proposed {
                url,
                auto_merge: true,
            } => format!("proposed as {url}, which merges by itself"),
            Self::Proposed {
                url,
                auto_merge: false,
            } => {
                format!("proposed as {url}, which waits for somebody to merge it")
            }
            Self::Unchanged => "matrix JSON unchanged; skipping push".into(),
            Self::Skipped => "skip-publish: not pushing to docs repo".into(),
            Self::Planned => "planned, and not done".into(),
            Self::Refused => "not published: the last truth stays".into(),
            Self::Withheld { why } => format!("not published: the last truth stays: {why}"),
            Self::Failed { step, error } => format!("failed to publish: {step}: {error}"),
        }
    }

    fn is_failure(&self) -> bool {
        self.is_refusal() || matches!(self, Self::Failed { .. })
    }

    /// Whether the run went well, and what it found may not be published.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused | Self::Withheld { .. })
    }
}

/// What is known of a run at its end; a run that failed early knows little.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    pub judgement: Option<&'a Judgement>,
    pub plan: Option<&'a Plan>,
}

impl<'a> Known<'a> {
    fn diff(self) -> Option<&'a Diff> {
        self.plan?.diff.as_ref()
    }

    fn candidate(self) -> Option<&'a Candidate> {
        self.judgement.map(|judgement| &judgement.candidate)
    }

    fn refusals(self) -> Vec<String> {
        let refusals = self.judgement.map(|judgement| judgement.refusals.as_slice());
        refusals
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

/// The job summary: the ending, refusals, what changed, the matrix. Ends with a newline.
pub fn markdown(ending: &Ending, known: Known) -> String {
    let mut text = format!(
        "## Claude Code compatibility: {}\n",
        markdown::escaped(&ending.in_words())
    );
    for refusal in known.refusals() {
        text += &format!("\n- {}", markdown::escaped(&refusal));
    }
    if let Some(judgement) = known.judgement
        && !judgement.left_out.is_empty()
    {
        text += &format!(
            "\n{} trials could not be judged and count as not tested.\n",
            judgement.left_out.len()
        );
    }
    if let Some(diff) = known.diff() {
        text += &format!("\n{}", markdown::of_diff(diff));
    }
    if let Some(candidate) = known.candidate() {
        text += &format!(
            "\n{}",
            markdown::of_matrix(&candidate.matrix, Some(&candidate.details))
        );
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
        "Cells that passed now fail: this does not merge by itself."
    } else {
        "No cell that passed now fails."
    };
    format!("{advice}\n\n{changes}")
}

/// What a webhook is told; nothing where there is nothing to tell: no regression, no fix, no failure.
pub fn webhook(ending: &Ending, known: Known) -> Option<Value> {
    let of_kind = |kind| known.diff().map(|diff| diff.of_kind(kind).collect::<Vec<_>>());
    let regressions = of_kind(ChangeKind::Regression).unwrap_or_default();
    let fixes = of_kind(ChangeKind::Fix).unwrap_or_default();
    let is_news = !(regressions.is_empty() && fixes.is_empty())
        && matches!(ending, Ending::Pushed { .. } | Ending::Proposed { .. });
    if !is_news && !ending.is_failure() {
        return None;
    }
    let mut lines = vec![format!(
        "*Claude Code compatibility matrix*: {}",
        ending.in_words()
    )];
    lines.extend(known.refusals().into_iter().map(|refusal| format!("• {refusal}")));
    if is_news {
        lines.extend(known.diff().map(Diff::headline));
        lines.extend(regressions.into_iter().map(|change| line(":red_circle:", change)));
        lines.extend(
            fixes
                .into_iter()
                .map(|change| line(":large_green_circle:", change)),
        );
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

/// Slack reads these three as markup, whoever wrote them.
fn slack_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
