//! A valid cell, changes to it, and the diagnostics of a cell.

use std::path::Path;

use compat_matrix::cells::{Layer, Layers, Manifest, resolve};
use compat_matrix::document::Diagnostic;
use compat_matrix::ids::{CellId, FeatureId, ProviderId};

const MANIFEST: &str = include_str!("../../../manifest.yaml");

const RED: &[u8] = include_bytes!("../../../cells/vision/_red.png");

fn manifest() -> Manifest {
    Manifest::parse(Path::new("manifest.yaml"), MANIFEST.as_bytes()).expect("the manifest is valid")
}

pub fn diagnostics(shared: Option<&str>, own: &[u8]) -> Vec<Diagnostic> {
    let id = CellId {
        feature: FeatureId::new("tool_use"),
        provider: ProviderId::new("bedrock_invoke"),
    };
    let shared = shared.map(|text| Layer::shared(Path::new("_shared.yaml"), text.as_bytes()));
    let attachments = |file: &Path| match file.to_str() {
        Some("_red.png" | "_red.jpg" | "_red.pdf") => Ok(RED.to_vec()),
        _ => Err("there is no such file in the feature's folder".to_owned()),
    };
    let layers = match &shared {
        Some(Err(faults)) => Err(&faults[..]),
        Some(Ok(feature)) => Ok(Layers {
            feature: Some(feature),
            ..Layers::default()
        }),
        None => Ok(Layers::default()),
    };
    let own = Some((Path::new("cell.yaml"), own));
    resolve::cell(&id, layers, own, &manifest(), &attachments)
        .err()
        .unwrap_or_default()
}

/// A line for each diagnostic, `line:column path: message | found | allowed | hint`.
pub fn brief(diagnostics: &[Diagnostic]) -> String {
    let line = |diagnostic: &Diagnostic| {
        let mut text = format!(
            "{} {}:{} {}: {}",
            diagnostic.place.file.display(),
            diagnostic.place.line,
            diagnostic.place.column,
            diagnostic.path,
            diagnostic.message
        );
        for (name, detail) in [
            ("found", &diagnostic.found),
            ("allowed", &diagnostic.allowed),
            ("hint", &diagnostic.hint),
        ] {
            if let Some(detail) = detail {
                text.push_str(&format!(" | {name}: {detail}"));
            }
        }
        for (place, what) in &diagnostic.related {
            text.push_str(&format!(" | {what}: {}:{}", place.line, place.column));
        }
        text
    };
    diagnostics.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A valid cell, on lines 1 to 6.
pub const GOOD: &str = "prompt: Say pong\nreplies:\n  - content: [{ text: pong }]\nexpect:\n  reply:\n    text: { contains: pong }\n";

/// The good cell with `from` replaced by `to`.
pub fn with(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "the good cell has no `{from}`");
    GOOD.replacen(from, to, 1)
}

/// The good cell with `more` after it.
pub fn and(more: &str) -> String {
    format!("{GOOD}{more}")
}

/// The diagnostics of a cell without a shared layer, in brief.
pub fn found(own: &str) -> String {
    brief(&diagnostics(None, own.as_bytes()))
}

/// Checks that each cell has diagnostics with all of the wanted texts. A case is a mistake, the cell, the texts.
pub fn assert_found(cases: &[(&str, String, &[&str])]) {
    let mut wrong = String::new();
    for (mistake, text, wanted) in cases {
        let shown = found(text);
        if shown.is_empty() || !wanted.iter().all(|part| shown.contains(part)) {
            wrong.push_str(&format!("\n{mistake}: wanted {wanted:?}, found\n{shown}\n"));
        }
    }
    assert_eq!(wrong, "");
}
