//! `request`: a request that reached the provider.

use std::sync::LazyLock;

use indexmap::IndexMap;
use regex::Regex;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::{JudgedSide, Kind};
use crate::document::{KeyPath, Query};
use crate::expectation::interest::MODEL;
use crate::expectation::provider_side::{Turn, at, messages_operation, never_sent, on_each};
use crate::expectation::{
    Checker, Deviation, Interest, MatchError, Matcher, MatcherForm, Ruling, Scene, trace, value_tree,
};
use crate::findings::Level;
use crate::text::listed;
use crate::wire::exchange::{ProviderExchange, RecordedRequest};
use crate::wire::target::prompt;
use crate::wire::{Operation, Route, body_fields, body_path};
use crate::wire_diff::Part;

/// Provider's side: what a request that reached it must hold. Not judged in a live run.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": "every", "route": "bedrock_invoke", "stream": true}]))]
pub struct RequestForm {
    turn: Turn,
    /// The kind of request; `messages` if not given.
    #[serde(default = "messages_operation")]
    operation: Operation,
    /// The route it came by.
    route: Option<Route>,
    /// Whether it asks for a stream.
    stream: Option<bool>,
    /// What the model must be, as the provider received it: in the body, or on Bedrock and Vertex AI in the path.
    #[schemars(extend("examples" = [{"contains": "${model}"}]))]
    model: Option<MatcherForm>,
    /// What its headers must be, by name in lower case. A header that was sent twice counts as its values joined by `,`. A
    /// header that Claude Code sent in no request of the trial is not judged.
    #[serde(default)]
    #[schemars(extend("examples" = [{"anthropic-version": {"equals": "2023-06-01"}}]))]
    headers: IndexMap<String, MatcherForm>,
    /// What its body must hold as the provider received it, by JSONPath (RFC 9535). What another version of Claude Code than
    /// the pinned one sent in no request of the trial is not judged.
    #[serde(default)]
    #[schemars(extend("examples" = [{"$.max_tokens": {"min": 1}, "$.tools[?@.name == 'Bash']": {"exists": true}}]))]
    body: IndexMap<String, MatcherForm>,
}

const OTHER_MODEL: &str = "the request is for another model";
const OTHER_ROUTE: &str = "the request reached the provider by another route";
/// Before the form of the reply.
const OTHER_FORM: &str = "the provider was asked for";

#[derive(Clone, Debug, PartialEq)]
pub struct RequestCheck {
    pub turn: Turn,
    pub operation: Operation,
    pub route: Option<Route>,
    pub stream: Option<bool>,
    /// The model, as the body or the path names it.
    pub model: Option<Matcher>,
    /// Headers, by name in lower case. A header sent twice counts as its values joined by `,`.
    pub headers: Vec<(String, Matcher)>,
    /// The body as the provider received it.
    pub body: Vec<(Query, Matcher)>,
}

impl Kind for RequestCheck {
    type Form = RequestForm;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str = "A part of the request, or a setting, does not reach the provider as it should.";

    fn resolve(form: &RequestForm, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        if form.operation == Operation::Messages {
            checker.turn(path, form.turn);
        }
        let without_condition = form.route.is_none()
            && form.stream.is_none()
            && form.model.is_none()
            && form.headers.is_empty()
            && form.body.is_empty();
        if without_condition && form.operation == Operation::Messages {
            checker.no_condition(path, ["route", "stream", "model", "headers", "body"]);
        }
        route_is_possible(form.route, checker, path);
        checker.header_names(&path.then("headers"), form.headers.keys());
        body_fields(form, checker, path);
        Some(Self {
            turn: form.turn,
            operation: form.operation,
            route: form.route,
            stream: form.stream,
            model: form
                .model
                .as_ref()
                .map(|form| form.resolve(checker, &path.then("model"))),
            headers: checker.named(&path.then("headers"), &form.headers),
            body: checker.queries(&path.then("body"), &form.body),
        })
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        match self.without_unsent(scene) {
            Some(rest) if rest.has_condition() => rest.judge(scene),
            Some(_) => Ruling::NotJudged,
            None => self.judge_all(scene),
        }
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest {
            names: self.names(),
            operation: Some(self.operation),
            ..Interest::request(self.parts(), self.turn.number())
        }]
    }

    fn level(&self) -> Level {
        let is_about_content = self.model.is_some() || self.stream.is_some() || !self.body.is_empty();
        match is_about_content || self.operation != Operation::Messages {
            true => Level::Feature,
            false => Level::Contract,
        }
    }

    fn loses(&self, deviation: &Deviation) -> &'static str {
        match deviation.summary.as_str() {
            OTHER_MODEL if self.operation == Operation::CountTokens => {
                "The tokens are counted for another model than Claude Code asked for."
            }
            OTHER_MODEL => "Another model answers than Claude Code asked for.",
            OTHER_ROUTE => "The request goes by another API of the provider than the row is about.",
            summary if summary.starts_with(OTHER_FORM) => {
                "The gateway asks for a stream where Claude Code does not, or the other way round."
            }
            summary if summary.starts_with("header ") => "A header does not reach the provider as it should.",
            _ => Self::LOSES,
        }
    }

    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        // An alias contains the model's name, if it is not an alias of another form.
        let model_only = Self {
            route: None,
            stream: None,
            headers: Vec::new(),
            body: Vec::new(),
            ..self.clone()
        };
        if self.model.is_some()
            && trace::held_as_sent(&model_only, scene) == Some(true)
            && matches!(model_only.judge(scene), Ruling::Judged(deviations) if !deviations.is_empty())
        {
            return Some(true);
        }
        // Route, model and stream differ in form from one API to another; headers and body can be compared.
        let in_any_form = Self {
            route: None,
            model: None,
            stream: None,
            ..self.clone()
        };
        if in_any_form.headers.is_empty() && in_any_form.body.is_empty() {
            return None;
        }
        let holds = trace::held_as_sent(&in_any_form, scene)?;
        // A path into the body of another API finds nothing, and that proves nothing.
        let mut exchanges = scene.evidence.exchanges.iter();
        let is_same_form = exchanges.all(|exchange| exchange.route.is_some_and(Route::is_messages_api));
        (holds || is_same_form || self.body.is_empty()).then_some(holds)
    }
}

