//! `reply_head`: status and headers of a reply as Claude Code received it.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::client_side::{on_each_sent, place};
use crate::expectation::provider_side::Turn;
use crate::expectation::{Checker, Deviation, Interest, MatchError, Matcher, MatcherForm, Ruling, Scene};
use crate::wire_diff::{Part, forwarded};

/// Gateway's side: status and headers of a reply as Claude Code received it. Not judged in a live run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": 1, "status": {"equals": 429}, "headers": {"retry-after": {"equals": "1"}}}]))]
pub struct ReplyHeadForm {
    turn: Turn,
    /// What the HTTP status must be.
    status: Option<MatcherForm>,
    /// What its headers must be, by name in lower case.
    #[serde(default)]
    headers: IndexMap<String, MatcherForm>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReplyHeadCheck {
    pub turn: Turn,
    pub status: Option<Matcher>,
    pub headers: Vec<(String, Matcher)>,
}

impl Kind for ReplyHeadCheck {
    type Form = ReplyHeadForm;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str = "Claude Code gets a reply whose status or headers tell it the wrong thing.";

    fn resolve(form: &ReplyHeadForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.turn(path, form.turn);
        if form.status.is_none() && form.headers.is_empty() {
            checker.no_condition(path, ["status", "headers"]);
        }
        checker.header_names(&path.then("headers"), form.headers.keys());
        let status = form.status.as_ref();
        Some(Self {
            turn: form.turn,
            status: status.map(|status| status.resolve(checker, &path.then("status"))),
            headers: checker.named(&path.then("headers"), &form.headers),
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        on_each_sent(self.turn, scene, |sent| {
            let Some(reply) = &sent.reply else {
                return vec![Deviation {
                    summary: "Claude Code closed the connection before a reply came".into(),
                    expected: "a reply of the gateway".into(),
                    actual: "none".into(),
                    evidence: Some(place(sent)),
                }];
            };
            let deviation = |(summary, error): (String, MatchError)| Deviation {
                summary,
                expected: error.expected,
                actual: error.actual,
                evidence: Some(place(sent)),
            };
            self.errors(reply.status, &reply.headers).map(deviation).collect()
        })
    }

    fn interests(&self) -> Vec<Interest> {
        let turn = self.turn.number();
        let of_headers = Interest {
            names: self.headers.iter().map(|(name, _)| name.clone()).collect(),
            ..Interest::reply(&[Part::Header], turn)
        };
        let of_status = Interest::reply(&[Part::Status], turn);
        let is_named = !of_headers.names.is_empty();
        is_named
            .then_some(of_headers)
            .into_iter()
            .chain([of_status])
            .collect()
    }

    /// Whether the provider's own replies have this head.
    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        let evidence = scene.evidence;
        let ruling = on_each_sent(self.turn, scene, |sent| {
            let exchanges = forwarded(sent, &evidence.sent, &evidence.exchanges);
            let replies = exchanges.last().map(|exchange| &exchange.reply);
            let differs =
                replies.is_none_or(|reply| self.errors(reply.status, &reply.headers).next().is_some());
            let deviation = Deviation {
                summary: String::new(),
                expected: String::new(),
                actual: String::new(),
                evidence: None,
            };
            differs.then_some(deviation).into_iter().collect()
        });
        Some(ruling == Ruling::Judged(Vec::new()))
    }
}

impl ReplyHeadCheck {
    fn errors(
        &self,
        status: u16,
        headers: &[(String, String)],
    ) -> impl Iterator<Item = (String, MatchError)> {
        let of_status = self.status.as_ref().and_then(|matcher| {
            let error = matcher.check(&[&Value::from(status)]).err()?;
            Some(("the reply has another HTTP status".to_owned(), error))
        });
        let of_headers = self.headers.iter().filter_map(move |(name, matcher)| {
            let values = headers.iter().filter(|(other, _)| other == name);
            let values: Vec<&str> = values.map(|(_, value)| value.as_str()).collect();
            let joined = Value::from(values.join(","));
            let found: &[&Value] = if values.is_empty() { &[] } else { &[&joined] };
            let error = matcher.check(found).err()?;
            Some((
                format!("the reply's header `{name}` did not arrive as it should"),
                error,
            ))
        });
        of_status.into_iter().chain(of_headers)
    }
}
