//! The manifest: the rows, columns and tiers of the matrix, in order, and the patterns of the model aliases.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use super::limits::{ANY, Limit, Limits, NamedLimit};
use super::raw::{FeatureForm, LimitForm, ManifestForm, MatrixForm, TierForm};
use super::{forms, reason};
use crate::document::form::{Repaired, drop_damaged};
use crate::document::{Diagnostic, KeyPath, Node, Reader, Span, without_errors, yaml};
use crate::expectation::check_clause;
use crate::ids::{CellId, FeatureId, ProviderId, TierId, TierNames};
use crate::text::{as_name, closest, is_name, listed, slip_of};

#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    pub features: Vec<Feature>,
    pub providers: Vec<ProviderId>,
    pub tiers: Vec<Tier>,
    /// The parts of the matrix that a run may ask for.
    pub parts: Vec<MatrixPart>,
    /// What the providers allow in a live run.
    pub limits: Limits,
    /// The alias pattern of each provider, in the same order; `None` if it has an error.
    patterns: Vec<Option<(String, Span)>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name in paths, filters and results.
    pub id: FeatureId,
    pub name: String,
    /// The group of rows that it belongs to.
    pub category: Option<String>,
    /// What works if the row is green, in one sentence.
    pub description: Option<String>,
    /// The clause of the gateway contract that it rests on.
    pub clause: Option<String>,
    /// The address of its documentation.
    pub docs: Option<String>,
    /// The place of its name in the manifest.
    pub span: Option<Span>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Its name in filters and results.
    pub id: TierId,
    /// Its name for readers: `Haiku 4.5`.
    pub name: String,
    /// The model in every alias: `claude-haiku-4-5`.
    pub model: String,
    /// Its set; empty if the manifest has no sets.
    pub set: String,
    /// The providers without the model, each with the reason.
    pub not_on: Vec<(ProviderId, String)>,
}

/// A named part of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixPart {
    pub name: String,
    pub features: Vec<FeatureId>,
    pub providers: Vec<ProviderId>,
    /// A set of tiers.
    pub tiers: String,
}

/// The placeholder for the model in an alias pattern.
const MODEL: &str = "{model}";

/// The name that stands for all sets of tiers.
pub const ALL_SETS: &str = "all";

impl Manifest {
    /// The rows of the first part of the matrix; all rows if the manifest names no part.
    pub fn main_rows(&self) -> Vec<FeatureId> {
        match self.parts.first() {
            Some(part) => part.features.clone(),
            None => self.features.iter().map(|row| row.id.clone()).collect(),
        }
    }

    /// The names of the tiers, in order.
    pub fn tier_ids(&self) -> Vec<TierId> {
        self.tiers.iter().map(|tier| tier.id.clone()).collect()
    }

    /// The names of the tiers and of their sets.
    pub fn tier_names(&self) -> TierNames {
        TierNames(
            self.tiers
                .iter()
                .map(|tier| (tier.id.clone(), tier.set.clone()))
                .collect(),
        )
    }

