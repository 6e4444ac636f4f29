//! The trials of a project, and the plan for each: it runs, its cell is broken, or it is not applicable.
//!
//! Pure. Listing reads no cell. A broken cell makes its own trials fail and does not stop the run.
#![warn(clippy::disallowed_methods)]

pub mod selection;

use std::sync::Arc;

use crate::cells::manifest::Tier;
use crate::cells::{Cell, CellBody, Manifest, ProxyConfig, Test};
use crate::document::Diagnostic;
use crate::ids::{CellId, TrialName};

#[derive(Clone, Debug, PartialEq)]
pub enum Planned {
    Run(Box<PlannedTrial>),
    /// The cell cannot be read, or its alias does not exist.
    Broken(Vec<Diagnostic>),
    /// The feature cannot exist on the provider.
    NotApplicable(String),
}

/// A trial to run. Its cell is not `not_applicable`.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedTrial {
    pub cell: Arc<Cell>,
    pub tier: Tier,
    /// What the gateway calls the model.
    pub alias: String,
}

impl PlannedTrial {
    pub fn test(&self) -> &Test {
        self.cell.test().expect("only tests are planned to run")
    }
}

/// The trials of the cells that are present, in the manifest's order.
pub fn trials(manifest: &Manifest, is_present: impl Fn(&CellId) -> bool) -> Vec<TrialName> {
    let cells = manifest.cells().filter(|cell| is_present(cell));
    cells
        .flat_map(|cell| manifest.tiers.iter().map(move |tier| cell.trial(&tier.id)))
        .collect()
}

/// Plans `trial`, whose cell was read with the result `cell`. Its alias must be in `proxy_config`, if the gateway uses
/// that file.
pub fn plan(
    manifest: &Manifest,
    proxy_config: Option<&ProxyConfig>,
    trial: &TrialName,
    cell: &Result<Arc<Cell>, Vec<Diagnostic>>,
) -> Planned {
    let cell = match cell {
        Err(faults) => return Planned::Broken(faults.clone()),
        Ok(cell) => cell,
    };
    if let CellBody::NotApplicable(reason) = &cell.body {
        return Planned::NotApplicable(reason.clone());
    }
    let provider = &trial.cell.provider;
    let tier = manifest.tier(&trial.tier);
    let (Some(tier), Some(alias)) = (tier, manifest.alias(provider, &trial.tier)) else {
        let file = std::path::Path::new("manifest.yaml");
        return Planned::Broken(vec![Diagnostic::of_file(
            file,
            format!("the manifest has no trial `{trial}`"),
        )]);
    };
    let of_model = tier.not_on.iter().find(|(other, _)| other == provider);
    let of_feature = cell.test().and_then(|test| test.not_on.get(&trial.tier));
    if let Some(reason) = of_model.map(|(_, reason)| reason).or(of_feature) {
        return Planned::NotApplicable(reason.clone());
    }
    if let Some(fault) = proxy_config.and_then(|config| config.lacks(manifest, provider, &trial.tier)) {
        let unwritten = unwritten(cell).into_iter().next();
        return Planned::Broken(vec![match unwritten {
            Some(todo) => todo.related(fault.place, fault.message),
            None => fault,
        }]);
    }
    Planned::Run(Box::new(PlannedTrial {
        cell: Arc::clone(cell),
        tier: tier.clone(),
        alias,
    }))
}

/// A note for each `todo` of `cell`.
pub fn unwritten(cell: &Cell) -> Vec<Diagnostic> {
    let unwritten = cell.test().into_iter().flat_map(Test::unwritten);
    unwritten
        .map(|(expectation, text)| Diagnostic {
            place: expectation.place.clone(),
            ..Diagnostic::of_file(&expectation.place.file, format!("write me: {text}"))
                .path(format!("expect.{}", expectation.name))
                .hint("its trials fail until the `todo` is replaced by what must hold")
        })
        .collect()
}
