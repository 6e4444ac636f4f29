//! What a cell may not set: flags and variables that the harness sets itself, that would go round the gateway or the
//! permission rules, or that `claude` does not have.
//!
//! Data and look-ups, pure. The flags are those of `claude --help`, version 2.1.326, and those that
//! it takes without listing them (each tried with that version).

use crate::text::{closest, listed};
use std::collections::HashSet;

/// How many values a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
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
    /// It does not go with one prompt that is answered and done.
    Unfit,
}

struct Flag {
    names: &'static [&'static str],
    values: Values,
    stance: Stance,
}

const fn flag(names: &'static [&'static str], values: Values, stance: Stance) -> Flag {
    Flag {
        names,
        values,
        stance,
    }
}

use Stance::{Free, Harness, Permissions, Unfit};

const FLAGS: &[Flag] = &[
    flag(&["--add-dir"], Values::Several, Free),
    flag(&["--agent"], Values::One, Free),
    flag(&["--agents"], Values::One, Free),
    flag(
        &["--allow-dangerously-skip-permissions"],
        Values::None,
        Permissions,
    ),
    flag(&["--allowed-tools", "--allowedTools"], Values::Several, Free),
    flag(&["--append-system-prompt"], Values::One, Free),
    flag(&["--append-system-prompt-file"], Values::One, Free),
    flag(&["--autocompact"], Values::One, Free),
    flag(&["--ax-screen-reader"], Values::None, Unfit),
    flag(&["--background", "--bg"], Values::None, Unfit),
    flag(&["--bare"], Values::None, Free),
    flag(&["--betas"], Values::Several, Free),
    flag(&["--brief"], Values::None, Free),
    flag(&["--chrome"], Values::None, Unfit),
    flag(&["--cloud"], Values::Optional, Unfit),
    flag(&["--continue", "-c"], Values::None, Unfit),
    flag(&["--dangerously-skip-permissions"], Values::None, Permissions),
    flag(&["--debug", "-d"], Values::Optional, Unfit),
    flag(&["--debug-file"], Values::One, Unfit),
    flag(&["--desktop"], Values::None, Unfit),
    flag(&["--disable-slash-commands"], Values::None, Free),
    flag(
        &["--disallowed-tools", "--disallowedTools"],
        Values::Several,
        Free,
    ),
    flag(&["--effort"], Values::One, Free),
    flag(&["--environment"], Values::One, Unfit),
    flag(&["--exclude-dynamic-system-prompt-sections"], Values::None, Free),
    flag(&["--fallback-model"], Values::One, Harness),
    flag(&["--file"], Values::Several, Free),
    flag(&["--fork-session"], Values::None, Unfit),
    flag(&["--forward-subagent-text"], Values::None, Free),
    flag(&["--from-pr"], Values::Optional, Unfit),
    flag(&["--help", "-h"], Values::None, Unfit),
    flag(&["--ide"], Values::None, Unfit),
    flag(&["--include-hook-events"], Values::None, Free),
    flag(&["--include-partial-messages"], Values::None, Harness),
    flag(&["--input-format"], Values::One, Harness),
    flag(&["--json-schema"], Values::One, Free),
    flag(&["--max-budget-usd"], Values::One, Free),
    flag(&["--max-thinking-tokens"], Values::One, Free),
    flag(&["--max-turns"], Values::One, Free),
    flag(&["--mcp-config"], Values::Several, Free),
    flag(&["--model"], Values::One, Harness),
    flag(&["--name", "-n"], Values::One, Free),
    flag(&["--no-chrome"], Values::None, Free),
    flag(&["--no-session-persistence"], Values::None, Harness),
    flag(&["--output-format"], Values::One, Harness),
    flag(&["--permission-mode"], Values::One, Free),
    flag(&["--permission-prompt-tool"], Values::One, Free),
    flag(&["--permission-prompts"], Values::One, Free),
    flag(&["--plugin-dir"], Values::One, Free),
    flag(&["--plugin-url"], Values::One, Unfit),
    flag(&["--print", "-p"], Values::None, Harness),
    flag(&["--prompt-suggestions"], Values::Optional, Unfit),
    flag(&["--remote-control"], Values::Optional, Unfit),
    flag(&["--remote-control-session-name-prefix"], Values::One, Unfit),
    flag(&["--replay-user-messages"], Values::None, Harness),
    flag(&["--restricted"], Values::None, Free),
    flag(&["--resume", "-r"], Values::Optional, Unfit),
    flag(&["--safe-mode"], Values::None, Free),
    flag(&["--session-id"], Values::One, Harness),
    flag(&["--setting-sources"], Values::One, Free),
    flag(&["--settings"], Values::One, Free),
    flag(&["--strict-mcp-config"], Values::None, Free),
    flag(&["--system-prompt"], Values::One, Free),
    flag(&["--system-prompt-file"], Values::One, Free),
    flag(&["--system-prompt-snapshot"], Values::One, Free),
    flag(&["--teleport"], Values::Optional, Unfit),
    flag(&["--thinking"], Values::One, Free),
    flag(&["--tmux"], Values::None, Unfit),
    flag(&["--tools"], Values::Several, Free),
    flag(&["--verbose"], Values::None, Harness),
    flag(&["--version", "-v"], Values::None, Unfit),
    flag(&["--worktree", "-w"], Values::Optional, Unfit),
];

