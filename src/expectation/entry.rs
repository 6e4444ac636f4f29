//! The keys that every expectation has, whatever its kind: tiers, clause, level.

use super::Expectation;
use super::context::{CellContext, Checker};
use super::kinds::{Check, ExpectationForm};
use crate::document::{Diagnostic, KeyPath, Reader};
use crate::ids::TierId;
use crate::text::listed;

/// The sections of `code.claude.com/docs/en/llm-gateway-protocol`, by their anchors (2026-11).
const PROTOCOL_SECTIONS: [&str; 14] = [
    "api-formats",
    "optional-endpoints-and-startup-traffic",
    "streaming",
    "format-mismatch-with-the-upstream",
    "requests-and-defaults-by-connection-method",
    "request-headers",
    "gateway-hint-headers",
    "forward-as-open-lists",
    "response-headers",
    "system-prompt-attribution-block",
    "feature-pass-through",
    "automatic-retry-and-error-forwarding",
    "disable-pre-release-capabilities",
    "model-discovery",
];

/// Resolves the entry `name` of `expect`, which stands at `path`. An entry that contains `${model}` becomes one expectation
/// for each tier. Errors are reported to `diagnostics`.
pub fn resolve(
    reader: Reader<'_>,
    path: &KeyPath,
    name: &str,
    form: &ExpectationForm,
    context: &CellContext<'_>,
) -> (Vec<Expectation>, Vec<Diagnostic>) {
    let node = reader.node;
    let mut checker = Checker::new(reader, context);
    let tiers = form
        .tiers
        .as_ref()
        .map(|names| tiers(&mut checker.reader, path, names, context));
    check_clause(&mut checker.reader, &path.then("clause"), form.clause.as_deref());
    let check = Check::resolve(form, &mut checker, path);
    let diagnostics = checker.reader.diagnostics;
    let Some(check) = check.filter(|_| diagnostics.is_empty()) else {
        return (Vec::new(), diagnostics);
    };
    let expectation = Expectation {
        name: name.to_owned(),
        place: node.key_span_at(&path.0).place(),
        tiers,
        clause: form.clause.clone(),
        needs_gateway: form.needs_gateway,
        level: form.level.unwrap_or_else(|| check.level()),
        check,
    };
    if !checker.saw_model {
        return (vec![expectation], diagnostics);
    }
    let of_tier = |(tier, model): &(TierId, String)| {
        let mut checker = Checker::new(Reader::new(node), context);
        checker.model = Some(model.clone());
        Some(Expectation {
            tiers: Some(vec![tier.clone()]),
            check: Check::resolve(form, &mut checker, path)?,
            ..expectation.clone()
        })
    };
    let of_its_tiers = context
        .tiers
        .iter()
        .filter(|(tier, _)| expectation.applies_to(tier));
    (of_its_tiers.filter_map(of_tier).collect(), diagnostics)
}

/// The tiers and the tiers of the sets called `names`, which stand below `tiers` of `path`.
fn tiers(
    reader: &mut Reader<'_>,
    path: &KeyPath,
    names: &[String],
    context: &CellContext<'_>,
) -> Vec<TierId> {
    let known = context.tier_names.all();
    let known = || known.iter().copied();
    let path = path.then("tiers");
    let mut tiers: Vec<TierId> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let path = path.then(index);
        let called = context.tier_names.called(name);
        if called.is_empty() {
            let diagnostic = reader.at(&path, format!("the manifest has no tier `{name}`"));
            reader.report(diagnostic.allowed(listed(known())).did_you_mean(name, known()));
        }
        for tier in called {
            if tiers.contains(&tier) {
                let diagnostic = reader.at(&path, format!("the tier `{tier}` is there twice"));
                reader.report(diagnostic);
            }
            tiers.push(tier);
        }
    }
    tiers
}

/// Reports a `clause` that is not one of the gateway contract.
pub fn check_clause(reader: &mut Reader<'_>, path: &KeyPath, clause: Option<&str>) {
    let Some(clause) = clause else { return };
    let (page, section) = clause
        .split_once('#')
        .map_or((clause, None), |(page, section)| (page, Some(section)));
    let known = match page {
        "llm-gateway-protocol" => section.is_none_or(|section| PROTOCOL_SECTIONS.contains(&section)),
        page => page == "llm-gateway-rollout" && section != Some(""),
    };
    if known {
        return;
    }
    let sections: Vec<String> = PROTOCOL_SECTIONS
        .iter()
        .map(|section| format!("llm-gateway-protocol#{section}"))
        .collect();
    let pages = ["llm-gateway-protocol", "llm-gateway-rollout"];
    let close = pages.into_iter().chain(sections.iter().map(String::as_str));
    let diagnostic = reader
        .at(path, format!("`{clause}` is no clause of the gateway contract"))
        .allowed(format!(
            "`llm-gateway-protocol`, {}, `llm-gateway-rollout#…`",
            listed(sections.iter().map(String::as_str))
        ))
        .did_you_mean(clause, close);
    reader.report(diagnostic);
}
