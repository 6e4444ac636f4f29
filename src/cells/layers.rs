//! The files that a cell is merged from. Later ones win, name by name:
//!
//! 1. `cells/_shared.yaml`: every cell
//! 2. `cells/_providers/<provider>.yaml`: a column
//! 3. `cells/<feature>/_shared.yaml`: a row
//! 4. `cells/<feature>/<provider>.yaml`: the cell itself

use std::path::Path;

use serde_json::Value;

use super::{forms, reason};
use crate::document::form::{FormError, FormErrorKind, is_damaged};
use crate::document::{Diagnostic, Entry, Form, KeyPath, Node, NodeValue, Place, yaml};
use crate::text::is_slip_of;
use crate::wire::redaction;

const NOT_APPLICABLE: &str = "not_applicable";

/// A file of the first three layers.
#[derive(Clone, Debug)]
pub struct Layer {
    node: Node,
    form: Vec<FormError>,
    /// All errors that need no other file.
    pub errors: Vec<Diagnostic>,
}

impl Layer {
    /// Reads a `_shared.yaml` from its bytes.
    pub fn shared(file: &Path, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let mut node = yaml::parse(file, bytes)?;
        let (slips, mut form) = correct_slips(&forms::SHARED, &mut node);
        for FormError { diagnostic, .. } in &mut form {
            if diagnostic.path == NOT_APPLICABLE {
                "`not_applicable` cannot be shared".clone_into(&mut diagnostic.message);
                diagnostic.hint = Some(
                    "it belongs in `cells/_providers/<provider>.yaml`, or in the files of the providers that it is true for"
                        .to_owned(),
                );
            }
        }
        Ok(Self::checked(node, slips, form))
    }

    /// Reads a `_providers/<provider>.yaml` from its bytes.
    pub fn provider(file: &Path, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let mut node = yaml::parse(file, bytes)?;
        let (slips, form) = correct_slips(&forms::CELL, &mut node);
        let mut layer = Self::checked(node, slips, form);
        layer.errors.extend(contradictions(&layer.node));
        Ok(layer)
    }

    fn checked(node: Node, slips: Vec<FormError>, form: Vec<FormError>) -> Self {
        let of_form = slips.iter().chain(&form);
        let of_form = of_form.map(|found| found.diagnostic.clone());
        let errors = of_form.chain(credentials(&node)).collect();
        Self { node, form, errors }
    }

    pub(super) fn node(&self) -> &Node {
        &self.node
    }
}

/// The layers of one cell. A layer that has no file is `None`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layers<'a> {
    pub project: Option<&'a Layer>,
    pub provider: Option<&'a Layer>,
    pub feature: Option<&'a Layer>,
}

impl<'a> Layers<'a> {
    /// The files, the nearest to the cell first.
    fn files(self) -> impl Iterator<Item = &'a Layer> {
        [self.feature, self.provider, self.project].into_iter().flatten()
    }

    pub(super) fn nodes(self) -> impl Iterator<Item = &'a Node> {
        self.files().map(Layer::node)
    }

    pub(super) fn form_errors(self) -> impl Iterator<Item = &'a FormError> {
        self.files().flat_map(|layer| &layer.form)
    }

    pub(super) fn errors(self) -> impl Iterator<Item = &'a Diagnostic> {
        self.files().flat_map(|layer| &layer.errors)
    }
}

/// A cell's own file, parsed, and the errors of form in it.
pub(super) struct OwnFile {
    pub(super) node: Node,
    slips: Vec<FormError>,
    pub(super) form: Vec<FormError>,
}

impl OwnFile {
    pub(super) fn parse(file: &Path, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let mut node = yaml::parse(file, bytes)?;
        let (slips, form) = correct_slips(&forms::CELL, &mut node);
        Ok(Self { node, slips, form })
    }

    pub(super) fn diagnostics(&self) -> Vec<Diagnostic> {
        let form = self.slips.iter().chain(&self.form);
        let form = form.map(|found| found.diagnostic.clone());
        form.chain(credentials(&self.node))
            .chain(contradictions(&self.node))
            .collect()
    }
}

