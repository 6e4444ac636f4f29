//! The conversation's text and media.

use std::io::Cursor;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{ImageFormat, ImageReader};

use super::{Rule, Subject, placed};
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;
use crate::wire::message::{Block, Content};
use crate::wire::model::Generation;

pub(super) const RULES: &[Rule] = rules![roles, empty_content, empty_text, image_source, image, document,];

/// The largest image, in bytes of base64.
const LARGEST_IMAGE: usize = 5 << 20;
/// The most pixels of an image's width or height.
const MOST_PIXELS: u32 = 8000;
/// The most images of a request whose images may have [`MOST_PIXELS`]; with more, each may have [`MOST_PIXELS_OF_MANY`].
const FEW_IMAGES: usize = 20;
const MOST_PIXELS_OF_MANY: u32 = 2000;

/// `system` within a conversation is a role since Opus 4.8. Converse has it too: `ConversationRole` of botocore 1.44.5.
///
/// Source: https://platform.claude.com/docs/en/api/messages (messages.role); https://github.com/BerriAI/litellm/issues/29698,
/// https://github.com/BerriAI/litellm/issues/33807 (refused for older models, accepted for Opus 4.8)
fn roles(subject: &Subject) -> Option<ErrorReply> {
    let takes_system = subject.may_be_since(Generation::FourEight);
    let messages = &subject.message()?.messages;
    for (index, message) in messages.iter().enumerate() {
        match message.role.as_str() {
            "user" | "assistant" => {}
            "system" if takes_system => {}
            "system" => {
                return subject.invalid(
                    "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, not \
                     \"system\" as an input message role.",
                );
            }
            _ => {
                return subject.invalid(format!(
                    "messages.{index}.role: Input should be 'user' or 'assistant'"
                ));
            }
        }
    }
    None
}

/// Only a last message of the assistant may be empty, and a system entry that changes the effort.
///
/// Source: https://platform.claude.com/docs/en/api/messages (messages.content),
/// https://platform.claude.com/docs/en/build-with-claude/effort-per-message
fn empty_content(subject: &Subject) -> Option<ErrorReply> {
    let messages = &subject.message()?.messages;
    let prompt = subject.prompt()?;
    let last = messages.len().saturating_sub(1);
    let (empty, _) = messages.iter().enumerate().find(|(index, message)| {
        let changes_effort = || prompt["messages"][*index]["output_config"]["effort"].is_string();
        let may_be_empty = match message.role.as_str() {
            "assistant" => *index == last,
            "system" => changes_effort(),
            _ => false,
        };
        message.content.is_empty() && !may_be_empty
    })?;
    subject.invalid(format!(
        "messages.{empty}: all messages must have non-empty content except for the optional final assistant message"
    ))
}

/// Source: https://github.com/anthropics/claude-code/issues/59812,
/// https://github.com/anthropics/claude-code/issues/23440, https://github.com/anthropics/claude-code/issues/62379
/// (wordings); https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html
fn empty_text(subject: &Subject) -> Option<ErrorReply> {
    placed("system", &subject.message()?.system)
        .chain(subject.blocks())
        .find_map(|(place, block)| text_refusal(subject, &place, block))
}

fn text_refusal(subject: &Subject, place: &str, block: &Block) -> Option<ErrorReply> {
    let Content::Text(text) = &block.content else {
        return None;
    };
    if !text.trim().is_empty() {
        return None;
    }
    let scope = place.split('.').next().unwrap_or(place);
    match subject.route() {
        Route::BedrockConverse => Some(ErrorReply::new(
            400,
            format!(
                "The text field in the ContentBlock object at {place} is blank. Add text to the text field, and try again."
            ),
        )),
        _ if block.cache.is_some() => subject.invalid(format!(
            "{place}.text: cache_control cannot be set for empty text blocks"
        )),
        _ if text.is_empty() => subject.invalid(format!("{scope}: text content blocks must be non-empty")),
        _ => subject.invalid(format!(
            "{scope}: text content blocks must contain non-whitespace text"
        )),
    }
}

/// Source: https://platform.claude.com/docs/en/build-with-claude/vision (formats, 5 MB, pixels); wordings:
/// https://github.com/anthropics/claude-code/issues/20021, https://github.com/anthropics/claude-code/issues/5147,
/// https://github.com/anthropics/claude-code/issues/52220 (many images)
fn image(subject: &Subject) -> Option<ErrorReply> {
    let is_image = |block: &Block| matches!(block.content, Content::Image { .. });
    let images = media_blocks(subject).filter(|(_, block)| is_image(block)).count();
    let limit = match images > FEW_IMAGES {
        true => (MOST_PIXELS_OF_MANY, " for many-image requests"),
        false => (MOST_PIXELS, ""),
    };
    media_blocks(subject).find_map(|(place, block)| match &block.content {
        Content::Image { media_type, data } => subject.invalid(image_fault(&place, media_type, data, limit)?),
        _ => None,
    })
}

