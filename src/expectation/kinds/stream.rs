//! `stream`: the stream that Claude Code saw.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::evidence::{Behind, Evidence, file};
use crate::expectation::claude_side::{claude_exchanges, transcript_end};
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene};
use crate::transcript::{Answer, DeltaKind};
use crate::wire::exchange::Lockstep;
use crate::wire_diff::{self, Part};

/// CLI side: the stream that Claude Code saw.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "examples" = [{"text_deltas": 5, "incremental": true}]))]
pub struct StreamCheck {
    /// Least number of text deltas.
    #[schemars(range(min = 1))]
    pub text_deltas: Option<u64>,
    /// Least number of deltas of a tool's arguments.
    #[schemars(range(min = 1))]
    pub input_deltas: Option<u64>,
    /// The deltas arrive as the provider sends them, not in one burst at the end. Simulated, this needs a reply with
    /// `pace: {lockstep: true}`. Live, it is not judged for `input_deltas` alone: a provider may hold them back itself.
    pub incremental: bool,
}

/// Least time in milliseconds between the first and the last delta of a live stream that is not buffered: a model takes
/// longer for the answers that streaming cells ask for, and a burst takes a tenth of it.
pub const LIVE_SPREAD_MS: u64 = 100;

/// The beginning of the summary if deltas are missing.
const TOO_FEW: &str = "the stream has too few";

impl Kind for StreamCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Client;
    const LOSES: &str = "The reply does not appear while the model writes it.";

    fn resolve(form: &Self, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        if !form.incremental && form.text_deltas.is_none() && form.input_deltas.is_none() {
            checker.no_condition(path, ["text_deltas", "input_deltas", "incremental: true"]);
        }
        let in_lockstep = checker.messages().any(|message| message.pace.lockstep);
        if form.incremental && checker.context.whole && !in_lockstep {
            checker.reader.hinted(
                &path.then("incremental"),
                "no reply is sent in lockstep, so this could not be judged in a simulated run",
                "give a reply `pace: { lockstep: true }`",
            );
        }
        Some(form.clone())
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        let evidence = scene.evidence;
        let messages = evidence.transcript.messages();
        let too_few = |what: &str, least: Option<u64>, kind| {
            let counts = messages.iter().map(|message| message.delta_count(kind));
            let found = counts.max().unwrap_or_default() as u64;
            let least = least.filter(|least| found < *least)?;
            Some(Deviation {
                summary: format!("{TOO_FEW} {what} deltas"),
                expected: format!("an answer in at least {least} {what} deltas"),
                actual: format!("at most {found} in an answer"),
                evidence: transcript_end(evidence),
            })
        };
        let text = too_few("text", self.text_deltas, DeltaKind::Text);
        let input = too_few("tool argument", self.input_deltas, DeltaKind::Input);
        let burst = match evidence.behind {
            _ if !self.incremental => Vec::new(),
            Behind::Simulated => held_back(evidence),
            Behind::Live if self.text_deltas.is_none() && self.input_deltas.is_some() => Vec::new(),
            Behind::Live => in_one_burst(&messages, evidence),
        };
        Ruling::Judged(text.into_iter().chain(input).chain(burst).collect())
    }

    fn interests(&self) -> Vec<Interest> {
        vec![Interest::reply(&[Part::Pace, Part::Event], None)]
    }

    /// A provider in lockstep holds nothing back itself.
    fn loses(&self, deviation: &Deviation) -> &'static str {
        match deviation.summary.starts_with(TOO_FEW) {
            true => "The reply appears in larger pieces than the model wrote it.",
            false => Self::LOSES,
        }
    }

    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        let evidence = scene.evidence;
        let held_back = claude_exchanges(evidence).any(|exchange| {
            let lockstep = exchange.reply.lockstep;
            lockstep.is_some_and(Lockstep::is_held_back) && !wire_diff::is_shown_late(evidence, exchange)
        });
        (self.incremental && held_back).then_some(true)
    }
}

/// Simulated: something on the way held back a delta that did not show before the next one was due.
fn held_back(evidence: &Evidence) -> Vec<Deviation> {
    let streams: Vec<_> = claude_exchanges(evidence)
        .filter_map(|exchange| Some((exchange, exchange.reply.lockstep?)))
        .collect();
    if streams.is_empty() {
        return vec![Deviation {
            summary: "no reply was streamed in lockstep".into(),
            expected: "a streamed reply of which each delta waits for the one before to show".into(),
            actual: "none: did the provider get the request, and as a stream?".into(),
            evidence: None,
        }];
    }
    streams
        .into_iter()
        .filter(|(_, lockstep)| lockstep.is_held_back())
        .map(|(exchange, lockstep)| Deviation {
            summary: match wire_diff::is_shown_late(evidence, exchange) {
                true => "Claude Code showed the stream too late".into(),
                false => "the stream did not reach Claude Code as it was sent".into(),
            },
            expected: format!(
                "each of the first {} deltas to show before the provider sends the next",
                lockstep.deltas.saturating_sub(1)
            ),
            actual: format!("{} showed; then the provider waited in vain", lockstep.seen),
            evidence: Some((file::PROVIDER_EXCHANGES.into(), exchange.number)),
        })
        .collect()
}

/// Live: without lockstep there is only the time over which the deltas are spread.
fn in_one_burst(messages: &[Answer], evidence: &Evidence) -> Vec<Deviation> {
    let spread = messages
        .iter()
        .filter_map(|message| {
            let (first, last) = (message.deltas.first()?, message.deltas.last()?);
            // The machine's clock may be set back meanwhile.
            Some(last.at_ms.saturating_sub(first.at_ms))
        })
        .max()
        .unwrap_or_default();
    if spread >= LIVE_SPREAD_MS {
        return Vec::new();
    }
    vec![Deviation {
        summary: "the stream came in one burst".into(),
        expected: format!("deltas spread over at least {LIVE_SPREAD_MS} ms"),
        actual: format!("{spread} ms from the first to the last"),
        evidence: transcript_end(evidence),
    }]
}
