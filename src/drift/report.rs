//! The report of a comparison: each fault once, with the recordings that it concerns; as text, Markdown and JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;

use super::{CassetteHead, Drift, DriftKind, PlacedRecording, RecordedSide};
use crate::evidence::Behind;
use crate::matrix;
use crate::matrix::markdown::escaped;
use crate::results::json::SchemaVersion;
use crate::text::{counted, first_names, printable};
use crate::wire::{Operation, Route};

/// The result of `compat drift`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "DriftReport")]
pub struct DriftReport {
    pub schema_version: SchemaVersion,
    pub cassette: CassetteHead,
    /// The recordings that were compared.
    pub compared: usize,
    /// The faults, the gravest first.
    pub drift: Vec<DriftGroup>,
    /// The recordings, or only their replies, that could not be compared, by reason.
    pub not_compared: Vec<NotCompared>,
    /// The faults that another cassette has too (`--except`).
    pub excepted: usize,
    /// The versions of tools that differ in that cassette, a sentence each.
    pub other_versions: Vec<String>,
}

/// One fault, with the recordings that it concerns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DriftGroup {
    pub kind: DriftKind,
    pub side: RecordedSide,
    /// `messages`, `count_tokens`, …
    pub operation: &'static str,
    /// The columns of the matrix.
    pub columns: BTreeSet<String>,
    /// The APIs of the requests.
    pub routes: BTreeSet<Route>,
    /// Where it is: a field, an event, a header, a rule of the simulator.
    pub place: String,
    /// What was recorded; empty for nothing.
    pub recorded: String,
    /// What the simulator has; empty for nothing.
    pub simulated: String,
    /// `tool_use/anthropic/haiku.jsonl:3`.
    pub recordings: Vec<String>,
}

/// Recordings that were not compared, or of which only the request was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct NotCompared {
    pub reason: String,
    pub recordings: Vec<String>,
}

/// Collects the differences of the recordings of one cassette.
#[derive(Debug, Default)]
pub struct DriftCollector {
    /// By fault and column.
    groups: BTreeMap<(Key, String), (BTreeSet<Route>, Vec<String>)>,
    skipped: BTreeMap<String, Vec<String>>,
    compared: usize,
}

/// Why a request was compared and its reply was not.
const OTHER_STATUS: &str =
    "the simulator answers with another status, so other faults of the reply do not show";

type Key = (Drift, RecordedSide, &'static str);

/// Operations are not ordered, their names are.
fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Messages => "messages",
        Operation::CountTokens => "count_tokens",
        Operation::OauthToken => "oauth_token",
        Operation::ListModels => "list_models",
        Operation::Unknown => "unknown",
    }
}

impl DriftCollector {
    pub fn add(&mut self, placed: &PlacedRecording, drift: Vec<Drift>) {
        let recording = &placed.recording;
        self.compared += 1;
        if drift.iter().any(|drift| drift.kind.hides_the_reply()) {
            self.skip(placed, OTHER_STATUS);
        }
        for drift in drift {
            let key = (drift, recording.side, operation_name(recording.operation));
            let column = recording.trial.cell.provider.to_string();
            let (routes, places) = self.groups.entry((key, column)).or_default();
            routes.extend(recording.route);
            places.push(placed.place.clone());
        }
    }

    pub fn skip(&mut self, placed: &PlacedRecording, reason: impl Into<String>) {
        self.skipped
            .entry(reason.into())
            .or_default()
            .push(placed.place.clone());
    }

    /// The report, without the faults that `except`, of another cassette, has in the same column.
    pub fn report(self, head: CassetteHead, except: Option<(&CassetteHead, &Self)>) -> DriftReport {
        let mut groups: BTreeMap<Key, DriftGroup> = BTreeMap::new();
        let mut excepted = BTreeSet::new();
        for (place, (routes, recordings)) in self.groups {
            if except.is_some_and(|(_, except)| except.groups.contains_key(&place)) {
                excepted.insert(place.0);
                continue;
            }
            let (key, column) = place;
            let group = groups.entry(key.clone()).or_insert_with(|| DriftGroup::new(key));
            group.columns.insert(column);
            group.routes.extend(routes);
            group.recordings.extend(recordings);
        }
        let skipped = self.skipped.into_iter();
        DriftReport {
            schema_version: SchemaVersion::One,
            other_versions: except.map_or_else(Vec::new, |(other, _)| head.differing_versions(other)),
            cassette: head,
            compared: self.compared,
            drift: groups.into_values().collect(),
            not_compared: skipped
                .map(|(reason, recordings)| NotCompared { reason, recordings })
                .collect(),
            excepted: excepted.len(),
        }
    }
}

impl DriftGroup {
    fn new((drift, side, operation): Key) -> Self {
        Self {
            kind: drift.kind,
            side,
            operation,
            columns: BTreeSet::new(),
            routes: BTreeSet::new(),
            place: drift.place,
            recorded: drift.recorded,
            simulated: drift.simulated,
            recordings: Vec::new(),
        }
    }

