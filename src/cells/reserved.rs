//! The flags and variables that a cell may not set: the harness sets them, they bypass the gateway or the permission rules, or
//! `claude` does not have them.
//!
//! Pure. The flags are those of `claude --help`, version 2.1.326, and the unlisted ones that this version accepts.

use std::collections::HashSet;
use std::sync::LazyLock;

use regex::RegexSet;

use crate::expectation::context::STRUCTURED_OUTPUT;
use crate::text::{closest, listed, slip_of};

/// How many values a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Values {
    None,
    One,
    Optional,
    /// One or more: all words up to the next flag.
    Several,
}

/// Whether a cell may use a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stance {
    Free,
    Harness,
    /// It would skip permission rules, and the tool-use cells prove that those hold.
    Permissions,
    /// It needs an interactive session, or the run would not answer the prompts.
    Unfit,
}

use Stance::{Free, Harness, Permissions, Unfit};

/// The flags. A `/` separates the names of one flag. `=` means one value, `?` an optional value, `*` one or more.
const FLAGS: [(Stance, &str); 4] = [
    (
        Free,
        "--add-dir* --agent= --agents= --allowed-tools/--allowedTools* --append-system-prompt= --append-system-prompt-file= \
         --autocompact= --bare --betas* --brief --disable-slash-commands --disallowed-tools/--disallowedTools* --effort= \
         --exclude-dynamic-system-prompt-sections --file* --forward-subagent-text --include-hook-events --json-schema= \
         --max-budget-usd= --max-thinking-tokens= --max-turns= --mcp-config* --name/-n= --no-chrome --permission-mode= \
         --permission-prompt-tool= --permission-prompts= --plugin-dir= --restricted --safe-mode --setting-sources= --settings= \
         --strict-mcp-config --system-prompt= --system-prompt-file= --system-prompt-snapshot= --thinking= --tools*",
    ),
    (
        Harness,
        "--fallback-model= --include-partial-messages --input-format= --model= --no-session-persistence --output-format= \
         --print/-p --replay-user-messages --session-id= --verbose",
    ),
    (
        Permissions,
        "--allow-dangerously-skip-permissions --dangerously-skip-permissions",
    ),
    (
        Unfit,
        "--ax-screen-reader --background/--bg --chrome --cloud? --continue/-c --debug/-d? --debug-file= --desktop --environment= \
         --fork-session --from-pr? --help/-h --ide --plugin-url= --prompt-suggestions? --remote-control? \
         --remote-control-session-name-prefix= --resume/-r? --teleport? --tmux --version/-v --worktree/-w?",
    ),
];

#[derive(Clone, Copy)]
struct Flag {
    /// The names, separated by `/`.
    names: &'static str,
    values: Values,
    stance: Stance,
}

impl Flag {
    fn all() -> impl Iterator<Item = Self> {
        FLAGS.into_iter().flat_map(|(stance, flags)| {
            flags.split(' ').map(move |flag| {
                let names = flag.trim_end_matches(['=', '?', '*']);
                let values = match &flag[names.len()..] {
                    "" => Values::None,
                    "=" => Values::One,
                    "?" => Values::Optional,
                    _ => Values::Several,
                };
                Self {
                    names,
                    values,
                    stance,
                }
            })
        })
    }

    fn names(self) -> impl Iterator<Item = &'static str> {
        self.names.split('/')
    }

    /// The allowed values, if they are a fixed list (`claude --help` and its errors, version 2.1.327).
    fn choices(self) -> Option<&'static [&'static str]> {
        match self.names {
            "--effort" => Some(&["low", "medium", "high", "xhigh", "max"]),
            "--permission-mode" => Some(&["acceptEdits", "auto", "default", "dontAsk", "manual", "plan"]),
            "--thinking" => Some(&["adaptive", "disabled", "enabled"]),
            SETTING_SOURCES => Some(&["local", "project", "user"]),
            _ => None,
        }
    }
}

/// The flag with a list of values, separated by commas.
const SETTING_SOURCES: &str = "--setting-sources";

