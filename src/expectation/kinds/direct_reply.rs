//! `direct_reply`: the gateway's answer to the cell's `direct` request.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::{KeyPath, Query};
use crate::evidence::file;
use crate::expectation::claude_side::deviations;
use crate::expectation::interest::{ANSWER, Interest};
use crate::expectation::{Checker, Deviation, Matcher, MatcherForm, Ruling, Scene, value_tree};
use crate::text::clipped;

/// Gateway's side: its answer to the cell's `direct` request.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("examples" = [{"status": 200, "body": {"$.type": {"equals": "message"}}}]))]
pub struct DirectReplyForm {
    /// The HTTP status; 200 if not given.
    #[schemars(range(min = 100, max = 599))]
    status: Option<u16>,
    /// What the body must hold, by JSONPath (RFC 9535).
    #[schemars(extend("examples" = [{"$.content[0].text": {"equals": "pong"}}]))]
    body: IndexMap<String, MatcherForm>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DirectReplyCheck {
    pub status: u16,
    pub body: Vec<(Query, Matcher)>,
}

impl Kind for DirectReplyCheck {
    type Form = DirectReplyForm;
    const SIDE: JudgedSide = JudgedSide::Client;
    const LOSES: &str = "A program that calls the gateway itself does not get the answer that it should.";

    fn resolve(form: &DirectReplyForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        if !checker.context.direct && checker.context.whole {
            checker.reader.hinted(
                path,
                "the cell makes no direct request, so this could never be judged",
                "add `direct`",
            );
        }
        Some(Self {
            status: form.status.unwrap_or(200),
            body: checker.queries(&path.then("body"), &form.body),
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let status = self.status;
        let at = || Some((file::DIRECT_REPLY.to_owned(), 1));
        let Some(reply) = &scene.evidence.direct else {
            return Ruling::Judged(vec![Deviation {
                summary: "the direct request was not sent".into(),
                expected: format!("an answer of status {status}"),
                actual: "Claude Code's run broke off before it".into(),
                evidence: None,
            }]);
        };
        if reply.status != status {
            return Ruling::Judged(vec![Deviation {
                summary: "the direct request failed".into(),
                expected: format!("status {status}"),
                actual: clipped(&format!("status {}: {}", reply.status, reply.body)),
                evidence: at(),
            }]);
        }
        let of_body = self.body.iter().flat_map(|(query, matcher)| {
            deviations(
                value_tree::check(query, matcher, &reply.body),
                format!("`{}` of the direct reply does not match", query.text),
                at(),
            )
        });
        Ruling::Judged(of_body.collect())
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::reply(ANSWER, None)]
    }
}
