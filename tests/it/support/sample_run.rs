//! An invented run with every kind of result.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use compat_matrix::document::Place;
use compat_matrix::evidence::Behind;
use compat_matrix::findings::{Declared, Finding, FindingStatus, Level};
use compat_matrix::ids::{FeatureId, ProviderId, TierId};
use compat_matrix::isolation::IsolationLevel;
use compat_matrix::matrix::ManifestView;
use compat_matrix::outcome::{
    Attempt, Cause, CheckResult, EvidenceLine, Failure, Mismatch, Outcome, Retry, Verdict,
};
use compat_matrix::results::{GatewayRecord, Results, RunRecord, TrialRecord};
use compat_matrix::wire::Usage;

/// A point in time.
pub fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The features, providers and tiers of the project.
pub fn manifest() -> ManifestView {
    let features = [
        ("basic_messaging_non_streaming", "Basic messaging (non-streaming)"),
        ("basic_messaging_streaming", "Basic messaging (streaming)"),
        ("tool_use", "Tool use"),
        ("prompt_caching_5m", "Prompt caching (5m TTL)"),
        ("vision", "Vision"),
        ("extended_thinking", "Extended thinking"),
    ];
    let providers = [
        "anthropic",
        "bedrock_invoke",
        "bedrock_converse",
        "vertex_ai",
        "azure",
    ];
    ManifestView {
        features: features
            .map(|(id, name)| (FeatureId::new(id), name.to_owned()))
            .to_vec(),
        rows: Vec::new(),
        providers: providers.map(ProviderId::new).to_vec(),
        tiers: ["haiku", "sonnet", "opus"].map(TierId::new).to_vec(),
        sets: Vec::new(),
        tier_names: Vec::new(),
    }
}

/// A run of `selected` of 90 trials.
pub fn run(selected: usize) -> RunRecord {
    RunRecord {
        rehearsal: false,
        spent: None,
        name: None,
        client_format: None,
        left_out: BTreeMap::default(),
        behind: Behind::Simulated,
        gateway: GatewayRecord {
            kind: "litellm".into(),
            name: Some("litellm".into()),
            version: Some("1.106.0".into()),
            configuration: None,
            settings: BTreeMap::default(),
            models: BTreeMap::default(),
        },
        claude_code_version: Some("2.1.326".into()),
        isolation: Some(IsolationLevel::Full),
        started_at: time("2026-11-21T08:58:00.5Z"),
        written_at: time("2026-11-21T09:00:00.25Z"),
        ran_ms: None,
        trials: 90,
        selected,
        complete: true,
        unfinished: Vec::new(),
    }
}

/// A finished trial named `feature::provider::tier`.
pub fn trial(name: &str, outcome: Outcome) -> TrialRecord {
    let started_at = time("2026-11-21T08:59:00Z");
    let mut trial = TrialRecord::new(&name.parse().unwrap(), "claude-haiku-4-5", &outcome, started_at);
    if !matches!(outcome, Outcome::NotApplicable(_)) {
        let attempt = Attempt {
            duration_ms: 900,
            failure: match &outcome {
                Outcome::Fail(failure) | Outcome::Unfaithful(failure) => Some(failure.clone()),
                _ => None,
            },
            findings: match &outcome {
                Outcome::Fail(failure) if failure.cause.is_judged() => {
                    vec![finding(Level::Feature, FindingStatus::New)]
                }
                Outcome::Unfaithful(_) => vec![finding(Level::Contract, FindingStatus::Known)],
                _ => Vec::new(),
            },
            retries: vec![Retry {
                status: 529,
                error: "overloaded_error".into(),
            }],
        };
        trial.add(attempt, &outcome, Usage::default(), 0.0);
    }
    TrialRecord {
        expectations: vec![
            CheckResult {
                name: "image".into(),
                verdict: Verdict::Broken,
                level: Level::Feature,
                clause: Some("llm-gateway-protocol#request-body".into()),
            },
            CheckResult {
                name: "colour".into(),
                verdict: Verdict::NotJudged,
                level: Level::Contract,
                clause: None,
            },
        ],
        duration_ms: 905,
        usage: Usage {
            input_tokens: 2100,
            output_tokens: 40,
            ..Usage::default()
        },
        cost_usd: 0.0023,
        evidence: Some("target/compat/x".into()),
        ..trial
    }
}

/// What the gateway breaks.
pub fn finding(level: Level, status: FindingStatus) -> Finding {
    Finding {
        subject: "request beta colours-2026-01-01 dropped"
            .parse()
            .expect("a subject"),
        level,
        expectation: "colour".into(),
        summary: "request 1: beta `colours-2026-01-01` dropped".into(),
        loses: "The model sees no colours.".into(),
        status,
        known: (!status.is_new()).then(|| Declared {
            name: "colours".into(),
            reason: "the gateway forgets colours".into(),
            link: "https://example.org/issues/1".into(),
            versions: None,
            workaround: Some("write colours in words".into()),
        }),
    }
}

/// A failure of one mismatch.
pub fn failure(cause: Cause, summary: &str) -> Failure {
    Failure {
        cause,
        headline: None,
        why: "sent by claude, absent at the provider".into(),
        next: Some("compare the first line of `exchanges.jsonl` with what the cell sends".into()),
        wire: Vec::new(),
        mismatches: vec![Mismatch {
            expectation: "image".into(),
            clause: Some("llm-gateway-protocol#request-body".into()),
            place: Some(Place {
                file: "cells/vision/_shared.yaml".into(),
                line: 14,
                column: 5,
            }),
            status: FindingStatus::New,
            summary: summary.into(),
            expected: "an `image/png` block of 69 bytes in the last user message".into(),
            actual: "2 text blocks".into(),
            evidence: Some(EvidenceLine {
                file: "exchanges.jsonl".into(),
                line: 1,
            }),
        }],
    }
}

/// A pass after a failed attempt.
pub fn flaky(name: &str) -> TrialRecord {
    let mut trial = trial(name, Outcome::Pass);
    trial.flaky = true;
    trial.attempts.insert(
        0,
        Attempt {
            duration_ms: 400,
            failure: Some(failure(Cause::Upstream, "the provider was overloaded")),
            findings: Vec::new(),
            retries: Vec::new(),
        },
    );
    trial
}

/// Records of every kind, in no order.
pub fn records() -> Vec<TrialRecord> {
    let lost = || Outcome::Fail(failure(Cause::Gateway, "the provider did not receive the image"));
    let not_applicable = |name| trial(name, Outcome::NotApplicable("no Claude | there\nat all".into()));
    let refused = Outcome::Fail(failure(
        Cause::Auth,
        "\u{1b}[31mthe key was <refused> & \"dead\" | `sk`\u{0}",
    ));
    vec![
        trial("vision::vertex_ai::sonnet", lost()),
        trial("vision::vertex_ai::haiku", lost()),
        trial("vision::vertex_ai::opus", Outcome::Pass),
        flaky("tool_use::anthropic::haiku"),
        trial("tool_use::anthropic::sonnet", Outcome::Pass),
        trial("tool_use::anthropic::opus", Outcome::Pass),
        trial("tool_use::bedrock_invoke::haiku", refused),
        not_applicable("vision::azure::haiku"),
        not_applicable("vision::azure::sonnet"),
        not_applicable("vision::azure::opus"),
    ]
}

/// The results of [`records`].
pub fn results() -> Results {
    let records = records();
    Results::new(run(records.len()), records)
}
