//! Whether the first line of a report names what a mutant changed.
//!
//! The words come from the mutant's own edits: headers, fields, betas, events, kinds of block, status. The line is one of the
//! wire diff: ``request 1: field `thinking` dropped: {…}``.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::event_form::EventChange;
use super::form::{CopyTarget, Edit, HeaderEdit, MadeUpReply, ReplyChange, RequestChange};
use super::{Mutant, SideChange};
use crate::document::Query;

/// The steps of a path that say nothing about what they hold: most paths have them.
const COMMON: [&str; 10] = [
    "content", "data", "delta", "event", "message", "messages", "name", "source", "text", "type",
];

/// What the wire diff calls a thing that a mutant names otherwise.
const OTHER_WORDS: &[(&str, &[&str])] = &[
    ("anthropic_beta", &["beta"]),
    ("authorization", &["credential"]),
    ("x_api_key", &["credential"]),
    ("cache_control", &["breakpoint", "prefix"]),
    ("cache_point", &["breakpoint", "prefix"]),
    ("ttl", &["breakpoint"]),
    ("format", &["media_type"]),
    ("tools", &["tool"]),
    ("tool_config", &["tool"]),
    ("tool_spec", &["tool"]),
    ("reasoning_content", &["thinking", "signature"]),
    ("content_block", &["content"]),
    ("content_block_delta", &["deltas", "content", "signature"]),
    ("text_delta", &["text", "deltas"]),
    ("thinking_delta", &["thinking", "deltas"]),
    ("signature_delta", &["signature"]),
    ("citations_delta", &["citations"]),
    ("input_json_delta", &["tool_use", "deltas"]),
    ("partial_json", &["tool_use", "deltas"]),
    ("index", &["order"]),
    ("ping", &["pings"]),
];

/// What becomes of a stream that ends early.
const EARLY_END: [&str; 6] = [
    "a_cut_stream",
    "the_answer",
    "the_rest",
    "error",
    "message_stop",
    "status",
];

impl Mutant {
    /// Whether `line`, with which a report begins, names what the mutant changed: on its side of the exchange, with a word of
    /// its edits or of its `names`.
    pub fn is_named_in(&self, line: &str) -> bool {
        let is_reply = line.contains("reply ") || line.contains("replies ");
        self.sides.iter().any(|side| side.changes(is_reply))
            && (self.names.iter().any(|name| line.contains(name.as_str()))
                || self
                    .sides
                    .iter()
                    .any(|side| Words::of(side, is_reply).stand_in(line)))
    }
}

impl SideChange {
    /// An answer that it makes up is a reply, and also a request that the provider never sees.
    fn changes(&self, is_reply: bool) -> bool {
        match is_reply {
            true => self.reply != ReplyChange::default() || self.request.answer.is_some(),
            false => self.request != RequestChange::default(),
        }
    }
}

/// The words by which a line can name the changes of one side.
#[derive(Default)]
struct Words<'a> {
    /// Names of things. They must stand before the values of the line.
    names: Vec<String>,
    /// Texts by which a path selects, such as the type of a block. They may stand in the values too.
    selected: Vec<String>,
    /// The dropped entries of a list in a header.
    entries: Vec<&'a Regex>,
}

impl<'a> Words<'a> {
    /// The words for a line about a reply, or about a request.
    fn of(side: &'a SideChange, is_reply: bool) -> Self {
        let mut words = Self::default();
        match is_reply {
            true => {
                words.reply(&side.reply);
                words.answer(side.request.answer.as_ref());
            }
            false => words.request(&side.request),
        }
        words
    }

    fn request(&mut self, change: &'a RequestChange) {
        self.headers(&change.headers);
        change.body.iter().for_each(|edit| self.edit(edit));
        if let Some(edit) = &change.path {
            self.names(["place", "query_parameter", "path"]);
            let texts = [edit.find.0.as_str(), &edit.with];
            self.names.extend(texts.into_iter().flat_map(identifiers));
        }
        if let Some(copy) = &change.copy_header {
            self.names(["credential", &copy.name.0]);
            match &copy.to {
                CopyTarget::Header(name) => self.name(&name.0),
                CopyTarget::Query(name) => self.name(name),
                CopyTarget::Text(path) => self.path(path),
            }
        }
        if change.keep_signature {
            self.name("signature");
        }
        if change.send_twice {
            self.name("more_than_once");
        }
        self.answer(change.answer.as_ref());
        self.frame(change.compress.is_some(), change.delay_ms > 0);
    }

