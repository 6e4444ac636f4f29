//! From a mutant's file to a checked [`Mutant`]: every fault at its place.

use crate::text::listed;
use std::path::Path;

use indexmap::IndexMap;
use serde::Deserialize as _;

use super::raw::{
    AnswerForm, EditForm, EventChangeForm, HeaderEditForm, MutantForm, ReplyChangeForm, RequestChangeForm,
    Side, WhenForm,
};
use super::reply::MadeUpReply;
use super::{
    Edit, EventAction, EventChange, ExpectedKill, FORM, HeaderEdit, Mutant, MutantName, Position, Regexp,
    ReplyChange, RequestChange, When,
};
use crate::document::{Diagnostic, KeyPath, Reader, yaml};
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
    let of_form = FORM.diagnostics(&node);
    if !of_form.is_empty() {
        return Err(of_form);
    }
    let form = MutantForm::deserialize(node.to_json())
        .map_err(|error| vec![Diagnostic::of_file(file, error.to_string())])?;
    let mut resolver = Resolver {
        reader: Reader::new(&node),
        known,
    };
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

impl Resolver<'_> {
    fn mutant(&mut self, name: MutantName, file: MutantForm) -> Mutant {
        let root = KeyPath::default();
        let providers = self.providers(&root.then("providers"), file.providers);
        if file.request.is_none() && file.reply.is_none() {
            let fault = Diagnostic::at(&self.reader.node.span, "the mutant does nothing")
                .hint("write `request` or `reply`");
            self.reader.report(fault);
        }
        Mutant {
            name,
            description: file.description.trim().to_owned(),
            sources: file.sources,
            place: self.reader.node.span.place(),
            position: file.position.unwrap_or(Position::Front),
            tier: file.tier.and_then(|tier| self.tier(&root.then("tier"), tier)),
            quick: file.quick,
            when: self.when(&root.then("when"), file.when),
            request: self.request(&root.then("request"), file.request.unwrap_or_default()),
            reply: self.reply(&root.then("reply"), file.reply.unwrap_or_default()),
            killed_by: self.expected_kills(&root.then("killed_by"), &file.killed_by, &providers),
            providers,
        }
    }

    fn providers(&mut self, at: &KeyPath, named: Option<Vec<String>>) -> Vec<ProviderId> {
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
                    .reader
                    .at(
                        &at.then(index),
                        format!("no cell of the provider `{name}` is run"),
                    )
                    .allowed(listed(known.clone()))
                    .did_you_mean(&name, known);
                self.reader.report(fault);
            }
        }
        providers
    }

    fn tier(&mut self, at: &KeyPath, name: String) -> Option<TierId> {
        let tier = TierId::new(&name);
        if self.known.tiers.contains(&tier) {
            return Some(tier);
        }
        let known = self.known.tiers.iter().map(TierId::as_str);
        let fault = self
            .reader
            .at(at, format!("the manifest has no tier `{name}`"))
            .allowed(listed(known.clone()))
            .did_you_mean(&name, known);
        self.reader.report(fault);
        None
    }

    fn when(&mut self, at: &KeyPath, entry: WhenForm) -> When {
        When {
            operation: entry.operation,
            turn: entry.turn,
            stream: entry.stream,
            body: entry
                .body
                .and_then(|path| self.reader.query(&at.then("body"), &path)),
            replied: entry.replied,
        }
    }

    fn request(&mut self, at: &KeyPath, entry: RequestChangeForm) -> RequestChange {
        RequestChange {
            headers: self.headers(&at.then("headers"), entry.headers),
            body: self.edits(&at.then("body"), entry.body),
            path: entry.path.and_then(|replace| {
                let find = self.reader.regex(&at.then("path").then("find"), &replace.find)?;
                Some((find, replace.with))
            }),
            delay_ms: entry.delay_ms.unwrap_or_default(),
            send_twice: entry.send_twice.unwrap_or_default(),
            answer: self.answer(&at.then("answer"), entry.answer),
        }
    }

    fn reply(&mut self, at: &KeyPath, entry: ReplyChangeForm) -> ReplyChange {
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

    fn answer(&mut self, at: &KeyPath, entry: Option<AnswerForm>) -> Option<MadeUpReply> {
        let entry = entry?;
        let (content_type, body) = match (entry.json, entry.text) {
            (Some(json), None) => ("application/json", json.to_string()),
            (None, Some(text)) => ("text/plain; charset=utf-8", text),
            _ => {
                let fault = self
                    .reader
                    .at(at, "the answer has no body or two")
                    .allowed("exactly one of `json`, `text`");
                self.reader.report(fault);
                return None;
            }
        };
        Some(MadeUpReply {
            status: entry.status,
            content_type: content_type.to_owned(),
            body: body.into(),
        })
    }

    fn headers(&mut self, at: &KeyPath, entries: Option<Vec<HeaderEditForm>>) -> Vec<HeaderEdit> {
        let entries = entries.unwrap_or_default().into_iter().enumerate();
        entries
            .filter_map(|(index, entry)| self.header(&at.then(index), entry))
            .collect()
    }

    fn header(&mut self, at: &KeyPath, entry: HeaderEditForm) -> Option<HeaderEdit> {
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
            let find = self
                .reader
                .regex(&at.then("drop_entry").then("find"), &drop.find)?;
            return Some(HeaderEdit::DropEntry(lower(drop.name), Regexp(find)));
        }
        let add = entry.add_entry?;
        Some(HeaderEdit::AddEntry(lower(add.name), add.value))
    }

    fn edits(&mut self, at: &KeyPath, entries: Option<Vec<EditForm>>) -> Vec<Edit> {
        let entries = entries.unwrap_or_default().into_iter().enumerate();
        entries
            .filter_map(|(index, entry)| self.edit(&at.then(index), entry))
            .collect()
    }

    fn edit(&mut self, at: &KeyPath, entry: EditForm) -> Option<Edit> {
        if let Some(path) = entry.drop {
            return Some(Edit::Drop(self.reader.query(&at.then("drop"), &path)?));
        }
        if let Some(set) = entry.set {
            return Some(Edit::Set(
                self.reader.query(&at.then("set").then("path"), &set.path)?,
                set.value,
            ));
        }
        if let Some(add) = entry.add {
            return Some(Edit::Add {
                to: self.reader.query(&at.then("add").then("to"), &add.to)?,
                key: add.key,
                value: add.value,
                first: add.first,
            });
        }
        if let Some(rename) = entry.rename {
            return Some(Edit::Rename(
                self.reader.query(&at.then("rename").then("path"), &rename.path)?,
                rename.to,
            ));
        }
        if let Some(path) = entry.reverse {
            return Some(Edit::Reverse(self.reader.query(&at.then("reverse"), &path)?));
        }
        if let Some(path) = entry.duplicate {
            return Some(Edit::Duplicate(self.reader.query(&at.then("duplicate"), &path)?));
        }
        if let Some(shift) = entry.shift {
            return Some(Edit::Move {
                from: self.reader.query(&at.then("move").then("from"), &shift.from)?,
                to: self.reader.query(&at.then("move").then("to"), &shift.to)?,
                first: shift.first,
            });
        }
        let replace = entry.replace_text?;
        let at = at.then("replace_text");
        Some(Edit::ReplaceText(
            self.reader.query(&at.then("path"), &replace.path)?,
            Regexp(self.reader.regex(&at.then("find"), &replace.find)?),
            replace.with,
        ))
    }

    fn event(&mut self, at: &KeyPath, entry: EventChangeForm) -> Option<EventChange> {
        let filter = match entry.filter.clone() {
            Some(path) => Some(self.reader.query(&at.then("where"), &path)?),
            None => None,
        };
        let (name, nth) = (entry.name.clone(), entry.nth);
        let mut actions = self.actions(at, entry);
        if actions.len() != 1 {
            let fault = self
                .reader
                .at(at, "it is not clear what is done to these events")
                .found(format!("{} actions", actions.len()))
                .allowed(format!("exactly one of {}", listed(ACTIONS)));
            self.reader.report(fault);
            return None;
        }
        Some(EventChange {
            name,
            filter,
            nth,
            action: actions.remove(0),
        })
    }

    fn actions(&mut self, at: &KeyPath, entry: EventChangeForm) -> Vec<EventAction> {
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

    fn expected_kills(
        &mut self,
        at: &KeyPath,
        named: &IndexMap<String, Vec<String>>,
        providers: &[ProviderId],
    ) -> Vec<ExpectedKill> {
        let mut kills = Vec::new();
        for (expectation, cells) in named {
            let at = at.then(expectation);
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
    ) -> Option<ExpectedKill> {
        let (feature, provider) = cell.split_once("::").unwrap_or((cell, "*"));
        let named = |name: &str| (name != "*").then(|| name.to_owned());
        let kill = ExpectedKill {
            feature: named(feature).map(FeatureId::new),
            provider: named(provider).map(ProviderId::new),
            expectation: expectation.to_owned(),
            place: self.reader.node.span_at(&at.then(index).0).place(),
        };
        let tried = || {
            let cells = self.known.cells.iter();
            cells.filter(|(cell, _)| providers.contains(&cell.provider))
        };
        let cells: Vec<_> = tried().filter(|(cell, _)| kill.names(cell)).collect();
        if cells.is_empty() {
            let names: Vec<String> = tried().map(|(cell, _)| cell.to_string()).collect();
            let fault = self
                .reader
                .at(
                    &at.then(index),
                    format!("the mutant is tried in no cell `{cell}`"),
                )
                .did_you_mean(cell, names.iter().map(String::as_str));
            self.reader.report(fault);
            return None;
        }
        for (cell, expectations) in cells {
            let Some(expectations) = expectations
                .as_ref()
                .filter(|known| !known.iter().any(|name| name == expectation))
            else {
                continue;
            };
            let names = expectations.iter().map(String::as_str);
            let fault = self
                .reader
                .at_key(at, format!("`{cell}` has no expectation `{expectation}`"))
                .allowed(listed(names.clone()))
                .did_you_mean(expectation, names);
            self.reader.report(fault);
            return None;
        }
        Some(kill)
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
