//! `compat completions`: completions for a shell, on standard output.

use std::process::ExitCode;

use clap::Args;
use clap_complete::Shell;

use super::files::Output;

/// Write completions for a shell
///
/// Writes them to standard output; the examples show the folders of some shells.
#[derive(Args, Debug)]
#[command(
    after_long_help = "Examples:\n  compat completions bash > ~/.local/share/bash-completion/completions/compat\n  compat completions zsh > ~/.zfunc/_compat\n  compat completions fish > ~/.config/fish/completions/compat.fish"
)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut super::command(), "compat", &mut text);
    Output::Standard.write(&String::from_utf8_lossy(&text))?;
    Ok(ExitCode::SUCCESS)
}
