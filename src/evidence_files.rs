//! Reads a trial's evidence folder back: the inverse of what `trial` writes there.
//!
//! A folder that lacks a file is read as one in which nothing of that kind was seen. It judges nothing.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::evidence::{Behind, Evidence, Exit};
use crate::transcript::Transcript;
use crate::wire::exchange::{GatewayExchange, ProviderExchange};

/// What a trial's folder always has.
pub const TRANSCRIPT: &str = "transcript.jsonl";

/// Why a folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceFilesError {
    #[error("`{}` holds no evidence: it has no `transcript.jsonl`", .0.display())]
    NoEvidence(PathBuf),
    #[error("cannot read `{}`", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    /// A line is not what this version writes there.
    #[error("`{}:{line}` is not what this version of compat-matrix writes there; run the trial again", file.display())]
    Form {
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        source: serde_json::Error,
    },
}

/// Reads the evidence in `folder`. What stood behind the gateway is told from what was recorded there: nothing is, in a
/// live run.
pub fn read(folder: &Path) -> Result<Evidence, EvidenceFilesError> {
    let Some(transcript) = text(&folder.join(TRANSCRIPT))? else {
        return Err(EvidenceFilesError::NoEvidence(folder.to_owned()));
    };
    let exchanges: Vec<ProviderExchange> = lines(&folder.join("exchanges.jsonl"))?;
    let sent: Vec<GatewayExchange> = lines(&folder.join("sent.jsonl"))?;
    let gateway_log = text(&folder.join("gateway.log"))?.unwrap_or_default();
    let behind = match exchanges.is_empty() && sent.is_empty() {
        true => Behind::Live,
        false => Behind::Simulated,
    };
    Ok(Evidence {
        behind,
        gateway: behind == Behind::Live || !sent.is_empty(),
        transcript: Transcript::from_jsonl(&transcript),
        exit: whole(&folder.join("exit.json"))?.unwrap_or(Exit {
            code: None,
            signal: None,
            killed: None,
            duration_ms: 0,
        }),
        stderr: text(&folder.join("stderr.txt"))?.unwrap_or_default(),
        exchanges,
        sent,
        direct: whole(&folder.join("direct.json"))?,
        counted: whole(&folder.join("count_tokens.json"))?,
        gateway_log: gateway_log.lines().map(str::to_owned).collect(),
    })
}

fn text(file: &Path) -> Result<Option<String>, EvidenceFilesError> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(EvidenceFilesError::Unreadable {
            file: file.to_owned(),
            source,
        }),
    }
}

fn whole<T: DeserializeOwned>(file: &Path) -> Result<Option<T>, EvidenceFilesError> {
    text(file)?.map(|text| parsed(file, 1, &text)).transpose()
}

fn lines<T: DeserializeOwned>(file: &Path) -> Result<Vec<T>, EvidenceFilesError> {
    let text = text(file)?.unwrap_or_default();
    text.lines()
        .enumerate()
        .map(|(index, line)| parsed(file, index + 1, line))
        .collect()
}

fn parsed<T: DeserializeOwned>(file: &Path, line: usize, text: &str) -> Result<T, EvidenceFilesError> {
    serde_json::from_str(text).map_err(|source| EvidenceFilesError::Form {
        file: file.to_owned(),
        line,
        source,
    })
}
