"""Judges the simulator with official clients. Called by `ci/check-clients`, which starts the simulator.

Then a proxy breaks the simulator on purpose, and the same judge must find each fault.
"""

import argparse
import json
import os
import shlex
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import shapes
import typescript
from cases import BEDROCK, CASES, OMITTED, Case, text
from clients import CLIENTS, Node, Outcome
from prove import FAULTS
from wire import Reply, Wire

MAX_TOKENS = 2048


class Simulator:
    """`compat provider serve`, as a user sees it: an address, a folder of credentials, and the control routes."""

    def __init__(self, folder: Path):
        lines = (shlex.split(line) for line in (folder / "gateway.env").read_text().splitlines())
        self.environment = dict(line[0].split("=", 1) for line in lines)
        self.base_url = self.environment["ANTHROPIC_API_BASE"]
        # Google's library for Node asks the metadata server for a token, whatever `token_uri` a service account has.
        host = self.base_url.removeprefix("http://")
        self.metadata_server = {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}
        self.control_key = (folder / "control-key").read_text().strip()

    def register(self, key: str, replies: list):
        """The requests that contain `key` get `replies`, in order."""
        body = json.dumps([key, {"replies": replies}]).encode()
        headers = {"authorization": f"Bearer {self.control_key}"}
        urllib.request.urlopen(urllib.request.Request(f"{self.base_url}/__compat/register", body, headers), timeout=30).read()


def wrong(environment: dict) -> dict:
    """Credentials that nobody issued."""
    return environment | {
        "ANTHROPIC_API_KEY": "sk-ant-api03-wrong",
        "AZURE_AI_API_KEY": "wrong",
        "AWS_SECRET_ACCESS_KEY": "wrong",
        "GOOGLE_ACCESS_TOKEN": "ya29.wrong",
    }


def attempt(function, *arguments):
    """The function's result, and what it raises as a deviation."""
    try:
        return function(*arguments), []
    except Exception as error:
        return None, [f"{type(error).__name__}: {str(error)[:300]}"]


def run(simulator: Simulator, wire: Wire, client, case: Case, operation: str) -> tuple[list[str], list]:
    """Sends a case's turns. Returns the deviations, and the values for the client's own compiler."""
    key = str(uuid.uuid4())
    replies = [scripted(case, turn.reply) for turn in case.turns]
    simulator.register(key, replies)
    environment = wrong(simulator.environment) if case.wrong_credentials else simulator.environment
    request = {"model": case.model, "max_tokens": MAX_TOKENS, "messages": [], **case.options}
    found, values, message = [], [], None
    for number, turn in enumerate(case.turns, 1):
        content = turn.content(message) if callable(turn.content) else turn.content
        content = [text(f"Conversation {key}."), *content] if number == 1 else content
        request["messages"] = [*request["messages"], {"role": "user", "content": content}]
        wire.replies.clear()
        outcome, deviations = attempt(client.send, wire.base_url, environment, dict(request), operation)
        outcome = outcome or Outcome()
        values += outcome.values
        if len(wire.replies) == 1:
            deviations += judge(client, case, turn, operation, outcome, wire.replies[0])
        else:
            deviations.append(f"{len(wire.replies)} requests instead of one")
        found += [f"turn {number}: {deviation}" for deviation in deviations]
        message = outcome.message
        if message is None:
            break
        request["messages"].append({"role": "assistant", "content": returned(message["content"])})
    return found, values


def scripted(case: Case, blocks: list[dict]) -> dict:
    if case.status:
        return {"error": {"status": case.status, "message": "scripted"}}
    message = {"content": blocks}
    if case.stop_reason:
        message["stop_reason"] = case.stop_reason
    return {"message": message}


def returned(content: list[dict]) -> list[dict]:
    """A reply's blocks, as a client sends them back: without members that are null."""
    return [{name: value for name, value in block.items() if value is not None} for block in content]


def judge(client, case: Case, turn, operation: str, outcome: Outcome, reply: Reply) -> list[str]:
    if outcome.error or case.failures:
        return failure(client, case, outcome, reply)
    shape = {"count": shape_of_count, "models": shape_of_models, "stream": shape_of_stream, "reply": shape_of_body}[operation]
    found, raised = attempt(shape, client.route, reply)
    found = (found or []) + raised
    if not case.operation:
        found += shapes.request_id(client.route, reply.header, None)
    if outcome.message:
        meant, raised = attempt(meaning, case, turn, outcome.message)
        found += (meant or []) + raised
    elif not outcome.tokens:
        found.append("the client has no result")
    return found


def failure(client, case: Case, outcome: Outcome, reply: Reply) -> list[str]:
    expected = case.failures.get(client.failures)
    if not outcome.error:
        return [f"the request was answered; it must raise {expected.name}"]
    error = outcome.error
    if not expected:
        return [f"{error['name']}, status {error['status']}: {reply.body.decode()[:300]}"]
    found = shapes.error(reply.json(), client.route) + shapes.request_id(client.route, reply.header, reply.json())
    if error["name"] != expected.name:
        found.append(f"{error['name']} instead of {expected.name} (status {error['status']}): {reply.body.decode()[:200]}")
    if error["kind"] != expected.kind:
        found.append(f"the error's type is {error['kind']} instead of {expected.kind}")
    if bool(error["request_id"]) != expected.request_id:
        found.append(f"the error's request id is {error['request_id']!r}")
    if "request_id" in reply.json() and error["request_id"] != reply.json()["request_id"]:
        found.append(f"two request ids: {error['request_id']} and {reply.json()['request_id']}")
    return found