/// Something wrong with an entry of `flags`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagError {
    /// Which entry, from 0.
    pub index: usize,
    pub message: String,
    pub hint: String,
    /// What may stand there, where the flag is not known.
    pub allowed: Option<String>,
}

/// What is wrong with `words`, the entries of a cell's `flags`.
pub fn flag_errors(words: &[String]) -> Vec<FlagError> {
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    let mut index = 0;
    while index < words.len() {
        let word = &words[index];
        let (name, inline) = word
            .split_once('=')
            .map_or((word.as_str(), None), |(name, value)| (name, Some(value)));
        let rest = &words[index + 1..];
        let values: Vec<&str> = rest
            .iter()
            .map(String::as_str)
            .take_while(|word| !word.starts_with('-'))
            .collect();
        let known = FLAGS.iter().find(|flag| flag.names.contains(&name));
        let (fault, taken) = match known {
            _ if !word.starts_with('-') => (Some(stray(word)), 0),
            None => (Some(unknown(name)), values.len()),
            Some(flag) => one(flag, name, inline, &values),
        };
        let is_unknown = known.is_none() && word.starts_with('-') && !word.contains(' ');
        let twice = known
            .filter(|flag| flag.values != Values::Several)
            .is_some_and(|flag| !seen.insert(flag.names[0]));
        let fault = fault.or_else(|| {
            twice.then(|| {
                (
                    format!("`{name}` is there twice"),
                    "`claude` takes the last one alone: keep one".to_owned(),
                )
            })
        });
        let is_usable = fault.is_none();
        faults.extend(fault.map(|(message, hint)| FlagError {
            index,
            message,
            hint,
            allowed: is_unknown.then(usable_flags),
        }));
        let value = inline.or(values.first().copied());
        if let Some((choices, value)) = known.and_then(|flag| Some((choices(flag)?, value?)))
            && is_usable
            && !choices.contains(&value)
        {
            faults.push(FlagError {
                index: if inline.is_some() { index } else { index + 1 },
                message: format!("`{name}` does not take `{value}`"),
                hint: match closest(value, choices.iter().copied()) {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => "one that is new belongs into `src/cells/reserved.rs`".to_owned(),
                },
                allowed: Some(listed(choices.iter().copied())),
            });
        }
        index += 1 + taken;
    }
    faults
}

/// The values that a flag takes, where it takes no others (`claude --help`, version 2.1.327).
fn choices(flag: &Flag) -> Option<&'static [&'static str]> {
    match flag.names[0] {
        "--effort" => Some(&["low", "medium", "high", "xhigh", "max"]),
        "--permission-mode" => Some(&["acceptEdits", "auto", "default", "dontAsk", "manual", "plan"]),
        _ => None,
    }
}

fn one(flag: &Flag, name: &str, inline: Option<&str>, values: &[&str]) -> (Option<(String, String)>, usize) {
    let taken = match flag.values {
        _ if inline.is_some() => 0,
        Values::None => 0,
        Values::One | Values::Optional => values.len().min(1),
        Values::Several => values.len(),
    };
    let value = inline.or(values.first().copied());
    let refusal = refusal(flag, name, value);
    let lacks_value = matches!(flag.values, Values::One | Values::Several) && value.is_none();
    let fault = refusal.or_else(|| {
        lacks_value.then(|| {
            (
                format!("`{name}` lacks its value"),
                "the value is the next entry of the list".to_owned(),
            )
        })
    });
    (fault, taken)
}

