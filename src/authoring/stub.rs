//! The files of a new row or column. They are valid, and their trials fail until the author replaces the `todo`.

use super::yaml_text;
use crate::wire::Route;

/// The name of the expectation that never holds, until the author replaces it.
pub const WRITE_ME: &str = "write_me";

/// `cells/<feature>/_shared.yaml`; readers call the feature `name`.
pub fn feature(name: &str) -> String {
    let description = yaml_text::scalar(&format!("{name} works through the gateway."));
    let todo = yaml_text::scalar(&format!(
        "ask for {name}; write the provider's replies and the expectations"
    ));
    format!(
        "# yaml-language-server: $schema=../../schema/shared.schema.json
description: {description}

# The prompt for Claude Code. Images and documents go into `prompts`, command-line flags into `flags`.
prompt: 'Reply with the single word: pong'

# The replies of the simulated provider, one for each request. A live run does not use them.
replies:
  - content:
      - text: pong

# The expectations, each with a name. `docs/cells-reference.md` lists every kind.
# `cells/_shared.yaml` and `cells/_providers/` add expectations for every cell.
expect:
  reply:
    text: {{ matches: '(?i)\\bpong\\b' }}
  # Every trial of this row fails until you remove this.
  {WRITE_ME}:
    todo: {todo}
"
    )
}

/// `cells/_providers/<provider>.yaml`.
pub fn provider(provider: &str) -> String {
    let route = Route::called(provider).map_or(String::new(), |route| {
        format!(
            "  route:\n    request: {{ turn: every, route: {} }}\n",
            route.as_str()
        )
    });
    let todo = yaml_text::scalar(&format!(
        "write the expectations for every request to `{provider}`"
    ));
    format!(
        "# yaml-language-server: $schema=../../schema/cell.schema.json
# Expectations for `{provider}` in every row. If no feature can exist there, replace the whole file by
# `not_applicable: <reason for readers of the matrix, with its source>`.
expect:
{route}  # Every trial of this column fails until you remove this.
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
