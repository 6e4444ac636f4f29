//! One matrix compared with an older one, cell by cell.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::details::Details;
use super::published::Matrix;
use crate::ids::{CellId, FeatureId, ProviderId};
use crate::outcome::Cause;
use crate::results::CellStatus;
use crate::results::json::{self, SchemaVersion, timestamp};
use crate::{cause, report};

/// What changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "matrix-diff.json")]
pub struct Diff {
    /// The version of this layout.
    pub schema_version: SchemaVersion,
    /// The older matrix.
    pub old: MatrixStamp,
    /// The newer matrix.
    pub new: MatrixStamp,
    /// How many cells are in both and say the same.
    pub unchanged: usize,
    /// What changed: regressions first, then by `kind`, each kind in the order of rows and columns.
    pub changes: Vec<CellChange>,
}

/// What a matrix was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixStamp {
    /// When its results were made.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub generated_at: DateTime<Utc>,
    /// The tag of the LiteLLM release.
    pub litellm_version: String,
    /// The version of Claude Code.
    pub claude_code_version: String,
}

/// A cell that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellChange {
    /// How.
    pub kind: ChangeKind,
    /// Its row.
    pub feature: FeatureId,
    /// The name of its row.
    pub name: String,
    /// Its column.
    pub provider: ProviderId,
    /// What it was; absent where it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<CellStatus>,
    /// What it is; absent where it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<CellStatus>,
    /// Whose fault it is that it fails now: as the details say, else as the error itself says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    /// Whether the causes were guessed from the wording of an error that names none.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub guessed: bool,
}

/// How a cell changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// From pass to fail.
    Regression,
    /// From fail to pass.
    Fix,
    /// Not in the older matrix.
    New,
    /// Not in the newer matrix.
    Gone,
    /// From pass or fail to not tested or not applicable.
    Greyed,
    /// From not tested or not applicable to pass or fail.
    Tested,
    /// Still failing or still grey, in other words.
    Reworded,
}

impl ChangeKind {
    /// Every kind, the most urgent first.
    pub const ALL: [Self; 7] = [
        Self::Regression,
        Self::Fix,
        Self::New,
        Self::Gone,
        Self::Greyed,
        Self::Tested,
        Self::Reworded,
    ];

    /// A heading, in the plural.
    pub fn heading(self) -> &'static str {
        match self {
            Self::Regression => "regressions",
            Self::Fix => "fixes",
            Self::New => "new",
            Self::Gone => "gone",
            Self::Greyed => "greyed",
            Self::Tested => "now tested",
            Self::Reworded => "reworded",
        }
    }

    /// `1 regression`, `2 regressions`.
    fn counted(self, number: usize) -> String {
        let word = match (self, number) {
            (Self::Regression, 1) => "regression",
            (Self::Fix, 1) => "fix",
            _ => self.heading(),
        };
        format!("{number} {word}")
    }

    fn of(old: &CellStatus, new: &CellStatus) -> Option<Self> {
        use CellStatus::{Fail, Pass};
        let is_grey = |status: &CellStatus| !matches!(status, Pass {} | Fail { .. });
        match (old, new) {
            _ if old == new => None,
            (Pass {}, Fail { .. }) => Some(Self::Regression),
            (Fail { .. }, Pass {}) => Some(Self::Fix),
            _ if is_grey(new) && !is_grey(old) => Some(Self::Greyed),
            _ if is_grey(old) && !is_grey(new) => Some(Self::Tested),
            _ => Some(Self::Reworded),
        }
    }
}

impl Diff {
    /// Compares `new` with `old`; `details` are those of `new`, if there are some.
    pub fn new(old: &Matrix, new: &Matrix, details: Option<&Details>) -> Self {
        let mut unchanged = 0;
        let mut changes = Vec::new();
        for (cell, name, status) in new.cells() {
            let before = old.cell(&cell);
            let kind = before.map_or(Some(ChangeKind::New), |before| ChangeKind::of(before, status));
            let Some(kind) = kind else {
                unchanged += 1;
                continue;
            };
            let (causes, guessed) = causes(&cell, status, details);
            changes.push(CellChange {
                old: before.cloned(),
                new: Some(status.clone()),
                causes,
                guessed,
                ..CellChange::of(kind, cell, name)
            });
        }
        let gone = old.cells().filter(|(cell, ..)| new.cell(cell).is_none());
        changes.extend(gone.map(|(cell, name, status)| CellChange {
            old: Some(status.clone()),
            ..CellChange::of(ChangeKind::Gone, cell, name)
        }));
        changes.sort_by_key(|change| change.kind);
        Self {
            schema_version: SchemaVersion::One,
            old: MatrixStamp::of(old),
            new: MatrixStamp::of(new),
            unchanged,
            changes,
        }
    }