/// Corrects the misspelt keys of a file itself, so that it can be merged. Returns their errors, and the other errors of form.
fn correct_slips(of: &Form, node: &mut Node) -> (Vec<FormError>, Vec<FormError>) {
    let errors = of.check(node);
    let is_corrected = |found: &FormError| match (&found.kind, &found.path[..]) {
        (FormErrorKind::UnknownKey { meant: Some(meant) }, [key]) => {
            is_slip_of(key, meant) && node.rename(&found.path, meant)
        }
        _ => false,
    };
    let (slips, rest): (Vec<_>, Vec<_>) = errors.into_iter().partition(is_corrected);
    match slips.is_empty() {
        true => (slips, rest),
        false => (slips, of.check(node)),
    }
}

/// Why the cell is not applicable, if it is: its own file says so, or there is none and the provider's file says so.
pub(super) fn not_applicable<'a>(layers: &Layers<'a>, own: Option<&'a Node>) -> Option<&'a Entry> {
    match own {
        Some(own) => own.get(NOT_APPLICABLE),
        None => layers.provider?.node.get(NOT_APPLICABLE),
    }
}

/// Keys beside `not_applicable`, and a reason that is empty or names no source.
fn contradictions(node: &Node) -> Vec<Diagnostic> {
    let Some(given) = node.get(NOT_APPLICABLE) else {
        return Vec::new();
    };
    let others = node.entries().iter().filter(|entry| entry.key != NOT_APPLICABLE);
    let mut diagnostics: Vec<Diagnostic> = others
        .map(|entry| {
            let message = format!("`{}` contradicts `not_applicable`", entry.key);
            Diagnostic::at(&entry.key_span, message)
                .path(entry.key.clone())
                .related(
                    given.key_span.place(),
                    "the cell is not applicable, so nothing is run",
                )
                .hint("keep one of the two")
        })
        .collect();
    // An empty text is an error of form.
    if let NodeValue::Text(text) = &given.value.value
        && !text.is_empty()
    {
        let at = |message: &str| Diagnostic::at(&given.value.span, message).path(NOT_APPLICABLE);
        diagnostics.extend(reason::fault(text, at));
    }
    diagnostics
}

/// Texts that look like credentials. The diagnostic does not show them: it is printed and kept.
fn credentials(node: &Node) -> Vec<Diagnostic> {
    match &node.value {
        NodeValue::Text(text) if redaction::is_credential(text) => {
            let diagnostic = Diagnostic::at(&node.span, "this looks like a credential, and cells hold none");
            let diagnostic = Diagnostic {
                span: None,
                ..diagnostic
            };
            vec![diagnostic.hint("remove it, and revoke it if it ever left this machine: files are shared")]
        }
        NodeValue::List(items) => items.iter().flat_map(credentials).collect(),
        NodeValue::Map(entries) => entries
            .iter()
            .flat_map(|entry| credentials(&entry.value))
            .collect(),
        _ => Vec::new(),
    }
}

/// The tree of the cell, merged from its layers and its own file. Names of the row come before those of the column and of
/// the project: reports show the row's own expectations first.
pub(super) fn merged(layers: &Layers<'_>, own: Option<&Node>) -> Option<Node> {
    let row = [layers.feature.map(Layer::node), own];
    let rest = [layers.provider, layers.project].map(|layer| layer.map(Layer::node));
    let rest = rest
        .into_iter()
        .flatten()
        .filter(|node| node.get(NOT_APPLICABLE).is_none());
    let mut entries = Vec::new();
    for node in row.into_iter().flatten() {
        merge(&mut entries, node.entries(), Wins::Later);
    }
    for node in rest.clone() {
        merge(&mut entries, node.entries(), Wins::Earlier);
    }
    let root = own.or(row[0]).or_else(|| rest.clone().next())?;
    let is_map = matches!(root.value, NodeValue::Map(_));
    is_map.then(|| Node {
        span: root.span.clone(),
        value: NodeValue::Map(entries),
    })
}

/// Which of two entries of a name stays.
#[derive(Clone, Copy, PartialEq)]
enum Wins {
    Earlier,
    Later,
}

fn merge(entries: &mut Vec<Entry>, added: &[Entry], wins: Wins) {
    // A prompt in either form replaces one in the other form.
    let is_prompt = |entry: &Entry| matches!(entry.key.as_str(), "prompt" | "prompts");
    let has_prompt = entries.iter().any(is_prompt);
    if wins == Wins::Later && added.iter().any(is_prompt) {
        entries.retain(|known| !is_prompt(known));
    }
    for entry in added {
        if wins == Wins::Later || !has_prompt || !is_prompt(entry) {
            merge_entry(entries, entry, depth_of(&entry.key), wins);
        }
    }
}