    /// Reads the manifest from the bytes of `file`.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        without_errors(Self::read(file, bytes))
    }

    /// All errors in the bytes of `file`, and the manifest without them, for the cells: `None` if too little is left.
    pub fn read(file: &Path, bytes: &[u8]) -> (Option<Self>, Vec<Diagnostic>) {
        let node = match yaml::parse(file, bytes) {
            Ok(node) => node,
            Err(errors) => return (None, errors),
        };
        let (mut errors, read) = forms::MANIFEST.read::<ManifestForm>(&node);
        let Some((form, repaired)) = read else {
            return (None, errors);
        };
        errors.extend(check(&form, &repaired));
        (Some(Self::resolve(form, &repaired.node)), errors)
    }

    /// The manifest of `form`. In one with errors, the names of aliases are columns too: one of the two names is a slip.
    fn resolve(form: ManifestForm, node: &Node) -> Self {
        let pattern = |provider: &String| {
            let pattern = form.aliases.get(provider).filter(|text| text.contains(MODEL))?;
            let span = node.span_at(&KeyPath::of("aliases").then(provider).0);
            Some((pattern.clone(), span.clone()))
        };
        let columns = form.providers.iter().chain(form.aliases.keys());
        let columns = columns.map(|column| (column.clone(), pattern(column)));
        let columns = named(columns.collect(), |(name, _)| name);
        let column = |name: &String| {
            let names = columns.iter().map(|(name, _)| name.as_str());
            ProviderId::new(closest(name, names).unwrap_or(name))
        };
        let feature = |(index, form): (usize, FeatureForm)| Feature {
            span: Some(
                node.span_at(&KeyPath::of("features").then(index).then("id").0)
                    .clone(),
            ),
            id: FeatureId::new(form.id),
            name: form.name,
            category: form.category,
            description: form.description,
            clause: form.clause,
            docs: form.docs,
        };
        let tier = |form: TierForm| Tier {
            id: TierId::new(form.id),
            name: form.name,
            model: form.model,
            set: form.set.unwrap_or_default(),
            not_on: form
                .not_on
                .into_iter()
                .map(|(provider, reason)| (column(&provider), reason))
                .collect(),
        };
        let part = |(name, form): (String, MatrixForm)| MatrixPart {
            name,
            features: form.features.into_iter().map(FeatureId::new).collect(),
            providers: form.providers.into_iter().map(ProviderId::new).collect(),
            tiers: form.tiers,
        };
        let limit = |(name, form): (String, LimitForm)| NamedLimit {
            name,
            limit: Limit {
                requests_per_minute: form.requests_per_minute,
                tokens_per_minute: form.tokens_per_minute,
            },
        };
        Self {
            limits: Limits(form.limits.into_iter().map(limit).collect()),
            features: named(form.features.into_iter().enumerate().collect(), |(_, row)| {
                &mut row.id
            })
            .into_iter()
            .map(feature)
            .collect(),
            tiers: named(form.tiers, |tier| &mut tier.id)
                .into_iter()
                .map(tier)
                .collect(),
            parts: form.matrices.into_iter().map(part).collect(),
            providers: columns.iter().map(|(name, _)| ProviderId::new(name)).collect(),
            patterns: columns.into_iter().map(|(_, pattern)| pattern).collect(),
        }
    }

    /// Every pair of a row and a column, in order, with and without a file.
    pub fn cells(&self) -> impl Iterator<Item = CellId> {
        let columns = |feature| self.providers.iter().map(move |id| CellId::new(feature, id));
        self.features.iter().flat_map(move |row| columns(&row.id))
    }

    fn pattern(&self, provider: &ProviderId) -> Option<&(String, Span)> {
        let column = self.providers.iter().position(|known| known == provider)?;
        self.patterns.get(column)?.as_ref()
    }

    /// The gateway's name for the model of `tier` on `provider`; `None` if the manifest lacks either.
    pub fn alias(&self, provider: &ProviderId, tier: &TierId) -> Option<String> {
        let tier = self.tier(tier).filter(|tier| !tier.model.is_empty())?;
        self.alias_of(provider, &tier.model)
    }

    /// The gateway's name for `model` on `provider`; `None` if the manifest lacks the provider.
    pub fn alias_of(&self, provider: &ProviderId, model: &str) -> Option<String> {
        let (pattern, _) = self.pattern(provider)?;
        Some(pattern.replace(MODEL, model))
    }

    /// The place of the alias pattern of `provider`.
    pub fn alias_span(&self, provider: &ProviderId) -> Option<&Span> {
        self.pattern(provider).map(|(_, span)| span)
    }

    /// Gives `name` to the row `row`; to a new row without it.
    pub fn give_row(&mut self, name: &FeatureId, row: Option<&FeatureId>) {
        let Some(row) = row else {
            return self.features.push(Feature {
                id: name.clone(),
                name: String::new(),
                category: None,
                description: None,
                clause: None,
                docs: None,
                span: None,
            });
        };
        let rows = self.features.iter_mut().map(|feature| &mut feature.id);
        let in_parts = self.parts.iter_mut().flat_map(|part| &mut part.features);
        rows.chain(in_parts)
            .filter(|id| *id == row)
            .for_each(|id| *id = name.clone());
    }

    pub fn feature(&self, id: &FeatureId) -> Option<&Feature> {
        self.features.iter().find(|feature| feature.id == *id)
    }

    pub fn tier(&self, id: &TierId) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.id == *id)
    }
}

