"""Translates between the Messages API and Converse:
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

import base64
import json


def request(body: dict) -> dict:
    system = body.get("system", [])
    system = [{"type": "text", "text": system}] if isinstance(system, str) else system
    converted = {
        "messages": [{"role": m["role"], "content": blocks(m["content"])} for m in body["messages"]],
        "system": blocks(system),
        "inferenceConfig": {"maxTokens": body["max_tokens"]},
    }
    if "tools" in body:
        converted["toolConfig"] = {"tools": [{"toolSpec": spec(tool)} for tool in body["tools"]]}
    if "thinking" in body:
        converted["additionalModelRequestFields"] = {"thinking": body["thinking"]}
    return converted


def spec(tool: dict) -> dict:
    return {"name": tool["name"], "description": tool["description"], "inputSchema": {"json": tool["input_schema"]}}


def blocks(content: list[dict]) -> list[dict]:
    found = []
    for block in content:
        found.append(to_converse(block))
        if "cache_control" in block:
            ttl = {"ttl": block["cache_control"]["ttl"]} if "ttl" in block["cache_control"] else {}
            found.append({"cachePoint": {"type": "default", **ttl}})
    return found


def to_converse(block: dict) -> dict:
    match block["type"]:
        case "text":
            return {"text": block["text"]}
        case "image":
            return {"image": media(block)}
        case "document":
            return {"document": {"name": "document", **media(block)}}
        case "thinking":
            return {"reasoningContent": {"reasoningText": {"text": block["thinking"], "signature": block["signature"]}}}
        case "redacted_thinking":
            return {"reasoningContent": {"redactedContent": base64.b64decode(block["data"])}}
        case "tool_use":
            return {"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}
        case "tool_result":
            return {"toolResult": {"toolUseId": block["tool_use_id"], "content": [{"text": block["content"]}]}}
    raise ValueError(f"no translation of a block of the type {block['type']}")


def media(block: dict) -> dict:
    source = block["source"]
    return {"format": source["media_type"].split("/")[1], "source": {"bytes": base64.b64decode(source["data"])}}


def message(reply: dict) -> dict:
    """A Converse reply, as boto3 returns it, in the Messages API's form."""
    content = [from_converse(block) for block in reply["output"]["message"]["content"]]
    return {"role": "assistant", "content": content, "stop_reason": reply["stopReason"], "usage": usage(reply["usage"])}


def from_converse(block: dict) -> dict:
    match next(iter(block.items())):
        case "text", words:
            return {"type": "text", "text": words}
        case "toolUse", use:
            return {"type": "tool_use", "id": use["toolUseId"], "name": use["name"], "input": use["input"]}
        case "reasoningContent", {"redactedContent": data}:
            return {"type": "redacted_thinking", "data": base64.b64encode(data).decode()}
        case "reasoningContent", {"reasoningText": thinking}:
            return {"type": "thinking", "thinking": thinking["text"], "signature": thinking["signature"]}
    raise ValueError(f"an unknown block: {block}")


def usage(counts: dict) -> dict:
    lifetimes = {detail["ttl"]: detail["inputTokens"] for detail in counts.get("cacheDetails", [])}
    return {
        "input_tokens": counts["inputTokens"],
        "output_tokens": counts["outputTokens"],
        "cache_read_input_tokens": counts.get("cacheReadInputTokens", 0),
        "cache_creation_input_tokens": counts.get("cacheWriteInputTokens", 0),
        "cache_creation": {f"ephemeral_{ttl}_input_tokens": lifetimes.get(ttl, 0) for ttl in ("5m", "1h")},
    }


def accumulate(events: list[dict]) -> dict:
    """The reply of a Converse stream, in the Messages API's form. A block starts with its first delta, unless it is a call."""
    content, reply = {}, {}
    for event in events:
        match next(iter(event.items())):
            case "contentBlockStart", start:
                content[start["contentBlockIndex"]] = {"toolUse": {**start["start"]["toolUse"], "input": ""}}
            case "contentBlockDelta", delta:
                add(content.setdefault(delta["contentBlockIndex"], {}), delta["delta"])
            case "messageStop", stop:
                reply["stopReason"] = stop["stopReason"]
            case "metadata", metadata:
                reply["usage"] = metadata["usage"]
    for block in content.values():
        if "toolUse" in block:
            block["toolUse"]["input"] = json.loads(block["toolUse"]["input"] or "{}")
    reply["output"] = {"message": {"content": [content[index] for index in sorted(content)]}}
    return message(reply)


def add(block: dict, delta: dict):
    match next(iter(delta.items())):
        case "text", words:
            block["text"] = block.get("text", "") + words
        case "toolUse", use:
            block["toolUse"]["input"] += use["input"]
        case "reasoningContent", {"redactedContent": data}:
            block["reasoningContent"] = {"redactedContent": data}
        case "reasoningContent", part:
            thinking = block.setdefault("reasoningContent", {"reasoningText": {"text": "", "signature": ""}})["reasoningText"]
            for name, words in part.items():
                thinking[name] += words
