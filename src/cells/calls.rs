//! The tool calls of a reply, with their tools and arguments, and the requests that a reply is for.

use serde_json::Value;

use super::raw::{McpToolForm, PromptBlockForm, ReplyForm};
use super::reserved;
use super::resolve::Resolver;
use crate::document::KeyPath;
use crate::expectation::context::STRUCTURED_OUTPUT;
use crate::text::{closest, listed, quotable, slip_of};
use crate::wire::script::{Asker, PLACEHOLDERS, ReplyBlock, placeholders_in};

/// The tools that Claude Code may offer (its `init` events, version 2.1.327), with those that only some flags or modes offer.
const CLAUDE_TOOLS: [&str; 44] = [
    "Agent",
    "AskUserQuestion",
    "Bash",
    "BashOutput",
    "CronCreate",
    "CronDelete",
    "CronList",
    "Edit",
    "EnterPlanMode",
    "EnterWorktree",
    "ExitPlanMode",
    "ExitWorktree",
    "Glob",
    "Grep",
    "KillShell",
    "LSP",
    "ListAgents",
    "ListMcpResourcesTool",
    "Monitor",
    "NotebookEdit",
    "PowerShell",
    "Read",
    "ReadMcpResourceTool",
    "RemoteTrigger",
    "ReportFindings",
    "ScheduleWakeup",
    "SendMessage",
    "Skill",
    STRUCTURED_OUTPUT,
    "Task",
    "TaskCreate",
    "TaskGet",
    "TaskList",
    "TaskOutput",
    "TaskStop",
    "TaskUpdate",
    "TeamCreate",
    "TeamDelete",
    "TodoWrite",
    "ToolSearch",
    "WebFetch",
    "WebSearch",
    "Workflow",
    "Write",
];