/// Texts of the manifest, each with its path.
type Texts<'a> = Vec<(KeyPath, &'a str)>;

/// `items`, each name once. A name with an error is the one that the error proposes.
fn named<T>(items: Vec<T>, name: impl Fn(&mut T) -> &mut String) -> Vec<T> {
    let mut known = HashSet::from([String::new()]);
    let usable = |mut item: T| {
        let text = name(&mut item);
        if let Some(usable) = as_name(text).filter(|_| !is_name(text)) {
            *text = usable;
        }
        known.insert(text.clone()).then_some(item)
    };
    items.into_iter().filter_map(usable).collect()
}

/// The errors in the values of a manifest that is correct in form.
fn check(form: &ManifestForm, repaired: &Repaired) -> Vec<Diagnostic> {
    fn texts<'a, T>(list: &str, key: &str, items: &'a [T], text: fn(&T) -> &String) -> Texts<'a> {
        let path = |index| KeyPath::of(list).then(index).then(key);
        let items = items.iter().enumerate();
        items
            .map(|(index, item)| (path(index), text(item).as_str()))
            .collect()
    }
    let mut reader = Reader::new(&repaired.node);
    let (features, tiers) = (&form.features, &form.tiers);
    let providers = form.providers.iter().enumerate();
    let providers = providers.map(|(index, id)| (KeyPath::of("providers").then(index), id.as_str()));
    for ids in [
        texts("features", "id", features, |feature| &feature.id),
        providers.collect(),
        texts("tiers", "id", tiers, |tier| &tier.id),
    ] {
        are_names(&mut reader, &ids);
        are_distinct(&mut reader, &ids, None);
    }
    for (texts, why) in [
        (
            texts("features", "name", features, |feature| &feature.name),
            "readers could not distinguish the two rows",
        ),
        (
            texts("tiers", "name", tiers, |tier| &tier.name),
            "readers could not distinguish the two tiers",
        ),
        (
            texts("tiers", "model", tiers, |tier| &tier.model),
            "two tiers with one model would be one deployment shown twice",
        ),
    ] {
        for (path, _) in texts.iter().filter(|(_, text)| text.trim().is_empty()) {
            reader.error(path, "the text is empty");
        }
        are_distinct(&mut reader, &texts, Some(why));
    }
    let sets = form.tiers.iter().map(|tier| &tier.set);
    are_dissimilar(&mut reader, "tiers", "set", sets);
    check_aliases(&mut reader, form, repaired);
    check_lacking(&mut reader, form);
    check_sets(&mut reader, form, repaired);
    let categories = form.features.iter().map(|row| &row.category);
    are_dissimilar(&mut reader, "features", "category", categories);
    check_rows(&mut reader, &form.features);
    check_parts(&mut reader, form);
    check_limits(&mut reader, form);
    drop_damaged(&repaired.damaged, &mut reader.diagnostics);
    reader.diagnostics
}

/// The texts about a row for readers: none is empty, the clause and the address exist in form.
fn check_rows(reader: &mut Reader<'_>, rows: &[FeatureForm]) {
    for (index, row) in rows.iter().enumerate() {
        let path = KeyPath::of("features").then(index);
        for (key, text) in [("category", &row.category), ("description", &row.description)] {
            if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
                reader.error(&path.then(key), "the text is empty");
            }
        }
        check_clause(reader, &path.then("clause"), row.clause.as_deref());
        if let Some(docs) = row.docs.as_ref().filter(|docs| !docs.starts_with("https://")) {
            let error = reader.at(&path.then("docs"), format!("`{docs}` is not a web address"));
            reader.report(error.allowed("an address that starts with `https://`"));
        }
    }
}

