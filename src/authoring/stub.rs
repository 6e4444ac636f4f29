//! The files of a row or a column that is still to be written: right in form, and red until somebody writes them.

use std::fmt::Write as _;

use super::yaml_text;
use crate::wire::Route;

/// The name of the expectation that keeps a cell red until it is written.
pub const WRITE_ME: &str = "write_me";

/// The first line of a file in the folder of a feature: where its JSON Schema is.
pub fn modeline(schema: &str) -> String {
    format!("# yaml-language-server: $schema=../../schema/{}\n", schema)
}

/// `_shared.yaml` of the feature whose readers call it `name`.
pub fn shared(name: &str) -> String {
    let description = yaml_text::scalar(&format!("{name} works through the gateway."));
    let todo = yaml_text::scalar(&format!(
        "ask for {name}, and say what the provider answers and what must then hold"
    ));
    format!(
        "{modeline}description: {description}

# What is said to Claude Code. Images and documents go into `prompts`, command-line flags into `flags`.
prompt: 'Reply with the single word: pong'

# What the simulated provider answers, one reply a request. A real model answers by itself.
replies:
  - content:
      - text: pong

# What must then hold, each under a name of its own: `docs/cells-reference.md` has every kind.
expect:
  reply:
    text: {{ matches: '(?i)\\bpong\\b' }}
  reply_unchanged:
    unchanged: {{ way: reply }}
  # Every trial of this row fails until this is gone.
  {WRITE_ME}:
    todo: {todo}
",
        modeline = modeline("shared.schema.json"),
    )
}

/// The file of `provider`; `precedent` is why the provider's last cell that is not applicable is not.
pub fn cell(provider: &str, precedent: Option<&str>) -> String {
    let route = Route::ALL.into_iter().find(|route| route.as_str() == provider);
    let mut out = modeline("cell.schema.json");
    let _ = writeln!(
        out,
        "# What is true of `{provider}` alone; all else stands in `_shared.yaml`."
    );
    if precedent.is_some() || route.is_none() {
        out.push_str("# If the feature cannot exist there, this file holds one key alone, for readers of the matrix:\n");
        let reason = precedent.unwrap_or("why the feature cannot exist there");
        let _ = writeln!(out, "#   not_applicable: {}", yaml_text::scalar(reason));
    }
    out.push_str("expect:\n");
    if let Some(route) = route {
        let _ = write!(
            out,
            "  route:\n    request: {{ turn: every, route: {} }}\n",
            route.as_str()
        );
    }
    let otherwise = match route {
        Some(_) => "or remove this if nothing is",
        None => "or why the feature cannot exist there",
    };
    let todo = format!("say what is true of `{provider}` alone, {otherwise}");
    let _ = write!(
        out,
        "  # Every trial of this cell fails until this is gone.\n  {WRITE_ME}_{provider}:\n    todo: {}\n",
        yaml_text::scalar(&todo)
    );
    out
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::document::yaml;
    use crate::spec::forms;

    #[test]
    fn stubs_are_right_in_form_whatever_the_name() {
        for name in ["PDF input", "it's: a \"name\" #1", "Ünïcode — ✓"] {
            let node = yaml::parse(Path::new("_shared.yaml"), shared(name).as_bytes()).expect(name);
            assert!(forms::SHARED.check(&node).is_empty(), "{name}");
            for (provider, precedent) in [
                ("anthropic", None),
                ("azure", Some("it's not: there")),
                ("new_one", None),
            ] {
                let text = cell(provider, precedent);
                let node = yaml::parse(Path::new("cell.yaml"), text.as_bytes()).expect(name);
                assert!(forms::CELL.check(&node).is_empty(), "{text}");
            }
        }
    }
}
