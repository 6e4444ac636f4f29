//! The results for readers and programs: text for a terminal, Markdown for a job summary, JSON with a schema.

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::group::FailureGroup;
use super::model::{CiJob, CommitRuns, CommitVerdict, JobState, Pipeline, Workflow};
use super::sort::quoted;
use super::{FailureCategory, SortedLog};
use crate::matrix;
use crate::matrix::markdown::escaped;
use crate::text::{counted, first_names, listed};

/// The result of `compat ci status`, `failures` and `watch`.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "CiReport")]
pub struct CiReport {
    /// Always `1`.
    pub schema_version: String,
    pub verdict: CommitVerdict,
    /// 0 green, 1 could not tell, 3 red and ours, 4 red but external or on main already, 5 not finished.
    pub exit_status: u8,
    pub commit: CommitRuns,
    /// Why the commit is not green although no job failed.
    pub doubts: Vec<String>,
    /// The causes of the failures, the worst first; null if they were not read.
    pub groups: Option<Vec<FailureGroup>>,
    /// Logs that could not be read, and other remarks.
    pub notes: Vec<String>,
    /// The number of requests to the services.
    pub requests: usize,
}

impl CiReport {
    /// `is_strict`: a red commit is never excused by external failures.
    pub fn new(
        commit: CommitRuns,
        groups: Option<Vec<FailureGroup>>,
        notes: Vec<String>,
        requests: usize,
        is_strict: bool,
    ) -> Self {
        Self {
            schema_version: "1".to_owned(),
            verdict: commit.verdict(),
            exit_status: exit_status(&commit, groups.as_deref(), is_strict),
            doubts: commit.doubts(),
            commit,
            groups,
            notes,
            requests,
        }
    }
}

fn exit_status(commit: &CommitRuns, groups: Option<&[FailureGroup]>, is_strict: bool) -> u8 {
    if !commit.gaps.is_empty() {
        return 1;
    }
    let is_excused = match groups {
        Some(groups) => !groups.iter().any(|group| group.is_ours),
        None => {
            commit
                .jobs()
                .filter(|job| job.state.is_red())
                .all(|job| job.state == JobState::InfrastructureFailed)
                && commit.jobs().any(|job| job.state.is_red())
        }
    };
    match commit.verdict() {
        CommitVerdict::Green => 0,
        CommitVerdict::Unclear => 1,
        CommitVerdict::Unfinished => 5,
        CommitVerdict::Red if !is_excused || is_strict => 3,
        CommitVerdict::Red if commit.is_unfinished() => 5,
        CommitVerdict::Red => 4,
    }
}

/// The file name and the text of the schema of [`CiReport`].
pub fn schema() -> (&'static str, String) {
    ("ci-report.schema.json", matrix::schema::text::<CiReport>())
}

/// The report for a terminal. Ends with a newline.
pub fn text(report: &CiReport) -> String {
    let mut text = headline(report) + "\n";
    match &report.groups {
        None => text += &jobs_text(&report.commit),
        Some(groups) => groups.iter().for_each(|group| text += &group_text(group)),
    }
    for (title, lines) in [("could not tell", &report.doubts), ("note", &report.notes)] {
        for line in lines {
            let _ = writeln!(text, "  {title}: {}", quoted(line));
        }
    }
    text
}

/// The sums of a commit in one line.
pub fn headline_of(runs: &CommitRuns) -> String {
    headline(&CiReport::new(runs.clone(), None, Vec::new(), 0, false))
}

/// One line: the commit, the sums and the verdict.
fn headline(report: &CiReport) -> String {
    let commit = &report.commit;
    let count = |is_counted: fn(JobState) -> bool| commit.jobs().filter(|job| is_counted(job.state)).count();
    let (passed, red) = (count(|state| state == JobState::Passed), count(JobState::is_red));
    let (running, all) = (count(JobState::is_unfinished), commit.jobs().count());
    let revision: String = commit.revision.chars().take(7).collect();
    let mut words = vec![
        format!(
            "{} {} {}",
            commit.repository,
            quoted(commit.branch.as_deref().unwrap_or_default()),
            if revision.is_empty() {
                "(no commit)"
            } else {
                &revision
            }
        ),
        format!(
            "{}, {}",
            counted(commit.pipelines.len(), "pipeline"),
            counted(commit.workflows().count(), "workflow")
        ),
        format!("{passed} of {all} jobs passed, {red} red, {running} not finished"),
    ];
    words.push(match report.verdict {
        CommitVerdict::Green => "GREEN".to_owned(),
        CommitVerdict::Red => match &report.groups {
            None => "RED".to_owned(),
            Some(groups) => {
                let ours = groups.iter().filter(|group| group.is_ours).count();
                format!("RED: {}, {ours} new or ours", counted(groups.len(), "cause"))
            }
        },
        CommitVerdict::Unfinished => "NOT FINISHED".to_owned(),
        CommitVerdict::Unclear => "COULD NOT TELL".to_owned(),
    });
    words.join(" · ")
}

fn jobs_text(commit: &CommitRuns) -> String {
    let mut text = String::new();
    for pipeline in &commit.pipelines {
        let _ = writeln!(text, "{} {}", pipeline.service.name(), quoted(&pipeline.title));
        for error in &pipeline.errors {
            let _ = writeln!(text, "  refused: {}", quoted(error));
        }
        for workflow in &pipeline.workflows {
            text += &workflow_text(workflow);
        }
    }
    text
}