def shape_of_count(route: str, reply: Reply) -> list[str]:
    value = reply.json()
    return shapes.aws("CountTokensResponse", value) if route in BEDROCK else shapes.token_count(value)


def shape_of_models(_route: str, reply: Reply) -> list[str]:
    return shapes.models(reply.json())


def shape_of_body(route: str, reply: Reply) -> list[str]:
    return shapes.aws("ConverseResponse", reply.json()) if route == "bedrock_converse" else shapes.message(reply.json())


def shape_of_stream(route: str, reply: Reply) -> list[str]:
    if not reply.is_stream():
        return [f"the reply is no stream but {reply.header('content-type')}"]
    events = reply.events()
    if route == "bedrock_converse":
        return [deviation for name, value in events for deviation in shapes.aws("ConverseStreamOutput", {name: value})]
    found = [deviation for name, value in events for deviation in shapes.messages_event(name, value, route)]
    return found or shapes.order([value for _, value in events])


def meaning(case: Case, turn, message: dict) -> list[str]:
    """Whether the client has what the script says."""
    found = []
    has = [meaning_of(block) for block in message["content"]]
    wants = [scripted_block(block, case) for block in turn.reply]
    if has != wants:
        found.append(f"the content is {has} instead of {wants}"[:600])
    stop_reason = case.stop_reason or ("tool_use" if any("tool_use" in block for block in turn.reply) else "end_turn")
    if message["stop_reason"] != stop_reason:
        found.append(f"the stop reason is {message['stop_reason']} instead of {stop_reason}")
    usage = message["usage"]
    lifetimes = {ttl: usage["cache_creation"][f"ephemeral_{ttl}_input_tokens"] for ttl in ("5m", "1h")}
    for name, bound in (turn.usage | {"input_tokens": ">0", "output_tokens": ">0"}).items():
        count = (usage | lifetimes)[name]
        if (count > 0) != (bound == ">0"):
            found.append(f"usage.{name} is {count} instead of {bound}")
    return found


def meaning_of(block: dict):
    match block["type"]:
        case "text":
            return block["text"]
        case "thinking":
            return {"thinking": block["thinking"], "signed": bool(block["signature"])}
        case "redacted_thinking":
            return {"redacted_thinking": bool(block["data"])}
        case "tool_use":
            return {"tool_use": block["name"], "input": block["input"], "id": block["id"].startswith("toolu_")}
    return block


def scripted_block(block: dict, case: Case):
    match next(iter(block.items())):
        case "text", words:
            return {"${tool_result}": "result 1", "${image_colour}": "red"}.get(words, words)
        case "thinking", words:
            return {"thinking": "" if case.options == OMITTED else words, "signed": True}
        case "redacted_thinking", _:
            return {"redacted_thinking": True}
        case "tool_use", call:
            return {"tool_use": call["name"], "input": call["input"], "id": True}
    return block


def operations(client, case: Case) -> list[str]:
    if client.route not in case.routes or (case.operation == "count" and not client.counts):
        return []
    return [case.operation] if case.operation else ["reply", "stream"]


def checks():
    """Every check: its name, client, case and operation."""
    for client in CLIENTS:
        for case in CASES:
            for operation in operations(client, case):
                yield f"{client.name}: {case.name}, {operation}", client, case, operation


class Count:
    """Prints a line for each check, and counts."""

    def __init__(self):
        self.passed = self.failed = 0

    def add(self, name: str, deviations: list[str]):
        print("FAIL" if deviations else "ok  ", name, flush=True)
        for deviation in deviations:
            print(f"       {deviation}")
        self.failed += bool(deviations)
        self.passed += not deviations


def check(simulator: Simulator, pattern: str, folder: Path) -> Count:
    wire, count, received = Wire(simulator.base_url), Count(), []
    for name, *what in checks():
        if pattern in name:
            found, values = run(simulator, wire, *what)
            count.add(name, found)
            received += [(name, *value) for value in values]
    if received:
        count.add(f"node: TypeScript's types of {len(received)} values", typescript.check(folder, received))
    return count


def prove(simulator: Simulator, folder: Path, count: Count):
    """Breaks the simulator with a proxy. A check that still passes, or that says something else, is a failure."""
    by_name = {name: what for name, *what in checks()}
    for fault in FAULTS:
        wire = Wire(
            simulator.base_url,
            change_request=lambda request: fault.request(request, simulator.environment),
            change_reply=lambda _, reply: fault.reply(reply),
        )
        found, values = run(simulator, wire, *by_name[fault.check])
        wire.server.shutdown()
        says = "\n".join(found)
        missed = [] if found and fault.says in says else [f"the judge says {says!r} instead of {fault.says!r}"]
        if values and "Extra inputs" in fault.says:
            compiled = typescript.check(folder, [(fault.check, *value) for value in values])
            missed += [] if compiled else ["the TypeScript compiler accepts it"]
        count.add(f"broken on purpose: {fault.name}; {fault.check}", missed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder of `compat provider serve --credentials`")
    parser.add_argument("node", type=Path, help="the folder with `node.mjs` and its packages")
    parser.add_argument("--only", default="", help="run the cases whose line contains this text")
    arguments = parser.parse_args()
    simulator = Simulator(arguments.folder)
    Node.start(arguments.node, os.environ | simulator.metadata_server)
    start = time.monotonic()
    count = check(simulator, arguments.only, arguments.node)
    prove(simulator, arguments.node, count) if not arguments.only else None
    print(f"\nofficial clients: {time.monotonic() - start:.0f} s\n{count.passed} passed, {count.failed} failed")
    return 1 if count.failed or not count.passed else 0


if __name__ == "__main__":
    sys.exit(main())
