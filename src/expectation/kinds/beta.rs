//! `beta`: a beta flag reached the provider.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::provider_side::{Turn, at, never_sent, on_each_message};
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene};
use crate::findings::Level;
use crate::wire::exchange::RecordedRequest;
use crate::wire::{Operation, betas, messages};
use crate::wire_diff::{Part, arrived_betas};

/// Provider's side: a beta flag reached it, in the place where its route keeps them: the `anthropic-beta` header, on
/// Bedrock the body. Not judged in a live run, nor if Claude Code sent the flag in no request of the trial.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": 1, "name": "context-management-2025-06-27"}]))]
pub struct BetaCheck {
    pub turn: Turn,
    /// The beta flag.
    #[schemars(length(min = 1))]
    pub name: String,
}

impl Kind for BetaCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str = "A feature that Claude Code turned on stays off.";

    fn resolve(form: &Self, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.turn(path, form.turn);
        if form.name.contains([',', ' ']) {
            checker.reader.hinted(
                &path.then("name"),
                "this is not one beta flag",
                "make an expectation of each beta",
            );
        }
        if let Some(meant) = betas::misspelt(&form.name) {
            let message = format!("`{}` looks like a misspelt beta", form.name);
            let hint = format!("did you mean `{meant}`?");
            checker.reader.hinted(&path.then("name"), message, hint);
        }
        Some(form.clone())
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        if never_sent(Operation::Messages, scene, |request| self.is_in(request)) {
            return Ruling::NotJudged;
        }
        on_each_message(self.turn, scene, |exchange| {
            let arrived = arrived_betas(exchange);
            if arrived.contains(&self.name) {
                return Vec::new();
            }
            vec![Deviation {
                summary: format!("the beta `{}` did not reach the provider", self.name),
                expected: format!("`{}` among the betas of the request", self.name),
                actual: match arrived.is_empty() {
                    true => "no beta".into(),
                    false => arrived.join(", "),
                },
                evidence: Some(at(exchange)),
            }]
        })
    }

    fn level(&self) -> Level {
        Level::Contract
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest {
            names: vec![self.name.clone(), "anthropic-beta".to_owned()],
            ..Interest::request(&[Part::Beta, Part::Header], self.turn.number())
        }]
    }
}

impl BetaCheck {
    /// Whether a request of Claude Code has the flag, or the one that it stands for on Bedrock and Vertex AI.
    fn is_in(&self, request: &RecordedRequest) -> bool {
        let mut sent = messages::betas(request.header("anthropic-beta"));
        sent.any(|beta| beta == self.name || beta == betas::name_in_the_api(&self.name))
    }
}
