"""Strict shapes of replies: the `anthropic` package's types, and botocore's service model of Bedrock.

Each function returns the deviations as sentences; none means that the value has the shape.
"""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from functools import cache

import botocore.session
from anthropic.types import Message, MessageTokensCount, ModelInfo, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from pydantic import TypeAdapter, ValidationError

# Members on the wire of Converse that are in no model: https://github.com/BerriAI/litellm/pull/31693
NOT_IN_THE_MODEL = {"TokenUsage": {"cacheReadInputTokenCount", "cacheWriteInputTokenCount"}}
# The last event of an InvokeModel stream has it:
# https://docs.aws.amazon.com/bedrock/latest/userguide/inference-invoke.html
METRICS = "amazon-bedrock-invocationMetrics"
INVOCATION_METRICS = {
    "inputTokenCount",
    "outputTokenCount",
    "invocationLatency",
    "firstByteLatency",
}
# Only if the prompt cache was used: `src/wire/reply_fields.rs` names the recordings.
CACHE_METRICS = {"cacheReadInputTokenCount", "cacheWriteInputTokenCount"}
# Error types of https://platform.claude.com/docs/en/api/errors that the package's types lack.
UNTYPED_ERRORS = {"request_too_large"}


@cache
def adapter(shape):
    return TypeAdapter(shape)


def typed(shape, value) -> list[str]:
    """Validates strictly and forbids unknown members at every depth."""
    try:
        adapter(shape).validate_python(value, strict=True, extra="forbid")
    except ValidationError as error:
        return readable(error.errors(), value)
    return []


def readable(errors, value) -> list[str]:
    """pydantic reports the errors of every alternative of a union. This keeps those of the alternative whose `type` fits."""
    unfit = [error["loc"][:-1] for error in errors if error["type"] == "literal_error" and error["loc"][-1] == "type"]
    fit = [error for error in errors if not any(error["loc"][: len(place)] == place for place in unfit)]
    found = ["%s: %s" % (".".join(map(str, error["loc"])), error["msg"]) for error in fit][:4]
    return found or [f"unknown type of a part: {str(value)[:200]}"]


def message(value) -> list[str]:
    return typed(Message, value)


def token_count(value) -> list[str]:
    return typed(MessageTokensCount, value)


def models(value) -> list[str]:
    """The types of times take no text in the strict mode."""
    found = [f"unknown: {name}" for name in value.keys() - {"data", "has_more", "first_id", "last_id"}]
    for entry in value["data"]:
        times = {name: datetime.fromisoformat(time) for name, time in entry.items() if name.endswith("_at") and time}
        found += typed(ModelInfo, entry | times)
    ends = [value["data"][0]["id"], value["data"][-1]["id"]]
    return found + ([] if [value["first_id"], value["last_id"]] == ends else [f"the ends are not {ends}"])


def messages_event(name: str, value, route: str) -> list[str]:
    """One event of a Messages stream. Bedrock names every event `chunk`."""
    found = []
    if route != "bedrock_invoke" and name != value.get("type"):
        found.append(f"the event of the type `{value.get('type')}` is named `{name}`")
    if name == "ping" and route != "bedrock_invoke":
        return found + ([] if value == {"type": "ping"} else [f"a ping has more than its type: {value}"])
    if value.get("type") == "message_stop" and route == "bedrock_invoke":
        metrics = set(value.get(METRICS, {}))
        found += [f"{METRICS}.{name}: unknown" for name in metrics - INVOCATION_METRICS - CACHE_METRICS]
        found += [f"{METRICS}.{name}: missing" for name in INVOCATION_METRICS - metrics]
        value = without_metrics(value)
    return found + typed(RawMessageStreamEvent, value)


def without_metrics(value):
    return {name: member for name, member in value.items() if name != METRICS}


def order(events: list) -> list[str]:
    """The order of a Messages stream: https://platform.claude.com/docs/en/build-with-claude/streaming"""
    state, index = "start", 0
    for event in (event for event in events if event["type"] != "ping"):
        kind = event["type"]
        allowed = {
            "start": {"message_start"},
            "between": {"content_block_start", "message_delta"},
            "block": {"content_block_delta", "content_block_stop"},
            "end": {"message_stop"},
            "over": set(),
        }[state]
        if kind not in allowed:
            return [f"`{kind}` where only {sorted(allowed)} may follow"]
        if kind.startswith("content_block") and event["index"] != index:
            return [f"`{kind}` has the index {event['index']} instead of {index}"]
        index += kind == "content_block_stop"
        state = {"message_start": "between", "content_block_stop": "between", "message_delta": "end"}.get(
            kind, "over" if kind == "message_stop" else "block"
        )
    return [] if state == "over" else ["the stream ends without `message_stop`"]


