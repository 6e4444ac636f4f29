//! Reads a mutant's file into a checked [`Mutant`], and reports every error at its place.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::Deserialize as _;
use serde_json::Value;

use super::event_form::{EventChange, InsertedEvent};
use super::form::{MadeUpReply, MutantForm, OtherSide};
use super::{ExpectedKill, FORM, Mutant, MutantName, RelayPosition, SideChange};
use crate::document::{Diagnostic, KeyPath, Node, NodeValue, Reader, yaml};
use crate::ids::{CellId, FeatureId, ProviderId, TierId};
use crate::outcome::Cause;
use crate::text::{listed, quotable};
use crate::wire::framing::READ_EVENTS;

pub struct Known<'a> {
    /// The columns that have cells to run, in order.
    pub providers: &'a [ProviderId],
    pub tiers: &'a [TierId],
    /// The rows that `*` stands for.
    pub main_rows: &'a [FeatureId],
    /// The cells to run, each with the names of its expectations; `None` if the cell has errors.
    pub cells: &'a [(CellId, Option<Vec<String>>)],
}

/// Reads the mutant `name` from the bytes of `file`.
pub fn resolve(
    name: MutantName,
    file: &Path,
    bytes: &[u8],
    known: &Known<'_>,
) -> Result<Mutant, Vec<Diagnostic>> {
    let node = yaml::parse(file, bytes)?;
    let of_form = FORM.check(&node);
    let repaired = FORM.repair(&node, &of_form, |_| usize::MAX);
    let node = repaired.node;
    let mut resolver = Resolver {
        reader: Reader::new(&node),
        known,
    };
    resolver.expressions(FORM.schema(), &node, &KeyPath::default());
    let is_readable = resolver.reader.diagnostics.is_empty() && repaired.damaged.is_empty();
    let of_form = of_form.into_iter().chain(repaired.below_slips);
    let of_form = of_form.map(|error| error.diagnostic);
    resolver.reader.diagnostics.extend(of_form);
    if !is_readable {
        return Err(resolver.reader.diagnostics);
    }
    let form = MutantForm::deserialize(node.to_json())
        .map_err(|error| vec![Diagnostic::of_file(file, error.to_string())])?;
    let mutant = resolver.mutant(name, form);
    let diagnostics = resolver.reader.diagnostics;
    match diagnostics.is_empty() {
        true => Ok(mutant),
        false => Err(diagnostics),
    }
}

struct Resolver<'a> {
    reader: Reader<'a>,
    known: &'a Known<'a>,
}

/// The events of `converse-stream`
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html>).
const CONVERSE_EVENTS: [&str; 6] = [
    "messageStart",
    "contentBlockStart",
    "contentBlockDelta",
    "contentBlockStop",
    "messageStop",
    "metadata",
];

