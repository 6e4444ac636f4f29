//! The files of a row or a column that is not written yet: correct in form, and red until somebody writes them.

use super::yaml_text;
use crate::wire::Route;

/// The name of the expectation that keeps a cell red until it is written.
pub const WRITE_ME: &str = "write_me";

/// `_shared.yaml` of the feature that readers call `name`.
pub fn feature(name: &str) -> String {
    let description = yaml_text::scalar(&format!("{name} works through the gateway."));
    let todo = yaml_text::scalar(&format!(
        "ask for {name}; say what the provider answers and what must then hold"
    ));
    format!(
        "# yaml-language-server: $schema=../../schema/shared.schema.json
description: {description}

# The prompt for Claude Code. Images and documents go into `prompts`, command-line flags into `flags`.
prompt: 'Reply with the single word: pong'

# The replies of the simulated provider, one for each request. A live model gives its own.
replies:
  - content:
      - text: pong

# What must then hold, each under a name of its own. `docs/cells-reference.md` lists every kind.
# `cells/_shared.yaml` and `cells/_providers/` add what is expected of every cell.
expect:
  reply:
    text: {{ matches: '(?i)\\bpong\\b' }}
  # Every trial of this row fails until this is removed.
  {WRITE_ME}:
    todo: {todo}
"
    )
}

/// `_providers/<provider>.yaml`.
pub fn provider(provider: &str) -> String {
    let route = Route::ALL.into_iter().find(|route| route.as_str() == provider);
    let route = route.map_or(String::new(), |route| {
        format!(
            "  route:\n    request: {{ turn: every, route: {} }}\n",
            route.as_str()
        )
    });
    let todo = yaml_text::scalar(&format!("say what is true of every request to `{provider}`"));
    format!(
        "# yaml-language-server: $schema=../../schema/cell.schema.json
# What is true of `{provider}` in every row. If no feature can exist there, replace all of this by
# `not_applicable: <reason for readers of the matrix>`.
expect:
{route}  # Every trial of this column fails until this is removed.
  {WRITE_ME}_{provider}:
    todo: {todo}
"
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cells::forms;
    use crate::document::yaml;

    #[test]
    fn stubs_are_correct_in_form_whatever_the_name() {
        for name in ["PDF input", "it's: a \"name\" #1", "Ünïcode — ✓"] {
            let node = yaml::parse(Path::new("_shared.yaml"), feature(name).as_bytes()).expect(name);
            assert!(forms::SHARED.check(&node).is_empty(), "{name}");
        }
        for name in ["anthropic", "new_one"] {
            let node = yaml::parse(Path::new("cell.yaml"), provider(name).as_bytes()).expect(name);
            assert!(forms::CELL.check(&node).is_empty(), "{name}");
        }
    }
}
