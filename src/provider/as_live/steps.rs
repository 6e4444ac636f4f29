//! The tool calls that a prompt asks for, in order.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::instance::filled;
use super::reading::Reading;

pub(super) struct Call {
    pub(super) name: String,
    pub(super) input: Value,
}

impl Call {
    fn new(name: &str, input: Value) -> Self {
        Self {
            name: name.to_owned(),
            input,
        }
    }
}

/// The calls that the prompt asks for and that have not been made: those of one answer. Empty if nothing is left to do.
pub(super) fn next(reading: &Reading<'_>, dice: &mut Dice) -> Vec<Call> {
    let found = agent(reading)
        .or_else(|| files(reading, dice))
        .or_else(|| search(reading))
        .or_else(|| structured(reading, dice))
        .or_else(|| server_tool(reading, dice))
        .or_else(|| commands(reading, dice))
        .or_else(|| offered_tool(reading, dice))
        .unwrap_or_default();
    let is_open = |call: &Call| match call.name.as_str() {
        "Bash" => {
            let is_same =
                |(name, input): &(&str, &Value)| *name == "Bash" && input["command"] == call.input["command"];
            !reading.called.iter().any(is_same)
        }
        "Read" => {
            let file = |input: &Value| input["file_path"].as_str().map(base_name);
            let is_same =
                |(name, input): &(&str, &Value)| *name == "Read" && file(input) == file(&call.input);
            !reading.called.iter().any(is_same)
        }
        name => !reading.has_called(name),
    };
    let mut open: Vec<Call> = found.into_iter().filter(is_open).collect();
    let at_once = ["in one answer", "in parallel", "at once"];
    match at_once.iter().any(|words| reading.prompt.contains(words)) {
        // Models write parallel calls in any order, and now and then one after the other.
        true => {
            if open.len() > 1 && dice.once_in(3) {
                open.reverse();
            }
            if open.len() > 1 && dice.once_in(8) {
                open.truncate(1);
            }
        }
        false => open.truncate(1),
    }
    open
}

fn base_name(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

fn caught(pattern: &str, text: &str) -> Option<String> {
    let pattern = Regex::new(pattern).ok()?;
    Some(pattern.captures(text)?[1].to_owned())
}

fn agent(reading: &Reading<'_>) -> Option<Vec<Call>> {
    let kind = caught(
        r"(?i)use the agent tool\b.*?\bthe ([\w-]+) agent",
        &reading.prompt,
    )?;
    let command = caught(COMMAND, &reading.prompt)?;
    Some(vec![Call::new(
        "Agent",
        json!({
            "description": "Run one command",
            "prompt": format!("Run exactly this command and report its output: {command}"),
            "subagent_type": kind,
            "run_in_background": false,
        }),
    )])
}

fn files(reading: &Reading<'_>, dice: &mut Dice) -> Option<Vec<Call>> {
    static FILE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"[\w-]+\.(?:png|jpe?g|gif|webp|pdf)\b").expect("a constant expression"));
    reading.prompt.contains("the Read tool").then(|| {
        // The Read tool asks for absolute paths.
        let folder = reading.request.messages.iter().find_map(|message| {
            let text = crate::wire::message::text_of(&message.content);
            caught(r"Primary working directory: (\S+)", &text)
        });
        let folder = folder.filter(|_| !dice.once_in(3));
        let path = |file: &str| {
            folder
                .as_ref()
                .map_or_else(|| file.to_owned(), |folder| format!("{folder}/{file}"))
        };
        let files = FILE.find_iter(&reading.prompt);
        files
            .map(|file| Call::new("Read", json!({ "file_path": path(file.as_str()) })))
            .collect()
    })
}

