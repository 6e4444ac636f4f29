//! What a cell expects: matchers, and one file for each kind of expectation.
//!
//! Pure. A kind ([`kinds`]) has its YAML form, its check against the rest of the cell, and its judgement of the evidence.
//! It also names the changes on the wire that can explain a failure. All of that is in one file. A kind knows no provider,
//! gateway or process, only the evidence they left. An expectation that cannot be judged is reported as such, never as
//! held.
#![warn(clippy::disallowed_methods)]

mod claude_side;
mod client_side;
pub mod context;
pub mod count;
mod entry;
pub mod interest;
pub mod kinds;
pub mod matcher;
mod provider_side;
mod trace;
mod value_tree;

pub use claude_side::{
    claude_exchanges, ending, last_sign_of_life, line_of_transcript, transcript_end, with_gateways_words,
};
pub use context::{CellContext, Checker};
pub use count::CountMatcher;
pub use entry::{check_clause, resolve};
pub use interest::Interest;
pub use kinds::{Check, ExpectationForm};
pub use matcher::{MatchError, Matcher, MatcherForm};
pub use provider_side::{Turn, is_of_lost_request};

use std::path::Path;

use crate::document::Place;
use crate::evidence::Evidence;
use crate::findings::{Level, Subject};
use crate::ids::TierId;
use crate::wire::script::{Prompt, Workspace};
use crate::wire_diff::WireDiff;

/// The implied expectation that `claude` answers every prompt and exits with status 0.
pub const RUN: &str = "run";
/// The implied expectation that every line of the transcript can be read and its streams are whole.
pub const TRANSCRIPT: &str = "transcript";
/// The implied expectation that the provider has an answer to every request.
pub const UNMATCHED: &str = "unmatched_requests";
/// The implied expectation that `claude` does not have to reduce or repeat a request.
pub const WORKAROUNDS: &str = "workarounds";

/// The implied expectation that the provider refuses no request, unless the cell's script does.
pub const REFUSED: &str = "refused_requests";

/// The expectations of every trial, whatever its cell says.
pub const IMPLIED: [&str; 5] = [RUN, TRANSCRIPT, WORKAROUNDS, UNMATCHED, REFUSED];

/// One thing that must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Its name in the cell's `expect`. Reports, known findings and mutants use this name.
    pub name: String,
    pub place: Place,
    /// The tiers it is for; `None` for all.
    pub tiers: Option<Vec<TierId>>,
    /// The clause of the gateway contract it rests on (`llm-gateway-protocol#request-headers`).
    pub clause: Option<String>,
    /// It is about what Claude Code sends to a gateway only, and cannot be judged without one.
    pub needs_gateway: bool,
    /// Who notices when it is broken.
    pub level: Level,
    pub check: Check,
}

impl Expectation {
    pub fn applies_to(&self, tier: &TierId) -> bool {
        self.tiers.as_ref().is_none_or(|tiers| tiers.contains(tier))
    }

    /// Whether a file of all rows defines it: `cells/_shared.yaml`, or one in `cells/_providers`.
    pub fn is_of_every_row(&self) -> bool {
        let folder = self.place.file.parent().and_then(Path::file_name);
        folder.is_some_and(|folder| folder == "cells" || folder.to_string_lossy().starts_with('_'))
    }
}

/// The evidence that an expectation is judged on.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    pub prompts: &'a [Prompt],
    pub workspace: &'a Workspace,
    pub evidence: &'a Evidence,
    /// `None` where only one side of the gateway was recorded.
    pub diff: Option<&'a WireDiff>,
}

/// One way in which an expectation does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deviation {
    /// What is wrong, in one line.
    pub summary: String,
    pub expected: String,
    pub actual: String,
    /// A file of the trial's evidence folder, and a line in it from 1.
    pub evidence: Option<(String, usize)>,
}

/// The judgement of one expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It holds if there is no deviation.
    Judged(Vec<Deviation>),
    /// It holds if there is no deviation; each is a change on the wire.
    Changed(Vec<(Subject, Deviation)>),
    NotJudged,
}

/// A broken expectation, and whether it held on the near side of the gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub expectation: String,
    /// The changes on the wire that can explain it.
    pub interest: Interest,
    /// Whether it holds for what went into the gateway: the requests that `claude` sent, or the provider's replies.
    /// `None` where that cannot be judged.
    pub held_before: Option<bool>,
    /// Whether a request of its kind reached the provider.
    pub is_asked: bool,
}
