//! The hidden mode: a server of the Model Context Protocol on standard input and output. Its tools are data of a cell.
//!
//! Source: <https://modelcontextprotocol.io/specification/2025-06-18/basic/transports#stdio> (a message a line),
//! <https://modelcontextprotocol.io/specification/2025-06-18/server/tools>.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::wire::script::McpTool;

/// The first argument of a server. No user types it.
const HIDDEN_MODE: &str = "__compat-mcp";

/// JSON-RPC 2.0, section 5.1.
const METHOD_NOT_FOUND: i32 = -32601;
const INVALID_PARAMS: i32 = -32602;

/// The value of `--mcp-config` for `servers`, which `program` serves.
pub(super) fn configuration(program: &Path, servers: &BTreeMap<String, Vec<McpTool>>) -> String {
    let server = |tools: &Vec<McpTool>| {
        let tools = json!(tools).to_string();
        json!({"type": "stdio", "command": program, "args": [HIDDEN_MODE, tools]})
    };
    let servers: Map<String, Value> = servers
        .iter()
        .map(|(name, tools)| (name.clone(), server(tools)))
        .collect();
    json!({"mcpServers": servers}).to_string()
}

/// If this process was started as a server: serves until the end of standard input, and returns the status for `main`.
pub fn run_hidden_mode_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != OsStr::new(HIDDEN_MODE) {
        return None;
    }
    let tools = arguments
        .next()
        .and_then(|text| serde_json::from_str(text.to_str()?).ok());
    let served = tools.map(|tools: Vec<McpTool>| serve(&tools));
    Some(match served {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(_)) | None => ExitCode::FAILURE,
    })
}

fn serve(tools: &[McpTool]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        if let Some(answer) = answer(tools, &serde_json::from_str(&line?)?) {
            writeln!(output, "{answer}")?;
            output.flush()?;
        }
    }
    Ok(())
}

/// The answer to `message`; `None` to a notification.
fn answer(tools: &[McpTool], message: &Value) -> Option<Value> {
    let id = message.get("id")?;
    let parameters = &message["params"];
    let result = match message["method"].as_str().unwrap_or_default() {
        "initialize" => Ok(json!({
            // The version that the client asks for: the messages here are the same in all.
            "protocolVersion": parameters["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "compat", "version": env!("CARGO_PKG_VERSION")},
        })),
        "ping" => Ok(json!({})),
        "tools/list" => Ok(json!({"tools": tools.iter().map(definition).collect::<Vec<_>>()})),
        "tools/call" => called(tools, parameters),
        method => Err((METHOD_NOT_FOUND, format!("there is no method `{method}`"))),
    };
    Some(match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err((code, message)) => {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
        }
    })
}

fn definition(tool: &McpTool) -> Value {
    json!({"name": tool.name, "description": tool.description, "inputSchema": tool.input_schema})
}

fn called(tools: &[McpTool], parameters: &Value) -> Result<Value, (i32, String)> {
    let name = parameters["name"].as_str().unwrap_or_default();
    let tool = tools.iter().find(|tool| tool.name == name);
    let tool = tool.ok_or_else(|| (INVALID_PARAMS, format!("there is no tool `{name}`")))?;
    let arguments = parameters["arguments"].as_object();
    let text = arguments
        .into_iter()
        .flatten()
        .fold(tool.result.clone(), |text, (name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text.replace(&format!("${{{name}}}"), &value)
        });
    Ok(json!({"content": [{"type": "text", "text": text}], "isError": false}))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, parameters: Value) -> Value {
        let tool = McpTool {
            name: "shelf_of".into(),
            description: "Says where a book is.".into(),
            input_schema: json!({"type": "object"}),
            result: "${title} is on shelf ${number}.".into(),
        };
        let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": parameters});
        answer(&[tool], &message).expect("a request gets an answer")
    }

    #[test]
    fn a_tool_is_listed_and_its_result_has_the_arguments() {
        let listed = asked("tools/list", json!({}));
        assert_eq!(listed["result"]["tools"][0]["name"], "shelf_of");
        let arguments = json!({"title": "Emma", "number": 7});
        let called = asked("tools/call", json!({"name": "shelf_of", "arguments": arguments}));
        assert_eq!(called["result"]["content"][0]["text"], "Emma is on shelf 7.");
        assert_eq!(called["id"], 7);
    }

    #[test]
    fn unknown_names_are_errors_and_notifications_get_nothing() {
        assert_eq!(
            asked("resources/list", json!({}))["error"]["code"],
            METHOD_NOT_FOUND
        );
        assert_eq!(
            asked("tools/call", json!({"name": "x"}))["error"]["code"],
            INVALID_PARAMS
        );
        let notification = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(answer(&[], &notification), None);
    }
}
