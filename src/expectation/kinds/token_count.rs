//! `token_count`: the gateway's answer to the cell's `count_tokens`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::evidence::{Behind, Evidence, file};
use crate::expectation::count::CountMatcher;
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene};
use crate::text::clipped;
use crate::wire::Operation;
use crate::wire_diff::Part;

/// Gateway's side: the number that it answers to the cell's `count_tokens`. With `level: contract`, it is not judged if the gateway
/// answers 404 or 501: token counts are optional.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(transparent)]
#[schemars(extend("examples" = [{"min": 1, "as_provider": true}]))]
pub struct TokenCountCheck(pub CountMatcher);

impl Kind for TokenCountCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Client;
    const LOSES: &str = "Claude Code does not know how many tokens the conversation has.";

    fn resolve(form: &Self, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        if !checker.context.count_tokens && checker.context.whole {
            checker.reader.hinted(
                path,
                "the cell asks for no token count, so this could never be judged",
                "add `count_tokens`",
            );
        }
        form.0.check(checker, path);
        Some(form.clone())
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let evidence = scene.evidence;
        if evidence.behind == Behind::Live && !self.0.has_bounds() {
            return Ruling::NotJudged;
        }
        let at = || Some((file::TOKEN_COUNT.to_owned(), 1));
        let deviation = |summary: &str, expected: String, actual: String, evidence| {
            Ruling::Judged(vec![Deviation {
                summary: summary.into(),
                expected,
                actual,
                evidence,
            }])
        };
        let Some(reply) = &evidence.counted else {
            return deviation(
                "the tokens were not counted",
                "an answer of status 200".into(),
                "Claude Code's run broke off before it".into(),
                None,
            );
        };
        let answered = reply.body["input_tokens"].as_u64();
        let Some(found) = answered.filter(|_| reply.status == 200) else {
            return deviation(
                "the gateway did not count the tokens",
                "status 200 and `input_tokens`".into(),
                clipped(&format!("status {}: {}", reply.status, reply.body)),
                at(),
            );
        };
        let wants_providers = self.0.as_provider && evidence.behind == Behind::Simulated;
        let counted = counted_by_provider(evidence);
        if self.0.is_within(found) && (!wants_providers || counted == Some(found)) {
            return Ruling::Judged(Vec::new());
        }
        let expected = match counted {
            None if wants_providers => {
                "the number that the provider counts (the gateway did not ask it)".to_owned()
            }
            _ => self.0.in_words(counted.filter(|_| wants_providers)),
        };
        deviation(
            "the token count does not match",
            expected,
            found.to_string(),
            at(),
        )
    }

    fn interests(&self) -> Vec<Interest> {
        let parts = &[Part::Request, Part::Tool, Part::Block, Part::Field, Part::Beta];
        vec![
            Interest::reply(&[Part::Usage, Part::Status, Part::Error], None),
            Interest::request(parts, None).of_operation(Operation::CountTokens),
        ]
    }
}

/// The provider's answer to the last such request of the trial.
fn counted_by_provider(evidence: &Evidence) -> Option<u64> {
    let mut exchanges = evidence.exchanges.iter().rev();
    let last = exchanges
        .find(|exchange| exchange.operation == Operation::CountTokens && exchange.reply.status == 200)?;
    Some(last.reply.usage.input_tokens)
}
