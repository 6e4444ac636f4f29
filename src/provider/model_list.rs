//! The models of Anthropic's API: `GET /v1/models`, and `GET /v1/models/{id}` for one of them.
//!
//! Source: <https://platform.claude.com/docs/en/api/models/list>, <https://platform.claude.com/docs/en/api/models/retrieve>.

use serde_json::{Value, json};

use super::oauth::form_fields;
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;
use crate::wire::model::{Generation, MODELS, Model, find, is_offered};

/// The most models of an answer, if the request names no number.
const PAGE: usize = 20;
/// The most models that a request may ask for.
const LONGEST_PAGE: usize = 1_000;

/// The body of an answer: the newest models first, those of `tiers` that the table of models lacks before them.
pub(super) fn page(query: &str, tiers: &[String]) -> Result<Value, ErrorReply> {
    let unlisted = tiers.iter().filter(|name| find(name).is_none());
    let listed = MODELS.iter().rev().filter(|model| !model.is_retired());
    let entries: Vec<Value> = unlisted
        .map(|name| unlisted_entry(name))
        .chain(listed.map(entry))
        .collect();
    let refused = |message: String| Err(ErrorReply::new(400, message));
    let (mut limit, mut rest, mut is_before) = (PAGE, &entries[..], false);
    for (name, value) in form_fields(query) {
        let position = || entries.iter().position(|entry| entry["id"] == *value);
        match (name.as_str(), value.parse()) {
            ("limit", Ok(number @ 1..=LONGEST_PAGE)) => limit = number,
            ("limit", _) => return refused(format!("limit: Input should be between 1 and {LONGEST_PAGE}")),
            ("after_id" | "before_id", _) => match position() {
                Some(at) if name == "before_id" => (rest, is_before) = (&entries[..at], true),
                Some(at) => rest = &entries[at + 1..],
                None => return refused(format!("{name}: {value} is not the id of a model")),
            },
            _ => {}
        }
    }
    let shown = match is_before {
        true => &rest[rest.len().saturating_sub(limit)..],
        false => &rest[..limit.min(rest.len())],
    };
    let id = |entry: Option<&Value>| entry.map_or(Value::Null, |entry| entry["id"].clone());
    Ok(json!({
        "data": shown,
        "has_more": shown.len() < rest.len(),
        "first_id": id(shown.first()),
        "last_id": id(shown.last()),
    }))
}

/// The body of an answer about one model, by its id or its alias.
pub(super) fn one(name: &str, tiers: &[String]) -> Result<Value, ErrorReply> {
    match find(name) {
        _ if !is_offered(Route::Anthropic, name, tiers) => {
            Err(ErrorReply::new(404, format!("model: {name}")))
        }
        Some(model) => Ok(entry(model)),
        None => Ok(unlisted_entry(name)),
    }
}

fn entry(model: &Model) -> Value {
    // Since Claude 4.6, the ids have no date.
    let (id, created_at) = match model.date {
        date if date.is_empty() || model.generation >= Generation::FourSix => {
            (model.name.to_owned(), UNKNOWN_TIME.to_owned())
        }
        date => (
            format!("{}-{date}", model.name),
            format!("{}-{}-{}T00:00:00Z", &date[..4], &date[4..6], &date[6..]),
        ),
    };
    let mut entry = unlisted_entry(model.name);
    entry["id"] = id.into();
    entry["created_at"] = created_at.into();
    entry["max_input_tokens"] = model.context_window.into();
    entry["max_tokens"] = model.max_output_tokens.into();
    entry
}

/// What stands for the time of a release that is not known.
const UNKNOWN_TIME: &str = "1970-01-01T00:00:00Z";

/// A model of which only the name is known.
fn unlisted_entry(name: &str) -> Value {
    let lines = ["haiku", "sonnet", "opus", "fable", "mythos"];
    let line = name.split('-').find(|word| lines.contains(word));
    json!({
        "type": "model",
        "id": name,
        "display_name": display_name(name),
        "created_at": UNKNOWN_TIME,
        "lifecycle": "active",
        "line": line,
        "deprecated_at": null,
        "retires_at": null,
        "max_input_tokens": null,
        "max_tokens": null,
        "capabilities": null,
    })
}

/// `Claude Haiku 4.5` for `claude-haiku-4-5`.
fn display_name(name: &str) -> String {
    let mut shown = String::new();
    let mut after_number = false;
    for word in name.split('-') {
        let is_number = word.starts_with(|first: char| first.is_ascii_digit());
        match (is_number && after_number, shown.is_empty()) {
            (true, _) => shown.push('.'),
            (false, true) => {}
            (false, false) => shown.push(' '),
        }
        let mut letters = word.chars();
        shown.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        shown.extend(letters);
        after_number = is_number;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(query: &str) -> Vec<String> {
        let page = page(query, &["claude-new-9".to_owned()]).unwrap();
        let entries = page["data"].as_array().unwrap();
        entries
            .iter()
            .map(|entry| entry["id"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_newest_models_come_first_and_pages_follow_each_other() {
        let all = ids("limit=1000");
        assert_eq!(all[0], "claude-new-9");
        assert!(all.contains(&"claude-haiku-4-5-20251001".to_owned()));
        assert!(all.contains(&"claude-opus-4-7".to_owned()));
        assert!(!all.iter().any(|id| id.starts_with("claude-3")));
        assert_eq!(ids(&format!("before_id={}&limit=2", all[3])), all[1..3]);
        let (first, rest) = (ids("limit=2"), ids(&format!("after_id={}&limit=1000", all[1])));
        assert_eq!([first, rest].concat(), all);
        let ends = |query: &str| page(query, &[]).unwrap()["has_more"] == false;
        assert!(ends("limit=1000") && !ends("limit=2"));
    }

    #[test]
    fn one_model_has_the_entry_of_the_list() {
        let all = page("limit=1000", &[]).unwrap();
        let entries = all["data"].as_array().unwrap();
        let dated = entries
            .iter()
            .find(|entry| entry["id"] == "claude-haiku-4-5-20251001");
        for name in ["claude-haiku-4-5", "claude-haiku-4-5-20251001"] {
            assert_eq!(one(name, &[]).ok().as_ref(), dated);
        }
        assert!(one("claude-new-9", &["claude-new-9".to_owned()]).is_ok());
        for name in ["claude-new-9", "claude-haiku-4-5@20251001"] {
            assert!(one(name, &[]).is_err(), "{name}");
        }
    }

    #[test]
    fn a_wrong_page_is_refused() {
        for query in ["limit=0", "limit=1001", "limit=x", "after_id=claude-none"] {
            assert!(page(query, &[]).is_err(), "{query}");
        }
    }

    #[test]
    fn a_name_has_a_form_for_people() {
        assert_eq!(display_name("claude-haiku-4-5"), "Claude Haiku 4.5");
        assert_eq!(display_name("claude-mythos-preview"), "Claude Mythos Preview");
    }
}
