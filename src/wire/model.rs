//! Facts about a model by its name, in any provider's spelling.

/// The Messages API's name of a model without its date: `claude-haiku-4-5` for
/// `us.anthropic.claude-haiku-4-5-20251001-v1:0`, for `claude-haiku-4-5@20251001` and for ARNs with these.
pub fn canonical_name(model: &str) -> &str {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.rsplit_once("anthropic.").map_or(name, |(_, name)| name);
    let name = name.split(['@', ':']).next().unwrap_or(name);
    let name = match name.rsplit_once("-v") {
        Some((stem, version)) if version.chars().all(|c| c.is_ascii_digit()) => stem,
        _ => name,
    };
    match name.rsplit_once('-') {
        Some((stem, date)) if date.len() == 8 && date.chars().all(|c| c.is_ascii_digit()) => stem,
        _ => name,
    }
}

/// The model's name in replies, with a date if it has one.
pub fn reply_name(model: &str) -> &str {
    match canonical_name(model) {
        "claude-haiku-4-5" => "claude-haiku-4-5-20251001",
        name => name,
    }
}

/// The fewest tokens that a prefix must have to be cached.
///
/// Source: <https://platform.claude.com/docs/en/build-with-claude/prompt-caching#cache-limitations>, read on
/// 2026-11-21; Bedrock's table agrees for these models.
pub fn minimum_cacheable_tokens(model: &str) -> u64 {
    match canonical_name(model) {
        "claude-haiku-4-5" | "claude-opus-4-5" | "claude-opus-4-6" => 4096,
        "claude-opus-4-7" => 2048,
        _ => 1024,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_model_has_one_canonical_name() {
        for spelling in [
            "claude-haiku-4-5",
            "claude-haiku-4-5-20251001",
            "claude-haiku-4-5@20251001",
            "anthropic.claude-haiku-4-5-20251001-v1:0",
            "us.anthropic.claude-haiku-4-5-20251001-v1:0",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
        ] {
            assert_eq!(canonical_name(spelling), "claude-haiku-4-5", "{spelling}");
        }
        assert_eq!(canonical_name("us.anthropic.claude-opus-4-7"), "claude-opus-4-7");
        assert_eq!(canonical_name(""), "");
    }
}