impl Resolver<'_> {
    /// Reports a placeholder in a text that is sent as it is, such as the arguments of a call. Other texts may hold `${`, as a shell does.
    pub(super) fn no_placeholders(&mut self, path: &KeyPath, value: &Value) {
        match value {
            Value::String(text) => {
                let similar = |name: &&str| closest(name, PLACEHOLDERS).is_some();
                if let Some(name) = placeholders_in(text).find(similar) {
                    let message = format!(
                        "this text is sent as it is, and `{}` looks like a placeholder",
                        quotable(name)
                    );
                    self.reader.hinted(
                        path,
                        message,
                        "write the text itself: only a `text` block has placeholders",
                    );
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.no_placeholders(&path.then(index), item);
                }
            }
            Value::Object(entries) => {
                for (key, item) in entries {
                    self.no_placeholders(&path.then(key), &Value::from(key.as_str()));
                    self.no_placeholders(&path.then(key), item);
                }
            }
            _ => {}
        }
    }

    /// Reports `${call_N}` for a tool call that the reply does not have.
    pub(super) fn call_placeholders(&mut self, path: &KeyPath, form: &ReplyForm, content: &[ReplyBlock]) {
        let is_whole = !self.damaged.has(&path.then("content"));
        let Some(results) = form.safeguard_results.as_ref().filter(|_| is_whole) else {
            return;
        };
        let calls = content
            .iter()
            .filter(|block| matches!(block, ReplyBlock::ToolUse { .. }))
            .count();
        let text = Value::from(results.clone()).to_string();
        for name in placeholders_in(&text) {
            let number = name
                .strip_prefix("${call_")
                .and_then(|rest| rest.strip_suffix('}')?.parse().ok());
            if !number.is_some_and(|number: usize| (1..=calls).contains(&number)) {
                let message = format!(
                    "`{}` has no value: the reply has {calls} tool calls",
                    quotable(name)
                );
                let hint = "`${call_1}` is the id of the first `tool_use` of this reply";
                self.reader.hinted(&path.then("safeguard_results"), message, hint);
            }
        }
    }

    /// The requests that a reply is for, which must be possible.
    pub(super) fn asker(&mut self, path: &KeyPath, form: &ReplyForm) -> Asker {
        let asker = form.asker.clone().unwrap_or_default();
        let path = path.then("asker");
        // The names of the provider's own tools are in lower case.
        let is_of_claude = |tool: &&String| {
            tool.starts_with("mcp__") || tool.starts_with(|first: char| first.is_ascii_uppercase())
        };
        if let Some(tool) = asker.has_tool.as_ref().filter(is_of_claude) {
            self.is_offered(&path.then("has_tool"), tool);
        }
        if let Some(prompt) = &asker.prompt {
            self.no_placeholders(&path.then("prompt"), &Value::from(prompt.as_str()));
        }
        // A subagent has a prompt of its own.
        let is_of_cell = asker.subagent != Some(true) && !self.damaged.has_key("prompts");
        if let Some(part) = asker.prompt.as_ref().filter(|_| is_of_cell) {
            self.prompt_is_written_right(&path.then("prompt"), part);
        }
        asker
    }

    /// Reports a part of a prompt that stands in no prompt of the cell, if one has almost the same text. Claude Code has prompts of its
    /// own, such as that of a summary.
    fn prompt_is_written_right(&mut self, path: &KeyPath, part: &str) {
        let blocks = self.form.prompts.iter().flatten().flat_map(|prompt| &prompt.0);
        let of_block = |block: &'_ PromptBlockForm| {
            let repeated = block.repeat.as_ref().map(|repeat| repeat.text.clone());
            block.text.clone().or(repeated)
        };
        let texts: Vec<String> = blocks
            .filter_map(of_block)
            .chain(self.form.prompt.clone())
            .collect();
        if texts.iter().any(|text| text.contains(part)) {
            return;
        }
        if let Some(near) = texts.iter().find_map(|text| near_part(text, part)) {
            let message = format!("no prompt of the cell contains `{}`", quotable(part));
            let hint = format!(
                "write a part of a prompt, as it stands there: `{}`",
                quotable(near)
            );
            self.reader.hinted(path, message, hint);
        }
    }

    /// Reports a tool that the request cannot offer: one that a flag removes, one of another MCP server, or one that neither Claude
    /// Code nor the flag `--tools` of the cell has.
    pub(super) fn is_offered(&mut self, path: &KeyPath, name: &str) {
        if self.damaged.has_key("flags") || self.damaged.has_key("mcp_servers") {
            return;
        }
        let flags = self.form.flags.as_deref().unwrap_or_default();
        if let Some(index) = reserved::removing_flag(flags, name) {
            let flag = KeyPath::of("flags").then(index);
            let place = self.reader.node.span_at(&flag.0).place();
            let message = format!(
                "no request offers the tool `{}`: a flag of the cell removes it",
                quotable(name)
            );
            let error = self
                .reader
                .at(path, message)
                .related(place, "this flag removes it");
            let hint = format!(
                "call a tool that the request offers, or correct `{}`",
                flags[index]
            );
            return self.reader.report(error.hint(hint));
        }
        let own = self.own_tools();
        let known = || own.iter().map(String::as_str).chain(CLAUDE_TOOLS);
        let has_flag = |wanted: &str| flags.iter().any(|flag| flag.starts_with(wanted));
        if name == STRUCTURED_OUTPUT && !has_flag("--json-schema") {
            let message = format!("no request offers the tool `{name}` without `--json-schema`");
            let hint = "add the flag `--json-schema` with the schema of the answer";
            return self.reader.hinted(path, message, hint);
        }
        let is_of_server = name.starts_with("mcp__");
        if known().any(|tool| tool == name)
            || is_of_server && has_flag("--mcp-config")
            || reserved::tools_of_flag(flags).any(|tool| tool == name)
        {
            return;
        }
        let error = self
            .reader
            .at(path, format!("no request offers the tool `{}`", quotable(name)));
        let error = error.allowed(match is_of_server {
            true if own.is_empty() => "a tool of `mcp_servers`, which this cell does not have".to_owned(),
            true => listed(own.iter().map(String::as_str)),
            false => "a tool of Claude Code, or `mcp__<server>__<tool>`".to_owned(),
        });
        self.reader.report(match closest(name, known()) {
            Some(_) => error.did_you_mean(name, known()),
            None => error.hint(format!(
                "if a newer Claude Code has it, add the flag `--tools` with its name: `--tools, default,{name}`"
            )),
        });
    }

    /// Reports a mistyped tool in a flag about tools. A newer Claude Code may have others.
    pub(super) fn tools_of_flags_exist(&mut self) {
        let flags = self.form.flags.as_deref().unwrap_or_default();
        let own = self.own_tools();
        for (index, name) in reserved::tools_of_flags(flags) {
            let known = CLAUDE_TOOLS.into_iter().chain(own.iter().map(String::as_str));
            if let Some(meant) = slip_of(name, known) {
                let message = format!("Claude Code has no tool `{}`", quotable(name));
                let path = KeyPath::of("flags").then(index);
                self.reader
                    .hinted(&path, message, format!("did you mean `{meant}`?"));
            }
        }
    }

    /// The tools of the cell's own servers, as Claude Code calls them.
    fn own_tools(&self) -> Vec<String> {
        let servers = self.form.mcp_servers.iter().flatten();
        let named = |(server, tools): (&String, &Vec<McpToolForm>)| -> Vec<String> {
            let names = tools.iter().map(|tool| format!("mcp__{server}__{}", tool.name));
            names.collect()
        };
        servers.flat_map(named).collect()
    }
}

/// The part of `text` that differs from `part` in a letter or two: in one of eight, at most.
fn near_part<'a>(text: &'a str, part: &str) -> Option<&'a str> {
    let letters: Vec<char> = part.chars().collect();
    let most = (letters.len() / 8).min(2);
    let starts: Vec<usize> = text.char_indices().map(|(start, _)| start).collect();
    // Two slips leave a third of the text as it is.
    let bounds = [0, letters.len() / 3, 2 * letters.len() / 3, letters.len()];
    let thirds = bounds.windows(2).filter(|_| most > 0);
    let places = thirds.flat_map(|bounds| {
        let third: String = letters[bounds[0]..bounds[1]].iter().collect();
        let found: Vec<usize> = text.match_indices(&third).map(|(at, _)| at).collect();
        let places = found.into_iter().filter_map(|at| starts.binary_search(&at).ok());
        places.map(|place| (place + most).saturating_sub(bounds[0]))
    });
    let places = places.flat_map(|place| place.saturating_sub(2 * most)..=place);
    let mut parts = places.filter_map(|place| {
        let end = starts.get(place + letters.len()).copied().unwrap_or(text.len());
        text.get(*starts.get(place)?..end)
    });
    parts.find(|other| strsim::damerau_levenshtein(other, part) <= most)
}