/// How many levels of names below `key` are merged name by name.
fn depth_of(key: &str) -> usize {
    usize::from(key == "expect")
}

/// Adds an entry; maps are merged `depth` levels deep.
fn merge_entry(entries: &mut Vec<Entry>, added: &Entry, depth: usize, wins: Wins) {
    let Some(known) = entries.iter_mut().find(|known| known.key == added.key) else {
        entries.push(added.clone());
        return;
    };
    match (&mut known.value.value, &added.value.value) {
        (NodeValue::Map(names), NodeValue::Map(added)) if depth > 0 => {
            for entry in added {
                merge_entry(names, entry, depth - 1, wins);
            }
        }
        _ if wins == Wins::Later => *known = added.clone(),
        _ => {}
    }
}

/// A key of a merged cell, and the file that gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The key; for a key that is merged name by name also the name: `expect.route`.
    pub key: String,
    pub place: Place,
    pub value: Value,
}

/// The keys of a cell, merged from its layers and the bytes of its own file, each with its origin.
pub fn origins(layers: &Layers<'_>, own: Option<(&Path, &[u8])>) -> Result<Vec<Origin>, Vec<Diagnostic>> {
    let errors: Vec<Diagnostic> = layers.errors().cloned().collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let own = own.map(|(file, bytes)| yaml::parse(file, bytes)).transpose()?;
    let node = match not_applicable(layers, own.as_ref()) {
        Some(_) => own.or_else(|| Some(layers.provider?.node.clone())),
        None => merged(layers, own.as_ref()),
    };
    let mut origins = Vec::new();
    for entry in node.iter().flat_map(Node::entries) {
        origins_below(entry, &entry.key, depth_of(&entry.key), &mut origins);
    }
    Ok(origins)
}

fn origins_below(entry: &Entry, key: &str, depth: usize, origins: &mut Vec<Origin>) {
    match &entry.value.value {
        NodeValue::Map(names) if depth > 0 => {
            for named in names {
                origins_below(named, &format!("{key}.{}", named.key), depth - 1, origins);
            }
        }
        _ => origins.push(Origin {
            key: key.to_owned(),
            place: entry.key_span.place(),
            value: entry.value.to_json(),
        }),
    }
}

/// The values that were removed from a tree because of an error of form. Their absence is no second error.
#[derive(Debug, Default)]
pub(super) struct Damaged {
    pub(super) paths: Vec<Vec<String>>,
    /// Unknown keys, and those that they may stand for.
    keys: Vec<String>,
    /// The errors of form below misspelt keys.
    pub(super) below_slips: Vec<Diagnostic>,
}

impl Damaged {
    /// Repairs the errors of form in the merged tree `node`. Errors in a value that another file replaces do not count.
    pub(super) fn remove<'a>(
        node: &mut Node,
        of: &Form,
        errors: impl IntoIterator<Item = &'a FormError>,
    ) -> Self {
        let is_merged = |found: &&FormError| {
            let depth = found.path.first().map_or(0, |key| 1 + depth_of(key));
            let path = &found.path[..depth.min(found.path.len())];
            let file = node.key_span_at(path).place().file;
            node.at(path).is_some() && file == found.diagnostic.place.file
        };
        let errors: Vec<FormError> = errors.into_iter().filter(is_merged).cloned().collect();
        // A whole matcher is removed, because what is left of it may check something else.
        let depth = |path: &[String]| match path.first().is_some_and(|key| key == "expect") {
            true => 3,
            false => usize::MAX,
        };
        let repaired = of.repair(node, &errors, depth);
        let mut keys = Vec::new();
        for error in &errors {
            // An unknown key may stand for one of the cell, or be one in the wrong place.
            if let FormErrorKind::UnknownKey { meant } = &error.kind
                && is_damaged(&repaired.damaged, &error.path)
            {
                keys.extend(error.path.last().cloned().into_iter().chain(meant.clone()));
            }
        }
        *node = repaired.node;
        let below_slips = repaired.below_slips.into_iter();
        Self {
            paths: repaired.damaged,
            keys,
            below_slips: below_slips.map(|error| error.diagnostic).collect(),
        }
    }

    pub(super) fn has_key(&self, key: &str) -> bool {
        self.keys.iter().any(|known| known == key) || is_damaged(&self.paths, &[key])
    }

    /// Whether a value at or below `path` is missing, or stands for a missing one.
    pub(super) fn has(&self, path: &KeyPath) -> bool {
        is_damaged(&self.paths, &path.0)
    }
}
