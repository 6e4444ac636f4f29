"""The cases: what a client asks, what the simulator's script answers, and what the client must then have.

Requests and replies have the Messages API's form; a client of Converse translates them.
"""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
BEDROCK = {"bedrock_invoke", "bedrock_converse"}
ALL = {"anthropic", "azure", "vertex_ai", "bedrock_mantle", *BEDROCK}


@dataclass
class Turn:
    """A user message, the scripted reply, and the token counts that it must have: `0`, or `>0`."""

    reply: list[dict]
    content: list[dict] | Callable[[dict], list[dict]] = field(default_factory=lambda: [text("Hello.")])
    usage: dict[str, str] = field(default_factory=dict)


@dataclass
class Failure:
    """What a client raises: its class, and the error type in the Messages API's words, where the route has them."""

    name: str
    kind: str | None = None
    request_id: bool = False


@dataclass
class Case:
    name: str
    turns: list[Turn]
    model: str = "claude-opus-4-7"
    options: dict = field(default_factory=dict)
    stop_reason: str | None = None
    routes: set[str] = field(default_factory=lambda: ALL)
    # A scripted error's status, or what the request gets wrong, and the failure on each route.
    status: int | None = None
    wrong_credentials: bool = False
    failures: dict[str, Failure] = field(default_factory=dict)
    # An operation without a message: `count` or `models`.
    operation: str | None = None


def text(words: str, **more) -> dict:
    return {"type": "text", "text": words, **more}


def call(name: str, arguments: dict) -> dict:
    return {"tool_use": {"name": name, "input": arguments}}


def base64_block(kind: str, media_type: str, data: bytes) -> dict:
    return {"type": kind, "source": {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode()}}


def results(message: dict) -> list[dict]:
    """A result for each of the message's calls."""
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    return [{"type": "tool_result", "tool_use_id": block["id"], "content": f"result {n}"} for n, block in enumerate(calls)]


def browser_results(message: dict) -> list[dict]:
    """The same results, each with the state of a browser."""
    tab = {"tab_id": "1", "title": "", "url": "https://example.com", "active": True}
    return [{**result, "content": [text("done"), {"type": "browser_state", "tabs": [tab]}]} for result in results(message)]


def tool(name: str, **properties) -> dict:
    return {"name": name, "description": f"The tool {name}.", "input_schema": {"type": "object", "properties": properties}}