impl RequestCheck {
    fn judge_all(&self, scene: &Scene<'_>) -> Ruling {
        on_each(self.turn, self.operation, scene, |exchange| {
            let on_the_way = self
                .by_route(exchange)
                .into_iter()
                .chain(self.by_stream(exchange));
            let of_content = self.by_model(exchange).into_iter();
            let of_content = of_content
                .chain(self.by_header(exchange))
                .chain(self.by_body(exchange));
            on_the_way.chain(of_content).collect()
        })
    }

    /// Without what Claude Code sent in no request, unless it has to be absent; `None` if that changes nothing. A path into the
    /// body counts only on another version of Claude Code than the pinned one: on the pinned one it is the cell's mistake.
    fn without_unsent(&self, scene: &Scene<'_>) -> Option<Self> {
        let is_optional = |matcher: &Matcher| matcher.check(&[]).is_ok();
        let headers = self.headers.iter().filter(|(name, matcher)| {
            let has = |request: &RecordedRequest| request.header(name).next().is_some();
            is_optional(matcher) || !never_sent(self.operation, scene, has)
        });
        let mut exchanges = scene.evidence.exchanges.iter();
        let is_same_form = exchanges.all(|exchange| exchange.route.is_some_and(Route::is_messages_api));
        let is_judged_unsent = !scene.evidence.other_claude || !is_same_form;
        let body = self.body.iter().filter(|(query, matcher)| {
            let has = |request: &RecordedRequest| {
                let body = request.body.json();
                body.is_some_and(|body| !query.path.query(body).is_empty())
            };
            is_judged_unsent || is_optional(matcher) || !never_sent(self.operation, scene, has)
        });
        let judged = Self {
            headers: headers.cloned().collect(),
            body: body.cloned().collect(),
            ..self.clone()
        };
        (judged != *self).then_some(judged)
    }

    fn has_condition(&self) -> bool {
        self.route.is_some()
            || self.stream.is_some()
            || self.model.is_some()
            || !self.headers.is_empty()
            || !self.body.is_empty()
    }

    fn by_route(&self, exchange: &ProviderExchange) -> Option<Deviation> {
        let route = self.route.filter(|route| exchange.route != Some(*route))?;
        let found = exchange.route.map_or("no known route", |route| route.as_str());
        let error = MatchError {
            expected: route.as_str().into(),
            actual: format!("{found} ({})", exchange.request.path),
        };
        Some(deviation(exchange, OTHER_ROUTE, error))
    }

    fn by_stream(&self, exchange: &ProviderExchange) -> Option<Deviation> {
        let word = |streamed| match streamed {
            true => "a streamed reply",
            false => "a reply in one piece",
        };
        let stream = self.stream.filter(|stream| exchange.reply.stream != *stream)?;
        let found = word(exchange.reply.stream);
        let error = MatchError {
            expected: word(stream).into(),
            actual: format!("{found} ({})", exchange.request.path),
        };
        Some(deviation(exchange, format!("{OTHER_FORM} {found}"), error))
    }

    fn by_model(&self, exchange: &ProviderExchange) -> Option<Deviation> {
        let message = exchange.message.as_ref();
        let model = message.map(|message| Value::from(message.model.as_str()));
        let error = self.model.as_ref()?.check(model.as_ref().as_slice()).err()?;
        Some(deviation(exchange, OTHER_MODEL, error))
    }

    fn by_header(&self, exchange: &ProviderExchange) -> impl Iterator<Item = Deviation> {
        self.headers.iter().filter_map(|(name, matcher)| {
            let values: Vec<&str> = exchange.request.header(name).collect();
            let joined = Value::String(values.join(","));
            let found: &[&Value] = if values.is_empty() { &[] } else { &[&joined] };
            let error = matcher.check(found).err()?;
            let summary = format!("header `{name}` did not arrive as it should");
            Some(deviation(exchange, summary, error))
        })
    }

