//! From a cell's files to the checked cell: form, merge, then meaning.
//!
//! All errors are reported at once: a value with an error of form is set aside, and the rest is still checked for its
//! meaning. Reads no file; attachments come through a function of the caller.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::attachments::Attachments;
use super::cell::{Cell, CellBody, Test};
use super::layers::{self, Damaged, Layers, OwnFile};
use super::manifest::Manifest;
use super::raw::{CellForm, PromptBlockForm, PromptForm, ScriptForm};
use super::{forms, reason, reserved};
use crate::document::form::drop_damaged;
use crate::document::{Diagnostic, KeyPath, Node, NodeValue, Place, Reader, yaml};
use crate::expectation::CellContext;
use crate::ids::{CellId, FeatureId, ProviderId, TierId, TierNames};
use crate::text::listed;
use crate::wire::refusal_rules::REFUSAL_RULES;
use crate::wire::script::Script;
use crate::wire::{betas, body_fields};

/// Seconds that a trial may take if its cell does not say.
pub const DEFAULT_TIMEOUT_SECONDS: u64 = 120;

/// Where a missing key may be added.
pub(super) const WHERE: &str = "in `_shared.yaml` or in the provider's own file";

/// Reads the cell `id` from its layers and from the bytes of its own file, if it has one. `layers` are the errors of the
/// layers where one of them cannot be read.
///
/// A cell that is not applicable uses no other layer, so it has none of their errors.
pub fn cell(
    id: &CellId,
    layers: Result<Layers<'_>, &[Diagnostic]>,
    own: Option<(&Path, &[u8])>,
    manifest: &Manifest,
    attachments: Attachments<'_>,
) -> Result<Cell, Vec<Diagnostic>> {
    let own = own.map(|(file, bytes)| OwnFile::parse(file, bytes)).transpose()?;
    let own_node = own.as_ref().map(|own| &own.node);
    let mut diagnostics = own.as_ref().map_or_else(Vec::new, OwnFile::diagnostics);
    let known_layers = layers.unwrap_or_default();
    if let Some(reason) = layers::not_applicable(&known_layers, own_node) {
        if own_node.is_none() {
            let errors = known_layers.provider.into_iter().flat_map(|layer| &layer.errors);
            diagnostics.extend(errors.cloned());
        }
        return match &reason.value.value {
            NodeValue::Text(text) if diagnostics.is_empty() => Ok(Cell {
                id: id.clone(),
                body: CellBody::NotApplicable(text.trim().to_owned()),
            }),
            _ => Err(diagnostics),
        };
    }
    if let Err(of_layers) = layers {
        diagnostics.extend(of_layers.iter().cloned());
        return Err(diagnostics);
    }
    let Some(mut node) = layers::merged(&known_layers, own_node) else {
        return Err(diagnostics);
    };
    diagnostics.extend(known_layers.errors().cloned());
    let form_errors = own.iter().flat_map(|own| &own.form);
    let form_errors = form_errors.chain(known_layers.form_errors());
    let mut damaged = Damaged::remove(&mut node, &forms::CELL, form_errors);
    diagnostics.append(&mut damaged.below_slips);
    let form = match CellForm::deserialize(node.to_json()) {
        Ok(form) => form,
        Err(error) => {
            diagnostics.push(Diagnostic::at(&node.span, error.to_string()));
            return Err(diagnostics);
        }
    };
    let mut resolver = Resolver {
        id,
        own: own_node,
        feature: known_layers.feature.map(layers::Layer::node),
        shared: known_layers.nodes().collect(),
        reader: Reader::new(&node),
        form: &form,
        tiers: manifest
            .tiers
            .iter()
            .map(|tier| (tier.id.clone(), tier.model.clone()))
            .collect(),
        tier_names: manifest.tier_names(),
        attachments,
        damaged,
        called_tools: Vec::new(),
    };
    let test = resolver.test();
    drop_damaged(&resolver.damaged.paths, &mut resolver.reader.diagnostics);
    diagnostics.extend(resolver.reader.diagnostics);
    if diagnostics.is_empty() {
        let body = CellBody::Test(Box::new(test));
        return Ok(Cell { id: id.clone(), body });
    }
    let place = |diagnostic: &Diagnostic| {
        let place = &diagnostic.place;
        (place.file.clone(), place.line, place.column)
    };
    diagnostics.sort_by_key(place);
    Err(diagnostics)
}