/// An error in an entry of `flags`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagError {
    /// Which entry, from 0.
    pub index: usize,
    pub message: String,
    pub hint: String,
    pub allowed: Option<String>,
}

/// The errors in `words`, the entries of a cell's `flags`.
pub fn flag_errors(words: &[String]) -> Vec<FlagError> {
    let mut seen = HashSet::new();
    let error = |used: UsedFlag| {
        let is_repeated = used
            .flag
            .filter(|flag| flag.values != Values::Several)
            .is_some_and(|flag| !seen.insert(flag.names));
        used.error(is_repeated)
    };
    used_flags(words).filter_map(error).collect()
}

/// The entry of `words` whose flag keeps `tool` out of Claude Code's requests: `--tools` without it, which is about built-in tools
/// only, or `--disallowed-tools` with its whole name or its server's (`claude --help`, version 2.1.327).
pub fn removing_flag(words: &[String], tool: &str) -> Option<usize> {
    // The older name of the tool.
    let renamed = |name: &str| if name == "Task" { "Agent" } else { name }.to_owned();
    let tool = renamed(tool);
    let removes = |used: &UsedFlag| {
        let values = used.inline.into_iter().chain(used.words.iter().copied());
        let of_part = |value: &&str| !value.contains('(');
        let names = values.filter(of_part).flat_map(|value| value.split([',', ' ']));
        let mut names = names.filter(|name| !name.is_empty()).map(renamed);
        match used.flag.map(|flag| flag.names) {
            Some("--tools") => {
                let is_built_in = !tool.starts_with("mcp__") && tool != STRUCTURED_OUTPUT;
                is_built_in && !names.any(|name| name == "default" || name == tool)
            }
            Some("--disallowed-tools/--disallowedTools") => {
                names.any(|name| tool == name || tool.starts_with(&format!("{name}__")))
            }
            _ => false,
        }
    };
    used_flags(words).find(removes).map(|used| used.index)
}

/// The names that the flag `--tools` has.
pub fn tools_of_flag(words: &[String]) -> impl Iterator<Item = &str> {
    named_tools(words, &["--tools"]).map(|(_, name)| name)
}

/// The tools that the flags about tools name, each with its entry: of `Bash(git log:*)`, `Bash`.
pub fn tools_of_flags(words: &[String]) -> impl Iterator<Item = (usize, &str)> {
    const FLAGS: [&str; 3] = [
        "--tools",
        "--allowed-tools/--allowedTools",
        "--disallowed-tools/--disallowedTools",
    ];
    named_tools(words, &FLAGS)
}

fn named_tools<'a>(words: &'a [String], flags: &[&'static str]) -> impl Iterator<Item = (usize, &'a str)> {
    let flags = flags.to_vec();
    let used =
        used_flags(words).filter(move |used| used.flag.is_some_and(|flag| flags.contains(&flag.names)));
    let values = used.flat_map(|used| {
        let first = used.index;
        let words = used.words.into_iter().filter(move |_| used.inline.is_none());
        let words = words.enumerate().map(move |(at, word)| (first + 1 + at, word));
        used.inline.map(|value| (first, value)).into_iter().chain(words)
    });
    values.flat_map(|(index, value)| {
        // What is in parentheses is a rule of the tool.
        let parts = value.split_inclusive(')');
        let parts = parts.map(|part| part.split_once('(').map_or(part, |(tool, _)| tool));
        let names = parts.flat_map(|part| part.split([',', ' ']));
        names
            .filter(|name| !name.is_empty())
            .map(move |name| (index, name))
    })
}

fn used_flags(words: &[String]) -> impl Iterator<Item = UsedFlag<'_>> {
    let mut index = 0;
    std::iter::from_fn(move || {
        let used = (index < words.len()).then(|| UsedFlag::at(words, index))?;
        index += 1 + used.value_count();
        Some(used)
    })
}

/// A flag of a cell with its values.
struct UsedFlag<'a> {
    index: usize,
    word: &'a str,
    name: &'a str,
    /// The value after `=`.
    inline: Option<&'a str>,
    /// The words up to the next flag.
    words: Vec<&'a str>,
    /// `None` if `claude` does not have it.
    flag: Option<Flag>,
}