    fn reply(&mut self, change: &'a ReplyChange) {
        self.headers(&change.headers);
        change.body.iter().for_each(|edit| self.edit(edit));
        change.events.iter().for_each(|event| self.event(event));
        if change.status.is_some() {
            self.names(["status", "error"]);
        }
        self.answer(change.answer.as_ref());
        let is_held = change.delay_ms > 0 || change.buffer || change.chunk_bytes.is_some();
        self.frame(change.compress.is_some(), is_held);
    }

    fn frame(&mut self, is_compressed: bool, is_held: bool) {
        if is_compressed {
            self.names(["content-encoding", "body"]);
        }
        if is_held {
            self.name("held_back");
        }
    }

    fn answer(&mut self, answer: Option<&MadeUpReply>) {
        let Some(answer) = answer else { return };
        self.names(["status", "error", "forwarded", "the_answer"]);
        if answer.status < 400 {
            self.name("content");
        }
    }

    fn headers(&mut self, edits: &'a [HeaderEdit]) {
        for edit in edits {
            match edit {
                HeaderEdit::Drop(name)
                | HeaderEdit::Set { name, .. }
                | HeaderEdit::ReplaceText { name, .. } => {
                    self.name(&name.0);
                }
                HeaderEdit::Rename { name, to } => self.names([name.0.as_str(), &to.0]),
                HeaderEdit::DropEntry { find, .. } => self.entries.push(&find.0),
                HeaderEdit::AddEntry { value, .. } => self.name(value),
            }
        }
    }

    fn edit(&mut self, edit: &Edit) {
        match edit {
            Edit::Add { to, key, value, .. } => {
                match key {
                    Some(key) => self.name(key),
                    None => self.path(to),
                }
                let kinds = ["type", "role", "name"].into_iter();
                let kinds = kinds.filter_map(|key| value.get(key).and_then(Value::as_str));
                self.selected.extend(kinds.map(plain));
            }
            Edit::Rename { path, to } => {
                self.path(path);
                self.name(to);
            }
            Edit::Move { from, to, .. } => {
                self.path(from);
                self.path(to);
            }
            Edit::Drop(path) | Edit::Reverse(path) | Edit::Duplicate(path) => self.path(path),
            Edit::Set { path, .. }
            | Edit::ReplaceText { path, .. }
            | Edit::Increase { path, .. }
            | Edit::Scale { path, .. }
            | Edit::Normalize { path, .. }
            | Edit::ChangeCase { path, .. } => self.path(path),
        }
    }

    fn event(&mut self, change: &EventChange) {
        let inserted = [&change.insert_before, &change.insert_after];
        let inserted: Vec<_> = inserted.into_iter().flatten().collect();
        if !inserted.is_empty() {
            self.names(["order", "without_a_type"]);
            let names = inserted.iter().filter_map(|event| event.name.as_deref());
            self.selected.extend(names.map(plain));
            return;
        }
        if change.cut.is_some() || change.end.is_some() {
            self.names(EARLY_END.into_iter().chain(change.name.as_deref()));
            return;
        }
        let before = self.names.len() + self.selected.len();
        change.edit.iter().for_each(|edit| self.edit(edit));
        if let Some(filter) = &change.filter {
            let (steps, quoted) = of_path(&filter.text);
            self.names
                .extend(steps.into_iter().filter(|step| !is_common(step)));
            self.selected.extend(quoted);
        }
        if before == self.names.len() + self.selected.len() {
            match &change.name {
                Some(name) => self.name(name),
                // It selects by a number.
                None => self.names(["content", "event", "deltas"]),
            }
        }
        if let Some(name) = &change.rename {
            self.names([name.as_str(), "order"]);
        }
        if change.swap_with_next || change.move_to_end || change.duplicate {
            self.name("order");
        }
        if change.delay_ms.is_some() || change.hold {
            self.name("held_back");
        }
    }

    /// The last step. If it says nothing, also those before it that say something, and all of them if none does.
    fn path(&mut self, path: &Query) {
        let (steps, quoted) = of_path(&path.text);
        let says_nothing = quoted.is_empty() && steps.iter().all(|step| is_common(step));
        let last = steps.len().saturating_sub(1);
        let is_named = steps.last().is_some_and(|step| !is_common(step));
        let kept = steps
            .into_iter()
            .enumerate()
            .filter(|(index, step)| *index == last || (!is_named && (says_nothing || !is_common(step))));
        self.names.extend(kept.map(|(_, step)| step));
        self.selected.extend(quoted);
    }

