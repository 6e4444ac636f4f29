//! `beta`: a beta flag reached the provider.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Kind, Side};
use crate::document::KeyPath;
use crate::expectation::provider_side::{Turn, TurnForm, at, on_each};
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene, trace};
use crate::wire::Operation;
use crate::wire_diff::{Part, arrived_betas};

/// Provider's side: a beta flag reached it, in the place where its route keeps them: the `anthropic-beta` header, on
/// Bedrock the body. Not judged in a live run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": 1, "name": "context-management-2025-06-27"}]))]
pub struct BetaForm {
    /// Which request of the trial: a number from 1, `every` or `last`.
    turn: TurnForm,
    /// The beta flag.
    #[schemars(length(min = 1))]
    name: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct BetaCheck {
    pub turn: Turn,
    pub name: String,
}

impl Kind for BetaCheck {
    type Form = BetaForm;
    const SIDE: Side = Side::Provider;

    fn resolve(form: &BetaForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        let turn = checker.turn(path, form.turn.0, Operation::Messages);
        if form.name.contains([',', ' ']) {
            checker.hinted(
                &path.then("name"),
                "this is not one beta flag",
                "make an expectation of each beta",
            );
        }
        Some(Self {
            turn,
            name: form.name.clone(),
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        on_each(self.turn, Operation::Messages, &scene.evidence.exchanges, |exchange| {
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

    fn interest(&self) -> Interest {
        Interest {
            names: vec![self.name.clone(), "anthropic-beta".to_owned()],
            ..Interest::request(&[Part::Beta, Part::Header], self.turn.number())
        }
    }

    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        trace::held_as_sent(self, scene)
    }
}