fn are_names(reader: &mut Reader<'_>, names: &Texts<'_>) {
    const WHY: &str = "names are part of paths, filters and the published matrix";
    for (path, name) in names.iter().filter(|(_, name)| !is_name(name)) {
        let error = reader.at(path, format!("`{name}` is not a name"));
        let error = error.allowed("a lower-case letter, then lower-case letters, digits and `_`");
        reader.report(error.hint(match as_name(name) {
            Some(usable) => format!("write `{usable}`: {WHY}"),
            None => WHY.to_owned(),
        }));
    }
}

fn are_distinct(reader: &mut Reader<'_>, texts: &Texts<'_>, why: Option<&str>) {
    let mut known: HashMap<&str, &KeyPath> = HashMap::new();
    for (path, text) in texts {
        let first = *known.entry(text).or_insert(path);
        if first != path {
            let place = reader.node.span_at(&first.0).place();
            let mut error = reader.at(path, format!("`{text}` is there twice"));
            error.hint = why.map(str::to_owned);
            reader.report(error.related(place, "the first one is here"));
        }
    }
}

/// No text of the key `key` that stands there once is named almost like one that stands there more often.
fn are_dissimilar<'a>(
    reader: &mut Reader<'_>,
    list: &str,
    key: &str,
    texts: impl Iterator<Item = &'a Option<String>>,
) {
    let texts: Vec<Option<&str>> = texts.map(Option::as_deref).collect();
    let count = |name: &str| texts.iter().filter(|text| **text == Some(name)).count();
    let (single, main): (Vec<_>, Vec<_>) = texts
        .iter()
        .enumerate()
        .filter_map(|(index, text)| Some((index, (*text)?)))
        .partition(|(_, text)| count(text) == 1);
    for (index, text) in single {
        let Some(near) = slip_of(text, main.iter().map(|(_, other)| *other)) else {
            continue;
        };
        let path = KeyPath::of(list).then(index).then(key);
        let message = format!("the {key} `{text}` is named almost like `{near}`");
        let hint = format!("write `{near}`, or choose a less similar name");
        reader.hinted(&path, message, hint);
    }
}

/// The providers without a tier's model exist, each with a reason.
fn check_lacking(reader: &mut Reader<'_>, form: &ManifestForm) {
    for (index, tier) in form.tiers.iter().enumerate() {
        for (provider, reason) in &tier.not_on {
            let path = KeyPath::of("tiers").then(index).then("not_on").then(provider);
            is_known(reader, &path, "provider", provider, &form.providers);
            let error = reason::fault(reason, |message| reader.at(&path, message));
            reader.diagnostics.extend(error);
        }
    }
}

/// Every tier has a set or none has. A set is called neither like a tier nor `all`.
fn check_sets(reader: &mut Reader<'_>, form: &ManifestForm, repaired: &Repaired) {
    let has_sets = form.tiers.iter().any(|tier| tier.set.is_some());
    for (index, tier) in form.tiers.iter().enumerate() {
        let path = KeyPath::of("tiers").then(index);
        let Some(set) = &tier.set else {
            if has_sets && !repaired.is_damaged(&["tiers", &index.to_string(), "set"]) {
                let message = format!("the tier `{}` has no `set`, and another tier has one", tier.id);
                reader.hinted(&path, message, "a run takes whole sets".to_owned());
            }
            continue;
        };
        let path = path.then("set");
        are_names(reader, &vec![(path.clone(), set.as_str())]);
        if set == ALL_SETS || form.tiers.iter().any(|tier| tier.id == *set) {
            let message = format!("a set cannot be called `{set}`");
            let hint = format!("`{ALL_SETS}` stands for all sets, and a tier's name for that tier");
            reader.hinted(&path, message, hint);
        }
    }
}