    fn name(&mut self, name: &str) {
        self.names.push(plain(name));
    }

    fn names<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        self.names.extend(names.into_iter().map(plain));
    }

    fn stand_in(&self, line: &str) -> bool {
        static REFUSED: LazyLock<Regex> = LazyLock::new(|| pattern(r"as the gateway sent it \(`([^`]*)`"));
        static QUOTED: LazyLock<Regex> = LazyLock::new(|| pattern("`([^`]*)`"));
        let (whole, head) = (plain(line), plain(before_values(line)));
        let in_head = with_other_words(&self.names).any(|word| has(&head, word));
        // The kinds of a reply's blocks stand among its values.
        let shown = if head.contains("content") { &whole } else { &head };
        let in_line = self.selected.iter().any(|word| has(shown, word))
            || with_other_words(&self.selected).any(|word| has(&head, word));
        // The name of a rule contains the name of the field: `max_tokens_required`.
        let rule = REFUSED.captures(line).map(|found| format!("_{}_", &found[1]));
        let is_ruled = rule.is_some_and(|rule| {
            let mut words = with_other_words(&self.names).chain(with_other_words(&self.selected));
            words.any(|word| rule.contains(&format!("_{word}_")))
        });
        let mut quoted = QUOTED.captures_iter(line);
        let is_entry = quoted.any(|name| self.entries.iter().any(|find| find.is_match(&name[1])));
        in_head || in_line || is_ruled || is_entry
    }
}

/// `words`, and what the wire diff calls them.
fn with_other_words(words: &[String]) -> impl Iterator<Item = &str> {
    words.iter().flat_map(|word| {
        let other = OTHER_WORDS.iter().find(|(name, _)| name == word);
        let other = other.into_iter().flat_map(|(_, others)| others.iter().copied());
        std::iter::once(word.as_str()).chain(other)
    })
}

/// The line without its values. What is out of order is no value.
fn before_values(line: &str) -> &str {
    static VERB: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r" (dropped|added|changed|moved|repeated|merged|split|held back|is broken): | moved to `")
    });
    VERB.find(line).map_or(line, |verb| &line[..verb.end()])
}

/// Whether `text` has `word` between other characters than those of a word. A `_` of the word may be a space.
fn has(text: &str, word: &str) -> bool {
    let is_of_word = |character: char| character.is_alphanumeric() || character == '_';
    [word.to_owned(), word.replace('_', " ")].iter().any(|word| {
        !word.is_empty()
            && text.match_indices(word.as_str()).any(|(at, found)| {
                !text[..at].ends_with(is_of_word) && !text[at + found.len()..].starts_with(is_of_word)
            })
    })
}

fn is_common(step: &str) -> bool {
    COMMON.contains(&step)
}

/// The names in a JSONPath: its steps, and those in its quoted texts.
fn of_path(path: &str) -> (Vec<String>, Vec<String>) {
    let (mut steps, mut quoted) = (Vec::new(), Vec::new());
    for (index, part) in path.split(['\'', '"']).enumerate() {
        match index % 2 {
            0 => steps.extend(identifiers(part).filter(|step| step != "true" && step != "false")),
            _ => quoted.extend(identifiers(part).filter(|name| !is_common(name))),
        }
    }
    (steps, quoted)
}

/// The names in `text`, without those of functions.
fn identifiers(text: &str) -> impl Iterator<Item = String> {
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern("[A-Za-z_][A-Za-z0-9_-]*"));
    let names = NAME.find_iter(text);
    names
        .filter(|name| !text[name.end()..].starts_with('('))
        .map(|name| plain(name.as_str()))
}

/// Lower case, with `_` for `-` and between the words of `camelCase`.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut after_small = false;
    for character in text.chars() {
        if character.is_ascii_uppercase() && after_small {
            plain.push('_');
        }
        after_small = character.is_ascii_lowercase() || character.is_ascii_digit();
        plain.push(match character {
            '-' => '_',
            other => other.to_ascii_lowercase(),
        });
    }
    plain
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("the pattern is valid")
}