impl<'a> UsedFlag<'a> {
    fn at(words: &'a [String], index: usize) -> Self {
        let word = words[index].as_str();
        let (name, inline) = word
            .split_once('=')
            .map_or((word, None), |(name, value)| (name, Some(value)));
        let rest = words[index + 1..].iter().map(String::as_str);
        Self {
            index,
            word,
            name,
            inline,
            words: rest.take_while(|word| !word.starts_with('-')).collect(),
            flag: Flag::all().find(|flag| flag.names().any(|known| known == name)),
        }
    }

    /// How many of the following words are its values.
    fn value_count(&self) -> usize {
        match self.flag.map(|flag| flag.values) {
            None if !self.word.starts_with('-') => 0,
            None => self.words.len(),
            Some(_) if self.inline.is_some() => 0,
            Some(Values::None) => 0,
            Some(Values::One | Values::Optional) => self.words.len().min(1),
            Some(Values::Several) => self.words.len(),
        }
    }

    fn value(&self) -> Option<&str> {
        self.inline.or(self.words.first().copied())
    }

    fn error(&self, is_repeated: bool) -> Option<FlagError> {
        let name = self.name;
        let Some(flag) = self.flag else {
            return Some(match self.word.starts_with('-') {
                true => self.unknown(),
                false => self.stray(),
            });
        };
        let skips_permissions = match self.value() {
            Some("bypassPermissions") if name == "--permission-mode" => {
                Some("--permission-mode bypassPermissions")
            }
            _ => (flag.stance == Permissions).then_some(name),
        };
        let lacks_value = matches!(flag.values, Values::One | Values::Several) && self.value().is_none();
        let (message, hint) = match (skips_permissions, flag.stance) {
            (Some(flags), _) => (
                format!("`{flags}` skips permission rules"),
                "allow only what the cell needs: `--allowed-tools \"Bash(echo pong)\" --permission-mode dontAsk`",
            ),
            (_, Harness) => (format!("the harness sets `{name}` itself"), "remove it"),
            (_, Unfit) => (
                format!("`{name}` is not supported in non-interactive (`--print`) runs"),
                "remove it",
            ),
            _ if lacks_value => (
                format!("`{name}` lacks its value"),
                "the value is the next entry of the list",
            ),
            _ if is_repeated => (
                format!("`{name}` is there twice"),
                "`claude` uses only the last one: keep one",
            ),
            _ => {
                return self
                    .wrong_choice(flag)
                    .or_else(|| self.wrong_number())
                    .or_else(|| self.wrong_json());
            }
        };
        Some(self.with(message, hint))
    }

    fn with(&self, message: String, hint: impl Into<String>) -> FlagError {
        FlagError {
            index: self.index,
            message,
            hint: hint.into(),
            allowed: None,
        }
    }

    fn wrong_choice(&self, flag: Flag) -> Option<FlagError> {
        let (choices, value) = flag.choices().zip(self.value())?;
        let mut values = match flag.names {
            SETTING_SOURCES => value.split(',').map(str::trim).collect(),
            _ => vec![value],
        };
        values.retain(|value| !choices.contains(value));
        let value = values.first()?;
        let hint = match closest(value, choices.iter().copied()) {
            Some(close) => format!("did you mean `{close}`?"),
            None => format!("`claude --help` explains the values of `{}`", self.name),
        };
        Some(FlagError {
            index: self.index + usize::from(self.inline.is_none()),
            allowed: Some(listed(choices.iter().copied())),
            ..self.with(format!("`{}` does not take `{value}`", self.name), hint)
        })
    }

    /// The error in a value that must be a number (`claude --help`, version 2.1.327). Only a sum of dollars has a fraction.
    fn wrong_number(&self) -> Option<FlagError> {
        let value = self.value()?;
        let is_number = match self.name {
            "--max-turns" | "--max-thinking-tokens" => value.parse::<u32>().is_ok(),
            "--max-budget-usd" => value.parse::<f64>().is_ok_and(|sum| sum.is_finite() && sum > 0.0),
            _ => true,
        };
        (!is_number).then(|| FlagError {
            index: self.index + usize::from(self.inline.is_none()),
            ..self.with(
                format!("`{}` does not take `{value}`", self.name),
                "write a number",
            )
        })
    }

