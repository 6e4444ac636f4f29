//! The files of a cassette: its head, and a file for each trial with a recording on each line.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::evidence::Behind;
use crate::ids::TrialName;
use crate::results::json::{self, JsonError, JsonPosition, SchemaVersion, timestamp};
use crate::wire::exchange::{GatewayExchange, ProviderExchange, RecordedRequest, SentEvent};
use crate::wire::target::RequestTarget;
use crate::wire::{Operation, Route};

/// The name of the head's file in the folder of a cassette.
pub const HEAD: &str = "cassette.json";

/// Why a live run has no recordings of the provider's side.
pub const ONLY_CLIENT: &str = "a live run sees only the requests between Claude Code and the gateway: the gateway itself calls the provider";

/// `cassette.json`: what a cassette has, and where it is from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CassetteHead {
    pub schema_version: SchemaVersion,
    /// The version of `compat` that wrote it.
    pub compat_version: String,
    /// The start of the run.
    #[serde(with = "timestamp")]
    #[schemars(schema_with = "timestamp::schema")]
    pub recorded_at: DateTime<Utc>,
    /// What stood behind the gateway.
    pub behind: Behind,
    /// Whether a simulator answered like a model in place of live providers.
    #[serde(default)]
    pub rehearsal: bool,
    pub gateway: Option<String>,
    pub gateway_version: Option<String>,
    pub claude_code_version: Option<String>,
    /// The sides of the gateway that were recorded.
    pub sides: Vec<RecordedSide>,
    /// Why a side is missing.
    pub missing: Option<String>,
    /// The provider's name of the model behind each alias of the gateway, as far as it is known.
    #[serde(default)]
    pub models: BTreeMap<String, String>,
}

impl CassetteHead {
    /// The first condition that differs from that of `earlier`, with both values. A version that is not known fits each one.
    pub fn differing_condition(&self, earlier: &Self) -> Option<(&'static str, String, String)> {
        let behind = |head: &Self| match head.behind {
            Behind::Simulated => "simulated".to_owned(),
            Behind::Live => "live".to_owned(),
        };
        let gateway = |head: &Self| head.gateway.clone().unwrap_or_else(|| "none".to_owned());
        let (then, now) = (&earlier.gateway_version, &self.gateway_version);
        let version = |other: &Option<String>, own: &Option<String>| own.clone().or_else(|| other.clone());
        let facts = [
            ("behind", Some(behind(earlier)), Some(behind(self))),
            ("gateway", Some(gateway(earlier)), Some(gateway(self))),
            ("gateway_version", version(now, then), version(then, now)),
        ];
        let differing = facts.into_iter().find(|(_, then, now)| then != now);
        differing.and_then(|(name, then, now)| Some((name, then?, now?)))
    }

    /// A sentence for each tool whose known version differs from that of `other`. What the version itself changes is then not
    /// the same in both cassettes.
    pub fn differing_versions(&self, other: &Self) -> Vec<String> {
        let name = self.gateway.as_deref().unwrap_or("the gateway");
        let other_name = other.gateway.as_deref().unwrap_or("the gateway");
        if name != other_name {
            return vec![format!(
                "the other cassette has {other_name}, and this one has {name}: a fault may be a difference between these gateways"
            )];
        }
        let versions = [
            (name, &self.gateway_version, &other.gateway_version),
            (
                "Claude Code",
                &self.claude_code_version,
                &other.claude_code_version,
            ),
        ];
        let versions = versions.into_iter();
        let known = versions.filter_map(|(tool, own, other)| Some((tool, own.as_ref()?, other.as_ref()?)));
        known
            .filter(|(_, own, other)| own != other)
            .map(|(tool, own, other)| {
                format!(
                    "the other cassette has {tool} {other}, and this one has {tool} {own}: a fault may be a change between these \
                     versions"
                )
            })
            .collect()
    }
}

/// A side of a gateway. Without a gateway, both are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RecordedSide {
    /// Between Claude Code and the gateway.
    Client,
    /// Between the gateway and the provider.
    Provider,
}

impl RecordedSide {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Provider => "provider",
        }
    }
}

/// A line of a trial's file: a request and its reply, without private values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A line of a cassette")]
pub struct Recording {
    #[schemars(with = "String")]
    pub trial: TrialName,
    pub side: RecordedSide,
    /// Its position among the exchanges of its attempt and side, from 1.
    pub number: usize,
    pub operation: Operation,
    /// The API of the request, where the path belongs to one.
    pub route: Option<Route>,
    pub request: RecordedRequest,
    /// `None` if the client hung up before a reply came.
    pub reply: Option<RecordedReply>,
}

