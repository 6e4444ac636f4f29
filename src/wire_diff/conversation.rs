//! Differences in tools, system prompt and messages, and in their cache breakpoints.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::pairing::Pair;
use super::{Difference, Fate, Part, unknown, values};
use crate::wire::converse::LONGEST_NAME as LONGEST_NAME_ON_CONVERSE;
use crate::wire::message::{
    BILLING_LINE, Block, CacheBreakpoint, Content, MessageRequest, Tool, without_breakpoint,
};
use crate::wire::tokens;

/// The role of the system prompt, and of a message with instructions.
const SYSTEM: &str = "system";
const USER: &str = "user";

/// Stands for a message without content.
static EMPTY: LazyLock<Block> = LazyLock::new(|| Block {
    content: Content::Other(json!({"content": []})),
    cache: None,
});

struct Item<'a> {
    /// `system[1] (text)`, `messages[2] user block 0 (tool_result)`.
    label: String,
    /// Its role and content: equal for the same block in another request.
    identity: String,
    block: &'a Block,
    /// The block in the body; null if the body has another form.
    raw: &'a Value,
}

/// A request in both forms: as a model sees it, and its body, which is null if it is not of the Messages API.
#[derive(Clone, Copy)]
pub(super) struct Prompt<'a> {
    pub(super) message: &'a MessageRequest,
    pub(super) body: &'a Value,
}

pub(super) fn differences(sent: Prompt<'_>, arrived: Prompt<'_>) -> Vec<Difference> {
    let mut found = blocks(&items(sent), &items(arrived));
    found.extend(unknown::of_messages(sent.body, arrived.body));
    found.extend(tools(&sent.message.tools, &arrived.message.tools));
    moved_breakpoint(&mut found);
    found
}

/// Joins a lost breakpoint and an added one with the same lifetime.
fn moved_breakpoint(found: &mut Vec<Difference>) {
    let Some(lost) = only_breakpoint(found, Fate::Dropped) else {
        return;
    };
    let Some(added) = only_breakpoint(found, Fate::Added) else {
        return;
    };
    if found[lost].before == found[added].after {
        let (from, to) = (found[lost].path.clone(), found[added].path.clone());
        found[lost] = Difference::of(Part::Breakpoint, &from, from.as_str(), to).with_fate(Fate::Moved);
        found.remove(added);
    }
}

/// The index of the one breakpoint with this fate.
fn only_breakpoint(found: &[Difference], fate: Fate) -> Option<usize> {
    let is_it = |one: &Difference| (one.part, one.fate) == (Part::Breakpoint, fate);
    let first = found.iter().position(is_it)?;
    (found.iter().rposition(is_it) == Some(first)).then_some(first)
}

fn items(
    Prompt {
        message: request,
        body,
    }: Prompt<'_>,
) -> Vec<Item<'_>> {
    let system = request.system.iter().enumerate().map(|(index, block)| {
        let raw = &body["system"][index];
        item(format!("system[{index}]"), SYSTEM, block, raw)
    });
    let messages = request.messages.iter().enumerate().flat_map(|(index, message)| {
        let role = &message.role;
        let blocks = message.content.iter().enumerate().map(move |(place, block)| {
            let raw = &body["messages"][index]["content"][place];
            item(
                format!("messages[{index}] {role} block {place}"),
                role,
                block,
                raw,
            )
        });
        // It may change the effort, and no model gets it as text.
        let empty = message.content.is_empty().then(|| Item {
            label: format!("messages[{index}] {role} (without content)"),
            identity: format!("{role} without content"),
            block: &EMPTY,
            raw: &Value::Null,
        });
        blocks.chain(empty)
    });
    system.chain(messages).collect()
}

fn item<'a>(place: String, role: &str, block: &'a Block, raw: &'a Value) -> Item<'a> {
    // A name of its own, so that what is known of this block hides nothing of the system prompt's other texts.
    let kind = match &block.content {
        Content::Text(text) if role == SYSTEM && text.starts_with(BILLING_LINE) => "attribution",
        content => content.kind(),
    };
    Item {
        label: format!("{place} ({kind})"),
        identity: format!("{role} {}", as_json(&block.content)),
        block,
        raw,
    }
}

