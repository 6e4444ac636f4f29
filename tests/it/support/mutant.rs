//! A mutant from a few lines of YAML.

use std::path::Path;

use compat_matrix::document::Diagnostic;
use compat_matrix::ids::{CellId, FeatureId, ProviderId, TierId};
use compat_matrix::mutants::{self, Known, Mutant, MutantName};

/// Reads a mutant in a project with three cells, two of them in the main rows. `yaml` follows the description and the sources, which have two lines.
pub fn mutant(yaml: &str) -> Result<Mutant, Vec<Diagnostic>> {
    let cell = |feature: &str| CellId {
        feature: FeatureId::new(feature),
        provider: ProviderId::new("anthropic"),
    };
    let names = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let known = Known {
        providers: &[ProviderId::new("anthropic")],
        tiers: &[TierId::new("haiku")],
        main_rows: &[FeatureId::new("tool_use"), FeatureId::new("vision")],
        cells: &[
            (cell("tool_use"), names(&["called", "run"])),
            (cell("vision"), names(&["run"])),
            (cell("web_search"), names(&["run"])),
        ],
    };
    let whole = format!("description: A bug.\nsources: [\"https://example.com\"]\n{yaml}\n");
    mutants::resolve(
        MutantName::new("tools", "lost"),
        Path::new("mutants/tools/lost.yaml"),
        whole.as_bytes(),
        &known,
    )
}