    /// What was recorded, and what the simulator does.
    fn sentence(&self) -> String {
        let (recorded, simulated) = (&self.recorded, &self.simulated);
        match self.kind {
            DriftKind::BetaAccepted => {
                "the provider accepts the beta, and the simulator refuses it".to_owned()
            }
            DriftKind::Accepted => {
                format!("the provider accepts what this rule of the simulator {simulated}")
            }
            DriftKind::Refused => "the provider refuses the request, and the simulator accepts it".to_owned(),
            DriftKind::NewEvent | DriftKind::NewHeader => {
                "recorded, and the simulator does not send it".to_owned()
            }
            DriftKind::NewField => format!("recorded ({recorded}), and the simulator does not send it"),
            DriftKind::MissingEvent | DriftKind::MissingHeader => {
                "the simulator sends it, and it was not recorded".to_owned()
            }
            DriftKind::MissingField => {
                format!("the simulator sends it ({simulated}), and it was not recorded")
            }
            DriftKind::OtherOrder => format!("{recorded} was recorded, and the simulator sends {simulated}"),
            DriftKind::OtherStatus
            | DriftKind::OtherError
            | DriftKind::OtherType
            | DriftKind::OtherHeader => {
                format!("{recorded} was recorded, and the simulator sends {simulated}")
            }
        }
    }

    fn where_it_is(&self) -> String {
        let routes = || self.routes.iter().map(|route| route.as_str());
        let names: Vec<&str> = match self.side {
            RecordedSide::Provider => routes().collect(),
            // There the API is that of the gateway.
            RecordedSide::Client => self.columns.iter().map(String::as_str).collect(),
        };
        let (operation, side) = (self.operation, self.side.as_str());
        format!("{operation} on {}, {side} side", names.join(", "))
    }
}

fn named(recordings: &[String]) -> String {
    let count = counted(recordings.len(), "recording");
    format!("{count}: {}", first_names(recordings))
}

impl DriftReport {
    pub fn has_drift(&self) -> bool {
        !self.drift.is_empty()
    }

    fn headline(&self) -> String {
        let head = &self.cassette;
        let behind = match (head.behind, head.rehearsal) {
            (_, true) => "rehearsal",
            (Behind::Live, false) => "live",
            (Behind::Simulated, false) => "simulated",
        };
        let versions = [
            ("", &head.gateway),
            (" ", &head.gateway_version),
            (", Claude Code ", &head.claude_code_version),
        ];
        let versions = versions.map(|(label, version)| match version {
            Some(version) => format!("{label}{version}"),
            None => String::new(),
        });
        format!(
            "drift: {} in {} ({behind}, {}{})",
            counted(self.drift.len(), "fault"),
            counted(self.compared, "recording"),
            head.recorded_at.format("%Y-%m-%d"),
            match versions.concat().trim_start_matches(", ") {
                "" => String::new(),
                known => format!(", {known}"),
            }
        )
    }

    /// What the cassette does not show.
    fn notes(&self) -> Vec<String> {
        let mut notes: Vec<String> = self.cassette.missing.iter().cloned().collect();
        notes.extend(self.other_versions.iter().cloned());
        if self.excepted > 0 {
            notes.push(format!(
                "{} in the other cassette too, so not drift",
                counted(self.excepted, "fault")
            ));
        }
        let skipped = self.not_compared.iter();
        notes.extend(skipped.map(|skipped| {
            format!(
                "not compared, because {}: {}",
                skipped.reason,
                named(&skipped.recordings)
            )
        }));
        notes
    }

    /// The report for a terminal. Ends with a newline.
    pub fn text(&self) -> String {
        let mut text = self.headline() + "\n";
        for group in &self.drift {
            let _ = write!(
                text,
                "\n{:<16} {}\n  {}\n  {}\n  {}\n",
                group.kind.words(),
                group.place,
                group.sentence(),
                group.where_it_is(),
                named(&group.recordings)
            );
        }
        let notes = self.notes();
        if !notes.is_empty() {
            text.push('\n');
        }
        for note in notes {
            let _ = writeln!(text, "note: {note}");
        }
        printable(&text)
    }

    /// The report as Markdown, in which nothing that was recorded is markup. Ends with a newline.
    pub fn markdown(&self) -> String {
        let mut text = format!("## {}\n", escaped(&self.headline()));
        if self.has_drift() {
            text += "\n| fault | place | what | where | recordings |\n|---|---|---|---|---|\n";
        }
        for group in &self.drift {
            let cells = [
                group.kind.words().to_owned(),
                group.place.clone(),
                group.sentence(),
                group.where_it_is(),
                named(&group.recordings),
            ];
            let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
            let _ = writeln!(text, "| {} |", cells.join(" | "));
        }
        for note in self.notes() {
            let _ = write!(text, "\n- {}", escaped(&note));
        }
        text.trim_end().to_owned() + "\n"
    }
}

/// The file name and the text of the schemas of a cassette and of the report.
pub fn schemas() -> [(&'static str, String); 3] {
    [
        (
            "cassette.schema.json",
            matrix::schema::text::<super::CassetteHead>(),
        ),
        (
            "cassette-line.schema.json",
            matrix::schema::text::<super::Recording>(),
        ),
        ("drift-report.schema.json", matrix::schema::text::<DriftReport>()),
    ]
}