/// Bedrock, Vertex AI and a Foundry deployment hosted on Azure take no images and no documents from the Files API. Bedrock and Vertex AI
/// take no images by URL, and Bedrock's Messages API no documents by URL. The wording is ours.
///
/// Source: https://platform.claude.com/docs/en/build-with-claude/vision (base64 only),
/// https://platform.claude.com/docs/en/build-with-claude/files (supported platforms),
/// https://platform.claude.com/docs/en/build-with-claude/claude-in-amazon-bedrock (features not supported),
/// https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry (hosted on Azure)
fn image_source(subject: &Subject) -> Option<ErrorReply> {
    let by_url: &[&str] = match subject.route() {
        Route::BedrockMantle => &["image", "document"],
        Route::BedrockInvoke | Route::VertexAi => &["image"],
        Route::Azure if subject.is_hosted_on_azure() => &[],
        _ => return None,
    };
    media_blocks(subject).find_map(|(place, block)| {
        let Content::Other(media) = &block.content else {
            return None;
        };
        let kind = media["type"].as_str()?;
        let tag = media["source"]["type"].as_str()?;
        let is_refused = match tag {
            "url" => by_url.contains(&kind),
            "file" => matches!(kind, "image" | "document"),
            _ => false,
        };
        is_refused.then(|| subject.invalid(format!(
            "{place}.{kind}.source: Input tag '{tag}' found using 'type' does not match any of the expected tags: 'base64'"
        )))?
    })
}

/// The blocks of the conversation and those within tool results.
fn media_blocks<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (String, &'a Block)> {
    subject.blocks().flat_map(|(place, block)| {
        let inner: &[Block] = match &block.content {
            Content::ToolResult { content, .. } => content,
            _ => &[],
        };
        let inner = placed(&format!("{place}.tool_result.content"), inner);
        std::iter::once((place, block)).chain(inner)
    })
}

/// The size is that of the base64 text. `most_pixels` comes with the words for the requests that it is for.
fn image_fault(place: &str, media_type: &str, data: &str, (most_pixels, of): (u32, &str)) -> Option<String> {
    if data.len() > LARGEST_IMAGE {
        return Some(format!(
            "{place}.image.source.base64: image exceeds 5 MB maximum: {} bytes > {LARGEST_IMAGE} bytes",
            data.len()
        ));
    }
    let Ok(bytes) = STANDARD.decode(data) else {
        return Some(format!("{place}.image.source.base64: invalid base64 data"));
    };
    let reader = || ImageReader::new(Cursor::new(&bytes)).with_guessed_format().ok();
    if let Some((width, height)) = reader().and_then(|reader| reader.into_dimensions().ok())
        && width.max(height) > most_pixels
    {
        return Some(format!(
            "{place}.image.source.base64.data: At least one of the image dimensions exceed max allowed size{of}: \
             {most_pixels} pixels"
        ));
    }
    let Some(actual) = reader().and_then(decoded_type) else {
        return Some("Could not process image".to_owned());
    };
    (actual != media_type).then(|| {
        format!(
            "{place}.image.source.base64.data: The image was specified using the {media_type} media type, but the \
             image appears to be a {actual} image"
        )
    })
}

/// The media type of an image that can be decoded.
fn decoded_type(reader: ImageReader<Cursor<&Vec<u8>>>) -> Option<&'static str> {
    let media_type = match reader.format()? {
        ImageFormat::Png => "image/png",
        ImageFormat::Jpeg => "image/jpeg",
        ImageFormat::Gif => "image/gif",
        ImageFormat::WebP => "image/webp",
        _ => return None,
    };
    reader.decode().ok()?;
    Some(media_type)
}

/// Source: https://platform.claude.com/docs/en/build-with-claude/pdf-support
fn document(subject: &Subject) -> Option<ErrorReply> {
    media_blocks(subject).find_map(|(place, block)| match &block.content {
        Content::Document { media_type, data } if media_type == "application/pdf" => {
            let is_pdf = STANDARD
                .decode(data)
                .is_ok_and(|bytes| bytes.starts_with(b"%PDF-"));
            (!is_pdf).then(|| subject.invalid(format!("{place}.pdf: The PDF specified was not valid.")))?
        }
        _ => None,
    })
}