def error(value, route: str) -> list[str]:
    """An error's body: Anthropic's, or the cloud's own."""
    if route in ("bedrock_invoke", "bedrock_converse"):
        return [] if set(value) == {"message"} and isinstance(value["message"], str) else [f"not AWS's error: {value}"]
    if route == "vertex_ai" and "type" not in value:
        return [] if is_googles(value) else [f"not Google's error: {value}"]
    if route == "azure" and "type" not in value:
        return [] if is_azures(value) else [f"not Azure's error: {value}"]
    if value.get("error", {}).get("type") in UNTYPED_ERRORS:
        value = {**value, "error": {**value["error"], "type": "api_error"}}
    return typed(ErrorResponse, value)


def is_googles(value) -> bool:
    """https://cloud.google.com/apis/design/errors"""
    inner = value.get("error")
    return (
        set(value) == {"error"}
        and isinstance(inner, dict)
        and set(inner) == {"code", "message", "status"}
        and isinstance(inner["code"], int)
        and all(isinstance(inner[name], str) for name in ("message", "status"))
    )


def is_azures(value) -> bool:
    """https://github.com/posit-dev/positron/issues/12858"""
    inner = value.get("error")
    return set(value) == {"error"} and isinstance(inner, dict) and set(inner) == {"code", "message"} and all(isinstance(part, str) for part in inner.values())


def request_id(route: str, header: Callable[[str], str | None], body) -> list[str]:
    """The request's id: AWS and Azure send a UUID, Anthropic sends `req_…`. Google's own errors have none."""
    uuid = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    if route == "azure" and not re.fullmatch(uuid, header("apim-request-id") or ""):
        return [f"the header `apim-request-id` is {header('apim-request-id')!r}"]
    if route in ("bedrock_invoke", "bedrock_converse"):
        name, pattern = "x-amzn-requestid", uuid
    elif isinstance(body, dict) and (is_googles(body) if route == "vertex_ai" else route == "azure" and is_azures(body)):
        return []
    else:
        name, pattern = "request-id", r"req_((vrtx|bdrk)_)?[0-9A-Za-z]{24}"
    return [] if re.fullmatch(pattern, header(name) or "") else [f"the header `{name}` is {header(name)!r}"]


@cache
def service_model():
    return botocore.session.get_session().get_service_model("bedrock-runtime")


def aws(shape_name: str, value) -> list[str]:
    return modelled(service_model().shape_for(shape_name), value, shape_name)


def modelled(shape, value, place: str) -> list[str]:
    """No unknown members, no missing ones, the right JSON types, and only known values of enums."""
    json_types = {"string": str, "blob": str, "integer": int, "long": int, "boolean": bool, "list": list, "map": dict}
    expected = dict if shape.type_name == "structure" else json_types.get(shape.type_name, (int, float))
    if getattr(shape, "is_document_type", False):
        return []
    if not isinstance(value, expected) or isinstance(value, bool) != (expected is bool):
        return [f"{place}: {value!r} is no {shape.type_name}"]
    if shape.type_name == "structure":
        known = set(shape.members) | NOT_IN_THE_MODEL.get(shape.name, set())
        found = [f"{place}.{name}: unknown member" for name in sorted(set(value) - known)]
        found += [f"{place}.{name}: missing" for name in shape.required_members if name not in value]
        if getattr(shape, "is_tagged_union", False) and len(value) != 1:
            found.append(f"{place}: a union has exactly one member, not {sorted(value)}")
        for name in set(value) & set(shape.members):
            found += modelled(shape.members[name], value[name], f"{place}.{name}")
        return found
    if shape.type_name == "list":
        return [deviation for index, item in enumerate(value) for deviation in modelled(shape.member, item, f"{place}[{index}]")]
    if shape.type_name == "string" and getattr(shape, "enum", None) and value not in shape.enum:
        return [f"{place}: {value!r} is not one of {', '.join(shape.enum)}"]
    if shape.type_name == "blob":
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error:
            return [f"{place}: not base64"]
    return []