/// Reads a script from the bytes of `file`.
pub fn script(file: &Path, bytes: &[u8]) -> Result<Script, Vec<Diagnostic>> {
    let mut node = yaml::parse(file, bytes)?;
    let errors = forms::SCRIPT.check(&node);
    let mut damaged = Damaged::remove(&mut node, &forms::SCRIPT, &errors);
    let mut diagnostics: Vec<Diagnostic> = errors.into_iter().map(|error| error.diagnostic).collect();
    diagnostics.append(&mut damaged.below_slips);
    let Ok(script) = ScriptForm::deserialize(node.to_json()) else {
        return Err(diagnostics);
    };
    // The client decides whether it sends an image.
    let image = PromptBlockForm {
        image: Some("any".to_owned()),
        ..PromptBlockForm::default()
    };
    let form = CellForm {
        prompts: Some(vec![PromptForm(vec![image])]),
        replies: Some(script.replies),
        ..CellForm::default()
    };
    let id = CellId::new(&FeatureId::new("script"), &ProviderId::new("any"));
    let mut resolver = Resolver {
        id: &id,
        own: None,
        feature: None,
        shared: Vec::new(),
        reader: Reader::new(&node),
        form: &form,
        tiers: Vec::new(),
        tier_names: TierNames::default(),
        attachments: &|_| Err("a script has no files".to_owned()),
        damaged,
        called_tools: Vec::new(),
    };
    let script = resolver.script();
    drop_damaged(&resolver.damaged.paths, &mut resolver.reader.diagnostics);
    diagnostics.extend(resolver.reader.diagnostics);
    match diagnostics.is_empty() {
        true => Ok(script),
        false => Err(diagnostics),
    }
}

/// What an error says of a row's shared file, where that is missing.
pub const NO_SHARED: &str = "there is no such file";

pub(super) struct Resolver<'a> {
    id: &'a CellId,
    pub(super) own: Option<&'a Node>,
    pub(super) feature: Option<&'a Node>,
    /// The files from which the cell inherits, the nearest first.
    pub(super) shared: Vec<&'a Node>,
    pub(super) reader: Reader<'a>,
    pub(super) form: &'a CellForm,
    /// The manifest's tiers, each with its model.
    tiers: Vec<(TierId, String)>,
    tier_names: TierNames,
    pub(super) attachments: Attachments<'a>,
    pub(super) damaged: Damaged,
    /// The tools that the replies call, each with the place of its name.
    pub(super) called_tools: Vec<(String, Place)>,
}

