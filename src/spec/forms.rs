//! The forms of the files of this project.

use std::sync::LazyLock;

use super::mirror::{CellFile, ManifestFile};
use crate::document::Form;

/// `manifest.yaml`.
pub static MANIFEST: LazyLock<Form> = LazyLock::new(Form::of::<ManifestFile>);
/// `cells/<feature>/<provider>.yaml`.
pub static CELL: LazyLock<Form> = LazyLock::new(Form::of::<CellFile>);
/// `cells/<feature>/_shared.yaml`.
pub static SHARED: LazyLock<Form> = LazyLock::new(|| {
    CELL.without(
        &["not_applicable"],
        "compat-matrix shared cell",
        "What a feature's cells share: any of the keys of a cell, for all providers of this folder. A key in a provider's own file replaces the one here; `expect` and `known_failures` are merged name by name.",
    )
});
