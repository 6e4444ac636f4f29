//! The files of the prompts, compared with those that the provider received.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::expectation::Deviation;
use crate::expectation::provider_side::{at, outline};
use crate::wire::exchange::ProviderExchange;
use crate::wire::message::Content;
use crate::wire::script::{Prompt, PromptBlock};

/// Media type and bytes of a prompt block of the kind.
type OfPrompt = fn(&PromptBlock) -> Option<(&str, &[u8])>;
/// Media type and base64 of a request block of the kind.
type OfRequest = fn(&Content) -> Option<(&str, &str)>;

/// The deviations of the files of a kind that did not arrive byte for byte.
pub(super) fn missing(
    noun: &str,
    of_prompt: OfPrompt,
    of_request: OfRequest,
    prompts: &[Prompt],
    exchange: &ProviderExchange,
) -> Vec<Deviation> {
    let message = exchange.message.iter();
    let blocks = message.flat_map(|message| message.blocks());
    let arrived: Vec<(&str, Option<Vec<u8>>)> = blocks
        .filter_map(|block| of_request(&block.content))
        .map(|(media_type, data)| (media_type, STANDARD.decode(data).ok()))
        .collect();
    let sent = prompts
        .iter()
        .flat_map(|prompt| &prompt.blocks)
        .filter_map(of_prompt);
    let lost = sent.filter(|(media_type, bytes)| {
        let is_it =
            |(kind, data): &(&str, Option<Vec<u8>>)| kind == media_type && data.as_deref() == Some(*bytes);
        !arrived.iter().any(is_it)
    });
    lost.map(|(media_type, bytes)| Deviation {
        summary: format!("the provider did not receive the {noun}"),
        expected: format!("an `{media_type}` block of these {} bytes", bytes.len()),
        actual: in_words(&arrived).unwrap_or_else(|| format!("no {noun} block; {}", outline(exchange))),
        evidence: Some(at(exchange)),
    })
    .collect()
}

fn in_words(arrived: &[(&str, Option<Vec<u8>>)]) -> Option<String> {
    let blocks: Vec<String> = arrived
        .iter()
        .map(|(kind, data)| match data {
            Some(data) => format!("an `{kind}` block of {} bytes, not the same", data.len()),
            None => format!("an `{kind}` block whose base64 cannot be decoded"),
        })
        .collect();
    (!blocks.is_empty()).then(|| blocks.join(", "))
}