impl Resolver<'_> {
    /// Parses each JSONPath and each regular expression, which `x-syntax` marks in the schema: serde would stop at the
    /// first error and does not know its place.
    fn expressions(&mut self, schema: &Value, node: &Node, at: &KeyPath) {
        match (&node.value, schema["x-syntax"].as_str()) {
            (NodeValue::Text(text), Some("JSONPath")) => drop(self.reader.query(at, text)),
            (NodeValue::Text(text), Some(_)) => drop(self.reader.regex(at, text)),
            (NodeValue::List(items), _) => {
                for (index, item) in items.iter().enumerate() {
                    self.expressions(&schema["items"], item, &at.then(index));
                }
            }
            (NodeValue::Map(entries), _) => {
                for entry in entries {
                    let schema = &schema["properties"][&entry.key];
                    self.expressions(schema, &entry.value, &at.then(&entry.key));
                }
            }
            _ => {}
        }
    }

    fn mutant(&mut self, name: MutantName, form: MutantForm) -> Mutant {
        let root = KeyPath::default();
        self.fate(&form);
        let providers = self.providers(&root.then("providers"), form.providers);
        let first = OtherSide {
            when: form.when,
            request: form.request,
            reply: form.reply,
        };
        let mut sides = vec![self.side(&root, form.position, first)];
        if let Some(other) = form.other_side {
            let position = match form.position {
                RelayPosition::Front => RelayPosition::Behind,
                RelayPosition::Behind => RelayPosition::Front,
            };
            sides.push(self.side(&root.then("other_side"), position, other));
        }
        Mutant {
            name,
            description: form.description.trim().to_owned(),
            sources: form.sources,
            place: self.reader.node.span.place(),
            sides,
            tier: form.tier.and_then(|tier| self.tier(&root.then("tier"), tier)),
            cause: form.cause.unwrap_or(Cause::Gateway),
            names: form.names.unwrap_or_default(),
            quick: form.quick,
            is_neutral: form.must_stay.is_some(),
            rows: self.rows(&root.then("rows"), &form.rows, &providers),
            killed_by: self.expected_kills(&root.then("killed_by"), &form.killed_by, &providers),
            providers,
        }
    }

    /// A mutant is a bug that cells catch, or it is neutral.
    fn fate(&mut self, form: &MutantForm) {
        let (is_neutral, is_caught) = (form.must_stay.is_some(), !form.killed_by.is_empty());
        if is_neutral == is_caught {
            let found = if is_neutral { "both" } else { "neither" };
            let span = &self.reader.node.span;
            let diagnostic = Diagnostic::at(span, "it is not clear whether a cell must fail");
            let diagnostic = diagnostic
                .found(found)
                .allowed("exactly one of `killed_by`, `must_stay`");
            self.reader.report(diagnostic);
        }
        if !is_neutral && !form.rows.is_empty() {
            let at = KeyPath::default().then("rows");
            let diagnostic = self.reader.at_key(&at, "`killed_by` names the rows of a bug");
            self.reader.report(diagnostic);
        }
        for (key, is_given) in [("cause", form.cause.is_some()), ("names", form.names.is_some())] {
            if is_neutral && is_given {
                let at = KeyPath::default().then(key);
                let diagnostic = self.reader.at_key(&at, "a neutral mutant causes no failure");
                self.reader.report(diagnostic);
            }
        }
    }

    fn side(&mut self, at: &KeyPath, position: RelayPosition, form: OtherSide) -> Arc<SideChange> {
        if form.request.is_none() && form.reply.is_none() {
            let span = self.reader.node.span_at(&at.0);
            let diagnostic =
                Diagnostic::at(span, "the mutant does nothing").hint("write `request` or `reply`");
            self.reader.report(diagnostic);
        }
        let (request, reply) = (form.request.unwrap_or_default(), form.reply.unwrap_or_default());
        for (key, answer) in [("request", &request.answer), ("reply", &reply.answer)] {
            self.answer(&at.then(key).then("answer"), answer.as_ref());
        }
        for (index, change) in reply.events.iter().enumerate() {
            self.event(&at.then("reply").then("events").then(index), change);
        }
        Arc::new(SideChange {
            position,
            when: form.when,
            request,
            reply,
        })
    }

    fn providers(&mut self, at: &KeyPath, named: Option<Vec<String>>) -> Vec<ProviderId> {
        let Some(named) = named else {
            return self.known.providers.to_vec();
        };
        let mut providers = Vec::with_capacity(named.len());
        for (index, name) in named.iter().enumerate() {
            let known = self.known.providers.iter().map(ProviderId::as_str);
            let provider = ProviderId::new(name);
            if self.known.providers.contains(&provider) {
                providers.push(provider);
            } else {
                let message = format!("no cell of the provider `{name}` is run");
                self.unknown(&at.then(index), message, name, known);
            }
        }
        providers
    }

    fn rows(&mut self, at: &KeyPath, named: &[String], providers: &[ProviderId]) -> Vec<FeatureId> {
        let cells = self.known.cells.iter().map(|(cell, _)| cell);
        let cells = cells.filter(|cell| providers.contains(&cell.provider));
        let known: BTreeSet<&str> = cells.map(|cell| cell.feature.as_str()).collect();
        for (index, name) in named.iter().enumerate() {
            if !known.contains(name.as_str()) {
                let message = format!("the mutant's providers have no row `{name}`");
                self.unknown(&at.then(index), message, name, known.iter().copied());
            }
        }
        named.iter().map(FeatureId::new).collect()
    }

    fn tier(&mut self, at: &KeyPath, name: String) -> Option<TierId> {
        let tier = TierId::new(&name);
        if self.known.tiers.contains(&tier) {
            return Some(tier);
        }
        let known = self.known.tiers.iter().map(TierId::as_str);
        self.unknown(at, format!("the manifest has no tier `{name}`"), &name, known);
        None
    }

    fn unknown<'b>(
        &mut self,
        at: &KeyPath,
        message: String,
        name: &str,
        known: impl Iterator<Item = &'b str> + Clone,
    ) {
        let diagnostic = self.reader.at(at, message).allowed(listed(known.clone()));
        self.reader.report(diagnostic.did_you_mean(name, known));
    }

    fn answer(&mut self, at: &KeyPath, answer: Option<&MadeUpReply>) {
        if answer.is_some_and(|answer| answer.json.is_some() == answer.text.is_some()) {
            let diagnostic = self.reader.at(at, "the answer has no body or two");
            self.reader
                .report(diagnostic.allowed("exactly one of `json`, `text`"));
        }
    }

    fn event(&mut self, at: &KeyPath, change: &EventChange) {
        self.inserted(&at.then("insert_before"), change.insert_before.as_ref());
        self.inserted(&at.then("insert_after"), change.insert_after.as_ref());
        // Those of the Messages API, and those of Converse behind the gateway.
        let known = || READ_EVENTS.into_iter().chain(["ping"]).chain(CONVERSE_EVENTS);
        if let Some(name) = change
            .name
            .as_deref()
            .filter(|name| !known().any(|one| one == *name) && !name.ends_with("Exception"))
        {
            let message = format!("a stream has no event `{}`", quotable(name));
            let error = self.reader.at(&at.then("name"), message);
            self.reader
                .report(error.allowed(listed(known())).did_you_mean(name, known()));
        }
        let number = change.actions().len();
        if number != 1 {
            let properties =
                &FORM.schema()["properties"]["reply"]["properties"]["events"]["items"]["properties"];
            let keys = properties.as_object().into_iter().flatten();
            // The first three select the events.
            let actions = listed(keys.skip(3).map(|(key, _)| key.as_str()));
            let diagnostic = self
                .reader
                .at(at, "it is not clear what happens to these events")
                .found(format!("{number} actions"))
                .allowed(format!("exactly one of {actions}"));
            self.reader.report(diagnostic);
        }
    }

    fn inserted(&mut self, at: &KeyPath, event: Option<&InsertedEvent>) {
        let is_clear = |event: &InsertedEvent| {
            let parts = [event.name.is_some(), event.data.is_some(), event.text.is_some()];
            [[true, true, false], [false, false, true]].contains(&parts)
        };
        if !event.is_none_or(is_clear) {
            let diagnostic = self.reader.at(at, "it is not clear what the inserted event is");
            self.reader
                .report(diagnostic.allowed("`name` and `data`, or `text` alone"));
        }
    }

    fn expected_kills(
        &mut self,
        at: &KeyPath,
        named: &IndexMap<String, Vec<String>>,
        providers: &[ProviderId],
    ) -> Vec<ExpectedKill> {
        let mut kills = Vec::new();
        for (expectation, cells) in named {
            let at = at.then(expectation);
            let has = |names: &Vec<String>| names.iter().any(|name| name == expectation);
            let mut known = self.known.cells.iter();
            let is_known = known.any(|(_, names)| names.as_ref().is_none_or(has));
            // A wrong name is one error, not one for each cell.
            let cells = if is_known {
                &cells[..]
            } else {
                &cells[..cells.len().min(1)]
            };
            for (index, cell) in cells.iter().enumerate() {
                kills.extend(self.expected_kill(&at, index, expectation, cell, providers));
            }
        }
        kills
    }

    fn expected_kill(
        &mut self,
        at: &KeyPath,
        index: usize,
        expectation: &str,
        cell: &str,
        providers: &[ProviderId],
    ) -> Vec<ExpectedKill> {
        let (feature, provider) = cell.split_once("::").unwrap_or((cell, "*"));
        let tried = || {
            let cells = self.known.cells.iter();
            cells.filter(|(cell, _)| providers.contains(&cell.provider))
        };
        let is_named = |cell: &CellId| {
            let has_row = match feature {
                "*" => self.known.main_rows.contains(&cell.feature),
                feature => cell.feature.as_str() == feature,
            };
            has_row && ["*", cell.provider.as_str()].contains(&provider)
        };
        let cells: Vec<_> = tried().filter(|(cell, _)| is_named(cell)).collect();
        if cells.is_empty() {
            let name = |(id, _): &(CellId, _)| match cell.contains("::") {
                true => id.to_string(),
                false => id.feature.to_string(),
            };
            let names: Vec<String> = tried().map(name).collect();
            let message = format!("the mutant runs in no cell `{cell}`");
            let diagnostic = self.reader.at(&at.then(index), message);
            let names = names.iter().map(String::as_str);
            self.reader.report(diagnostic.did_you_mean(cell, names));
            return Vec::new();
        }
        let unknown = cells.iter().find_map(|(cell, names)| {
            let names = names.as_ref()?;
            (!names.iter().any(|name| name == expectation)).then_some((cell, names))
        });
        if let Some((cell, names)) = unknown {
            let names = names.iter().map(String::as_str);
            let diagnostic = self
                .reader
                .at_key(at, format!("`{cell}` has no expectation `{expectation}`"))
                .allowed(listed(names.clone()))
                .did_you_mean(expectation, names);
            self.reader.report(diagnostic);
            return Vec::new();
        }
        let place = self.reader.node.span_at(&at.then(index).0).place();
        let kill = |(cell, _): &(CellId, _)| ExpectedKill {
            cell: cell.clone(),
            expectation: expectation.to_owned(),
            place: place.clone(),
        };
        cells.into_iter().map(kill).collect()
    }
}