    /// The error in a value that must be JSON. `--mcp-config` and `--settings` also take the name of a file.
    fn wrong_json(&self) -> Option<FlagError> {
        let value = self.value()?;
        let is_json = match self.name {
            "--json-schema" | "--agents" => true,
            "--mcp-config" | "--settings" => value.trim_start().starts_with('{'),
            _ => false,
        };
        let what = match serde_json::from_str::<serde_json::Value>(value) {
            _ if !is_json => return None,
            Ok(schema @ serde_json::Value::Object(_)) => {
                return (self.name == "--json-schema").then(|| self.wrong_schema(&schema))?;
            }
            Ok(_) => "is no JSON object".to_owned(),
            Err(error) => format!("is not JSON: {error}"),
        };
        let hint = "write a JSON object, in single quotes or as a block of text (`>-`)";
        Some(FlagError {
            index: self.index + usize::from(self.inline.is_none()),
            ..self.with(format!("the value of `{}` {what}", self.name), hint)
        })
    }

    /// The error in a JSON object that must be a JSON Schema, with its place in the schema.
    fn wrong_schema(&self, schema: &serde_json::Value) -> Option<FlagError> {
        const TYPES: [&str; 7] = [
            "string", "number", "integer", "boolean", "object", "array", "null",
        ];
        let error = jsonschema::validator_for(schema).err()?;
        let path = error.instance_path().to_string();
        let found = schema.pointer(&path).unwrap_or(schema);
        let is_type = path.ends_with("/type");
        let what = match path.is_empty() {
            true => error.to_string(),
            false => format!("`{path}` is `{found}`"),
        };
        let hint = match found
            .as_str()
            .filter(|_| is_type)
            .and_then(|found| closest(found, TYPES))
        {
            Some(close) => format!("did you mean `{close}`?"),
            None if is_type => "write one of these, or a list of them".to_owned(),
            None => format!("a JSON Schema does not allow it: {error}"),
        };
        Some(FlagError {
            index: self.index + usize::from(self.inline.is_none()),
            allowed: is_type.then(|| listed(TYPES)),
            ..self.with(
                format!("the value of `{}` is no JSON Schema: {what}", self.name),
                hint,
            )
        })
    }

    fn stray(&self) -> FlagError {
        let word = self.word;
        let hint = match word.contains(" -") || word.contains("--") {
            true => ONE_WORD,
            false => "flags begin with `-`; text for Claude Code belongs in `prompt`",
        };
        self.with(format!("`{word}` is neither a flag nor the value of one"), hint)
    }

    fn unknown(&self) -> FlagError {
        let name = self.name;
        let close = closest(name, Flag::all().flat_map(Flag::names));
        let main = |close: &str| {
            Flag::all()
                .find(|flag| flag.names().any(|name| name == close))?
                .names()
                .next()
        };
        let hint = match close.and_then(main) {
            _ if name.contains(' ') => ONE_WORD.to_owned(),
            Some(close) => format!("did you mean `{close}`?"),
            None => {
                "`claude --help` lists the flags; this program does not know newer ones than its own version of Claude Code".to_owned()
            }
        };
        let usable = Flag::all().filter(|flag| flag.stance == Free);
        let usable = usable.filter_map(|flag| flag.names().next());
        FlagError {
            allowed: (!self.word.contains(' ')).then(|| listed(usable)),
            ..self.with(format!("`claude` has no flag `{name}`"), hint)
        }
    }
}

const ONE_WORD: &str = "write each word as one entry: `[--effort, high]`";