TOOLS = {"tools": [tool("weather", city={"type": "string"}), tool("time")]}
LONG = "A sentence that fills the prompt of a cached prefix. " * 200
CACHED_5M = {"cache_control": {"type": "ephemeral"}}
CACHED_1H = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
BUDGET = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
OMITTED = {"thinking": {"type": "adaptive", "display": "omitted"}}
ADAPTIVE = {"thinking": {"type": "adaptive", "display": "summarized"}}
IMAGE = base64_block("image", "image/png", (ROOT / "cells/vision/_red.png").read_bytes())
PDF = base64_block("document", "application/pdf", b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n")
HELLO = [{"text": "Hello, \u017c\u00f3\u0142w \U0001f422."}]

ANSWERS = [
    Case("text", [Turn(HELLO)], options={"system": "Be brief."}),
    Case("two blocks of text", [Turn([{"text": "One."}, {"text": "Two."}])]),
    Case("long text", [Turn([{"text": "word " * 2000}])]),
    Case("max_tokens", [Turn([{"text": "Cut"}])], stop_reason="max_tokens"),
    # These two stop reasons are not in botocore's model of Converse.
    Case("refusal", [Turn([{"text": "No."}])], stop_reason="refusal", routes=ALL - {"bedrock_converse"}),
    Case("pause_turn", [Turn([{"text": "Wait."}])], stop_reason="pause_turn", routes=ALL - {"bedrock_converse"}),
    Case("tool call", [Turn([{"text": "Let me see."}, call("weather", {"city": "\u0141\u00f3d\u017a"})])], options=TOOLS),
    Case("parallel calls", [Turn([call("weather", {"city": "Oslo"}), call("weather", {"city": "Rome"}), call("time", {})])], options=TOOLS),
    Case("call without arguments", [Turn([call("time", {})])], options=TOOLS),
    Case("tool results", [Turn([call("weather", {"city": "Oslo"}), call("time", {})]), Turn([{"text": "${tool_result}"}], results)], options=TOOLS),
    # Bedrock's Messages API does not have Sonnet 4.6.
    Case("thinking enabled", [Turn([{"thinking": "Let me think."}, *HELLO])], "claude-sonnet-4-6", BUDGET, routes=ALL - {"bedrock_mantle"}),
    Case("thinking enabled", [Turn([{"thinking": "Let me think."}, *HELLO])], "claude-haiku-4-5", BUDGET, routes={"bedrock_mantle"}),
    Case("thinking adaptive", [Turn([{"thinking": "Let me think."}, *HELLO])], options=ADAPTIVE),
    Case("thinking omitted", [Turn([{"thinking": "Let me think."}, *HELLO]), Turn(HELLO)], options=OMITTED),
    Case("thinking redacted", [Turn([{"redacted_thinking": "hidden"}, *HELLO]), Turn(HELLO)], options=ADAPTIVE),
    Case("thinking, then a tool", [Turn([{"thinking": "A tool helps."}, call("time", {})]), Turn(HELLO, results)], options=ADAPTIVE | TOOLS),
    Case("thinking between tools", [Turn(HELLO)], options={"thinking": {"type": "between_tools"}}, routes=ALL - {"bedrock_converse"}),
    Case("standard speed", [Turn(HELLO)], options={"speed": "standard"}, routes={"anthropic"}),
    # The packages move it from a header into the body.
    Case("user profile", [Turn(HELLO)], options={"user_profile_id": "uprof_1"}, routes={"bedrock_invoke", "bedrock_mantle"}),
    Case("browser state", [Turn([call("time", {})]), Turn(HELLO, browser_results)], options=TOOLS, routes=ALL - {"bedrock_converse"}),
    Case("image", [Turn([{"text": "${image_colour}"}], [IMAGE, text("Which colour?")])]),
    Case("PDF", [Turn(HELLO, [PDF, text("Summarize.")])]),
    Case(
        "cache of 5 minutes",
        [
            Turn(HELLO, usage={"cache_creation_input_tokens": ">0", "cache_read_input_tokens": "0", "5m": ">0", "1h": "0"}),
            Turn(HELLO, usage={"cache_creation_input_tokens": "0", "cache_read_input_tokens": ">0"}),
        ],
        options={"system": [text(LONG, **CACHED_5M)]},
    ),
    Case(
        "cache of an hour",
        [Turn(HELLO, usage={"5m": "0", "1h": ">0"}), Turn(HELLO, usage={"cache_read_input_tokens": ">0"})],
        options={"system": [text(LONG, **CACHED_1H)]},
    ),
    Case(
        "caches of both lifetimes",
        [Turn(HELLO, [text(LONG, **CACHED_5M)], usage={"5m": ">0", "1h": ">0"})],
        options={"system": [text(LONG, **CACHED_1H)]},
    ),
    Case("count_tokens", [Turn(HELLO, [IMAGE, text("How many?")])], options=TOOLS, operation="count"),
    Case("models", [Turn([])], routes={"anthropic"}, operation="models"),
]

# The packages' exception class for a status: https://platform.claude.com/docs/en/api/errors and their README.
CLASSES = {
    400: "BadRequestError",
    401: "AuthenticationError",
    402: "PaymentRequiredError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    408: "RequestTimeoutError",
    409: "ConflictError",
    413: "ContentTooLargeError",
    422: "UnprocessableEntityError",
    424: "APIStatusError",
    429: "RateLimitError",
    500: "InternalServerError",
    502: "InternalServerError",
    503: "ServiceUnavailableError",
    504: "GatewayTimeoutError",
    529: "OverloadedError",
}
# Status → error type: https://platform.claude.com/docs/en/api/errors
KINDS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# Status → status and exception of Bedrock:
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html#API_runtime_InvokeModel_Errors
AWS = {
    401: (403, "UnrecognizedClientException"),
    403: (403, "AccessDeniedException"),
    404: (404, "ResourceNotFoundException"),
    408: (408, "ModelTimeoutException"),
    424: (424, "ModelErrorException"),
    429: (429, "ThrottlingException"),
    500: (500, "InternalServerException"),
    502: (502, "InternalServerException"),
    503: (503, "ServiceUnavailableException"),
    504: (504, "InternalServerException"),
    529: (503, "ServiceUnavailableException"),
}
# These come from Google's front end, without a Messages error type: https://cloud.google.com/apis/design/errors
GOOGLES = {401, 403, 404, 429, 503, 504}


def messages_failure(status: int) -> Failure:
    return Failure(CLASSES[status], KINDS.get(status, "invalid_request_error"), request_id=True)


def failures(status: int) -> dict[str, Failure]:
    aws_status, exception = AWS.get(status, (400, "ValidationException"))
    return {
        "anthropic": messages_failure(status),
        "azure": messages_failure(status),
        "bedrock_mantle": messages_failure(status),
        "vertex_ai": Failure(CLASSES[status]) if status in GOOGLES else messages_failure(status),
        # The packages read no error type from AWS's bodies. boto3 raises `exception`.
        "bedrock_invoke": Failure(CLASSES[aws_status]),
        "boto3": Failure(exception, request_id=True),
    }


# Azure's front end refuses these, without a Messages error type: https://github.com/posit-dev/positron/issues/12858
REFUSED_MODEL = {**failures(404), "azure": Failure(CLASSES[404]), "bedrock_invoke": Failure("BadRequestError"), "boto3": Failure("ValidationException", request_id=True)}
REFUSED_KEY = {**failures(401), "azure": Failure(CLASSES[401]), "bedrock_mantle": messages_failure(403), "boto3": Failure("InvalidSignatureException", request_id=True)}
ERRORS = [
    *(Case(f"error {status}", [Turn([])], status=status, failures=failures(status)) for status in CLASSES),
    Case("wrong credentials", [Turn(HELLO)], wrong_credentials=True, failures=REFUSED_KEY),
    Case("unknown model", [Turn(HELLO)], "claude-nonexistent-9", failures=REFUSED_MODEL),
    Case("empty message", [Turn(HELLO, [text("")])], failures=failures(400)),
]
CASES = [*ANSWERS, *ERRORS]