/// The content as JSON in the words of the Messages API, without cache breakpoints.
fn as_json(content: &Content) -> Value {
    match content {
        Content::Text(text) => json!({"text": text}),
        Content::Image { media_type, data } | Content::Document { media_type, data } => {
            json!({"media_type": media_type, "data": data})
        }
        Content::Thinking { thinking, signature } => {
            json!({"thinking": thinking, "signature": Some(signature).filter(|text| !text.is_empty())})
        }
        Content::RedactedThinking(data) => json!({"data": data}),
        Content::ToolUse { id, name, input } => json!({"id": id, "name": name, "input": input}),
        Content::ToolResult {
            tool_use_id,
            content,
            is_error,
        } => json!({
            "tool_use_id": tool_use_id,
            "content": content.iter().map(|block| as_json(&block.content)).collect::<Vec<_>>(),
            "is_error": is_error,
        }),
        Content::Other(value) => without_breakpoint(value),
    }
}

/// Compares block by block, not message by message: to join two messages of one role changes nothing for a model.
fn blocks(sent: &[Item], arrived: &[Item]) -> Vec<Difference> {
    let identities =
        |items: &[Item]| -> Vec<String> { items.iter().map(|item| item.identity.clone()).collect() };
    let mut found = Vec::new();
    let (mut lost, mut gained) = (Vec::new(), Vec::new());
    for operation in capture_diff_slices(Algorithm::Myers, &identities(sent), &identities(arrived)) {
        let (old, new) = (operation.old_range(), operation.new_range());
        match operation {
            DiffOp::Equal { .. } => {
                for (sent, arrived) in sent[old].iter().zip(&arrived[new]) {
                    found.extend(beside_content(sent, arrived));
                }
            }
            _ => {
                let (mut before, mut after) = (sent[old].iter().collect(), arrived[new].iter().collect());
                found.extend(changed(&mut before, &mut after));
                lost.append(&mut before);
                gained.append(&mut after);
            }
        }
    }
    found.extend(moved(&mut lost, &mut gained));
    let content = |item: &Item| as_json(&item.block.content);
    found.extend(
        lost.iter()
            .map(|item| Difference::of(Part::Block, &item.label, content(item), Value::Null)),
    );
    found.extend(
        gained
            .iter()
            .map(|item| Difference::of(Part::Block, &item.label, Value::Null, content(item))),
    );
    found
}

/// Removes the pairs of blocks with the same role and kind and different contents from both lists.
fn changed(before: &mut Vec<&Item>, after: &mut Vec<&Item>) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut index = 0;
    while index < before.len() {
        let old = before[index];
        let like =
            |new: &&Item| new.block.content.kind() == old.block.content.kind() && role(new) == role(old);
        let exists_elsewhere = after.iter().any(|new| new.identity == old.identity);
        match after.iter().position(like) {
            Some(place)
                if !exists_elsewhere && !before.iter().any(|item| item.identity == after[place].identity) =>
            {
                let new = after.remove(place);
                before.remove(index);
                found.extend(within(old, new));
            }
            _ => index += 1,
        }
    }
    found
}

fn role<'a>(item: &'a Item) -> &'a str {
    item.identity.split(' ').next().unwrap_or_default()
}

fn within(old: &Item, new: &Item) -> Vec<Difference> {
    let [mut before, mut after] = [old, new].map(|item| as_json(&item.block.content));
    if before["is_error"] != after["is_error"] {
        // The typed form has `false` for a flag that is not there.
        for (content, item) in [(&mut before, old), (&mut after, new)] {
            if content["is_error"] == false && item.raw["is_error"].is_null() {
                content["is_error"].take();
            }
        }
    }
    let mut found = within_block(&old.label, &before, &after);
    found.extend(beside_content(old, new));
    found
}

fn beside_content(old: &Item, new: &Item) -> Vec<Difference> {
    let mut found = breakpoint(&old.label, old.block, new.block);
    found.extend(unknown::of_block(&old.label, old.raw, new.raw));
    found
}

/// The differences within a block that exists on both sides.
pub(super) fn within_block(label: &str, before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = values::of_value(Part::Block, label, before, after);
    for difference in &mut found {
        if difference.path.ends_with(".signature") {
            difference.part = Part::Signature;
        }
    }
    found
}

