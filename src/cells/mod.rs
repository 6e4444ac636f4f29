//! Cells, the manifest, and the models of the gateway's configuration: from YAML text to checked values.
//!
//! Pure: texts in, values and diagnostics out. Parse, then resolve: a form for each file in which every key is known
//! (`raw`), then checked types that leave nothing open for planning and judging. All errors of a file are reported at
//! once, each at its text. A cell is merged from several files (`layers`).
#![warn(clippy::disallowed_methods)]

mod attachments;
mod calls;
pub mod cell;
mod expectations;
pub mod forms;
pub mod layers;
pub mod limits;
pub mod manifest;
pub mod prices;
mod proxy_files;
mod proxy_providers;
pub mod proxy_config;
pub mod raw;
pub mod reason;
pub mod reference;
mod replies;
pub mod reserved;
pub mod resolve;

pub use cell::{Cell, CellBody, Test};
pub use layers::{Layer, Layers, Origin};
pub use manifest::Manifest;
pub use proxy_config::ProxyConfig;
pub use proxy_files::{proxy_file_value, proxy_map_sections, proxy_text_with};
pub use proxy_providers::{Simulated, SimulatorVariables};
