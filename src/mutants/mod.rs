//! Mutants: seeded gateway bugs, each a YAML file. A relay in front of the gateway or behind it applies them. A good matrix
//! fails for every mutant, in the cells and by the expectations that the mutant names. Under a neutral mutant, which makes a
//! change that every gateway may make, it stays green.
//!
//! Pure. It reads mutants, changes requests and replies, and scores which expectations caught a mutant. It forwards nothing
//! and runs no trial.
#![warn(clippy::disallowed_methods)]

mod edit;
mod event_form;
pub mod form;
mod headers;
mod naming;
mod reachability;
mod reply;
mod request;
mod resolve;
mod row_score;
pub mod score;
mod stream;

use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::Serialize;

pub use form::{MadeUpReply, RelayPosition, ReplyChange, RequestChange, When};
pub use headers::Headers;
pub use reply::ReplyHead;
pub use request::PassingRequest;
pub use resolve::{Known, resolve};
pub use row_score::RowScore;
pub use stream::{Step, StreamChanger};

use crate::document::{Form, Place};
use crate::ids::{CellId, FeatureId, ProviderId, TierId};
use crate::outcome::Cause;

/// The form of `mutants/<class>/<name>.yaml`.
pub static FORM: LazyLock<Form> = LazyLock::new(Form::of::<form::MutantForm>);

/// A mutant's class and its file's stem: `thinking/signature_lost`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct MutantName(String);

impl MutantName {
    /// The name of the mutant of `class` in the file `stem.yaml`.
    pub fn new(class: &str, stem: &str) -> Self {
        Self(format!("{class}/{stem}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MutantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[derive(Clone, Debug)]
pub struct Mutant {
    pub name: MutantName,
    pub description: String,
    /// Public pages that report such a bug, or allow such a change.
    pub sources: Vec<String>,
    /// Where its file begins.
    pub place: Place,
    /// Its changes: on one side of the gateway, or on both.
    pub sides: Vec<Arc<SideChange>>,
    /// The columns to run it in; never empty.
    pub providers: Vec<ProviderId>,
    /// The tier to run it on; `None` for the campaign's tier.
    pub tier: Option<TierId>,
    /// The cause that the reports must name.
    pub cause: Cause,
    /// Further texts by which the first line of a report may name its change.
    pub names: Vec<String>,
    /// Whether it is in the quick subset.
    pub quick: bool,
    /// Whether it is neutral: no cell may fail under it.
    pub is_neutral: bool,
    /// The rows of a neutral mutant; the main rows if empty.
    pub rows: Vec<FeatureId>,
    /// Empty only for a neutral mutant.
    pub killed_by: Vec<ExpectedKill>,
}

/// What a mutant changes on one side of the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct SideChange {
    pub position: RelayPosition,
    pub when: When,
    pub request: RequestChange,
    pub reply: ReplyChange,
}

/// A cell that must fail because of a mutant, and the expectation that must fail there.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedKill {
    pub cell: CellId,
    pub expectation: String,
    /// Where the mutant's file names it.
    pub place: Place,
}

impl Mutant {
    /// Whether `killed_by` names `cell`.
    pub fn claims(&self, cell: &CellId) -> bool {
        self.killed_by.iter().any(|kill| kill.cell == *cell)
    }
}
