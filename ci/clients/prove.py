"""Faults of a simulator, which a proxy makes on purpose. Each names a check that must then fail, and a part of what it must say."""

import base64
import json
import struct
from binascii import crc32
from collections.abc import Callable
from dataclasses import dataclass, replace

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from wire import EVENT_STREAM, Reply, Request


@dataclass
class Fault:
    name: str
    check: str
    says: str
    reply: Callable[[Reply], Reply] = lambda reply: reply
    request: Callable[[Request, dict], Request] = lambda request, _: request


def body(change: Callable[[dict], object]) -> Callable[[Reply], Reply]:
    """Changes a JSON body."""

    def changed(reply: Reply) -> Reply:
        value = reply.json()
        change(value)
        return replace(reply, body=json.dumps(value).encode())

    return changed


def events(change: Callable[[list], object]) -> Callable[[Reply], Reply]:
    """Changes the list of a stream's events, and frames it again."""

    def changed(reply: Reply) -> Reply:
        found = [[name, value] for name, value in reply.events()]
        change(found)
        frame = aws_frame if reply.header("content-type") == EVENT_STREAM else sse_frame
        return replace(reply, body=b"".join(frame(name, value) for name, value in found))

    return changed


def sse_frame(name: str, value) -> bytes:
    return f"event: {name}\ndata: {json.dumps(value)}\n\n".encode()


def aws_frame(name: str, value) -> bytes:
    """https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html (event stream encoding)"""
    if name == "chunk":
        value = {"bytes": base64.b64encode(json.dumps(value).encode()).decode()}
    named = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack("!B", len(key)) + key.encode() + struct.pack("!BH", 7, len(text)) + text.encode()
        for key, text in named.items()
    )
    payload = json.dumps(value).encode()
    prelude = struct.pack("!II", len(headers) + len(payload) + 16, len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))


def status(value: int) -> Callable[[Reply], Reply]:
    return lambda reply: replace(reply, status=value)


def header(name: str, value: str | None) -> Callable[[Reply], Reply]:
    """Replaces a header, or removes it."""

    def changed(reply: Reply) -> Reply:
        others = [(key, text) for key, text in reply.headers if key.lower() != name]
        return replace(reply, headers=others + ([(name, value)] if value else []))

    return changed


def signed_by_the_proxy(request: Request, environment: dict) -> Request:
    """The simulator then accepts what it should refuse, as if it verified no signature."""
    headers = {name.lower(): value for name, value in request.headers}
    kept = {name: headers[name] for name in ("host", "content-type") if name in headers}
    again = AWSRequest(request.method, f"http://{headers['host']}{request.path}", kept, request.body)
    credentials = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], environment.get("AWS_SESSION_TOKEN"))
    SigV4Auth(credentials, "bedrock", environment["AWS_REGION_NAME"]).add_auth(again)
    return replace(request, headers=list(again.headers.items()))


def with_the_right_key(request: Request, environment: dict) -> Request:
    others = [(name, value) for name, value in request.headers if name.lower() not in ("x-api-key", "authorization")]
    return replace(request, headers=[*others, ("x-api-key", environment["ANTHROPIC_API_KEY"])])


def first(found: list, kind: str):
    """The content of the first event of a type, or of a name on Converse."""
    return next(value for name, value in found if kind in (name, value.get("type")))


def drop(found: list, kind: str):
    found[:] = [(name, value) for name, value in found if kind not in (name, value.get("type"))]


def rename(found: list, kind: str, other: str):
    next(event for event in found if event[0] == kind)[0] = other


