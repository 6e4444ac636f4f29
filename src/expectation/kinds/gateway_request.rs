//! `gateway_request`: a request of Claude Code to the gateway that is no message, such as the list of models.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{JudgedSide, Kind};
use crate::document::{KeyPath, Query};
use crate::expectation::claude_side::deviations;
use crate::expectation::client_side::place;
use crate::expectation::{Checker, Deviation, Interest, Matcher, MatcherForm, Ruling, Scene, value_tree};
use crate::text::clipped;
use crate::wire::Operation;
use crate::wire::client_format::below_pass_through;
use crate::wire::exchange::GatewayExchange;
use crate::wire::model::without_date;
use crate::wire::target::RequestTarget;
use crate::wire_diff::Part;

/// Gateway's side: a request of Claude Code that is no message (`GET /v1/models`), and the gateway's reply. Not judged in a live
/// run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"path": "/v1/models", "status": {"equals": 200}, "body": {"$.data[*].id": {"equals": "${model}"}}}]))]
pub struct GatewayRequestForm {
    /// The HTTP method; `GET` if not given.
    #[schemars(length(min = 1))]
    method: Option<String>,
    /// The path, without the query.
    #[schemars(length(min = 1), extend("examples" = ["/v1/models"]))]
    path: String,
    /// What the reply's HTTP status must be; 200 if not given.
    status: Option<MatcherForm>,
    /// What the reply's body must hold, by JSONPath (RFC 9535).
    #[serde(default)]
    body: IndexMap<String, MatcherForm>,
    /// Where the reply's body must name the model that Claude Code's Messages requests ask for, by JSONPath.
    #[schemars(length(min = 1), extend("examples" = ["$.data[*].id"]))]
    names_model: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct GatewayRequestCheck {
    pub method: String,
    pub path: String,
    pub status: Matcher,
    pub body: Vec<(Query, Matcher)>,
    pub names_model: Option<Query>,
}

impl Kind for GatewayRequestCheck {
    type Form = GatewayRequestForm;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str =
        "Claude Code does not get from the gateway what it asks for, such as the list of models.";

    fn resolve(form: &GatewayRequestForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        let of_path = path.then("path");
        if !form.path.starts_with('/') || form.path.contains('?') {
            let message = format!("`{}` is not a path without a query", form.path);
            checker
                .reader
                .hinted(&of_path, message, "write for example `/v1/models`");
        }
        if form.path == "/v1/messages" {
            checker.reader.hinted(
                &of_path,
                "this is the path of Messages requests",
                "use `request` or `reply_head`",
            );
        }
        let status = form.status.as_ref();
        Some(Self {
            method: form.method.clone().unwrap_or_else(|| "GET".into()),
            path: form.path.clone(),
            status: match status {
                Some(status) => status.resolve(checker, &path.then("status")),
                None => Matcher {
                    equals: Some(200.into()),
                    ..Matcher::default()
                },
            },
            body: checker.queries(&path.then("body"), &form.body),
            names_model: form
                .names_model
                .as_ref()
                .and_then(|query| checker.reader.query(&path.then("names_model"), query)),
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let sent = &scene.evidence.sent;
        let mut own = sent.iter().filter(|sent| {
            sent.request.method.eq_ignore_ascii_case(&self.method) && self.is_at(&sent.request.path)
        });
        let Some(found) = own.next_back() else {
            let others = sent.iter().filter(|sent| sent.operation != Operation::Messages);
            let others: Vec<String> = others
                .map(|sent| format!("{} {}", sent.request.method, sent.request.path))
                .collect();
            return Ruling::Judged(vec![Deviation {
                summary: "Claude Code did not send this request".into(),
                expected: format!("{} {}", self.method, self.path),
                actual: match others.is_empty() {
                    true => "only Messages requests".into(),
                    false => clipped(&others.join(", ")),
                },
                evidence: None,
            }]);
        };
        let status = found.reply.as_ref().map(|reply| Value::from(reply.status));
        let of_status = deviations(
            self.status.check(status.as_ref().as_slice()),
            format!(
                "the reply to `{} {}` has another HTTP status",
                self.method, self.path
            ),
            Some(place(found)),
        );
        let body = found.reply.as_ref().and_then(|reply| reply.events.first());
        let body = body.map_or(&Value::Null, |event| &event.data);
        let of_body = self.body.iter().flat_map(|(query, matcher)| {
            deviations(
                value_tree::check(query, matcher, body),
                format!("`{}` of the reply does not match", query.text),
                Some(place(found)),
            )
        });
        let unnamed = self.names_model.as_ref().and_then(|query| {
            let summary = format!("`{}` of the reply does not name the model", query.text);
            let named = query.path.query(body).all();
            // A pass-through shows Anthropic's own list, where some names have a date.
            let is_passed_through = found.request.path != self.path;
            let is_dated =
                |name: &Value, model: &str| name.as_str().is_some_and(|name| without_date(name) == model);
            let is_named = |name: &&Value, model: &str| {
                is_model(name, model) || (is_passed_through && is_dated(name, model))
            };
            let expected = asked_for(sent).filter(|model| !named.iter().any(|name| is_named(name, model)))?;
            let actual = named.iter().map(|name| name.to_string()).collect::<Vec<_>>();
            Some(Deviation {
                summary,
                expected: expected.to_owned(),
                actual: clipped(&actual.join(", ")),
                evidence: Some(place(found)),
            })
        });
        Ruling::Judged(of_status.into_iter().chain(of_body).chain(unnamed).collect())
    }

    fn interests(&self) -> Vec<Interest> {
        let interest = Interest::reply(&[Part::Status, Part::Error], None);
        let operation = RequestTarget::of(&self.method, &self.path).operation;
        vec![interest.of_operation(operation)]
    }

    /// The gateway answers it alone, if Claude Code asks.
    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        let mut sent = scene.evidence.sent.iter();
        sent.any(|sent| self.is_at(&sent.request.path)).then_some(true)
    }
}

impl GatewayRequestCheck {
    /// Whether `path` is its path, also below a gateway's pass-through.
    fn is_at(&self, path: &str) -> bool {
        path == self.path || below_pass_through(path) == self.path
    }
}

/// The model that the last Messages request names.
fn asked_for(sent: &[GatewayExchange]) -> Option<&str> {
    let mut messages = sent
        .iter()
        .rev()
        .filter(|sent| sent.operation == Operation::Messages);
    messages.find_map(|sent| sent.request.body.json()?["model"].as_str())
}

/// Claude Code removes `[1m]` from the end of a model's name before it asks for the model.
fn is_model(name: &Value, model: &str) -> bool {
    let plain = |name: &str| name.trim_end_matches("[1m]").to_owned();
    name.as_str().is_some_and(|name| plain(name) == plain(model))
}