fn search(reading: &Reading<'_>) -> Option<Vec<Call>> {
    let query = caught(r#"the WebSearch tool\b.*?query "([^"]+)""#, &reading.prompt)?;
    Some(vec![Call::new("WebSearch", json!({ "query": query }))])
}

fn structured(reading: &Reading<'_>, dice: &mut Dice) -> Option<Vec<Call>> {
    const TOOL: &str = "StructuredOutput";
    let tool = reading.request.tools.iter().find(|tool| tool.name == TOOL)?;
    let [_, _, schema] = tool.parts();
    Some(vec![Call::new(TOOL, filled(schema, &reading.prompt, dice))])
}

/// A tool of a server, named by the prompt or described by it.
fn server_tool(reading: &Reading<'_>, dice: &mut Dice) -> Option<Vec<Call>> {
    let prompt = &reading.prompt;
    if !Regex::new(r"(?i)use the tool \w+|'s tool that ")
        .ok()?
        .is_match(prompt)
    {
        return None;
    }
    let is_in_prompt = |word: &str| {
        let mut words = prompt.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        words.any(|other| other == word)
    };
    // The prompt's own word for a tool decides, then the number of words that both have.
    let nearness = |name: &String| {
        let own = name.rsplit("__").next().unwrap_or(name);
        let words = name.split('_').filter(|word| word.len() > 3);
        (
            is_in_prompt(own),
            words.filter(|word| prompt.contains(*word)).count(),
        )
    };
    let name = reading.server_tools().into_iter().max_by_key(nearness)?;
    let Some(tool) = reading.request.tools.iter().find(|tool| tool.name == name) else {
        let query = match dice.once_in(3) {
            true => name.replace("__", " ").replace('_', " ").replacen("mcp ", "", 1),
            false => format!("select:{name}"),
        };
        return Some(vec![Call::new(
            "ToolSearch",
            json!({ "query": query, "max_results": dice.between(1, 5) }),
        )]);
    };
    let [_, _, schema] = tool.parts();
    let quoted = caught(r#""([^"]+)""#, prompt)?;
    let required = schema["required"].as_array().into_iter().flatten();
    let mut input: Map<String, Value> = required
        .filter_map(|name| Some((name.as_str()?.to_owned(), json!(quoted))))
        .collect();
    let optional = schema["properties"].as_object().into_iter().flatten();
    for (name, of) in optional {
        let may_be_null = of["type"]
            .as_array()
            .is_some_and(|types| types.contains(&json!("null")));
        if !input.contains_key(name) && may_be_null && dice.once_in(3) {
            input.insert(name.clone(), Value::Null);
        }
    }
    Some(vec![Call {
        name,
        input: Value::Object(input),
    }])
}

/// A command after the words that announce it, up to the end of the sentence.
const COMMAND: &str = r"(?is)run exactly (?:this|these|it)\b[^:]*:\s+(.+?)(?:\.\s|\.?$)";

fn commands(reading: &Reading<'_>, dice: &mut Dice) -> Option<Vec<Call>> {
    static COMMANDS: LazyLock<Regex> = LazyLock::new(|| Regex::new(COMMAND).expect("a constant expression"));
    let found = COMMANDS
        .captures_iter(&reading.prompt)
        .map(|found| found[1].to_owned());
    let found: Vec<String> = found
        .flat_map(|found| {
            found
                .split(" and ")
                .map(|part| part.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    let calls: Vec<Call> = found.into_iter().map(|found| bash(&found, dice)).collect();
    (!calls.is_empty()).then_some(calls)
}

const BASH: &str = "Bash";

fn bash(command: &str, dice: &mut Dice) -> Call {
    let description = dice.pick(&[
        "Run the command",
        "Print a marker",
        "Execute the command as asked",
    ]);
    let input = match dice.once_in(4) {
        true => json!({ "command": command }),
        false => json!({ "command": command, "description": description }),
    };
    Call::new(BASH, input)
}

/// `use the NAME tool to run: COMMAND` or ``run `COMMAND` `` at the beginning of a sentence: a tool that the request offers.
fn offered_tool(reading: &Reading<'_>, dice: &mut Dice) -> Option<Vec<Call>> {
    const INSTRUCTION: &str = r"(?ms)(?:^|[.!?]\s+)(?i:please\s+)?((?i:use the `?[\w-]+`? tool\b[^.\n]*?\b(?:run|execute)|run|execute)\b.*)";
    /// A command may hold a dot, so a sentence ends before a capital letter.
    const END: &str = r"[.!?]\s+[A-Z]|\n\n|\.?\s*\z";
    const TOOL: &str = r"(?i)\bthe `?([\w-]+)`? tool\b";
    const IN_BACKQUOTES: &str = r"`+(?:\w+\n)?\s*([^`]+?)\s*`";
    const AFTER_A_COLON: &str = r"(?s):\s+(\S.*)";
    if reading.wants_summary() {
        return None;
    }
    let instruction = caught(INSTRUCTION, &reading.prompt)?;
    let end = Regex::new(END).expect("a constant expression").find(&instruction);
    let sentence = &instruction[..end.map_or(instruction.len(), |end| end.start())];
    let name = caught(TOOL, sentence).unwrap_or_else(|| BASH.to_owned());
    let without_tool = Regex::new(TOOL)
        .expect("a constant expression")
        .replace(sentence, "it");
    let mut tools = reading.request.tools.iter();
    let tool = tools.find(|tool| tool.name.eq_ignore_ascii_case(&name))?;
    let command = caught(IN_BACKQUOTES, &without_tool).or_else(|| caught(AFTER_A_COLON, &without_tool))?;
    if tool.name == BASH {
        return Some(vec![bash(&command, dice)]);
    }
    let [_, _, schema] = tool.parts();
    let required = schema["required"].as_array().into_iter().flatten();
    let parameter = required.filter_map(Value::as_str).next().unwrap_or("command");
    Some(vec![Call::new(&tool.name, json!({ parameter: command }))])
}
