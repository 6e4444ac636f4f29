//! From a mutant's file to a checked [`Mutant`]: every fault at its place.

use crate::document::Query;
use crate::document::written;
use crate::text::listed;
use std::fmt::Display;
use std::path::Path;

use regex::Regex;
use serde::Deserialize as _;
use serde_json_path::JsonPath;

use super::FORM;
use super::file::{
    AnswerEntry, EditEntry, EventEntry, HeaderEntry, KillerEntry, MutantFile, ReplyEntry, RequestEntry, Side,
    WhenEntry,
};
use super::reply::MadeUpReply;
use super::{
    Edit, EventAction, EventChange, HeaderEdit, Killer, Mutant, MutantName, Position, Regexp, ReplyChange,
    RequestChange, When,
};
use crate::document::Diagnostic;
use crate::document::Node;
use crate::document::yaml;
use crate::ids::{CellId, FeatureId, ProviderId, TierId};

pub struct Known<'a> {
    /// The columns that have cells to run, in order.
    pub providers: &'a [ProviderId],
    pub tiers: &'a [TierId],
    /// The cells to run, and the names of the expectations of each; `None` where they cannot be read.
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
    let form: Vec<Diagnostic> = FORM.diagnostics(&node);
    if !form.is_empty() {
        return Err(form);
    }
    let mirror = MutantFile::deserialize(node.to_json())
        .map_err(|error| vec![Diagnostic::of_file(file, error.to_string())])?;
    let mut resolver = Resolver {
        node: &node,
        known,
        faults: Vec::new(),
    };
    let mutant = resolver.mutant(name, mirror);
    match resolver.faults.is_empty() {
        true => Ok(mutant),
        false => Err(resolver.faults),
    }
}

struct Resolver<'a> {
    node: &'a Node,
    known: &'a Known<'a>,
    faults: Vec<Diagnostic>,
}

/// A path of keys from the root of the file.
#[derive(Clone)]
struct At(Vec<String>);

impl At {
    fn root() -> Self {
        Self(Vec::new())
    }

    fn then(&self, step: impl Display) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.to_string());
        Self(steps)
    }
}