/// Removes the blocks that are in both lists from both.
fn moved(lost: &mut Vec<&Item>, gained: &mut Vec<&Item>) -> Vec<Difference> {
    let (mut found, mut lowered, mut stayed) = (Vec::new(), Vec::new(), Vec::new());
    let is_entry = |one: &Item| role(one) == SYSTEM && one.label.starts_with("messages");
    let is_same = |one: &Item, other: &Item| {
        // A message may move into the system prompt, and a system entry into a message of the user. Both have another role there.
        let is_hoisted = role(one) != role(other) && role(other) == SYSTEM;
        let is_lowered = is_entry(one) && role(other) == USER;
        one.identity == other.identity
            || ((is_hoisted || is_lowered) && one.block.content == other.block.content)
    };
    lost.retain(|item| {
        let Some(place) = gained.iter().position(|new| is_same(item, new)) else {
            return true;
        };
        let new = gained.remove(place);
        let (label, to) = (item.label.as_str(), new.label.as_str());
        match label == to {
            _ if is_entry(item) && role(new) == USER => {
                lowered.push(Difference::of(Part::Block, format!("{label}.role"), SYSTEM, USER));
                lowered.extend(beside_content(item, new));
            }
            // It stayed where it was, between others that moved.
            true => stayed.push(label.to_owned()),
            false => found.push(Difference::of(Part::Block, label, label, to).with_fate(Fate::Moved)),
        }
        false
    });
    // Where the others seem to have stayed, they changed places with it.
    if found.is_empty() {
        let of = |label: &String| Difference::of(Part::Block, label, "in order", "out of order");
        found.extend(stayed.iter().map(|label| of(label).with_fate(Fate::Moved)));
    }
    found.append(&mut lowered);
    found
}

fn breakpoint(label: &str, sent: &Block, arrived: &Block) -> Vec<Difference> {
    let mut found: Vec<Difference> = cache(label, &sent.cache, &arrived.cache).into_iter().collect();
    if let (Content::ToolResult { content: old, .. }, Content::ToolResult { content: new, .. }) =
        (&sent.content, &arrived.content)
    {
        for (index, (old, new)) in old.iter().zip(new).enumerate() {
            found.extend(breakpoint(&format!("{label} content[{index}]"), old, new));
        }
    }
    found
}

fn cache(
    label: &str,
    sent: &Option<CacheBreakpoint>,
    arrived: &Option<CacheBreakpoint>,
) -> Option<Difference> {
    (sent != arrived).then(|| Difference::of(Part::Breakpoint, label, json!(sent), json!(arrived)))
}

fn tools(sent: &[Tool], arrived: &[Tool]) -> Vec<Difference> {
    fn by_name(tools: &[Tool]) -> BTreeMap<&str, &Tool> {
        tools.iter().map(|tool| (tool.name.as_str(), tool)).collect()
    }
    let (before, after) = (by_name(sent), by_name(arrived));
    let mut found = Vec::new();
    let mut added = after.clone();
    added.retain(|name, _| !before.contains_key(name));
    for (name, tool) in &before {
        let renamed = || {
            let same = added.iter().find(|(_, other)| is_same_tool(tool, other));
            let found = same.or_else(|| added.iter().find(|(_, other)| is_shortened(name, &other.name)));
            let new_name = found.map(|(name, _)| *name);
            new_name.and_then(|name| added.remove(name))
        };
        match after.get(name).copied().or_else(renamed) {
            Some(other) => found.extend(tool_changes(name, tool, other)),
            None => found.push(Difference::of(Part::Tool, *name, definition(tool), Value::Null)),
        }
    }
    found.extend(
        added
            .iter()
            .map(|(name, tool)| Difference::of(Part::Tool, *name, Value::Null, definition(tool))),
    );
    let count = |tools: &[Tool], name: &str| tools.iter().filter(|tool| tool.name == name).count();
    let repeated = before
        .keys()
        .filter(|name| count(arrived, name) > count(sent, name));
    let repeated: Vec<&&str> = repeated.collect();
    let times = |tools, name| Value::from(count(tools, name));
    found.extend(repeated.iter().map(|name| {
        Difference::of(Part::Tool, **name, times(sent, name), times(arrived, name)).with_fate(Fate::Repeated)
    }));
    let order = |tools: &[Tool], other: &BTreeMap<&str, &Tool>| -> Vec<String> {
        let names = tools.iter().map(|tool| tool.name.clone());
        names.filter(|name| other.contains_key(name.as_str())).collect()
    };
    let (old, new) = (order(sent, &after), order(arrived, &before));
    if old != new && repeated.is_empty() {
        found.push(Difference::of(Part::Tool, "the tools", old, new).with_fate(Fate::Moved));
    }
    found
}

/// Whether two tools, whatever their names, have the same description and schema.
fn is_same_tool(one: &Tool, other: &Tool) -> bool {
    let [one, other] = [one, other].map(|tool| tool.parts());
    one[1..] == other[1..] && one[1..].iter().any(|part| !part.is_null())
}