    fn by_body(&self, exchange: &ProviderExchange) -> impl Iterator<Item = Deviation> {
        let body = exchange.request.body.json();
        // Bedrock wraps the request to count.
        let counted = body.filter(|_| exchange.operation == Operation::CountTokens);
        let counted = counted.and_then(|body| prompt(exchange.operation, exchange.route, body));
        self.body.iter().filter_map(move |(query, matcher)| {
            let error = match counted.as_ref().or(body) {
                Some(body) => value_tree::check(query, matcher, body).err()?,
                None => MatchError {
                    expected: matcher.to_string(),
                    actual: "a body that is not JSON".into(),
                },
            };
            let summary = format!("`{}` of the request's body does not match", query.text);
            Some(deviation(exchange, summary, error))
        })
    }

    fn parts(&self) -> &'static [Part] {
        match (self.headers.is_empty(), self.body.is_empty()) {
            (false, true) => &[Part::Header, Part::Beta],
            (true, false) => &[
                // The choice of a tool follows from the tools.
                Part::Tool,
                Part::Field,
                Part::Beta,
                Part::Block,
                Part::Breakpoint,
                Part::Signature,
            ],
            _ => &[
                Part::Header,
                Part::Beta,
                Part::Field,
                Part::Block,
                Part::Tool,
                Part::Breakpoint,
                Part::Signature,
                Part::Request,
            ],
        }
    }

    /// `model`, `stream`, the headers, and every step of each path into the body.
    fn names(&self) -> Vec<String> {
        let is_separator = |character: char| !(character.is_alphanumeric() || character == '_');
        let steps = self
            .body
            .iter()
            .flat_map(|(query, _)| query.text.split(is_separator))
            .filter(|step| !step.is_empty());
        let headers = self.headers.iter().map(|(name, _)| name.as_str());
        let model = self.model.iter().map(|_| MODEL);
        let stream = self.stream.iter().map(|_| "stream");
        let names = model.chain(stream).chain(headers).chain(steps);
        names.map(str::to_owned).collect()
    }
}

fn deviation(exchange: &ProviderExchange, summary: impl Into<String>, error: MatchError) -> Deviation {
    Deviation {
        summary: summary.into(),
        expected: error.expected,
        actual: error.actual,
        evidence: Some(at(exchange)),
    }
}

/// Reports a route that is another provider's.
fn route_is_possible(route: Option<Route>, checker: &mut Checker<'_>, path: &KeyPath) {
    let provider = checker.context.provider.as_str();
    let Some(route) = route.filter(|route| route.as_str() != provider) else {
        return;
    };
    if Route::called(provider).is_none() {
        return;
    }
    // The message names no provider, so that it is reported once for all providers that share the entry.
    let message = format!(
        "only requests of `{route}` cells take the route `{route}`",
        route = route.as_str()
    );
    let node = checker.reader.node;
    let hint = match node.span_at(&path.0).source.file == node.span.source.file {
        true => format!("write `{provider}`"),
        false => "a route belongs in `cells/_providers/<provider>.yaml`".to_owned(),
    };
    checker.reader.hinted(&path.then("route"), message, hint);
}

/// Reports a path that can find nothing: into a field that no provider knows, or to a key where none stands. Also a misspelt role.
fn body_fields(form: &RequestForm, checker: &mut Checker<'_>, path: &KeyPath) {
    static ROLE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"\brole\s*==\s*['"](\w+)['"]"#).expect("a constant expression"));
    for (text, matcher) in &form.body {
        for role in ROLE.captures_iter(text).map(|found| found.extract::<1>().1[0]) {
            if let Some(meant) = body_fields::misspelt_role(role) {
                let error = checker.reader.at_key(
                    &path.then("body").then(text),
                    format!("no message has the role `{role}`"),
                );
                checker
                    .reader
                    .report(error.hint(format!("did you mean `{meant}`?")));
            }
        }
        if !matcher.needs_value() {
            continue;
        }
        let path = path.then("body").then(text);
        if let Some(fault) = body_path::impossible(text) {
            let error = checker.reader.at_key(&path, fault.in_words());
            let error = match fault.with_items() {
                Some(meant) => error.hint(format!("did you mean `{meant}`?")),
                None => error.did_you_mean(fault.key(), fault.keys.iter().copied()),
            };
            checker.reader.report(match fault.keys.is_empty() {
                true => error,
                false => error.allowed(listed(fault.keys.iter().copied())),
            });
            continue;
        }
        let Some(head) = text.strip_prefix("$.") else {
            continue;
        };
        let is_name = |character: char| character.is_alphanumeric() || character == '_';
        let head = &head[..head.find(|character| !is_name(character)).unwrap_or(head.len())];
        let known = body_fields::of_any_route();
        if head.is_empty() || known.clone().any(|name| name == head) {
            continue;
        }
        let message =
            format!("no request has the field `{head}`: providers refuse fields that they do not know");
        let diagnostic = checker.reader.at_key(&path, message);
        let diagnostic = diagnostic
            .allowed(listed(known.clone()))
            .did_you_mean(head, known);
        checker.reader.report(diagnostic);
    }
}
