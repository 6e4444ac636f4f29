//! Writes and reads a trial's evidence folder. The names of its files are in [`crate::evidence::file`].
//!
//! When the reader finds no file for a kind of evidence, it assumes that there was none. It judges nothing.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::atomic_write;
use crate::evidence::{Behind, Evidence, Exit, UnderTest, file};
use crate::ids::TrialName;
use crate::mutants::MutantName;
use crate::transcript::Transcript;
use crate::wire::exchange::{GatewayExchange, ProviderExchange};
use crate::wire_diff::WireDiff;

/// The parent of all evidence folders, relative to the project's root.
pub const EVIDENCE: &str = "target/compat";

/// The evidence folder of a trial, relative to the project's root. A trial under a mutant has its own.
pub fn folder(name: &TrialName, mutant: Option<&MutantName>) -> PathBuf {
    folder_in(Path::new(EVIDENCE), name, mutant)
}

/// The same below `parent`.
pub fn folder_in(parent: &Path, name: &TrialName, mutant: Option<&MutantName>) -> PathBuf {
    let mut folder = parent.to_owned();
    if let Some(mutant) = mutant {
        folder = folder.join("mutants").join(mutant.as_str());
    }
    folder
        .join(name.cell.feature.as_str())
        .join(name.cell.provider.as_str())
        .join(name.tier.as_str())
}

/// Writes `evidence` and the wire diff into `folder`. A file without content is not written, but for the transcript.
pub fn write(evidence: &Evidence, diff: Option<&WireDiff>, folder: &Path) -> io::Result<()> {
    atomic_write::make_folder(folder)?;
    let put = |name: &str, text: String| match text.is_empty() && name != file::TRANSCRIPT {
        true => Ok(()),
        false => std::fs::write(folder.join(name), text),
    };
    put(file::TRANSCRIPT, evidence.transcript.to_jsonl())?;
    put(file::PROVIDER_EXCHANGES, jsonl(&evidence.exchanges)?)?;
    put(file::GATEWAY_EXCHANGES, jsonl(&evidence.sent)?)?;
    put(file::AMBIGUOUS, jsonl(&evidence.ambiguous)?)?;
    if let Some(diff) = diff {
        put(file::WIRE_DIFF_TEXT, diff.text())?;
        put(file::WIRE_DIFF_JSON, serde_json::to_string_pretty(diff)? + "\n")?;
    }
    put(file::EXIT, serde_json::to_string_pretty(&evidence.exit)? + "\n")?;
    let log = evidence.gateway_log.iter().map(|line| format!("{line}\n"));
    put(file::GATEWAY_LOG, log.collect())?;
    put(file::STDERR, evidence.stderr.clone())?;
    for (name, reply) in [
        (file::DIRECT_REPLY, &evidence.direct),
        (file::TOKEN_COUNT, &evidence.counted),
    ] {
        if let Some(reply) = reply {
            put(name, serde_json::to_string(reply)? + "\n")?;
        }
    }
    Ok(())
}

/// Writes the gateway and the versions of a trial into its `folder`.
pub fn write_under_test(under_test: &UnderTest, folder: &Path) -> io::Result<()> {
    let text = serde_json::to_string_pretty(under_test)? + "\n";
    std::fs::write(folder.join(file::UNDER_TEST), text)
}

/// The gateway and the versions of the trial in `folder`; `None` if nobody recorded them.
pub fn read_under_test(folder: &Path) -> anyhow::Result<Option<UnderTest>> {
    whole(&folder.join(file::UNDER_TEST))
}

fn jsonl(values: &[impl Serialize]) -> serde_json::Result<String> {
    let lines = values
        .iter()
        .map(|value| Ok(serde_json::to_string(value)? + "\n"));
    lines.collect()
}

/// Reads the evidence in `folder`. A folder without recorded exchanges is from a live run.
pub fn read(folder: &Path) -> anyhow::Result<Evidence> {
    let transcript = text(&folder.join(file::TRANSCRIPT))?.with_context(|| {
        let (folder, name) = (folder.display(), file::TRANSCRIPT);
        format!("`{folder}` holds no evidence: it has no `{name}`")
    })?;
    let exchanges: Vec<ProviderExchange> = lines(&folder.join(file::PROVIDER_EXCHANGES))?;
    let sent: Vec<GatewayExchange> = lines(&folder.join(file::GATEWAY_EXCHANGES))?;
    let gateway_log = text(&folder.join(file::GATEWAY_LOG))?.unwrap_or_default();
    let behind = match exchanges.is_empty() && sent.is_empty() {
        true => Behind::Live,
        false => Behind::Simulated,
    };
    Ok(Evidence {
        behind,
        gateway: behind == Behind::Live || !sent.is_empty(),
        attached: false,
        other_claude: false,
        transcript: Transcript::from_jsonl(&transcript),
        exit: whole(&folder.join(file::EXIT))?.unwrap_or(Exit {
            code: None,
            signal: None,
            killed: None,
            duration_ms: 0,
        }),
        stderr: text(&folder.join(file::STDERR))?.unwrap_or_default(),
        exchanges,
        sent,
        ambiguous: lines(&folder.join(file::AMBIGUOUS))?,
        direct: whole(&folder.join(file::DIRECT_REPLY))?,
        counted: whole(&folder.join(file::TOKEN_COUNT))?,
        gateway_log: gateway_log.lines().map(str::to_owned).collect(),
    })
}

fn text(file: &Path) -> anyhow::Result<Option<String>> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", file.display())),
    }
}

fn whole<T: DeserializeOwned>(file: &Path) -> anyhow::Result<Option<T>> {
    text(file)?.map(|text| parsed(file, 1, &text)).transpose()
}

fn lines<T: DeserializeOwned>(file: &Path) -> anyhow::Result<Vec<T>> {
    let text = text(file)?.unwrap_or_default();
    text.lines()
        .enumerate()
        .map(|(index, line)| parsed(file, index + 1, line))
        .collect()
}

fn parsed<T: DeserializeOwned>(file: &Path, line: usize, text: &str) -> anyhow::Result<T> {
    serde_json::from_str(text).with_context(|| {
        let file = file.display();
        format!("`{file}:{line}` is not what this version of compat-matrix writes there; run the trial again")
    })
}
