//! The forms of the manifest and of the files that cells are merged from.

use std::sync::LazyLock;

use super::raw::{CellForm, ManifestForm, ScriptForm};
use crate::document::Form;

/// `manifest.yaml`.
pub static MANIFEST: LazyLock<Form> = LazyLock::new(Form::of::<ManifestForm>);
/// `cells/<feature>/<provider>.yaml` and `cells/_providers/<provider>.yaml`.
pub static CELL: LazyLock<Form> = LazyLock::new(Form::of::<CellForm>);
/// The file of `compat provider serve --script`.
pub static SCRIPT: LazyLock<Form> = LazyLock::new(Form::of::<ScriptForm>);
/// `cells/_shared.yaml` and `cells/<feature>/_shared.yaml`.
pub static SHARED: LazyLock<Form> = LazyLock::new(|| {
    CELL.without(
        &["not_applicable"],
        "compat-matrix shared cell",
        "What cells share: any key of a cell except `not_applicable`. `cells/_shared.yaml` is for every cell, `cells/<feature>/_shared.yaml` for every provider of a feature. A key of a later file replaces the one here; `expect` is merged name by name.",
    )
});