impl Resolver<'_> {
    fn test(&mut self) -> Test {
        let before = self.reader.diagnostics.len();
        let prompts = self.prompts();
        let workspace = self.workspace();
        let script = self.script();
        let direct = self.direct();
        let count_tokens = self.count_tokens();
        let inputs = "prompt prompts files replies direct count_tokens flags mcp_servers";
        let broken_input = inputs.split(' ').any(|key| self.damaged.has_key(key));
        let whole = self.reader.diagnostics.len() == before && !broken_input;
        let forms = self.form.replies.as_ref().map_or(0, Vec::len);
        let is_counted = !prompts.is_empty() && forms > 0 && script.replies.len() == forms;
        if is_counted && !broken_input {
            self.balance(&prompts, &script, direct.is_some());
        }
        let not_on = self.not_on();
        let mut tiers = std::mem::take(&mut self.tiers);
        tiers.retain(|(tier, _)| !not_on.contains_key(tier));
        let tier_names = std::mem::take(&mut self.tier_names);
        let context = CellContext {
            provider: &self.id.provider,
            tiers: &tiers,
            tier_names: &tier_names,
            prompts: &prompts,
            workspace: &workspace,
            direct: direct.is_some(),
            count_tokens: count_tokens.is_some(),
            script: &script,
            whole,
        };
        let expectations = self.expectations(&context);
        Test {
            not_on,
            flags: self.flags(),
            env: self.env(),
            subscription: self.form.subscription == Some(true),
            needs_script: self.needs_script(),
            refusals: self.refusals(),
            timeout_seconds: self.form.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS),
            prompts,
            workspace,
            direct,
            count_tokens,
            script,
            called_tools: std::mem::take(&mut self.called_tools),
            expectations,
        }
    }

    /// A diagnostic for a key that no file of the cell has. It points at the feature's shared file, so that it is
    /// reported once for all cells that lack the key.
    pub(super) fn missing(&self, message: &str) -> Diagnostic {
        match (self.feature, self.own) {
            (Some(feature), Some(own)) => {
                Diagnostic::at(&feature.span, message).related(own.span.place(), "a cell that lacks it")
            }
            (Some(node), None) => Diagnostic::at(&node.span, message),
            (None, Some(own)) => self.without_shared_file(Diagnostic::at(&own.span, message)),
            (None, None) => Diagnostic::at(&self.reader.node.span, message),
        }
    }

    /// `error`, which says that the feature's shared file does not exist, if so.
    pub(super) fn without_shared_file(&self, error: Diagnostic) -> Diagnostic {
        let file = format!("cells/{}/_shared.yaml", self.id.feature);
        match self.feature {
            Some(_) => error,
            None => error.related(Diagnostic::of_file(Path::new(&file), "").place, NO_SHARED),
        }
    }

    /// Whether the feature's shared file lacks `key`.
    pub(super) fn feature_lacks(&self, key: &str) -> bool {
        self.feature.is_some_and(|feature| feature.get(key).is_none())
    }

    pub(super) fn filled(&mut self, path: &KeyPath, text: &str) {
        if text.trim().is_empty() {
            self.reader
                .hinted(path, "the text is empty", "providers refuse empty text");
        }
    }

    fn needs_script(&mut self) -> Option<String> {
        let reason = self.form.needs_script.clone()?;
        self.filled(&KeyPath::of("needs_script"), &reason);
        Some(reason)
    }

    fn direct(&mut self) -> Option<Value> {
        let body = self.form.direct.clone()?;
        let path = KeyPath::of("direct");
        if body.get("stream") == Some(&Value::Bool(true)) {
            self.reader.hinted(
                &path.then("stream"),
                "the reply to a direct request is not streamed",
                "only what Claude Code prints can show a stream: use `prompt`",
            );
        }
        Some(self.body(&path, body, "POST /v1/messages"))
    }

    fn count_tokens(&mut self) -> Option<Value> {
        let body = self.form.count_tokens.clone()?;
        let path = KeyPath::of("count_tokens");
        Some(self.body(&path, body, "POST /v1/messages/count_tokens"))
    }

    /// The body of a request that the harness itself sends.
    fn body(&mut self, path: &KeyPath, body: serde_json::Map<String, Value>, of: &str) -> Value {
        if body.contains_key("model") {
            let error = self
                .reader
                .at_key(&path.then("model"), "the model is the trial's alias");
            self.reader.report(error.hint("remove it"));
        }
        let messages = body.get("messages").and_then(Value::as_array);
        if messages.is_none_or(Vec::is_empty) {
            let hint = format!("it is the body of `{of}`");
            match messages {
                Some(_) => self
                    .reader
                    .hinted(&path.then("messages"), "the list is empty", hint),
                None => self.reader.hinted(path, "the request has no `messages`", hint),
            }
        }
        for (index, message) in messages.into_iter().flatten().enumerate() {
            if let Some(role) = message["role"].as_str()
                && let Some(meant) = body_fields::misspelt_role(role)
            {
                let path = path.then("messages").then(index).then("role");
                let message = format!("no message has the role `{role}`");
                self.reader
                    .hinted(&path, message, format!("did you mean `{meant}`?"));
            }
        }
        Value::Object(body)
    }

    fn not_on(&mut self) -> BTreeMap<TierId, String> {
        let mut not_on = BTreeMap::new();
        for (name, reason) in self.form.not_on.iter().flatten() {
            let path = KeyPath::of("not_on").then(name);
            let called = self.tier_names.called(name);
            if called.is_empty() {
                let known = self.tier_names.all();
                let message = format!("the manifest has no tier `{name}`");
                let error = self.reader.at_key(&path, message);
                let error = error.allowed(listed(known.iter().copied()));
                self.reader.report(error.did_you_mean(name, known));
            }
            let error = reason::fault(reason, |message| self.reader.at(&path, message));
            self.reader.diagnostics.extend(error);
            not_on.extend(called.into_iter().map(|tier| (tier, reason.trim().to_owned())));
        }
        if !self.tiers.is_empty() && not_on.len() == self.tiers.len() {
            let hint = "write `not_applicable` and the reason in the provider's own file";
            self.reader
                .hinted(&KeyPath::of("not_on"), "no tier is left", hint);
        }
        not_on
    }

    fn refusals(&mut self) -> BTreeMap<String, String> {
        let refusals = self.form.refusals.clone().unwrap_or_default();
        for (rule, reason) in &refusals {
            if !REFUSAL_RULES.contains(&rule.as_str()) {
                let path = KeyPath::of("refusals").then(rule);
                let error = self
                    .reader
                    .at_key(&path, format!("the provider has no rule `{rule}`"));
                let error = error.hint("a report of a refused request names its rule");
                self.reader.report(error.did_you_mean(rule, REFUSAL_RULES));
            }
            if reason.trim().is_empty() {
                let path = KeyPath::of("refusals").then(rule);
                let hint = "say why the provider may refuse this request";
                self.reader.hinted(&path, "the reason is empty", hint);
            }
        }
        refusals
    }

    fn flags(&mut self) -> Vec<String> {
        let flags = self.form.flags.clone().unwrap_or_default();
        self.tools_of_flags_exist();
        for found in reserved::flag_errors(&flags) {
            let path = KeyPath::of("flags").then(found.index);
            let mut error = self.reader.at(&path, found.message).hint(found.hint);
            error.allowed = found.allowed;
            self.reader.report(error);
        }
        flags
    }

    fn env(&mut self) -> BTreeMap<String, String> {
        let env = self.form.env.clone().unwrap_or_default();
        for (name, value) in &env {
            let path = KeyPath::of("env").then(name);
            let usable = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if !usable {
                let message = format!("`{name}` is not a name of a variable");
                let error = self.reader.at_key(&path, message);
                self.reader
                    .report(error.allowed("letters, digits and `_`, no digit first"));
            } else if let meant @ Some(_) = reserved::misspelt_variable(name) {
                self.reader
                    .misspelt(&path, "variable of Claude Code", name, meant);
            } else if let Some(reason) = reserved::variable_refusal(name) {
                let message = format!("a cell may not set `{name}`: {reason}");
                let error = self.reader.at_key(&path, message);
                self.reader.report(error.hint("remove it"));
            }
            for beta in value
                .split(',')
                .map(str::trim)
                .filter(|_| name == reserved::BETAS)
            {
                if let Some(meant) = betas::misspelt(beta) {
                    let message = format!("`{beta}` looks like a misspelt beta");
                    self.reader
                        .hinted(&path, message, format!("did you mean `{meant}`?"));
                }
            }
        }
        env
    }
}
