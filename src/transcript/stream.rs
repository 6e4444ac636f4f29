//! Checks the streams that `claude` printed against the Messages API: event types and their order
//! (<https://platform.claude.com/docs/en/build-with-claude/streaming>).

use std::collections::BTreeMap;

use serde_json::Value;

use super::Transcript;
use crate::wire::json;
use crate::wire::pointer::{number, text};

/// A place where a stream is not well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamProblem {
    /// The line in `transcript.jsonl`, from 1.
    pub line: usize,
    pub what: String,
}

/// The problems of all streams; streams of different parent calls are independent.
pub(super) fn problems(transcript: &Transcript) -> Vec<StreamProblem> {
    let mut streams: BTreeMap<Option<&str>, Stream> = BTreeMap::new();
    let mut problems = Vec::new();
    let mut last = 0;
    for placed in transcript.placed().filter(|placed| placed.is("stream_event")) {
        last = placed.line;
        let parent = text(placed.event, "/parent_tool_use_id");
        let event = placed.event.pointer("/event").unwrap_or(&Value::Null);
        let found = streams.entry(parent).or_default().event(event).into_iter();
        problems.extend(found.map(|what| StreamProblem { line: last, what }));
    }
    for stream in streams.values().filter(|stream| stream.open) {
        problems.push(StreamProblem {
            line: last,
            what: format!("the stream of `{}` ends without `message_stop`", stream.id),
        });
    }
    problems
}

#[derive(Default)]
struct Stream {
    id: String,
    open: bool,
    stop_reason: bool,
    blocks: BTreeMap<u64, Block>,
}

struct Block {
    kind: String,
    open: bool,
    input: String,
}

impl Stream {
    /// Takes the next event, and returns its problems.
    fn event(&mut self, event: &Value) -> Vec<String> {
        let kind = text(event, "/type").unwrap_or("(no type)");
        match kind {
            "message_start" => self.message_start(event),
            "ping" | "error" => Vec::new(),
            _ if !self.open => vec![format!("`{kind}` outside a message")],
            "content_block_start" => self.block_start(event),
            "content_block_delta" => self.block_delta(event),
            "content_block_stop" => self.block_stop(event),
            "message_delta" => self.message_delta(event),
            "message_stop" => self.message_stop(),
            _ => Vec::new(),
        }
    }

    fn open_blocks(&self) -> impl Iterator<Item = u64> {
        let open = self.blocks.iter().filter(|(_, block)| block.open);
        open.map(|(index, _)| *index)
    }

    fn message_start(&mut self, event: &Value) -> Vec<String> {
        let problem = "a second `message_start` before `message_stop`".to_owned();
        let second = self.open.then_some(problem);
        *self = Self {
            id: text(event, "/message/id").unwrap_or_default().to_owned(),
            open: true,
            ..Self::default()
        };
        second.into_iter().collect()
    }

    fn block_start(&mut self, event: &Value) -> Vec<String> {
        let Some(index) = number(event, "/index") else {
            return vec!["a `content_block_start` without an index".to_owned()];
        };
        let mut problems = Vec::new();
        let expected = self.blocks.len() as u64;
        if index != expected {
            problems.push(format!("block {index} starts where block {expected} is due"));
        }
        let open = self.open_blocks().next();
        problems.extend(open.map(|open| format!("block {index} starts before block {open} stops")));
        let block = Block {
            kind: text(event, "/content_block/type").unwrap_or_default().to_owned(),
            open: true,
            input: String::new(),
        };
        self.blocks.insert(index, block);
        problems
    }

    fn block_delta(&mut self, event: &Value) -> Vec<String> {
        let index = number(event, "/index").unwrap_or(0);
        let kind = text(event, "/delta/type").unwrap_or("(no type)");
        let Some(block) = self.blocks.get_mut(&index).filter(|block| block.open) else {
            return vec![format!("a `{kind}` for block {index}, which is not open")];
        };
        let input = text(event, "/delta/partial_json");
        block.input.push_str(input.unwrap_or_default());
        let fits = match kind {
            "text_delta" | "citations_delta" => block.kind == "text",
            "thinking_delta" | "signature_delta" => block.kind == "thinking",
            "input_json_delta" => block.kind.ends_with("tool_use"),
            _ => true,
        };
        match fits {
            true => Vec::new(),
            false => vec![format!("a `{kind}` in a `{}` block", block.kind)],
        }
    }

    fn block_stop(&mut self, event: &Value) -> Vec<String> {
        let index = number(event, "/index").unwrap_or(0);
        let Some(block) = self.blocks.get_mut(&index).filter(|block| block.open) else {
            return vec![format!("block {index} stops and is not open")];
        };
        block.open = false;
        match block.input.is_empty() || json::parse(&block.input).is_ok() {
            true => Vec::new(),
            false => vec![format!("the tool arguments in block {index} are not JSON")],
        }
    }

    fn message_delta(&mut self, event: &Value) -> Vec<String> {
        self.stop_reason |= text(event, "/delta/stop_reason").is_some();
        self.open_blocks()
            .map(|index| format!("`message_delta` comes before block {index} stops"))
            .collect()
    }

    fn message_stop(&mut self) -> Vec<String> {
        let open = self.open_blocks();
        let mut problems: Vec<String> = open.map(|index| format!("block {index} never stops")).collect();
        if !self.stop_reason {
            problems.push("the message ends without a stop reason".to_owned());
        }
        self.open = false;
        problems
    }
}