fn refusal(flag: &Flag, name: &str, value: Option<&str>) -> Option<(String, String)> {
    let bypass = name == "--permission-mode" && value == Some("bypassPermissions");
    match flag.stance {
        Permissions => Some(skips_permissions(name)),
        Free if bypass => Some(skips_permissions("--permission-mode bypassPermissions")),
        Free => None,
        Harness => Some((
            format!("the harness sets `{name}` itself"),
            "remove it".to_owned(),
        )),
        Unfit => Some((
            format!("`{name}` does not go with one prompt that is answered and done"),
            "remove it".to_owned(),
        )),
    }
}

fn skips_permissions(what: &str) -> (String, String) {
    (
        format!("`{what}` skips permission rules"),
        "allow just what the cell needs: `--allowed-tools \"Bash(echo pong)\" --permission-mode dontAsk`"
            .to_owned(),
    )
}

fn stray(word: &str) -> (String, String) {
    (
        format!("`{word}` is neither a flag nor the value of one"),
        match word.contains(" -") || word.contains("--") {
            true => "one word an entry: `[--effort, high]`".to_owned(),
            false => "flags begin with `-`; what is said to Claude Code goes into `prompt`".to_owned(),
        },
    )
}

fn unknown(name: &str) -> (String, String) {
    let names = FLAGS.iter().flat_map(|flag| flag.names.iter().copied());
    let hint = match closest(name, names) {
        _ if name.contains(' ') => "one word an entry: `[--effort, high]`".to_owned(),
        Some(close) => format!("did you mean `{close}`?"),
        None => "`claude --help` lists them; one that is new belongs into `src/cells/reserved.rs`".to_owned(),
    };
    (format!("`claude` has no flag `{name}`"), hint)
}

/// Why a cell may not set the variable `name`; `None` if it may.
pub fn variable_refusal(name: &str) -> Option<String> {
    const HARNESS: [&str; 12] = [
        "HOME",
        "PATH",
        "PWD",
        "USER",
        "SHELL",
        "TMPDIR",
        "LANG",
        "CLAUDE_CONFIG_DIR",
        "CLAUDE_CODE_MAX_RETRIES",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "API_TIMEOUT_MS",
        "NODE_OPTIONS",
    ];
    const CREDENTIAL_ENDINGS: [&str; 6] = [
        "_API_KEY",
        "_AUTH_TOKEN",
        "_TOKEN",
        "_SECRET",
        "_PASSWORD",
        "_CREDENTIALS",
    ];
    const CLOUDS: [&str; 6] = ["AWS_", "GOOGLE_", "GCLOUD_", "AZURE_", "VERTEX", "CLOUD_ML_"];
    const ELSEWHERE: [&str; 3] = ["CLAUDE_CODE_USE_", "CLAUDE_CODE_SKIP_", "XDG_"];
    let upper = name.to_ascii_uppercase();
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| upper.starts_with(prefix));
    let ends = |endings: &[&str]| endings.iter().any(|ending| upper.ends_with(ending));
    if ends(&CREDENTIAL_ENDINGS) || begins(&CLOUDS) {
        return Some("it is or names a credential, and cells hold none".to_owned());
    }
    if upper.ends_with("_BASE_URL")
        || upper.ends_with("_PROXY")
        || begins(&ELSEWHERE[..1])
        || begins(&["LITELLM_"])
    {
        return Some("it would send `claude` past the gateway under test".to_owned());
    }
    if upper.starts_with("ANTHROPIC_") && upper.contains("MODEL") {
        return Some("the model is the trial's alias".to_owned());
    }
    if HARNESS.contains(&upper.as_str()) || begins(&ELSEWHERE[1..]) || upper.starts_with("COMPAT_") {
        return Some("the harness sets it itself".to_owned());
    }
    if upper == "LD_PRELOAD" || upper == "LD_LIBRARY_PATH" || upper.starts_with("DYLD_") {
        return Some("it would change the program under test".to_owned());
    }
    None
}

/// The flags that a cell may use.
fn usable_flags() -> String {
    listed(
        FLAGS
            .iter()
            .filter(|flag| flag.stance == Free)
            .map(|flag| flag.names[0]),
    )
}
