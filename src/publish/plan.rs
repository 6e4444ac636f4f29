//! What is to be done with a matrix: published, or left, and why; and exactly which files a commit of it may touch.
//!
//! Pure: values in, values out. `deliver` does what a plan says, and nothing else.
#![warn(clippy::disallowed_methods)]

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;

use super::gate::{Candidate, Refusal};
use crate::matrix::Matrix;
use crate::matrix::diff::Diff;
use crate::results::json::timestamp;

/// Where in the docs repository the matrix goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The branch that the docs are built from.
    pub branch: String,
    pub path: RepositoryPath,
    /// The details' file, if they are published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details_path: Option<RepositoryPath>,
}

/// A file's path in a repository: relative, with slashes, and with nothing that leads out of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct RepositoryPath(String);

/// A text that is no such path.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no path of a file in a repository, expected something like `static/data/compatibility-matrix.json`"
)]
pub struct RepositoryPathError(String);

impl FromStr for RepositoryPath {
    type Err = RepositoryPathError;

    fn from_str(text: &str) -> Result<Self, RepositoryPathError> {
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != ".." && part != ".git";
        let is_printable = text
            .chars()
            .all(|character| !character.is_control() && character != '\\');
        if is_printable && text.ends_with(".json") && text.split('/').all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RepositoryPathError(text.to_owned()))
        }
    }
}

impl RepositoryPath {
    /// The path as git writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What stands in the docs repository now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The commit that the branch is at.
    pub base: String,
    /// The matrix file's text, if it is there.
    pub matrix: Option<String>,
    /// The details file's text, if it is there.
    pub details: Option<String>,
}

/// A file that a commit is to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct File {
    pub path: RepositoryPath,
    pub bytes: usize,
    #[serde(skip)]
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plan {
    /// Whether anything is to be written.
    pub action: Action,
    pub target: Target,
    /// The commit that the plan was made for.
    pub base: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
    /// The files of the commit; empty if none is made.
    pub files: Vec<File>,
    /// The commit's message; empty if none is made.
    pub message: String,
    /// The published matrix compared with the new one; absent where none is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<Diff>,
    /// What else there is to know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Whether anything is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A commit is to be made.
    Commit,
    /// The docs repository has it already.
    Unchanged,
    Refuse,
}

/// The docs repository has a matrix that this one must not replace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    #[error(
        "the docs repository's `{path}` has `schema_version` {version}, and this `compat` writes `\"1\"`: use the release of \
         `compat` that goes with it"
    )]
    Schema { path: String, version: String },
    #[error(
        "the docs repository's `{path}` is of {published}, which is newer than this run's {candidate}: run again instead of \
         publishing old results"
    )]
    Newer {
        path: String,
        published: String,
        candidate: String,
    },
}

#[derive(Clone, Debug)]
pub struct Policy {
    pub target: Target,
    /// How old an unchanged matrix may get before it is published anew; never, if there is no such age.
    pub refresh_after: Option<TimeDelta>,
}

/// Says what to do with `candidate`, given what is published.
pub fn plan(
    candidate: &Candidate,
    refusals: &[Refusal],
    published: &Published,
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
    if let Some(text) = &published.matrix {
        refuse_other_schema(path, text)?;
        match Matrix::parse(text) {
            Ok(old) => {
                refuse_older(path, &old, &candidate.matrix)?;
                plan.diff = Some(Diff::new(&old, &candidate.matrix, Some(&candidate.details)));
            }
            Err(error) => plan.notes.push(format!(
                "what the docs repository has at `{path}` is no matrix: {error}"
            )),
        }
    }
    if !refusals.is_empty() {
        plan.action = Action::Refuse;
    } else if is_unchanged(candidate, published, policy) {
        plan.action = Action::Unchanged;
    } else {
        plan.files = files(candidate, &policy.target);
        plan.message = message(&candidate.matrix);
    }
    Ok(plan)
}

impl Plan {
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("it has text keys and finite numbers");
        text.push('\n');
        text
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
        Some(version) if version != "1" => Err(Conflict::Schema {
            path: path.to_owned(),
            version: version.to_string(),
        }),
        _ => Ok(()),
    }
}

fn refuse_older(path: &str, old: &Matrix, new: &Matrix) -> Result<(), Conflict> {
    if new.generated_at >= old.generated_at {
        return Ok(());
    }
    Err(Conflict::Newer {
        path: path.to_owned(),
        published: timestamp::to_text(&old.generated_at),
        candidate: timestamp::to_text(&new.generated_at),
    })
}

