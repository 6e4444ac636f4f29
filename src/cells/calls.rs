//! The tool calls of a reply: their tools and their arguments.

use serde_json::Value;

use super::replies::STRUCTURED_OUTPUT;
use super::reserved;
use super::resolve::Resolver;
use crate::document::KeyPath;
use crate::text::{closest, listed, quotable};
use crate::wire::script::{PLACEHOLDERS, placeholders_in};

/// The tools that Claude Code may offer (its `init` events, version 2.1.327), with those that only some flags or modes offer.
const CLAUDE_TOOLS: [&str; 38] = [
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
    "ListAgents",
    "Monitor",
    "NotebookEdit",
    "Read",
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
                    self.no_placeholders(&path.then(key), item);
                }
            }
            _ => {}
        }
    }

    /// Reports a tool that the request cannot offer: one of another MCP server, or a mistyped name of Claude Code's tools. Which of
    /// its own tools Claude Code offers depends on its version and flags, so an unlike name may be right.
    pub(super) fn is_offered(&mut self, path: &KeyPath, name: &str) {
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
        let servers = self.form.mcp_servers.iter().flatten();
        let own: Vec<String> = servers
            .flat_map(|(server, tools)| {
                tools
                    .iter()
                    .map(move |tool| format!("mcp__{server}__{}", tool.name))
            })
            .collect();
        let known = || own.iter().map(String::as_str).chain(CLAUDE_TOOLS);
        let is_foreign = name.starts_with("mcp__")
            && !self
                .form
                .flags
                .iter()
                .flatten()
                .any(|flag| flag.starts_with("--mcp-config"));
        if known().any(|tool| tool == name) || !(is_foreign || closest(name, CLAUDE_TOOLS).is_some()) {
            return;
        }
        let error = self
            .reader
            .at(path, format!("no request offers the tool `{}`", quotable(name)));
        let error = error.allowed(match is_foreign {
            true if own.is_empty() => "a tool of `mcp_servers`, which this cell does not have".to_owned(),
            true => listed(own.iter().map(String::as_str)),
            false => "a tool of Claude Code, or `mcp__<server>__<tool>`".to_owned(),
        });
        self.reader.report(error.did_you_mean(name, known()));
    }
}