    /// The changes of one kind.
    pub fn of_kind(&self, kind: ChangeKind) -> impl Iterator<Item = &CellChange> {
        self.changes.iter().filter(move |change| change.kind == kind)
    }

    /// Whether a cell that passed now fails.
    pub fn has_regressions(&self) -> bool {
        self.of_kind(ChangeKind::Regression).next().is_some()
    }

    /// What was compared, in one line: `LiteLLM v1.105.0 → v1.106.0, Claude Code 2.1.326, …`.
    pub fn headline(&self) -> String {
        let arrow = |old: &str, new: &str| match old == new {
            true => old.to_owned(),
            false => format!("{old} → {new}"),
        };
        let (old, new) = (&self.old, &self.new);
        format!(
            "LiteLLM {}, Claude Code {}, {}",
            arrow(&old.litellm_version, &new.litellm_version),
            arrow(&old.claude_code_version, &new.claude_code_version),
            arrow(
                &timestamp::to_text(&old.generated_at),
                &timestamp::to_text(&new.generated_at)
            ),
        )
    }

    /// How many changes of each kind there are, in words: `2 regressions, 1 fix`; `no changes`.
    pub fn summary(&self) -> String {
        let counts = ChangeKind::ALL
            .into_iter()
            .map(|kind| (kind, self.of_kind(kind).count()));
        let counted: Vec<String> = counts
            .filter(|(_, number)| *number > 0)
            .map(|(kind, number)| kind.counted(number))
            .collect();
        match counted[..] {
            [] => "no changes".into(),
            _ => counted.join(", "),
        }
    }

    /// As JSON.
    pub fn to_text(&self) -> String {
        json::write(self)
    }
}

impl CellChange {
    fn of(kind: ChangeKind, cell: CellId, name: &str) -> Self {
        Self {
            kind,
            feature: cell.feature,
            name: name.to_owned(),
            provider: cell.provider,
            old: None,
            new: None,
            causes: Vec::new(),
            guessed: false,
        }
    }

    /// Whose fault it is, in words: `gateway, auth`, with `?` where that was guessed; empty if it does not fail.
    pub fn fault(&self) -> String {
        let causes: Vec<&str> = self.causes.iter().map(|cause| cause.as_str()).collect();
        format!("{}{}", causes.join(", "), if self.guessed { "?" } else { "" })
    }

    /// `pass → fail`; `fail` for a new cell, `was fail` for one that is gone.
    pub fn words(&self) -> String {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) if old.word() == new.word() => format!("still {}", new.word().as_str()),
            (Some(old), Some(new)) => format!("{} → {}", old.word().as_str(), new.word().as_str()),
            (None, Some(new)) => new.word().as_str().to_owned(),
            (Some(old), None) => format!("was {}", old.word().as_str()),
            (None, None) => String::new(),
        }
    }
}

impl MatrixStamp {
    fn of(matrix: &Matrix) -> Self {
        Self {
            generated_at: matrix.generated_at,
            litellm_version: matrix.litellm_version.clone(),
            claude_code_version: matrix.claude_code_version.clone(),
        }
    }
}

/// Whose fault it is that `cell` fails, and whether that is a guess.
fn causes(cell: &CellId, status: &CellStatus, details: Option<&Details>) -> (Vec<Cause>, bool) {
    let CellStatus::Fail { error } = status else {
        return (Vec::new(), false);
    };
    let known = details.map(|details| details.causes(cell)).unwrap_or_default();
    let said = if known.is_empty() {
        report::causes_in_short(error)
    } else {
        known
    };
    if said.is_empty() {
        (vec![cause::of_message(error).cause], true)
    } else {
        (said, false)
    }
}