fn workflow_text(workflow: &Workflow) -> String {
    let attempt = match workflow.attempt {
        1 => String::new(),
        attempt => format!(" (attempt {attempt})"),
    };
    let mut text = format!(
        "  {}{attempt}: {}\n",
        quoted(&workflow.name),
        quoted(&workflow.status)
    );
    let (passed, others): (Vec<&CiJob>, Vec<&CiJob>) = workflow
        .jobs
        .iter()
        .partition(|job| job.state == JobState::Passed);
    for job in others {
        let mut details = vec![quoted(&job.status)];
        details.extend(
            job.seconds
                .map(|seconds| format!("{} m {:02} s", seconds / 60, seconds % 60)),
        );
        if !job.after.is_empty() && !job.state.is_red() {
            details.push(format!("after {}", listed(job.after.iter().map(|name| &**name))));
        }
        details.extend(job.url.iter().map(|url| quoted(url)));
        let _ = writeln!(
            text,
            "    {} {}: {}",
            sign(job.state),
            quoted(&job.name),
            details.join(" · ")
        );
    }
    if !passed.is_empty() {
        let names: Vec<String> = passed.iter().map(|job| quoted(&job.name)).collect();
        let _ = writeln!(text, "    ✓ {}", names.join(", "));
    }
    text
}

fn sign(state: JobState) -> &'static str {
    match state {
        JobState::Passed => "✓",
        state if state.is_red() => "✗",
        JobState::Running => "…",
        JobState::OnHold => "‖",
        JobState::NotRun => "-",
        _ => "?",
    }
}

fn group_text(group: &FailureGroup) -> String {
    let line = match group.line.as_str() {
        "" => &group.why,
        line => line,
    };
    let mut text = format!(
        "  {:<10} {:<14} {line}\n",
        group.evidence.words(),
        group.category.as_str()
    );
    let mut indented = |label: &str, words: &str| {
        let _ = writeln!(text, "  {:<25} {label}{words}", "");
    };
    for line in &group.tail {
        indented("| ", line);
    }
    if !group.line.is_empty() {
        indented("", &group.why);
    }
    indented("in ", &places(group));
    let shuffles = match group.shuffles {
        true => "; other tests failed like this before: these failures move from test to test",
        false => "",
    };
    indented("", &format!("{}{shuffles}", group.proof));
    indented(
        "→ ",
        &format!("{}; {}", group.action, rerun_words(group.rerun_helps)),
    );
    text
}

fn places(group: &FailureGroup) -> String {
    let jobs = format!(
        "{} ({})",
        counted(group.jobs.len(), "job"),
        first_names(&group.jobs)
    );
    match group.tests.is_empty() {
        true => jobs,
        false => format!(
            "{jobs}, {} ({})",
            counted(group.tests.len(), "test"),
            first_names(&group.tests)
        ),
    }
}

/// Whether a rerun helps, in words.
pub fn rerun_words(helps: Option<bool>) -> &'static str {
    match helps {
        Some(true) => "a rerun may help",
        Some(false) => "a rerun does not help",
        None => "not known whether a rerun helps",
    }
}

/// The report as Markdown, in which nothing of a log or of a name is markup. Ends with a newline.
pub fn markdown(report: &CiReport) -> String {
    let mut text = format!("## {}\n", escaped(&headline(report)));
    if let Some(groups) = &report.groups {
        if !groups.is_empty() {
            text += "\n| evidence | category | failure | where | do |\n|---|---|---|---|---|\n";
        }
        for group in groups {
            let cells = [
                format!("{}: {}", group.evidence.words(), group.proof),
                group.category.as_str().to_owned(),
                format!("{} {}", group.line, group.why),
                places(group),
                format!("{}; {}", group.action, rerun_words(group.rerun_helps)),
            ];
            let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
    } else {
        text.push('\n');
        for pipeline in &report.commit.pipelines {
            text += &pipeline_markdown(pipeline);
        }
    }
    for line in report.doubts.iter().chain(&report.notes) {
        let _ = write!(text, "\n- {}", escaped(&quoted(line)));
    }
    text.trim_end().to_owned() + "\n"
}

fn pipeline_markdown(pipeline: &Pipeline) -> String {
    let errors = pipeline
        .errors
        .iter()
        .map(|error| format!("- refused: {}\n", escaped(&quoted(error))));
    let mut text: String = errors.collect();
    for workflow in &pipeline.workflows {
        let _ = writeln!(
            text,
            "- {}: {}",
            escaped(&workflow.name),
            escaped(&workflow.status)
        );
        for job in workflow.jobs.iter().filter(|job| job.state != JobState::Passed) {
            let _ = writeln!(text, "  - {}: {}", escaped(&job.name), escaped(&job.status));
        }
    }
    text
}

/// The verdict on one log. Ends with a newline.
pub fn sorted_text(sorted: &SortedLog) -> String {
    let category = sorted.category.as_str();
    let mut text = match sorted.category {
        FailureCategory::None | FailureCategory::Unknown => format!("{category}: {}\n", sorted.why),
        _ => format!(
            "{category} ({:.0} %): {}\n",
            sorted.confidence * 100.0,
            sorted.why
        ),
    };
    if sorted.line_number > 0 {
        let _ = writeln!(text, "  line {}: {}", sorted.line_number, sorted.line);
    }
    for line in &sorted.tail {
        let _ = writeln!(text, "  | {line}");
    }
    if sorted.is_cut {
        text += "  the log is long: only its ends and the failure lines between them were read\n";
    }
    if sorted.category != FailureCategory::None {
        let _ = writeln!(text, "  do: {}", sorted.action);
        let _ = writeln!(text, "  {}", rerun_words(sorted.rerun_helps));
    }
    text
}

/// The same as Markdown, in which nothing of the log is markup.
pub fn sorted_markdown(sorted: &SortedLog) -> String {
    let lines = sorted_text(sorted);
    let lines = lines.lines().map(|line| format!("- {}\n", escaped(line.trim())));
    lines.collect()
}
