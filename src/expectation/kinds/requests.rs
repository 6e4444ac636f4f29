//! `requests`: how many requests of a kind reached the provider.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::context::replies_in_words;
use crate::expectation::provider_side::{arrivals, at, messages_operation, noun, of_operation};
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene};
use crate::findings::Level;
use crate::wire::Operation;
use crate::wire::script::Reply;
use crate::wire_diff::Part;

/// Provider's side: how many requests reached it. Not judged in a live run.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"count": 2}]))]
pub struct RequestsCheck {
    /// Of which kind; `messages` if not given.
    #[serde(default = "messages_operation")]
    #[schemars(extend("examples" = ["messages", "count_tokens"]))]
    pub operation: Operation,
    /// How many, exactly.
    pub count: u64,
}

impl Kind for RequestsCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str = "A request is lost, or the provider answers and charges more of them than it should.";

    fn resolve(form: &Self, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        let replies = &checker.context.script.replies;
        // After an error, gateway and Claude Code may ask again.
        let is_error = |reply: &Reply| match reply {
            Reply::Error(_) => true,
            Reply::Message(message) => message.interrupt.is_some(),
        };
        let has_error = replies.iter().any(is_error);
        let is_planned = form.operation == Operation::Messages && checker.context.whole && !has_error;
        if is_planned && form.count != replies.len() as u64 {
            let message = format!(
                "the script has {}, so a correct run never makes {} requests",
                replies_in_words(replies.len()),
                form.count
            );
            let hint = format!("write {}, or change `replies`", replies.len());
            checker.reader.hinted(&path.then("count"), message, hint);
        }
        Some(form.clone())
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let exchanges = &scene.evidence.exchanges;
        let mut counted = of_operation(self.operation, exchanges);
        let found = counted.clone().count() as u64;
        if found == self.count {
            return Ruling::Judged(Vec::new());
        }
        Ruling::Judged(vec![Deviation {
            summary: format!(
                "the provider received {found} {}s instead of {}",
                noun(self.operation),
                self.count
            ),
            expected: self.count.to_string(),
            actual: match found {
                0 => arrivals(exchanges.iter()),
                _ => arrivals(counted.clone()),
            },
            evidence: counted.next_back().map(at),
        }])
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::request(&[Part::Request], None)]
    }

    /// Whoever uses Claude Code sees the answer, not how many requests it took.
    fn level(&self) -> Level {
        match self.operation {
            Operation::Messages => Level::Contract,
            _ => Level::Feature,
        }
    }
}
