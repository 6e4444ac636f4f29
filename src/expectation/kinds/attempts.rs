//! `attempts`: how often the gateway asked the provider for a request of Claude Code.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::client_side::on_each_sent;
use crate::expectation::provider_side::{Turn, at};
use crate::expectation::{Checker, Deviation, Interest, Matcher, MatcherForm, Ruling, Scene};
use crate::wire_diff::{Part, forwarded};

/// Provider's side: how often the gateway asked it for one request of Claude Code. Not judged in a live run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": 1, "count": {"equals": 1}}, {"turn": "every", "count": {"max": 3}}]))]
pub struct AttemptsForm {
    turn: Turn,
    /// How often.
    count: MatcherForm,
}

#[derive(Clone, Debug, PartialEq)]
pub struct AttemptsCheck {
    pub turn: Turn,
    pub count: Matcher,
}

impl Kind for AttemptsCheck {
    type Form = AttemptsForm;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str = "The gateway gives a request up, or repeats it without the user's knowledge.";

    fn resolve(form: &AttemptsForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.turn(path, form.turn);
        Some(Self {
            turn: form.turn,
            count: form.count.resolve(checker, &path.then("count")),
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let evidence = scene.evidence;
        on_each_sent(self.turn, scene, |sent| {
            let exchanges = forwarded(sent, &evidence.sent, &evidence.exchanges);
            let Err(error) = self.count.check(&[&Value::from(exchanges.len())]) else {
                return Vec::new();
            };
            let statuses: Vec<String> = exchanges
                .iter()
                .map(|exchange| exchange.reply.status.to_string())
                .collect();
            vec![Deviation {
                summary: "the gateway sent the provider the request another number of times".into(),
                expected: error.expected,
                actual: match statuses.is_empty() {
                    true => error.actual,
                    false => format!("{}, answered with {}", error.actual, statuses.join(", ")),
                },
                evidence: exchanges.last().map(|exchange| at(exchange)),
            }]
        })
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::request(&[Part::Request], self.turn.number())]
    }

    /// Claude Code asks once for each of its requests.
    fn held_before(&self, _: &Scene<'_>) -> Option<bool> {
        Some(self.count.check(&[&Value::from(1)]).is_ok())
    }
}
