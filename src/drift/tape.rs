//! Answers requests from a cassette: strictly, and a miss says what differs.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{Cassette, RecordedReply, redact};
use crate::text::one_line;
use crate::wire::exchange::{Body, RecordedRequest};
use crate::wire::messages;
use crate::wire::secrets::PLACEHOLDER;
use crate::wire_diff;

/// The recordings of a cassette that have a reply.
#[derive(Debug)]
pub struct Tape {
    tracks: Vec<Track>,
}

#[derive(Debug)]
struct Track {
    /// The parts of the request that must be the same.
    parts: Value,
    /// The replies to equal requests, in order, with their places.
    replies: Vec<(String, RecordedReply)>,
    /// How often the request came.
    asked: Mutex<usize>,
}

/// The differences that a miss names.
const NAMED: usize = 3;

impl Tape {
    /// The recordings of the side nearest to the provider.
    pub fn new(cassette: &Cassette) -> Self {
        let mut tracks: Vec<Track> = Vec::new();
        for placed in cassette.of_side(cassette.best_side()) {
            let Some(reply) = placed.recording.reply.clone() else {
                continue;
            };
            let parts = parts(&placed.recording.request);
            let reply = (placed.place.clone(), reply);
            match tracks.iter_mut().find(|track| track.parts == parts) {
                Some(track) => track.replies.push(reply),
                None => tracks.push(Track {
                    parts,
                    replies: vec![reply],
                    asked: Mutex::default(),
                }),
            }
        }
        Self { tracks }
    }

    /// The number of different requests.
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// The recorded reply to `request`, and its place. Equal requests get their replies in order, and then the last one again. An
    /// error says which parts of the request differ from those of the nearest recording.
    pub fn reply(&self, request: &RecordedRequest) -> Result<(&str, &RecordedReply), String> {
        let asked = parts(request);
        let is_equal = |track: &&Track| track.parts == asked;
        let is_same = |track: &&Track| track.parts == as_recorded(&track.parts, &asked);
        let mut tracks = self.tracks.iter();
        let equal = tracks.clone().find(is_equal);
        if let Some(track) = equal.or_else(|| tracks.find(is_same)) {
            let mut count = track.asked.lock();
            let at = (*count).min(track.replies.len() - 1);
            *count += 1;
            let (place, reply) = &track.replies[at];
            return Ok((place, reply));
        }
        let differing = self.tracks.iter().map(|track| {
            (
                track,
                wire_diff::differing_values(&track.parts, &as_recorded(&track.parts, &asked)),
            )
        });
        let nearest = differing.min_by_key(|(_, differences)| differences.len());
        let Some((track, differences)) = nearest else {
            return Err("the cassette has no recording".to_owned());
        };
        let more = match differences.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!("; {more} more"),
        };
        let named: Vec<String> = differences
            .iter()
            .take(NAMED)
            .map(|difference| {
                let (asked, recorded) = (shown(&difference.after), shown(&difference.before));
                format!("`{}` is {asked}, and {recorded} was recorded", difference.path)
            })
            .collect();
        Err(format!(
            "no recording has this request; the nearest one is {}: {}{more}",
            track.replies[0].0,
            named.join("; ")
        ))
    }
}

fn shown(value: &Option<Value>) -> String {
    match value {
        Some(value) => one_line(&value.to_string(), 60),
        None => "absent".to_owned(),
    }
}

/// `asked` with the placeholder of `recorded` for a value that was removed by value: the values of the recorded run are not known.
fn as_recorded(recorded: &Value, asked: &Value) -> Value {
    match (recorded, asked) {
        (Value::String(recorded), Value::String(asked)) if fits(recorded, asked) => recorded.as_str().into(),
        (Value::Array(recorded), Value::Array(asked)) => {
            let pairs = asked.iter().enumerate();
            let filled = pairs.map(|(at, asked)| as_recorded(recorded.get(at).unwrap_or(asked), asked));
            filled.collect()
        }
        (Value::Object(recorded), Value::Object(asked)) => {
            let filled = asked.iter().map(|(key, asked)| {
                let recorded = recorded.get(key).unwrap_or(asked);
                (key.clone(), as_recorded(recorded, asked))
            });
            filled.collect()
        }
        _ => asked.clone(),
    }
}

/// Whether `asked` is `recorded` with texts in place of its placeholders.
fn fits(recorded: &str, asked: &str) -> bool {
    let pieces: Vec<&str> = recorded.split(PLACEHOLDER).collect();
    let [first, between @ .., last] = pieces.as_slice() else {
        return recorded == asked;
    };
    let Some(mut rest) = asked.strip_prefix(first) else {
        return false;
    };
    for piece in between {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The parts of a request that count: all but credentials, headers of the client, and private values.
fn parts(request: &RecordedRequest) -> Value {
    let request = redact::of_request(request);
    let betas: BTreeSet<String> = messages::betas(request.header("anthropic-beta")).collect();
    let version: Option<&str> = request.header("anthropic-version").next();
    let query: BTreeSet<&str> = request.query.split('&').filter(|pair| !pair.is_empty()).collect();
    json!({
        "method": request.method,
        "path": percent_decode_str(&request.path).decode_utf8_lossy(),
        "query": query,
        "anthropic-beta": betas,
        "anthropic-version": version,
        "body": match request.body {
            Body::Json(body) => body,
            Body::Text(text) => text.into(),
            Body::Empty => Value::Null,
        },
    })
}
