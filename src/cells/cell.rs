//! A checked cell: the prompts for `claude`, the replies of the simulated provider, and what must then hold.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::document::Place;
use crate::expectation::{Check, Expectation};
use crate::ids::{CellId, TierId};
use crate::wire::script::{Prompt, Script, Workspace};

#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub id: CellId,
    pub body: CellBody,
}

impl Cell {
    /// `None` if the cell is not applicable.
    pub fn test(&self) -> Option<&Test> {
        match &self.body {
            CellBody::Test(test) => Some(test),
            CellBody::NotApplicable(_) => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum CellBody {
    /// The feature cannot exist on this provider; the reason is shown to readers of the matrix.
    NotApplicable(String),
    Test(Box<Test>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// The tiers that lack the feature, each with the reason.
    pub not_on: BTreeMap<TierId, String>,
    /// User messages. Each is sent when the one before is answered.
    pub prompts: Vec<Prompt>,
    pub workspace: Workspace,
    /// Command-line flags for `claude`, in addition to the harness's own.
    pub flags: Vec<String>,
    /// Environment variables for `claude`, in addition to the harness's own.
    pub env: BTreeMap<String, String>,
    /// Whether `claude` uses the token of a subscription.
    pub subscription: bool,
    /// Why a live run cannot show the feature; `None` if it can.
    pub needs_script: Option<String>,
    /// A request that the harness sends to the gateway after `claude` has ended: the body of `POST /v1/messages`
    /// without `model`.
    pub direct: Option<Value>,
    /// A token count that the harness asks the gateway for after that: the body of `POST /v1/messages/count_tokens`
    /// without `model`.
    pub count_tokens: Option<Value>,
    pub script: Script,
    /// The tools that the script calls, each with the place of its name.
    pub called_tools: Vec<(String, Place)>,
    /// What must hold, in the order of the files; never empty for a tier that has the feature.
    pub expectations: Vec<Expectation>,
    /// The rules by which the provider may refuse a request, each with the reason.
    pub refusals: BTreeMap<String, String>,
    /// Seconds that a trial may take, simulated or live.
    pub timeout_seconds: u64,
}

impl Test {
    /// The expectations that are not written yet, each with its `todo`.
    pub fn unwritten(&self) -> impl Iterator<Item = (&Expectation, &str)> {
        self.expectations
            .iter()
            .filter_map(|expectation| match &expectation.check {
                Check::Todo(todo) => Some((expectation, todo.0.as_str())),
                _ => None,
            })
    }

    /// Whether the cell asks for another exit status than 0.
    pub fn expects_failures(&self, tier: &TierId) -> bool {
        self.expectations_on(tier)
            .any(|expectation| matches!(&expectation.check, Check::Exit(exit) if exit.0 != 0))
    }

    pub fn expectations_on<'a>(&'a self, tier: &'a TierId) -> impl Iterator<Item = &'a Expectation> {
        self.expectations
            .iter()
            .filter(move |expectation| expectation.applies_to(tier))
    }
}