FAULTS = [
    # A field too many.
    Fault("an extra field in an event", "python Anthropic: text, stream", "Extra inputs", events(lambda found: first(found, "content_block_delta")["delta"].update(surplus=1))),
    Fault("an extra field in an event", "python AnthropicBedrock: text, stream", "Extra inputs", events(lambda found: first(found, "message_delta").update(surplus=1))),
    Fault("an extra field in the metrics", "boto3 InvokeModel: text, stream", "unknown", events(lambda found: first(found, "message_stop")["amazon-bedrock-invocationMetrics"].update(surplus=1))),
    Fault("an extra member in an event", "boto3 Converse: text, stream", "unknown member", events(lambda found: first(found, "metadata")["usage"].update(surplus=1))),
    Fault("an extra field in a block", "python AnthropicVertex: tool call, reply", "Extra inputs", body(lambda value: value["content"][0].update(surplus=1))),
    Fault("an extra member in a reply", "boto3 Converse: tool call, reply", "unknown member", body(lambda value: value["output"]["message"]["content"][1]["toolUse"].update(surplus=1))),
    Fault("an extra field in an event", "node Anthropic: text, stream", "Extra inputs", events(lambda found: first(found, "content_block_delta")["delta"].update(surplus=1))),
    Fault("an extra field in an event", "node AnthropicBedrockMantle: text, stream", "Extra inputs", events(lambda found: first(found, "message_delta").update(surplus=1))),
    # A field too few.
    Fault("no index in an event", "python AnthropicFoundry: text, stream", "index", events(lambda found: first(found, "content_block_stop").pop("index"))),
    Fault("no output tokens", "python Anthropic: text, reply", "output_tokens: Field required", body(lambda value: value["usage"].pop("output_tokens"))),
    Fault("no stop reason", "boto3 Converse: text, reply", "KeyError", body(lambda value: value.pop("stopReason"))),
    Fault("no metrics", "boto3 Converse: text, reply", "metrics: missing", body(lambda value: value.pop("metrics"))),
    Fault("no input tokens", "python AnthropicVertex: count_tokens, count", "input_tokens: Field required", body(lambda value: value.pop("input_tokens"))),
    # Errors.
    Fault("status 500 instead of 529", "python Anthropic: error 529, reply", "InternalServerError instead of OverloadedError", status(500)),
    Fault("status 500 instead of 529", "node AnthropicFoundry: error 529, stream", "InternalServerError instead of OverloadedError", status(500)),
    Fault("another exception of AWS", "boto3 Converse: error 429, stream", "ValidationException instead of ThrottlingException", header("x-amzn-errortype", "ValidationException")),
    Fault("another error type", "python Anthropic: error 429, stream", "type is api_error", body(lambda value: value["error"].update(type="api_error"))),
    Fault("no request id", "node Anthropic: error 400, reply", "request id", header("request-id", None)),
    Fault("Anthropic's error from Google", "python AnthropicVertex: error 429, reply", "type is rate_limit_error", body(lambda value: (value.clear(), value.update(type="error", error={"type": "rate_limit_error", "message": ""})))),
    # Credentials.
    Fault("an unverified signature accepted", "python AnthropicBedrock: wrong credentials, reply", "must raise", request=signed_by_the_proxy),
    Fault("an unverified signature accepted", "boto3 Converse: wrong credentials, stream", "must raise", request=signed_by_the_proxy),
    Fault("an unverified signature accepted", "node AnthropicBedrock: wrong credentials, stream", "must raise", request=signed_by_the_proxy),
    Fault("an unknown key accepted", "node Anthropic: wrong credentials, reply", "must raise", request=with_the_right_key),
    # Values.
    Fault("an unknown stop reason", "python AnthropicVertex: text, reply", "stop_reason", body(lambda value: value.update(stop_reason="because"))),
    Fault("an unknown stop reason", "node AnthropicBedrock: text, stream", "stop_reason", events(lambda found: first(found, "message_delta")["delta"].update(stop_reason="because"))),
    Fault("an unknown stop reason", "boto3 Converse: text, stream", "is not one of", events(lambda found: first(found, "messageStop").update(stopReason="because"))),
    Fault("an unknown kind of event", "python Anthropic: text, stream", "unknown type", events(lambda found: first(found, "content_block_stop").update(type="novelty"))),
    Fault("tokens as text", "python Anthropic: count_tokens, count", "valid integer", body(lambda value: value.update(input_tokens=str(value["input_tokens"])))),
    Fault("no cache read", "boto3 InvokeModel: cache of 5 minutes, reply", "cache_read_input_tokens is 0", body(lambda value: value["usage"].update(cache_read_input_tokens=0))),
    # Streams.
    Fault("a lost delta", "python AnthropicBedrock: text, stream", "the content is", events(lambda found: found.remove([name for name in found if "delta" in name[1]][0]))),
    Fault("no end of a block", "node AnthropicVertex: text, stream", "may follow", events(lambda found: drop(found, "content_block_stop"))),
    Fault("a wrong name of an event", "python Anthropic: text, stream", "is named", events(lambda found: rename(found, "content_block_stop", "message_stop"))),
    Fault("an event without a name", "node AnthropicFoundry: text, stream", "not a server-sent event", lambda reply: replace(reply, body=reply.body.replace(b"event: message_start\n", b""))),
    Fault("a wrong checksum", "boto3 InvokeModel: text, stream", "Checksum", lambda reply: replace(reply, body=reply.body[:-1] + bytes([reply.body[-1] ^ 1]))),
]