/// The rows, columns and tiers of each named part exist.
fn check_parts(reader: &mut Reader<'_>, form: &ManifestForm) {
    let features: Vec<String> = form.features.iter().map(|feature| feature.id.clone()).collect();
    let sets: Vec<String> = form.tiers.iter().filter_map(|tier| tier.set.clone()).collect();
    for (name, part) in &form.matrices {
        let path = KeyPath::of("matrices").then(name);
        for (index, feature) in part.features.iter().enumerate() {
            is_known(
                reader,
                &path.then("features").then(index),
                "feature",
                feature,
                &features,
            );
        }
        for (index, provider) in part.providers.iter().enumerate() {
            let path = path.then("providers").then(index);
            is_known(reader, &path, "provider", provider, &form.providers);
        }
        is_known(reader, &path.then("tiers"), "set of tiers", &part.tiers, &sets);
    }
}

/// The providers and tiers of each limit exist.
fn check_limits(reader: &mut Reader<'_>, form: &ManifestForm) {
    let tiers: Vec<String> = form.tiers.iter().map(|tier| tier.id.clone()).collect();
    for name in form.limits.keys().filter(|name| *name != ANY) {
        let path = KeyPath::of("limits").then(name);
        let (provider, tier) = name
            .split_once('/')
            .map_or((name.as_str(), None), |(provider, tier)| (provider, Some(tier)));
        is_known(reader, &path, "provider", provider, &form.providers);
        if let Some(tier) = tier {
            is_known(reader, &path, "tier", tier, &tiers);
        }
    }
}

fn is_known(reader: &mut Reader<'_>, path: &KeyPath, what: &str, name: &str, known: &[String]) {
    // A name with an error may be the right one elsewhere.
    if known
        .iter()
        .any(|known| known == name || as_name(known).as_deref() == Some(name))
    {
        return;
    }
    let mut distinct: Vec<&str> = known.iter().map(String::as_str).collect();
    distinct.dedup();
    let error = reader.at(path, format!("the manifest has no {what} `{name}`"));
    let error = error.allowed(listed(distinct.iter().copied()));
    reader.report(error.did_you_mean(name, distinct));
}

fn check_aliases(reader: &mut Reader<'_>, form: &ManifestForm, repaired: &Repaired) {
    let path = KeyPath::of("aliases");
    let providers = || form.providers.iter().map(String::as_str);
    let patterns = form.aliases.iter();
    let patterns: Texts<'_> = patterns
        .map(|(provider, pattern)| (path.then(provider), pattern.as_str()))
        .collect();
    for (provider, (path, pattern)) in form.aliases.keys().zip(&patterns) {
        if !form.providers.contains(provider) {
            let error = reader.at_key(path, format!("`{provider}` is no provider of this manifest"));
            let error = error.allowed(listed(providers()));
            reader.report(error.did_you_mean(provider, providers()));
        }
        if !pattern.contains(MODEL) {
            let error = reader.at(path, format!("the alias pattern lacks `{MODEL}`"));
            let error = error.found(format!("`{pattern}`"));
            reader.report(error.hint("without it all tiers would be the same model"));
        }
    }
    let is_missing = |provider: &&String| {
        !form.aliases.contains_key(*provider) && !repaired.is_damaged(&["aliases", provider])
    };
    for provider in form.providers.iter().filter(is_missing) {
        let message = format!("the provider `{provider}` has no alias pattern");
        let hint = match closest(provider, form.aliases.keys().map(String::as_str)) {
            Some(close) if !providers().any(|known| known == close) => {
                format!("is `{close}` meant to be `{provider}`?")
            }
            _ => format!("add `{provider}: \"{MODEL}-{}\"`", provider.replace('_', "-")),
        };
        reader.hinted(&path, message, hint);
    }
    let why = "two columns with one alias would be one deployment shown twice";
    are_distinct(reader, &patterns, Some(why));
}
