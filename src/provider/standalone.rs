//! The reply of a simulator without a script: a greeting, or the call or the JSON that the request forces.

use serde_json::{Value, json};

use super::as_live::instance::smallest;
use super::incoming::Incoming;
use crate::wire::Route;
use crate::wire::message::MessageRequest;
use crate::wire::script::{ReplyBlock, ReplyMessage};
use crate::wire_diff::fields_of_converse;

/// The reply of a standalone simulator to requests without a script.
pub fn standalone_reply() -> ReplyMessage {
    of_block(ReplyBlock::Text("Hello from the provider simulator.".to_owned()))
}

pub(super) fn of_block(block: ReplyBlock) -> ReplyMessage {
    ReplyMessage {
        content: vec![block],
        ..ReplyMessage::default()
    }
}

/// The reply that `incoming` forces: a call of a tool, with the smallest arguments, or the smallest value of its schema.
pub(super) fn forced(incoming: &Incoming) -> Option<ReplyMessage> {
    let (prompt, request) = (incoming.prompt.as_ref()?, incoming.message.as_ref()?);
    let of_converse = (incoming.route() == Route::BedrockConverse).then(|| fields_of_converse(prompt));
    let fields = of_converse.as_ref().unwrap_or(prompt);
    let block = call(&fields["tool_choice"], request).or_else(|| {
        let formats = [&fields["output_config"]["format"], &fields["output_format"]];
        let schema = formats.iter().find_map(|format| format.get("schema"))?;
        Some(ReplyBlock::Text(smallest(schema).to_string()))
    });
    block.map(of_block)
}

fn call(choice: &Value, request: &MessageRequest) -> Option<ReplyBlock> {
    let mut tools = request.tools.iter();
    let tool = match choice["type"].as_str()? {
        // A tool of the provider's own has no schema.
        "any" => tools.find(|tool| tool.parts()[2].is_object()),
        "tool" => tools.find(|tool| choice["name"] == *tool.name),
        _ => None,
    }?;
    let [_, _, schema] = tool.parts();
    Some(ReplyBlock::ToolUse {
        name: tool.name.clone(),
        input: Some(smallest(schema))
            .filter(Value::is_object)
            .unwrap_or(json!({})),
    })
}
