//! What differs in tools, system prompt and messages: in what a model sees, and in what of it is cached.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::pairing::Pair;
use super::{Difference, Fate, Part, values};
use crate::wire::message::{Block, CacheBreakpoint, Content, MessageRequest, Tool};
use crate::wire::tokens;

struct Item<'a> {
    /// `system[1] (text)`, `messages[2] user block 0 (tool_result)`.
    label: String,
    /// What makes it the same block elsewhere: whose it is and what it says.
    identity: String,
    block: &'a Block,
}

pub(super) fn differences(sent: &MessageRequest, arrived: &MessageRequest) -> Vec<Difference> {
    let mut found = blocks(&items(sent), &items(arrived));
    found.extend(tools(&sent.tools, &arrived.tools));
    found
}

fn items(request: &MessageRequest) -> Vec<Item<'_>> {
    let system = request
        .system
        .iter()
        .enumerate()
        .map(|(index, block)| item(format!("system[{index}]"), "system", block));
    let messages =
        request.messages.iter().enumerate().flat_map(|(index, message)| {
            let role = &message.role;
            message.content.iter().enumerate().map(move |(place, block)| {
                item(format!("messages[{index}] {role} block {place}"), role, block)
            })
        });
    system.chain(messages).collect()
}

fn item<'a>(place: String, role: &str, block: &'a Block) -> Item<'a> {
    Item {
        label: format!("{place} ({})", block.content.kind()),
        identity: format!("{role} {}", said(&block.content)),
        block,
    }
}

/// What a block says, as JSON in the words of the Messages API, without cache breakpoints.
fn said(content: &Content) -> Value {
    match content {
        Content::Text(text) => json!({"text": text}),
        Content::Image { media_type, data } | Content::Document { media_type, data } => {
            json!({"media_type": media_type, "data": data})
        }
        Content::Thinking { thinking, signature } => json!({"thinking": thinking, "signature": signature}),
        Content::RedactedThinking(data) => json!({"data": data}),
        Content::ToolUse { id, name, input } => json!({"id": id, "name": name, "input": input}),
        Content::ToolResult {
            tool_use_id,
            content,
            is_error,
        } => json!({
            "tool_use_id": tool_use_id,
            "content": content.iter().map(|block| said(&block.content)).collect::<Vec<_>>(),
            "is_error": is_error,
        }),
        Content::Other(value) => without_breakpoint(value),
    }
}

fn without_breakpoint(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.shift_remove("cache_control");
    }
    value
}

/// Messages are compared block by block, not message by message: to join two of one role changes nothing for a model.
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
                    found.extend(breakpoint(&sent.label, sent.block, arrived.block));
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
    found.extend(lost.iter().map(|item| whole(item, Fate::Dropped)));
    found.extend(gained.iter().map(|item| whole(item, Fate::Added)));
    found
}

fn whole(item: &Item, fate: Fate) -> Difference {
    let said = Some(said(&item.block.content));
    let (before, after) = if fate == Fate::Added {
        (None, said)
    } else {
        (said, None)
    };
    Difference::with_fate(Part::Block, fate, item.label.clone(), before, after)
}

/// Takes out of both lists what is at the same place in them and of the same role and kind, but not the same.
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
    let inside = values::differences(&old.label, &said(&old.block.content), &said(&new.block.content));
    let only_signature = inside
        .iter()
        .all(|difference| difference.path.ends_with(".signature"));
    let part = if only_signature {
        Part::Signature
    } else {
        Part::Block
    };
    inside
        .into_iter()
        .map(|found| Difference::with_fate(part, Fate::Changed, found.path, found.before, found.after))
        .chain(breakpoint(&old.label, old.block, new.block))
        .collect()
}

/// Takes out of both lists what is in both.
fn moved(lost: &mut Vec<&Item>, gained: &mut Vec<&Item>) -> Vec<Difference> {
    let mut found = Vec::new();
    lost.retain(|item| {
        let Some(place) = gained.iter().position(|new| new.identity == item.identity) else {
            return true;
        };
        let new = gained.remove(place);
        found.push(Difference::with_fate(
            Part::Block,
            Fate::Moved,
            item.label.clone(),
            Some(json!(item.label)),
            Some(json!(new.label)),
        ));
        false
    });
    found
}

