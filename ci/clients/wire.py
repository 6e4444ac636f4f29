"""A proxy between the clients and the simulator. It records each exchange; a proof may change the request or the reply."""

import base64
import http.client
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from botocore.eventstream import EventStreamBuffer

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
EVENT_STREAM = "application/vnd.amazon.eventstream"
# Sources: `src/wire/reply_fields.rs`.
PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass
class Request:
    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes


@dataclass
class Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name), None)

    def json(self):
        return json.loads(self.body)

    def is_stream(self) -> bool:
        return (self.header("content-type") or "").split(";")[0] in ("text/event-stream", EVENT_STREAM)

    def events(self) -> list[tuple[str, object]]:
        """The names and contents of a stream's events."""
        if self.header("content-type") == EVENT_STREAM:
            return list(aws_events(self.body))
        return [sse_event(text) for text in self.body.decode().split("\n\n")[:-1]]


def sse_event(text: str) -> tuple[str, object]:
    name, _, data = text.partition("\n")
    if "\n" in data or not name.startswith("event: ") or not data.startswith("data: "):
        raise ValueError(f"not a server-sent event with a name and one line of data: {text!r}")
    return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


def aws_events(body: bytes):
    """Decodes with botocore, which verifies lengths and checksums. InvokeModel has the Messages API's events in base64."""
    buffer = EventStreamBuffer()
    buffer.add_data(body)
    for message in buffer:
        headers = message.headers
        if headers.get(":message-type") != "event" or headers.get(":content-type") != "application/json":
            raise ValueError(f"unexpected headers of an event: {headers}")
        name, payload = headers[":event-type"], json.loads(message.payload)
        # Bedrock pads each event, so that its length does not tell that of its text. No model has the member.
        if not PADDING.startswith(payload.pop("p", "")):
            raise ValueError(f"unknown padding of an event: {message.payload}")
        if name == "chunk":
            if set(payload) != {"bytes"}:
                raise ValueError(f"a chunk has the members {sorted(payload)} instead of `bytes`")
            payload = json.loads(base64.b64decode(payload["bytes"]))
        yield name, payload


@dataclass
class Wire:
    """The proxy, in a thread. One request at a time is expected; `replies` are in order."""

    simulator: str
    change_request: Callable[[Request], Request] = field(default=lambda request: request)
    change_reply: Callable[[Request, Reply], Reply] = field(default=lambda _, reply: reply)
    replies: list[Reply] = field(default_factory=list)

    def __post_init__(self):
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_):
                pass

            def do_POST(self):
                length = int(self.headers.get("content-length") or 0)
                request = Request(self.command, self.path, self.headers.items(), self.rfile.read(length))
                reply = wire.forward(request)
                self.send_response_only(reply.status)
                for name, value in reply.headers:
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.base_url = "http://127.0.0.1:%d" % self.server.server_port

    def forward(self, request: Request) -> Reply:
        request = self.change_request(request)
        connection = http.client.HTTPConnection(urlsplit(self.simulator).netloc, timeout=30)
        connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers:
            if name.lower() not in HOP_BY_HOP:
                connection.putheader(name, value)
        connection.putheader("content-length", str(len(request.body)))
        connection.endheaders(request.body)
        response = connection.getresponse()
        reply = Reply(response.status, response.getheaders(), response.read())
        connection.close()
        reply = self.change_reply(request, reply)
        self.replies.append(reply)
        return reply
