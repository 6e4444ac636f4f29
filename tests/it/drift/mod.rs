//! Cassettes: recorded, without private values, compared with the simulator, and replayed.

mod canary;
mod faults;
mod record;
mod replay;
mod sdk;

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compat_matrix::drift::report::DriftReport;
use compat_matrix::drift::{self, Cassette, CassetteHead, PlacedRecording, RecordedSide, Recording};
use compat_matrix::evidence::Behind;
use compat_matrix::files::cassette_files;
use compat_matrix::ids::TrialName;
use compat_matrix::provider::{LiveOptions, Simulator, SimulatorOptions, Unscripted};
use compat_matrix::results::json::SchemaVersion;
use compat_matrix::wire::Route;
use compat_matrix::wire::exchange::{Body, RecordedRequest};
use serde_json::{Value, json};

use crate::support::files::Folder;
use crate::support::provider_client::Gateway;

fn head(sides: Vec<RecordedSide>) -> CassetteHead {
    CassetteHead {
        schema_version: SchemaVersion::One,
        compat_version: "0.1.0".into(),
        recorded_at: "2026-11-27T06:00:00Z".parse().expect("a time"),
        behind: Behind::Live,
        rehearsal: true,
        gateway: None,
        gateway_version: None,
        claude_code_version: None,
        sides,
        missing: None,
        models: std::collections::BTreeMap::new(),
    }
}

/// What passed at a provider that answers like a model: each kind of answer, on each route, streamed and whole.
async fn traffic(seed: u64) -> Cassette {
    let options = SimulatorOptions {
        unscripted: Unscripted::AsLive(LiveOptions {
            seed,
            overload_every: std::num::NonZeroU32::new(40),
            ..LiveOptions::default()
        }),
        ..SimulatorOptions::default()
    };
    let gateway = Gateway::on(Simulator::start(options).await.expect("it starts")).await;
    send_all(&gateway).await;
    let trial: TrialName = "traffic::all::haiku".parse().expect("a name");
    let exchanges = gateway.simulator.orphans().into_iter().enumerate();
    Cassette {
        head: head(vec![RecordedSide::Provider]),
        recordings: exchanges
            .map(|(index, exchange)| PlacedRecording {
                place: format!("traffic/all/haiku.jsonl:{}", index + 1),
                recording: Recording::of_provider(&trial, exchange),
            })
            .collect(),
    }
}

/// Sends each body on each route, streamed and whole.
async fn send_all(gateway: &Gateway) {
    for route in Route::ALL {
        for body in bodies() {
            for stream in [false, true] {
                drop(gateway.send(route, stream, &body).await.bytes().await);
            }
        }
    }
}

fn bodies() -> Vec<Value> {
    let tool = json!({"name": "Bash", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}});
    let ask = |text: &str| json!({"role": "user", "content": [{"type": "text", "text": text}]});
    let call =
        json!({"type": "tool_use", "id": "toolu_01A", "name": "Bash", "input": {"command": "echo pong"}});
    let result = json!({"type": "tool_result", "tool_use_id": "toolu_01A", "content": [{"type": "text", "text": "pong"}]});
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    vec![
        json!({"max_tokens": 1000, "messages": [ask("Reply with exactly one word: pong")]}),
        json!({"max_tokens": 1000, "tools": [tool], "messages": [ask("Use the Bash tool to run exactly this command: echo pong")]}),
        json!({"max_tokens": 3000, "thinking": thinking, "messages": [ask("Think about 17 times 23.")]}),
        json!({"max_tokens": 1000, "tools": [tool], "messages": [ask("Run it."), {"role": "assistant", "content": [call]},
            {"role": "user", "content": [result]}]}),
        // Every provider refuses more tokens than the model has.
        json!({"max_tokens": 9_000_000, "messages": [ask("ping")]}),
    ]
}

/// Compares a cassette with a fresh simulator.
async fn report_of(cassette: &Cassette, tiers: &[&str]) -> DriftReport {
    let options = SimulatorOptions {
        tiers: tiers.iter().map(|tier| (*tier).to_owned()).collect(),
        ..SimulatorOptions::default()
    };
    let simulator = Simulator::start(options).await.expect("it starts");
    let ask =
        async |request: &RecordedRequest, route, reply| simulator.ask_again(request, route, reply).await;
    let collector = drift::examine(cassette, cassette.best_side(), ask).await;
    collector.report(cassette.head.clone(), None)
}

/// The faults, a line each.
fn faults_of(report: &DriftReport) -> Vec<String> {
    let faults = report.drift.iter();
    faults
        .map(|fault| {
            format!(
                "{}: {} [{} | {}]",
                fault.kind.words(),
                fault.place,
                fault.recorded,
                fault.simulated
            )
        })
        .collect()
}

/// Writes a cassette with a file for each trial.
fn write(cassette: &Cassette, root: &Path) {
    cassette_files::prepare(root).expect("the folder is empty");
    cassette_files::write_head(root, &cassette.head).expect("the head is written");
    for placed in &cassette.recordings {
        let recording = std::slice::from_ref(&placed.recording);
        cassette_files::add(root, &placed.recording.trial, recording).expect("the line is written");
    }
}

#[tokio::test]
async fn traffic_of_a_rehearsal_has_no_drift() {
    for seed in [1, 7] {
        let cassette = traffic(seed).await;
        let report = report_of(&cassette, &[]).await;
        assert_eq!(faults_of(&report), Vec::<String>::new(), "seed {seed}");
        assert_eq!(report.compared, 6 * 5 * 2);
        // The token of Vertex AI.
        assert_eq!(report.not_compared.len(), 1, "{:?}", report.not_compared);
    }
}

#[tokio::test]
async fn a_cassette_is_the_same_after_it_was_written() {
    let mut cassette = traffic(3).await;
    let private = drift::PrivateValues::default();
    for placed in &mut cassette.recordings {
        private.remove_from(&mut placed.recording, &[]);
    }
    let folder = Folder::new();
    write(&cassette, folder.root());
    let read = cassette_files::read(folder.root()).expect("a cassette");
    assert_eq!(read, cassette);
    let report = report_of(&read, &[]).await;
    assert_eq!(
        faults_of(&report),
        Vec::<String>::new(),
        "without private values too"
    );
}

#[tokio::test]
async fn an_image_with_a_private_value_is_not_compared() {
    let mut cassette = traffic(3).await;
    cassette
        .recordings
        .retain(|placed| placed.recording.route == Some(Route::Anthropic));
    cassette.recordings.truncate(1);
    let recording = &mut cassette.recordings[0].recording;
    let Body::Json(body) = &mut recording.request.body else {
        panic!("a message");
    };
    let data = STANDARD.encode(b"\x89PNG\r\n\x1a\n\0\0\0\x1ctEXtAuthor\0canary@shop.example\xee\xaf");
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}});
    let content = body["messages"][0]["content"].as_array_mut().expect("blocks");
    content.push(image);
    drift::PrivateValues::default().remove_from(recording, &[]);
    let report = report_of(&cassette, &[]).await;
    assert_eq!((report.compared, report.drift.len()), (0, 0));
    assert_eq!(
        report.not_compared[0].reason,
        "data of the request had a private value"
    );
}