/// The variables that a cell may not set, and the reasons.
const VARIABLES: [(&str, &str); 5] = [
    (
        "(_API_KEY|_TOKEN|_SECRET|_PASSWORD|_CREDENTIALS)$|^(AWS_|GOOGLE_|GCLOUD_|AZURE_|VERTEX|CLOUD_ML_)",
        "it is or names a credential, and cells contain none",
    ),
    (
        "(_BASE_URL|_PROXY)$|^(CLAUDE_CODE_USE_|LITELLM_)",
        "it would send `claude` past the gateway under test",
    ),
    ("^ANTHROPIC_.*MODEL", "the model is the trial's alias"),
    (
        "^(HOME|PATH|PWD|USER|SHELL|TMPDIR|LANG|NODE_OPTIONS|API_TIMEOUT_MS|CLAUDE_CONFIG_DIR|CLAUDE_CODE_MAX_RETRIES\
         |CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC)$|^(CLAUDE_CODE_SKIP_|XDG_|COMPAT_)",
        "the harness sets it itself",
    ),
    (
        "^(LD_PRELOAD$|LD_LIBRARY_PATH$|DYLD_)",
        "it would change the program under test",
    ),
];

/// An exception: this one skips a request to Anthropic, not to the gateway (<https://code.claude.com/docs/en/fast-mode>).
const FREE_VARIABLE: &str = "CLAUDE_CODE_SKIP_FAST_MODE_ORG_CHECK";

/// The variable with further betas.
pub const BETAS: &str = "ANTHROPIC_BETAS";

/// Variables of Claude Code that a cell may set (<https://code.claude.com/docs/en/env-vars>).
const KNOWN_VARIABLES: &str = "ANTHROPIC_BETAS ANTHROPIC_CUSTOM_HEADERS BASH_DEFAULT_TIMEOUT_MS BASH_MAX_OUTPUT_LENGTH \
    BASH_MAX_TIMEOUT_MS CLAUDE_AUTOCOMPACT_PCT_OVERRIDE CLAUDE_CODE_AUTO_COMPACT_WINDOW CLAUDE_CODE_DISABLE_1M_CONTEXT \
    CLAUDE_CODE_DISABLE_ADAPTIVE_THINKING CLAUDE_CODE_DISABLE_BACKGROUND_TASKS CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS \
    CLAUDE_CODE_DISABLE_FAST_MODE CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK CLAUDE_CODE_EFFORT_LEVEL \
    CLAUDE_CODE_ENABLE_FINE_GRAINED_TOOL_STREAMING CLAUDE_CODE_ENABLE_GATEWAY_MODEL_DISCOVERY CLAUDE_CODE_EXTRA_BODY \
    CLAUDE_CODE_GATEWAY_HINT_HEADERS CLAUDE_CODE_GATEWAY_MODEL_DISCOVERY_TIMEOUT_MS CLAUDE_CODE_MAX_CONTEXT_TOKENS \
    CLAUDE_CODE_MAX_OUTPUT_TOKENS CLAUDE_CODE_SKIP_FAST_MODE_ORG_CHECK DISABLE_AUTO_COMPACT DISABLE_COMPACT \
    DISABLE_INTERLEAVED_THINKING DISABLE_PROMPT_CACHING ENABLE_PROMPT_CACHING_1H ENABLE_TOOL_SEARCH MAX_MCP_OUTPUT_TOKENS \
    MAX_THINKING_TOKENS MCP_TIMEOUT MCP_TOOL_TIMEOUT";

/// The variable of Claude Code that `name` is a slip of.
pub fn misspelt_variable(name: &str) -> Option<&'static str> {
    slip_of(name, KNOWN_VARIABLES.split_whitespace())
}

/// The reason why a cell may not set the variable `name`; `None` if it may.
pub fn variable_refusal(name: &str) -> Option<&'static str> {
    if name == FREE_VARIABLE {
        return None;
    }
    static PATTERNS: LazyLock<RegexSet> =
        LazyLock::new(|| RegexSet::new(VARIABLES.map(|(pattern, _)| pattern)).expect("constant expressions"));
    let matches = PATTERNS.matches(&name.to_ascii_uppercase());
    Some(VARIABLES[matches.iter().next()?].1)
}
