//! A checked cell: what is said to `claude`, what the simulated provider answers, what must then hold.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use super::expectation::{Check, Expectation, KnownFailure};
use crate::ids::{CellId, TierId};
use crate::wire::script::Script;

#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub id: CellId,
    pub body: CellBody,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CellBody {
    /// The feature cannot exist on this provider; the reason is shown to readers of the matrix.
    NotApplicable(String),
    Test(Box<Test>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// What is said to `claude`, one user message after the other (each once the one before is answered).
    pub prompts: Vec<Prompt>,
    /// Command-line flags for `claude` beside the harness's own.
    pub flags: Vec<String>,
    /// Environment variables for `claude` beside the harness's own.
    pub env: BTreeMap<String, String>,
    /// A request that the harness itself sends to the gateway after `claude` has ended: the body of
    /// `POST /v1/messages` without `model`.
    pub direct: Option<Value>,
    /// A token count that the harness itself asks the gateway for after that: the body of
    /// `POST /v1/messages/count_tokens` without `model`.
    pub count_tokens: Option<Value>,
    pub script: Script,
    /// What must hold, in the order of the file; never empty for any tier.
    pub expectations: Vec<Expectation>,
    /// Known failures of what is expected of every trial ([`crate::expect::IMPLIED`]), by name.
    pub implied_known_failures: Vec<(String, KnownFailure)>,
    /// Seconds that a trial may take, simulated or live.
    pub timeout_seconds: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    pub blocks: Vec<PromptBlock>,
}

/// A block of a user message.
#[derive(Clone, Debug, PartialEq)]
pub enum PromptBlock {
    Text(String),
    /// An image file of the cell's folder.
    Image {
        /// The file, below the feature's folder.
        file: PathBuf,
        media_type: String,
        /// Its bytes, read with the cell.
        bytes: Vec<u8>,
    },
    /// A document file (PDF) of the cell's folder.
    Document {
        /// The file, below the feature's folder.
        file: PathBuf,
        media_type: String,
        /// Its bytes, read with the cell.
        bytes: Vec<u8>,
    },
}

impl Test {
    /// That the expectation `name`, one of those implied, is known not to hold on `tier`.
    pub fn known_failure_of_implied(&self, name: &str, tier: &TierId) -> Option<&KnownFailure> {
        self.implied_known_failures
            .iter()
            .find(|(implied, known)| implied == name && known.applies_to(tier))
            .map(|(_, known)| known)
    }

    /// What is still to be written: each such expectation, and what it says.
    pub fn unwritten(&self) -> impl Iterator<Item = (&Expectation, &str)> {
        self.expectations
            .iter()
            .filter_map(|expectation| match &expectation.check {
                Check::Todo(text) => Some((expectation, text.as_str())),
                _ => None,
            })
    }

    /// The expectations that hold on `tier`.
    pub fn expectations_on<'a>(&'a self, tier: &'a TierId) -> impl Iterator<Item = &'a Expectation> {
        self.expectations
            .iter()
            .filter(move |expectation| expectation.applies_to(tier))
    }
}
