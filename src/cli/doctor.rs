//! `compat doctor`: how strongly this machine confines `claude`, and what would make it stronger.

use std::process::ExitCode;

use clap::Args;

use super::print::{TextOrJson, output_json, output_wrapped};
use crate::env::Environment;
use crate::isolation::IsolationLevel;
use crate::process::CageLayers;
use crate::toolchain::confinement;

/// Show how strongly this machine confines `claude`
///
/// A run treats `claude` and all that it starts as untrusted, and confines them with each layer that the machine has. This
/// command tries each layer and says what is missing. The exit status is 1 if the machine does not reach `--require`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  compat doctor
  compat doctor --require full
  compat run --require-isolation landlock")]
pub struct Arguments {
    /// The level that the machine must reach: `none`, `process`, `landlock` or `full`
    #[arg(long, value_name = "LEVEL", default_value_t = IsolationLevel::None)]
    require: IsolationLevel,
    /// How to print it
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    format: TextOrJson,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let layers = confinement::layers(&Environment::from_process());
    let level = layers.level();
    match arguments.format {
        TextOrJson::Text => output_wrapped(&text(&layers)),
        TextOrJson::Json => output_json(&json(&layers))?,
    }
    Ok(ExitCode::from(u8::from(level < arguments.require)))
}

fn text(layers: &CageLayers) -> String {
    let level = layers.level();
    let mut lines = vec![format!("isolation level: {level}")];
    for layer in layers.described() {
        let holds = if layer.holds { "holds" } else { "lacks" };
        lines.push(format!("  {:<10} {holds}  {}", layer.name, layer.state));
    }
    if !level.lacks().is_empty() {
        lines.push("at this level, `claude` can still:".to_owned());
        lines.extend(level.lacks().iter().map(|what| format!("  {what}")));
    }
    lines.join("\n")
}

fn json(layers: &CageLayers) -> serde_json::Value {
    let layer = |layer: crate::process::CageLayer| serde_json::json!({ "name": layer.name, "holds": layer.holds, "state": layer.state });
    serde_json::json!({
        "level": layers.level(),
        "layers": layers.described().into_iter().map(layer).collect::<Vec<_>>(),
        "lacks": layers.level().lacks(),
    })
}