impl Resolver<'_> {
    fn mutant(&mut self, name: MutantName, file: MutantFile) -> Mutant {
        let root = At::root();
        let providers = self.providers(&root.then("providers"), file.providers);
        if file.request.is_none() && file.reply.is_none() {
            let fault =
                Diagnostic::at(&self.node.span, "the mutant does nothing").hint("write `request` or `reply`");
            self.faults.push(fault);
        }
        Mutant {
            name,
            description: file.description.trim().to_owned(),
            sources: file.sources,
            place: self.node.span.place(),
            position: file.position.unwrap_or(Position::Front),
            tier: file.tier.and_then(|tier| self.tier(&root.then("tier"), tier)),
            quick: file.quick,
            when: self.when(&root.then("when"), file.when),
            request: self.request(&root.then("request"), file.request.unwrap_or_default()),
            reply: self.reply(&root.then("reply"), file.reply.unwrap_or_default()),
            killed_by: self.killers(&root.then("killed_by"), &file.killed_by, &providers),
            providers,
        }
    }

    fn fault(&mut self, at: &At, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.node.span_at(&at.0), message).path(written(&at.0))
    }

    fn providers(&mut self, at: &At, named: Option<Vec<String>>) -> Vec<ProviderId> {
        let Some(named) = named else {
            return self.known.providers.to_vec();
        };
        let mut providers = Vec::with_capacity(named.len());
        for (index, name) in named.into_iter().enumerate() {
            let known = self.known.providers.iter().map(ProviderId::as_str);
            let provider = ProviderId::new(&name);
            if self.known.providers.contains(&provider) {
                providers.push(provider);
            } else {
                let fault = self
                    .fault(
                        &at.then(index),
                        format!("no cell of the provider `{name}` is run"),
                    )
                    .allowed(listed(known.clone()))
                    .did_you_mean(&name, known);
                self.faults.push(fault);
            }
        }
        providers
    }

    fn tier(&mut self, at: &At, name: String) -> Option<TierId> {
        let tier = TierId::new(&name);
        if self.known.tiers.contains(&tier) {
            return Some(tier);
        }
        let known = self.known.tiers.iter().map(TierId::as_str);
        let fault = self
            .fault(at, format!("the manifest has no tier `{name}`"))
            .allowed(listed(known.clone()))
            .did_you_mean(&name, known);
        self.faults.push(fault);
        None
    }

    fn when(&mut self, at: &At, entry: WhenEntry) -> When {
        When {
            operation: entry.operation,
            turn: entry.turn,
            stream: entry.stream,
            body: entry.body.and_then(|path| self.query(&at.then("body"), path)),
            replied: entry.replied,
        }
    }

    fn request(&mut self, at: &At, entry: RequestEntry) -> RequestChange {
        RequestChange {
            headers: self.headers(&at.then("headers"), entry.headers),
            body: self.edits(&at.then("body"), entry.body),
            path: entry.path.and_then(|replace| {
                let find = self.regex(&at.then("path").then("find"), &replace.find)?;
                Some((find, replace.with))
            }),
            delay_ms: entry.delay_ms.unwrap_or_default(),
            send_twice: entry.send_twice.unwrap_or_default(),
            answer: self.answer(&at.then("answer"), entry.answer),
        }
    }

    fn reply(&mut self, at: &At, entry: ReplyEntry) -> ReplyChange {
        let events = at.then("events");
        ReplyChange {
            status: entry.status,
            headers: self.headers(&at.then("headers"), entry.headers),
            body: self.edits(&at.then("body"), entry.body),
            events: entry
                .events
                .unwrap_or_default()
                .into_iter()
                .enumerate()
                .filter_map(|(index, entry)| self.event(&events.then(index), entry))
                .collect(),
            delay_ms: entry.delay_ms.unwrap_or_default(),
            buffer: entry.buffer.unwrap_or_default(),
            chunk_bytes: entry.chunk_bytes,
            answer: self.answer(&at.then("answer"), entry.answer),
        }
    }

    fn answer(&mut self, at: &At, entry: Option<AnswerEntry>) -> Option<MadeUpReply> {
        let entry = entry?;
        let (content_type, body) = match (entry.json, entry.text) {
            (Some(json), None) => ("application/json", json.to_string()),
            (None, Some(text)) => ("text/plain; charset=utf-8", text),
            _ => {
                let fault = self
                    .fault(at, "the answer has no body or two")
                    .allowed("exactly one of `json`, `text`");
                self.faults.push(fault);
                return None;
            }
        };
        Some(MadeUpReply {
            status: entry.status,
            content_type: content_type.to_owned(),
            body: body.into(),
        })
    }

    fn headers(&mut self, at: &At, entries: Option<Vec<HeaderEntry>>) -> Vec<HeaderEdit> {
        let entries = entries.unwrap_or_default().into_iter().enumerate();
        entries
            .filter_map(|(index, entry)| self.header(&at.then(index), entry))
            .collect()
    }

    fn header(&mut self, at: &At, entry: HeaderEntry) -> Option<HeaderEdit> {
        let lower = |name: String| name.to_ascii_lowercase();
        if let Some(name) = entry.drop {
            return Some(HeaderEdit::Drop(lower(name)));
        }
        if let Some(set) = entry.set {
            return Some(HeaderEdit::Set(lower(set.name), set.value));
        }
        if let Some(rename) = entry.rename {
            return Some(HeaderEdit::Rename(lower(rename.name), lower(rename.to)));
        }
        if let Some(drop) = entry.drop_entry {
            let find = self.regex(&at.then("drop_entry").then("find"), &drop.find)?;
            return Some(HeaderEdit::DropEntry(lower(drop.name), Regexp(find)));
        }
        let add = entry.add_entry?;
        Some(HeaderEdit::AddEntry(lower(add.name), add.value))
    }

    fn edits(&mut self, at: &At, entries: Option<Vec<EditEntry>>) -> Vec<Edit> {
        let entries = entries.unwrap_or_default().into_iter().enumerate();
        entries
            .filter_map(|(index, entry)| self.edit(&at.then(index), entry))
            .collect()
    }

    fn edit(&mut self, at: &At, entry: EditEntry) -> Option<Edit> {
        if let Some(path) = entry.drop {
            return Some(Edit::Drop(self.query(&at.then("drop"), path)?));
        }
        if let Some(set) = entry.set {
            return Some(Edit::Set(
                self.query(&at.then("set").then("path"), set.path)?,
                set.value,
            ));
        }
        if let Some(add) = entry.add {
            return Some(Edit::Add {
                to: self.query(&at.then("add").then("to"), add.to)?,
                key: add.key,
                value: add.value,
                first: add.first,
            });
        }
        if let Some(rename) = entry.rename {
            return Some(Edit::Rename(
                self.query(&at.then("rename").then("path"), rename.path)?,
                rename.to,
            ));
        }
        if let Some(path) = entry.reverse {
            return Some(Edit::Reverse(self.query(&at.then("reverse"), path)?));
        }
        if let Some(path) = entry.duplicate {
            return Some(Edit::Duplicate(self.query(&at.then("duplicate"), path)?));
        }
        if let Some(shift) = entry.shift {
            return Some(Edit::Move {
                from: self.query(&at.then("move").then("from"), shift.from)?,
                to: self.query(&at.then("move").then("to"), shift.to)?,
                first: shift.first,
            });
        }
        let replace = entry.replace_text?;
        let at = at.then("replace_text");
        Some(Edit::ReplaceText(
            self.query(&at.then("path"), replace.path)?,
            Regexp(self.regex(&at.then("find"), &replace.find)?),
            replace.with,
        ))
    }

    fn event(&mut self, at: &At, entry: EventEntry) -> Option<EventChange> {
        let filter = match entry.filter.clone() {
            Some(path) => Some(self.query(&at.then("where"), path)?),
            None => None,
        };
        let (name, nth) = (entry.name.clone(), entry.nth);
        let mut actions = self.actions(at, entry);
        if actions.len() != 1 {
            let fault = self
                .fault(at, "it is not clear what is done to these events")
                .found(format!("{} actions", actions.len()))
                .allowed(format!("exactly one of {}", listed(ACTIONS)));
            self.faults.push(fault);
            return None;
        }
        Some(EventChange {
            name,
            filter,
            nth,
            action: actions.remove(0),
        })
    }

    fn actions(&mut self, at: &At, entry: EventEntry) -> Vec<EventAction> {
        let when = |flag: Option<bool>, action| flag.unwrap_or_default().then_some(action);
        let side = |side: Option<Side>, before, after| {
            side.map(|side| match side {
                Side::Before => before,
                Side::After => after,
            })
        };
        [
            when(entry.drop, EventAction::Drop),
            when(entry.duplicate, EventAction::Duplicate),
            entry
                .edit
                .map(|edits| EventAction::Edit(self.edits(&at.then("edit"), Some(edits)))),
            entry.rename.map(EventAction::Rename),
            when(entry.split, EventAction::Split),
            when(entry.merge, EventAction::Merge),
            when(entry.hold, EventAction::Hold),
            when(entry.swap_with_next, EventAction::SwapWithNext),
            when(entry.move_to_end, EventAction::MoveToEnd),
            entry
                .insert_before
                .map(|insert| EventAction::InsertBefore(insert.name, insert.data)),
            entry
                .insert_after
                .map(|insert| EventAction::InsertAfter(insert.name, insert.data)),
            entry.delay_ms.map(EventAction::Delay),
            side(entry.cut, EventAction::CutBefore, EventAction::CutAfter),
            side(entry.end, EventAction::EndBefore, EventAction::EndAfter),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn killers(&mut self, at: &At, entries: &[KillerEntry], providers: &[ProviderId]) -> Vec<Killer> {
        entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| self.killer(&at.then(index), entry, providers))
            .collect()
    }

    fn killer(&mut self, at: &At, entry: &KillerEntry, providers: &[ProviderId]) -> Option<Killer> {
        let (feature, provider) = entry.cell.split_once("::").unwrap_or((&entry.cell, "*"));
        let named = |name: &str| (name != "*").then(|| name.to_owned());
        let killer = Killer {
            feature: named(feature).map(FeatureId::new),
            provider: named(provider).map(ProviderId::new),
            expectation: entry.expectation.clone(),
            place: self.node.span_at(&at.0).place(),
        };
        let cells: Vec<_> = self
            .known
            .cells
            .iter()
            .filter(|(cell, _)| providers.contains(&cell.provider) && killer.names(cell))
            .collect();
        if cells.is_empty() {
            let known: Vec<String> = self
                .known
                .cells
                .iter()
                .filter(|(cell, _)| providers.contains(&cell.provider))
                .map(|(cell, _)| cell.to_string())
                .collect();
            let fault = self
                .fault(
                    &at.then("cell"),
                    format!("the mutant is tried in no cell `{}`", entry.cell),
                )
                .did_you_mean(&entry.cell, known.iter().map(String::as_str));
            self.faults.push(fault);
            return None;
        }
        for (cell, expectations) in cells {
            let Some(expectations) = expectations else {
                continue;
            };
            if !expectations.contains(&entry.expectation) {
                let names = expectations.iter().map(String::as_str);
                let fault = self
                    .fault(
                        &at.then("expectation"),
                        format!("`{cell}` has no expectation `{}`", entry.expectation),
                    )
                    .allowed(listed(names.clone()))
                    .did_you_mean(&entry.expectation, names);
                self.faults.push(fault);
                return None;
            }
        }
        Some(killer)
    }

    fn query(&mut self, at: &At, text: String) -> Option<Query> {
        match JsonPath::parse(&text) {
            Ok(path) => Some(Query { text, path }),
            Err(error) => {
                let fault = self
                    .fault(at, format!("not a JSONPath: {error}"))
                    .found(format!("`{text}`"))
                    .hint("JSONPath as in RFC 9535: `$.messages[0].content[?@.type == 'text'].text`");
                self.faults.push(fault);
                None
            }
        }
    }

    fn regex(&mut self, at: &At, text: &str) -> Option<Regex> {
        match Regex::new(text) {
            Ok(regex) => Some(regex),
            Err(error) => {
                let why = error.to_string();
                let why = why.lines().last().unwrap_or_default();
                let fault = self
                    .fault(at, format!("not a regular expression: {why}"))
                    .found(format!("`{text}`"));
                self.faults.push(fault);
                None
            }
        }
    }
}

/// What can be done to an event.
const ACTIONS: [&str; 14] = [
    "drop",
    "duplicate",
    "edit",
    "rename",
    "split",
    "merge",
    "hold",
    "swap_with_next",
    "move_to_end",
    "insert_before",
    "insert_after",
    "delay_ms",
    "cut",
    "end",
];