fn breakpoint(label: &str, sent: &Block, arrived: &Block) -> Vec<Difference> {
    let mut found: Vec<Difference> = cache(label, sent.cache.as_ref(), arrived.cache.as_ref())
        .into_iter()
        .collect();
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
    sent: Option<&CacheBreakpoint>,
    arrived: Option<&CacheBreakpoint>,
) -> Option<Difference> {
    let ttl = |cache: Option<&CacheBreakpoint>| cache.map(|cache| json!({"ttl": cache.ttl}));
    (sent != arrived).then(|| Difference::of(Part::Breakpoint, label, ttl(sent), ttl(arrived)))
}

fn tools(sent: &[Tool], arrived: &[Tool]) -> Vec<Difference> {
    let by_name = |tools: &[Tool]| -> BTreeMap<String, Tool> {
        tools
            .iter()
            .map(|tool| (tool.name.clone(), tool.clone()))
            .collect()
    };
    let (before, after) = (by_name(sent), by_name(arrived));
    let mut found = Vec::new();
    for (name, tool) in &before {
        match after.get(name) {
            Some(other) => found.extend(tool_changes(name, tool, other)),
            None => found.push(Difference::of(Part::Tool, name, Some(definition(tool)), None)),
        }
    }
    let added = after.iter().filter(|(name, _)| !before.contains_key(*name));
    found.extend(added.map(|(name, tool)| Difference::of(Part::Tool, name, None, Some(definition(tool)))));
    let order = |tools: &[Tool], other: &BTreeMap<String, Tool>| -> Vec<String> {
        let names = tools.iter().map(|tool| tool.name.clone());
        names.filter(|name| other.contains_key(name)).collect()
    };
    let (old, new) = (order(sent, &after), order(arrived, &before));
    if old != new {
        found.push(Difference::with_fate(
            Part::Tool,
            Fate::Moved,
            "the tools",
            Some(json!(old)),
            Some(json!(new)),
        ));
    }
    found
}

fn tool_changes(name: &str, sent: &Tool, arrived: &Tool) -> Vec<Difference> {
    let both_native = is_native(sent) && is_native(arrived);
    let view = |tool| {
        if both_native {
            without_breakpoint(native(tool))
        } else {
            definition(tool)
        }
    };
    values::differences(name, &view(sent), &view(arrived))
        .into_iter()
        .map(|found| Difference::with_fate(Part::Tool, Fate::Changed, found.path, found.before, found.after))
        .chain(cache(
            &format!("tool {name}"),
            sent.cache.as_ref(),
            arrived.cache.as_ref(),
        ))
        .collect()
}

fn native(tool: &Tool) -> &Value {
    &tool.definition
}

fn is_native(tool: &Tool) -> bool {
    tool.definition.get("toolSpec").is_none()
}

/// What a tool's definition tells a model, whichever form it has.
fn definition(tool: &Tool) -> Value {
    let (spec, schema) = match tool.definition.get("toolSpec") {
        Some(spec) => (spec, &spec["inputSchema"]["json"]),
        None => (&tool.definition, &tool.definition["input_schema"]),
    };
    json!({"description": spec["description"], "input_schema": schema})
}

/// Whether the beginning of a prompt that `claude` sent twice, up to its last cache breakpoint, arrived as two.
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
        // The thinking parameter is part of what messages are cached under.
        (before, after) = (thinking(arrived.0), thinking(arrived.1));
    }
    Some(Difference::with_fate(
        Part::Prefix,
        Fate::Changed,
        label_of_piece(arrived.0, place),
        before,
        after,
    ))
}

fn thinking(request: &MessageRequest) -> Option<Value> {
    request
        .thinking
        .as_ref()
        .map(|thinking| json!({"thinking": thinking}))
}

fn piece(request: &MessageRequest, place: usize) -> Option<Value> {
    match request.tools.get(place) {
        Some(tool) => Some(definition(tool)),
        None => Some(said(
            &items(request).get(place - request.tools.len())?.block.content,
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

/// Pieces are tools, then system, then the blocks of messages.
fn label_of_piece(request: &MessageRequest, place: usize) -> String {
    if let Some(tool) = request.tools.get(place) {
        return format!("tool {}", tool.name);
    }
    let items = items(request);
    let item = items.get(place - request.tools.len());
    item.map_or_else(|| "the end".to_owned(), |item| item.label.clone())
}