/// The reply to a recorded request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecordedReply {
    pub status: u16,
    /// Names in lower case, in the order of arrival.
    pub headers: Vec<(String, String)>,
    pub stream: bool,
    /// The events of a stream, or the single body of another reply.
    pub events: Vec<SentEvent>,
    /// Whether it ended early.
    pub cut_off: bool,
}

impl RecordedReply {
    /// The first value of header `name` (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }
}

impl Recording {
    pub fn of_client(trial: &TrialName, exchange: GatewayExchange) -> Self {
        let request = exchange.request;
        Self {
            trial: trial.clone(),
            side: RecordedSide::Client,
            number: exchange.number,
            operation: exchange.operation,
            route: RequestTarget::of(&request.method, &request.path).route,
            request,
            reply: exchange.reply.map(|reply| RecordedReply {
                status: reply.status,
                headers: reply.headers,
                stream: reply.stream,
                events: reply.events,
                cut_off: reply.cut_off,
            }),
        }
    }

    pub fn of_provider(trial: &TrialName, exchange: ProviderExchange) -> Self {
        let reply = exchange.reply;
        Self {
            trial: trial.clone(),
            side: RecordedSide::Provider,
            number: exchange.number,
            operation: exchange.operation,
            route: exchange.route,
            request: exchange.request,
            reply: Some(RecordedReply {
                status: reply.status,
                headers: reply.headers,
                stream: reply.stream,
                events: reply.events,
                cut_off: reply.cut_off,
            }),
        }
    }

    /// Its line in the trial's file.
    pub fn to_line(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(self)? + "\n")
    }
}

/// A cassette that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Cassette {
    pub head: CassetteHead,
    pub recordings: Vec<PlacedRecording>,
}

/// A recording and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedRecording {
    /// Its file and its line: `tool_use/anthropic/haiku.jsonl:3`.
    pub place: String,
    pub recording: Recording,
}

impl Cassette {
    /// The recorded side that is nearest to the provider.
    pub fn best_side(&self) -> RecordedSide {
        let best = self.head.sides.iter().max();
        best.copied().unwrap_or(RecordedSide::Provider)
    }

    pub fn of_side(&self, side: RecordedSide) -> impl Iterator<Item = &PlacedRecording> {
        let recordings = self.recordings.iter();
        recordings.filter(move |placed| placed.recording.side == side)
    }
}

/// Reads the text of [`HEAD`].
pub fn head(text: &str) -> Result<CassetteHead, JsonError> {
    json::read(text)
}

/// Reads the lines of the trial's file with the name `file` in the cassette.
pub fn lines(file: &str, text: &str) -> Result<Vec<PlacedRecording>, JsonError> {
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| {
            let line_number = index + 1;
            let read = serde_json::from_str(line).map_err(JsonError::from);
            read.map(|recording| PlacedRecording {
                place: format!("{file}:{line_number}"),
                recording,
            })
            .map_err(|error| JsonError {
                position: Some(JsonPosition {
                    line: line_number,
                    column: error.position.map_or(1, |position| position.column),
                }),
                ..error
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_gateway_version_is_a_difference() {
        let earlier = head(
            r#"{"schema_version": "1", "compat_version": "0.1.0", "recorded_at": "2026-11-27T06:00:00Z", "behind": "live",
                "gateway": "litellm", "gateway_version": "1.83.0", "claude_code_version": null, "sides": [], "missing": null}"#,
        );
        let earlier = earlier.unwrap();
        let mut now = earlier.clone();
        now.gateway_version = None;
        assert_eq!(now.differing_condition(&earlier), None);
        now.gateway_version = Some("1.84.0".to_owned());
        let versions = ("gateway_version", "1.83.0".to_owned(), "1.84.0".to_owned());
        assert_eq!(now.differing_condition(&earlier), Some(versions));
        now.claude_code_version = Some("2.1.400".to_owned());
        let [note] = &now.differing_versions(&earlier)[..] else {
            panic!("only the gateway's version is known twice");
        };
        assert!(note.starts_with("the other cassette has litellm 1.83.0, and this one has litellm 1.84.0: "));
        assert!(now.differing_versions(&now).is_empty());
        now.gateway = None;
        let gateways = ("gateway", "litellm".to_owned(), "none".to_owned());
        assert_eq!(now.differing_condition(&earlier), Some(gateways));
    }

    #[test]
    fn an_error_in_a_line_has_its_line_and_column() {
        let error = lines("a.jsonl", "{\"trial\": \"a::b::c\", \"sid\": 1}\n").unwrap_err();
        assert_eq!(error.position, Some(JsonPosition { line: 1, column: 26 }));
        assert!(error.what.contains("unknown field `sid`"), "{error}");
        assert_eq!(lines("a.jsonl", "").unwrap(), []);
    }
}
