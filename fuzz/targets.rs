//! The fuzz targets: each reads bytes that another program or a user wrote. An error is right, a panic is a bug.
//!
//! cargo-fuzz runs them from `fuzz_targets/`, and `cargo test --test it fuzz::` runs them for a bounded time.

use std::path::Path;

use compat_matrix::cells::{Layers, Manifest, ProxyConfig, Simulated, resolve};
use compat_matrix::document::{Diagnostic, render};
use compat_matrix::env;
use compat_matrix::ids::{CellId, FeatureId, ProviderId};
use compat_matrix::matrix::{Details, Matrix};
use compat_matrix::results::{Results, junit};
use compat_matrix::transcript::Transcript;
use compat_matrix::wire::framing::{Decoder, Framing};

pub type Target = fn(&[u8]);

/// Each target, by the name of its file and its corpus.
pub const TARGETS: [(&str, Target); 5] = [
    ("cell", cell),
    ("results", results),
    ("transcript", transcript),
    ("event_stream", event_stream),
    ("proxy_config", proxy_config),
];

/// A cell's YAML, and the texts of its errors.
pub fn cell(data: &[u8]) {
    const MANIFEST: &str = include_str!("../manifest.yaml");
    let manifest =
        Manifest::parse(Path::new("manifest.yaml"), MANIFEST.as_bytes()).expect("the manifest is valid");
    let id = CellId {
        feature: FeatureId::new("tool_use"),
        provider: ProviderId::new("bedrock_invoke"),
    };
    let attachments = |_: &Path| Err("there is no such file".to_owned());
    let own = Some((Path::new("cell.yaml"), data));
    if let Err(errors) = resolve::cell(&id, Ok(Layers::default()), own, &manifest, &attachments) {
        render::render(&errors, render::Format::Text, true);
    }
}

/// Results, details and a matrix: files of other machines.
pub fn results(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(results) = Results::parse(&text) {
        junit::to_xml(&results);
        assert_eq!(Results::parse(&results.to_text()).as_ref(), Ok(&results));
    }
    let _ = Details::parse(&text);
    let _ = Matrix::parse(&text);
}

/// The output of `claude`.
pub fn transcript(data: &[u8]) {
    let transcript = Transcript::from_jsonl(&String::from_utf8_lossy(data));
    let _ = (
        transcript.init(),
        transcript.results(),
        transcript.final_text(),
        transcript.messages(),
    );
    let _ = (
        transcript.tool_results(),
        transcript.api_retries(),
        transcript.errors(),
        transcript.workarounds(),
    );
    let _ = (
        transcript.total_usage(),
        transcript.total_cost_usd(),
        transcript.stream_problems(),
    );
    Transcript::from_jsonl(&transcript.to_jsonl());
}

/// The reply of a gateway, as server-sent events and as AWS's binary stream, in two parts.
pub fn event_stream(data: &[u8]) {
    for content_type in ["text/event-stream", "application/vnd.amazon.eventstream"] {
        let framing = Framing::of(content_type).expect("a stream");
        let mut decoder = Decoder::new(framing);
        let (first, second) = data.split_at(data.len() / 2);
        decoder.push(first);
        decoder.push(second);
        decoder.finish();
    }
}

/// `proxy_config.yaml`, which LiteLLM's users write.
pub fn proxy_config(data: &[u8]) {
    let none = |file: &Path| Err(vec![Diagnostic::of_file(file, "no such file".to_owned())]);
    let parsed = ProxyConfig::parse(
        Path::new("proxy_config.yaml"),
        data,
        &none,
        Simulated {
            variables: &env::SIMULATOR_VARIABLES,
            models: &[],
        },
    );
    if let Err(errors) = parsed {
        render::render(&errors, render::Format::Text, false);
    }
}