fn is_unchanged(candidate: &Candidate, published: &Published, policy: &Policy) -> bool {
    let Some(old) = &published.matrix else {
        return false;
    };
    let is_fresh = |old: &Value| match (policy.refresh_after, generated_at(old)) {
        (Some(limit), Some(old)) => candidate.matrix.generated_at - old < limit,
        _ => true,
    };
    let has_details = policy.target.details_path.is_none() || published.details.is_some();
    let (Ok(old), Ok(new)) = (
        serde_json::from_str::<Value>(old),
        serde_json::from_str::<Value>(&candidate.matrix.to_text()),
    ) else {
        return false;
    };
    has_details && is_fresh(&old) && without_time(old) == without_time(new)
}

fn generated_at(matrix: &Value) -> Option<DateTime<Utc>> {
    timestamp::from_text(matrix.get("generated_at")?.as_str()?).ok()
}

fn without_time(mut matrix: Value) -> Value {
    if let Some(matrix) = matrix.as_object_mut() {
        matrix.remove("generated_at");
    }
    matrix
}

fn files(candidate: &Candidate, target: &Target) -> Vec<File> {
    let file = |path: &RepositoryPath, text: String| File {
        path: path.clone(),
        bytes: text.len(),
        text,
    };
    let details = target
        .details_path
        .as_ref()
        .map(|path| file(path, candidate.details.to_text()));
    std::iter::once(file(&target.path, candidate.matrix.to_text()))
        .chain(details)
        .collect()
}

pub fn message(matrix: &Matrix) -> String {
    format!(
        "Update Claude Code compatibility matrix\n\nlitellm_version: {}\nclaude_code_version: {}\ngenerated_at: {}\n",
        matrix.litellm_version,
        matrix.claude_code_version,
        timestamp::to_text(&matrix.generated_at)
    )
}

/// A file that differs between two trees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touched {
    pub path: String,
    /// How: `A`dded, `M`odified, `D`eleted, `T` for a change of kind.
    pub how: char,
    pub mode: String,
}

/// A commit that is not what the plan says.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongCommit {
    /// It changes something that it must not.
    #[error(
        "the commit would change {}, and only {} may change: nothing was pushed",
        list(.others), list(.allowed)
    )]
    Others {
        others: Vec<String>,
        allowed: Vec<String>,
    },
    #[error("the commit would change nothing: nothing was pushed")]
    Nothing,
}

fn list(paths: &[String]) -> String {
    let quoted: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
    quoted.join(", ")
}

/// Checks that a commit, compared with its base, writes only files of `target`, as plain files.
pub fn check_commit(touched: &[Touched], target: &Target) -> Result<(), WrongCommit> {
    let allowed: Vec<&str> = std::iter::once(&target.path)
        .chain(&target.details_path)
        .map(RepositoryPath::as_str)
        .collect();
    let others: Vec<String> = touched
        .iter()
        .filter(|file| {
            !(allowed.contains(&file.path.as_str()) && matches!(file.how, 'A' | 'M') && file.mode == "100644")
        })
        .map(|file| file.path.clone())
        .collect();
    if !others.is_empty() {
        let allowed = allowed.into_iter().map(str::to_owned).collect();
        return Err(WrongCommit::Others { others, allowed });
    }
    match touched.is_empty() {
        true => Err(WrongCommit::Nothing),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target {
            branch: "main".into(),
            path: "static/data/compatibility-matrix.json".parse().unwrap(),
            details_path: None,
        }
    }

    fn touched(path: &str, how: char, mode: &str) -> Touched {
        Touched {
            path: path.into(),
            how,
            mode: mode.into(),
        }
    }

    #[test]
    fn a_commit_may_write_the_matrix_file_and_nothing_else() {
        let matrix = touched("static/data/compatibility-matrix.json", 'M', "100644");
        assert_eq!(check_commit(std::slice::from_ref(&matrix), &target()), Ok(()));
        for other in [
            touched("README.md", 'M', "100644"),
            touched("config.yml", 'A', "100644"),
            touched("compatibility-matrix.json", 'A', "100644"),
            touched("static/data/compatibility-matrix.json", 'D', "000000"),
            touched("static/data/compatibility-matrix.json", 'T', "120000"),
            touched("static/data/compatibility-matrix.json", 'M', "100755"),
        ] {
            let error = check_commit(&[matrix.clone(), other.clone()], &target()).unwrap_err();
            assert!(
                matches!(&error, WrongCommit::Others { others, .. } if *others == [other.path]),
                "{error}"
            );
        }
        assert_eq!(check_commit(&[], &target()), Err(WrongCommit::Nothing));
    }

    #[test]
    fn a_path_never_leads_out_of_the_repository() {
        for path in [
            "",
            "/etc/x.json",
            "../x.json",
            "a/../x.json",
            "a//x.json",
            ".git/x.json",
            "x.md",
            "a\\x.json",
            "a\nx.json",
        ] {
            assert!(path.parse::<RepositoryPath>().is_err(), "{path}");
        }
        assert!("x.json".parse::<RepositoryPath>().is_ok());
    }
}
