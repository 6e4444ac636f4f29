//! Whether to publish a matrix, and which files the commit may change.
//!
//! Pure. `deliver` carries out a plan and does nothing else.
#![warn(clippy::disallowed_methods)]

use std::fmt;
use std::str::FromStr;

use anyhow::ensure;
use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;

use super::gate::{Candidate, Refusal};
use crate::matrix::Matrix;
use crate::matrix::diff::Diff;
use crate::results::json::{self, timestamp};
use crate::text::listed;

/// The branch and the files of the matrix in the docs repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DocsTarget {
    pub branch: String,
    pub path: RepositoryPath,
    /// The file of the details, if they are published too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details_path: Option<RepositoryPath>,
    /// The file of the version history, if one is published too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version_history_path: Option<RepositoryPath>,
}

impl DocsTarget {
    /// The files that a commit may change.
    fn paths(&self) -> impl Iterator<Item = &RepositoryPath> {
        std::iter::once(&self.path)
            .chain(&self.details_path)
            .chain(&self.version_history_path)
    }
}

/// A file's path in a repository: relative, with slashes, never outside the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RepositoryPath(String);

impl FromStr for RepositoryPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_plain = |part: &str| !matches!(part, "" | "." | ".." | ".git");
        let is_special = |character: char| character.is_control() || character == '\\';
        if text.ends_with(".json") && text.split('/').all(is_plain) && !text.contains(is_special) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "`{text}` is not a path of a JSON file in a repository, expected a path such as \
                 `static/data/compatibility-matrix.json`"
            ))
        }
    }
}

impl RepositoryPath {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The present state of the docs repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublishedFiles {
    /// The branch's commit.
    pub base: String,
    pub matrix: Option<String>,
    pub details: Option<String>,
    pub version_history: Option<String>,
}
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewFile {
    pub path: RepositoryPath,
    pub bytes: usize,
    #[serde(skip)]
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    pub action: Action,
    pub target: DocsTarget,
    /// The commit that the plan is based on.
    pub base: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    /// Empty without a commit.
    pub files: Vec<NewFile>,
    /// Empty without a commit.
    pub message: String,
    /// The changes from the published matrix, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<Diff>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Commit,
    /// The docs repository already has this matrix.
    Unchanged,
    Refuse,
}

/// The docs repository has a matrix that this one must not replace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the docs repository's {0}")]
pub struct Conflict(String);

#[derive(Clone, Debug)]
pub struct Policy {
    pub target: DocsTarget,
    /// Publish an unchanged matrix again at this age; `None` for never.
    pub refresh_after: Option<TimeDelta>,
}

pub fn plan(
    candidate: &Candidate,
    refusals: &[Refusal],
    published: &PublishedFiles,
    policy: &Policy,
) -> Result<Plan, Conflict> {
    let mut plan = Plan {
        action: Action::Commit,
        target: policy.target.clone(),
        base: published.base.clone(),
        refusals: refusals.to_vec(),
        files: Vec::new(),
        message: String::new(),
        diff: None,
        notes: Vec::new(),
    };
    let path = policy.target.path.as_str();
    let mut is_unchanged = false;
    if let Some(text) = &published.matrix {
        refuse_other_schema(path, text)?;
        match Matrix::parse(text) {
            Ok(old) => {
                refuse_older(path, &old, &candidate.matrix)?;
                plan.diff = Some(Diff::new(&old, &candidate.matrix, Some(&candidate.details)));
                let has_details = policy.target.details_path.is_none() || published.details.is_some();
                let given = &candidate.version_history;
                let has_history = given.is_none() || *given == published.version_history;
                is_unchanged = has_details && has_history && policy.is_current(old, &candidate.matrix);
            }
            Err(error) => plan
                .notes
                .push(format!("the docs repository's `{path}` is no matrix: {error}")),
        }
    }
    plan.action = match (refusals.is_empty(), is_unchanged) {
        (false, _) => Action::Refuse,
        (true, true) => Action::Unchanged,
        (true, false) => Action::Commit,
    };
    if plan.action == Action::Commit {
        plan.files = files(candidate, &policy.target);
        plan.message = message(&candidate.matrix);
    }
    Ok(plan)
}

impl Policy {
    /// Whether `old` differs from `new` only in its time, and is not too old.
    fn is_current(&self, old: Matrix, new: &Matrix) -> bool {
        let age = new.generated_at - old.generated_at;
        let old = Matrix {
            generated_at: new.generated_at,
            ..old
        };
        self.refresh_after.is_none_or(|limit| age < limit) && old == *new
    }
}

impl Plan {
    pub fn to_text(&self) -> String {
        json::write(self)
    }

