//! YAML files that people write: values with their places, and diagnostics that point at them.
//!
//! Pure. One reader for every kind of file (manifest, cells, mutants): text to [`Node`] (`yaml`), a check of its form
//! against a JSON Schema (`form`), then a [`Reader`] for what the values mean. Every error of a file is reported at once.
#![warn(clippy::disallowed_methods)]

pub mod diagnostic;
pub mod node;
mod scalar;
mod syntax;
pub mod yaml;
mod explain;
pub mod form;
pub mod reader;
pub mod render;

pub use diagnostic::{Diagnostic, Place, Span, without_errors};
pub use form::Form;
pub use node::{Entry, Node, NodeValue};
pub use reader::{KeyPath, Query, Reader, written};