/// Whether Converse's `short` stands for a name that is too long there. It has most of its beginning.
fn is_shortened(name: &str, short: &str) -> bool {
    let equal = name
        .bytes()
        .zip(short.bytes())
        .take_while(|(one, other)| one == other);
    name.len() > LONGEST_NAME_ON_CONVERSE
        && short.len() <= LONGEST_NAME_ON_CONVERSE
        && equal.count() >= LONGEST_NAME_ON_CONVERSE / 2
}

fn tool_changes(name: &str, sent: &Tool, arrived: &Tool) -> Vec<Difference> {
    let is_native = |tool: &Tool| tool.definition.get("toolSpec").is_none();
    let view = match is_native(sent) && is_native(arrived) {
        true => |tool: &Tool| without_breakpoint(&tool.definition),
        false => named_definition,
    };
    let found = values::differences(Part::Tool, name, &view(sent), &view(arrived)).into_iter();
    found
        .chain(cache(&format!("tool {name}"), &sent.cache, &arrived.cache))
        .chain(match is_native(sent) && is_native(arrived) {
            true => unknown::of_breakpoint(&format!("tool {name}"), &sent.definition, &arrived.definition),
            false => Vec::new(),
        })
        .collect()
}

/// [`definition`] with the name.
fn named_definition(tool: &Tool) -> Value {
    let mut named = definition(tool);
    named["name"] = tool.name.as_str().into();
    named
}

/// The parts of a definition that a model sees, in the same form for all routes.
fn definition(tool: &Tool) -> Value {
    let [_, description, schema] = tool.parts();
    json!({"description": description, "input_schema": schema})
}

/// The first difference between two prompts at the provider whose beginnings, up to the last cache breakpoint, `claude` sent
/// equal.
pub(super) fn prefix_difference(first: &Pair, second: &Pair) -> Option<Difference> {
    let sent = (first.message.as_ref()?, second.message.as_ref()?);
    let arrived = (first.last()?.message.as_ref()?, second.last()?.message.as_ref()?);
    if sent.0.model != sent.1.model || !shares_prefix(sent) || shares_prefix(arrived) {
        return None;
    }
    let (old, new) = (tokens::pieces(arrived.0), tokens::pieces(arrived.1));
    let end = old.iter().rposition(|piece| piece.breakpoint.is_some())?;
    let place = (0..=end).find(|place| {
        old.get(*place).map(|piece| &piece.identity) != new.get(*place).map(|piece| &piece.identity)
    })?;
    let (mut before, mut after) = (piece(arrived.0, place), piece(arrived.1, place));
    if before == after {
        // The thinking parameter is part of the cache key of messages.
        (before, after) = (thinking(arrived.0), thinking(arrived.1));
    }
    let label = label_of_piece(arrived.1, place);
    Some(Difference::of(Part::Prefix, label, before, after).with_fate(Fate::Changed))
}

fn thinking(request: &MessageRequest) -> Option<Value> {
    let thinking = request.thinking.as_ref()?;
    Some(json!({"thinking": thinking}))
}

fn piece(request: &MessageRequest, place: usize) -> Option<Value> {
    match request.tools.get(place) {
        Some(tool) => Some(named_definition(tool)),
        None => Some(as_json(
            &items_of_pieces(request)
                .get(place - request.tools.len())?
                .block
                .content,
        )),
    }
}

fn shares_prefix((first, second): (&MessageRequest, &MessageRequest)) -> bool {
    let has_same_tools = first.tools == second.tools;
    let pieces = match has_same_tools {
        true => tokens::pieces_after_tools,
        false => tokens::pieces,
    };
    let (old, new) = (pieces(first), pieces(second));
    let Some(end) = old.iter().rposition(|piece| piece.breakpoint.is_some()) else {
        return has_same_tools && first.tools.iter().any(|tool| tool.cache.is_some());
    };
    let same = old
        .iter()
        .zip(&new)
        .take(end + 1)
        .take_while(|(old, new)| old.identity == new.identity);
    same.count() == end + 1
}

fn items_of_pieces(message: &MessageRequest) -> Vec<Item<'_>> {
    let body = &Value::Null;
    let mut items = items(Prompt { message, body });
    items.retain(|item| !std::ptr::eq(item.block, &*EMPTY));
    items
}

/// The pieces are the tools, then the system prompt, then the blocks of messages.
fn label_of_piece(request: &MessageRequest, place: usize) -> String {
    if let Some(tool) = request.tools.get(place) {
        return format!("tool {}", tool.name);
    }
    let items = items_of_pieces(request);
    let item = items.get(place - request.tools.len());
    item.map_or_else(|| "the end".to_owned(), |item| item.label.clone())
}