    /// Whether a cell that passed now fails.
    pub fn has_regressions(&self) -> bool {
        self.diff.as_ref().is_some_and(Diff::has_regressions)
    }
}

fn refuse_other_schema(path: &str, text: &str) -> Result<(), Conflict> {
    let version = serde_json::from_str::<Value>(text)
        .ok()
        .and_then(|document| document.get("schema_version").cloned());
    match version {
        Some(version) if version != "1" => Err(Conflict(format!(
            "`{path}` has `schema_version` {version}, and this `compat` writes `\"1\"`: use the release of `compat` for that \
             version"
        ))),
        _ => Ok(()),
    }
}

fn refuse_older(path: &str, old: &Matrix, new: &Matrix) -> Result<(), Conflict> {
    if new.generated_at >= old.generated_at {
        return Ok(());
    }
    Err(Conflict(format!(
        "`{path}` is of {}, newer than this run's {}: run again instead of publishing old results",
        timestamp::to_text(&old.generated_at),
        timestamp::to_text(&new.generated_at)
    )))
}

fn files(candidate: &Candidate, target: &DocsTarget) -> Vec<NewFile> {
    let file = |path: &RepositoryPath, text: String| NewFile {
        path: path.clone(),
        bytes: text.len(),
        text,
    };
    let mut files = vec![file(&target.path, candidate.matrix.to_text())];
    let details = target.details_path.as_ref();
    files.extend(details.map(|path| file(path, candidate.details.to_text())));
    let history = target
        .version_history_path
        .as_ref()
        .zip(candidate.version_history.clone());
    files.extend(history.map(|(path, text)| file(path, text)));
    files
}

fn message(matrix: &Matrix) -> String {
    format!(
        "Update Claude Code compatibility matrix\n\nlitellm_version: {}\nclaude_code_version: {}\ngenerated_at: {}\n",
        matrix.litellm_version,
        matrix.claude_code_version,
        timestamp::to_text(&matrix.generated_at)
    )
}

/// A file that differs between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFile {
    pub path: String,
    /// `A`dded, `M`odified, `D`eleted, `T` for a change of type.
    pub status: String,
    pub mode: String,
}

/// Checks that a commit, compared with its base, writes only files of `target`, as plain files.
pub fn check_commit(changed: &[ChangedFile], target: &DocsTarget) -> anyhow::Result<()> {
    let allowed: Vec<&str> = target.paths().map(RepositoryPath::as_str).collect();
    let is_allowed = |file: &&ChangedFile| {
        allowed.contains(&file.path.as_str())
            && matches!(file.status.as_str(), "A" | "M")
            && file.mode == "100644"
    };
    let others: Vec<&str> = changed
        .iter()
        .filter(|file| !is_allowed(file))
        .map(|file| file.path.as_str())
        .collect();
    ensure!(
        others.is_empty(),
        "the commit would change {}, and only {} may change: nothing was pushed",
        listed(others),
        listed(allowed)
    );
    ensure!(
        !changed.is_empty(),
        "the commit would change nothing: nothing was pushed"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(path: &str, status: &str, mode: &str) -> ChangedFile {
        ChangedFile {
            path: path.into(),
            status: status.into(),
            mode: mode.into(),
        }
    }

    #[test]
    fn a_commit_may_write_only_the_matrix_file() {
        let target = DocsTarget {
            branch: "main".into(),
            path: "data/matrix.json".parse().unwrap(),
            details_path: None,
            version_history_path: None,
        };
        let matrix = changed("data/matrix.json", "M", "100644");
        assert!(check_commit(std::slice::from_ref(&matrix), &target).is_ok());
        for other in [
            changed("README.md", "M", "100644"),
            changed("config.yml", "A", "100644"),
            changed("matrix.json", "A", "100644"),
            changed("data/matrix.json", "D", "000000"),
            changed("data/matrix.json", "T", "120000"),
            changed("data/matrix.json", "M", "100755"),
        ] {
            let start = format!("the commit would change `{}`, and only", other.path);
            let error = check_commit(&[matrix.clone(), other], &target).unwrap_err();
            assert!(error.to_string().starts_with(&start), "{error}");
        }
        assert!(check_commit(&[], &target).is_err());
    }

    #[test]
    fn a_path_never_leaves_the_repository() {
        let outside = [
            "",
            "/etc/x.json",
            "../x.json",
            "a/../x.json",
            "a//x.json",
            ".git/x.json",
        ];
        for path in outside.into_iter().chain(["x.md", "a\\x.json", "a\nx.json"]) {
            assert!(path.parse::<RepositoryPath>().is_err(), "{path}");
        }
        assert!("x.json".parse::<RepositoryPath>().is_ok());
    }
}
