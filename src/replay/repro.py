# DATA has the recording. The code needs only the standard library of Python 3.8 or newer.
import argparse, base64, binascii, http.client, http.server, json, os, re, struct, subprocess, sys, threading, time, traceback, urllib.parse

# The routes with AWS's event streams.
FRAMED = ("bedrock_invoke", "bedrock_converse")
DELTAS = {"text deltas": "text", "thinking deltas": "thinking", "tool argument deltas": "partial_json"}
BROKEN = "with a broken connection"
SHOWS, GONE, UNKNOWN = 1, 0, 2


def config(port, service_account):
    """A configuration of LiteLLM with the stand-in as its provider."""
    base = "http://127.0.0.1:%d" % port
    model = DATA["provider_model"]
    fields = {
        "anthropic": {"model": "anthropic/" + model, "api_base": base, "api_key": "none"},
        "bedrock_invoke": {"model": "bedrock/invoke/" + model},
        "bedrock_converse": {"model": "bedrock/converse/" + model},
        "bedrock_mantle": {"model": "bedrock_mantle/" + model, "api_base": base},
        "azure": {"model": "azure_ai/" + model, "api_base": base, "api_key": "none"},
        "vertex_ai": {"model": "vertex_ai/" + model, "api_base": base, "vertex_credentials": service_account,
                      "vertex_project": "repro", "vertex_location": "us-east5"},
    }[DATA["route"]]
    if DATA["route"] in FRAMED:
        fields["aws_bedrock_runtime_endpoint"] = base
    if DATA["route"].startswith("bedrock"):
        fields.update({"aws_access_key_id": "none",
                       "aws_secret_access_key": "none", "aws_region_name": "us-east-1"})
    return json.dumps({
        "model_list": [{"model_name": DATA["alias"], "litellm_params": fields}],
        "general_settings": {"forward_client_headers_to_llm_api": True, "dangerously_permit_weak_or_unset_master_key": True},
        "litellm_settings": {"drop_params": True, "modify_params": True},
    }, indent=2)


def write_service_account(path, port):
    key = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA"], check=True, capture_output=True, text=True).stdout
    with open(path, "w") as file:
        json.dump({"type": "service_account", "project_id": "repro", "private_key_id": "0", "private_key": key,
                   "client_email": "repro@example.invalid", "client_id": "0",
                   "token_uri": "http://127.0.0.1:%d/token" % port}, file)


# ---- the stand-in: it answers like the provider and keeps the requests

class StandIn:
    def __init__(self, port):
        self.turn, self.arrived, self.sent_last, self.slow = None, [], 0.0, False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                self.close_connection = True
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                outer.answer(self, body)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, handler, body):
        if handler.path.split("?")[0] == "/token":
            return self.whole(handler, 200, {"access_token": "none", "expires_in": 3600, "token_type": "Bearer"})
        if self.turn is None:
            return self.whole(handler, 404, {"message": "no request is expected now"})
        try:
            parsed = json.loads(body)
        except ValueError:
            parsed = body.decode("utf-8", "replace")
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.arrived.append({"path": handler.path, "headers": headers, "body": parsed})
        replies = self.turn["replies"]
        if not replies:
            return self.whole(handler, 404, {"message": "the recording has no request to the provider"})
        reply = replies[min(len(self.arrived), len(replies)) - 1]
        if not reply["stream"]:
            return self.whole(handler, reply["status"], reply["events"][0] if reply["events"] else {}, reply["headers"])
        handler.send_response(reply["status"])
        self.headers(handler, reply["headers"])
        kind = "application/vnd.amazon.eventstream" if DATA["route"] in FRAMED else "text/event-stream"
        handler.send_header("content-type", kind)
        # The chunks tell the gateway whether the stream is whole.
        handler.send_header("transfer-encoding", "chunked")
        self.end_headers(handler)
        pauses = 4 if self.slow else 0
        for event in reply["events"]:
            if pauses and "elta" in json.dumps(event)[:60]:
                pauses -= 1
                time.sleep(0.5)
            self.sent_last = time.time()
            data = framed(event)
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            handler.wfile.flush()
        if reply["cut"]:
            # A gateway that has sent nothing yet may repeat the request.
            time.sleep(1)
        else:
            handler.wfile.write(b"0\r\n\r\n")

    def headers(self, handler, headers):
        for name, value in headers.items():
            if name not in ("content-type", "content-length", "transfer-encoding", "connection", "date", "server"):
                handler.send_header(name, value)

    def end_headers(self, handler):
        handler.send_header("connection", "close")
        handler.end_headers()

    def whole(self, handler, status, value, headers={}):
        data = json.dumps(value).encode()
        handler.send_response(status)
        self.headers(handler, headers)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(data)))
        self.end_headers(handler)
        handler.wfile.write(data)


def framed(event):
    kind, payload = next(iter(event.items()))
    if DATA["route"] in FRAMED and kind.endswith("Exception"):
        return frame(kind, payload, "exception")
    if DATA["route"] == "bedrock_converse":
        return frame(kind, payload)
    if DATA["route"] == "bedrock_invoke":
        return frame("chunk", {"bytes": base64.b64encode(json.dumps(event).encode()).decode()})
    return ("event: %s\ndata: %s\n\n" % (event.get("type", "message"), json.dumps(event))).encode()


def frame(kind, payload, message_type="event"):
    """A frame of Amazon's event stream: lengths, headers, payload, two checksums."""
    headers = b""
    for name, value in ((":%s-type" % message_type, kind), (":content-type", "application/json"), (":message-type", message_type)):
        headers += struct.pack("B", len(name)) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    body = json.dumps(payload).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    prelude += struct.pack(">I", binascii.crc32(prelude))
    message = prelude + headers + body
    return message + struct.pack(">I", binascii.crc32(message))


# ---- the client: it sends Claude Code's requests

def send(gateway, key, turn, model):
    url = urllib.parse.urlsplit(gateway)
    kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
    connection = kind(url.hostname, url.port, timeout=120)
    headers = dict(turn["headers"])
    headers["authorization"] = "Bearer " + key
    body = dict(turn["body"])
    if model:
        body["model"] = model
    connection.request("POST", url.path.rstrip("/") + turn["path"], json.dumps(body), headers)
    response = connection.getresponse()
    events, first, text, rest, cut = [], None, b"", b"", False
    length = int(response.getheader("content-length") or -1)
    while len(text) != length:
        try:
            piece = response.read1(65536)
        except (OSError, http.client.IncompleteRead):
            piece, cut = b"", True
        text += piece
        # The end of the body ends its last line.
        *lines, rest = (rest + (piece or b"\n")).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                if first is None and b"_delta" in line:
                    first = time.time()
                try:
                    events.append(json.loads(line[5:]))
                except ValueError:
                    pass
        if not piece:
            break
    cut = cut or len(text) < length
    if not events:
        try:
            events = [json.loads(text)]
        except ValueError:
            events = [text.decode("utf-8", "replace")]
    headers = {name.lower(): value for name, value in response.getheaders()}
    return {"status": response.status, "headers": headers, "events": events, "first_delta": first, "cut": cut}


# ---- comparing replies and requests

def message(events):
    """The message in events of the Messages API, or in one body."""
    found = {"blocks": [], "stop_reason": None, "usage": {}, "error": None, "kinds": []}
    for event in events:
        if not isinstance(event, dict):
            found["error"] = str(event)[:200]
            continue
        kind = event.get("type")
        if kind == "error" or "error" in event:
            found["error"] = event.get("error")
        if kind == "message":
            found["blocks"] = [dict(block) for block in event.get("content") or []]
            found["stop_reason"] = event.get("stop_reason")
            found["usage"].update(event.get("usage") or {})
        if kind == "message_start":
            found["usage"].update(event["message"].get("usage") or {})
        if kind is None and "input_tokens" in event:
            found["usage"].update(event)
        if kind == "content_block_start":
            found["blocks"].append(dict(event.get("content_block") or {}))
        if kind == "content_block_delta" and found["blocks"]:
            block, delta = found["blocks"][-1], event.get("delta") or {}
            for field, into in (("text", "text"), ("thinking", "thinking"), ("signature", "signature"), ("partial_json", "arguments")):
                if field in delta:
                    block[into] = block.get(into, "") + delta[field]
        if kind == "message_delta":
            found["stop_reason"] = (event.get("delta") or {}).get("stop_reason")
            found["usage"].update(event.get("usage") or {})
        if kind and kind != "ping":
            found["kinds"].append(kind)
    for block in found["blocks"]:
        block.pop("id", None)
        block.pop("citations", None)
        if "arguments" in block:
            try:
                block["input"] = json.loads(block.pop("arguments"))
            except ValueError:
                pass
    return found


def part_of_reply(part, path, reply):
    """The compared part of a reply."""
    parts = message(reply["events"])
    if part == "status":
        return reply["status"]
    if part == "header":
        return reply["headers"].get(path)
    if part == "error":
        return part_of_error(path, parts["error"])
    if part in ("block", "signature"):
        return parts["blocks"]
    if part == "stop_reason":
        return parts["stop_reason"]
    if part == "usage" and not path.startswith(("message_", "usage.")):
        return walk(parts["usage"], path)
    if part in ("usage", "field"):
        return in_event(path, reply["events"], parts)
    if path.startswith("a cut stream"):
        return how_it_ended(reply, parts)
    if path in DELTAS:
        return sum(1 for event in reply["events"] if isinstance(event, dict) and DELTAS[path] in (event.get("delta") or {}))
    if path.startswith("pings"):
        return any(event.get("type") == "ping" for event in reply["events"] if isinstance(event, dict))
    if path in parts["kinds"] or path.startswith(("message_", "content_block_")):
        return parts["kinds"].count(path)
    return [kind for kind, before in zip(parts["kinds"], [None] + parts["kinds"]) if kind != before]


def part_of_error(path, error):
    if isinstance(error, dict) and "type of" in path:
        return error.get("type")
    if isinstance(error, dict) and "shape of" in path:
        return sorted(key for key in ("type", "message") if isinstance(error.get(key), str))
    return error or None


def how_it_ended(reply, parts):
    if "error" in parts["kinds"]:
        return "with an `error` event"
    if reply["cut"]:
        return BROKEN
    return "complete" if "message_stop" in parts["kinds"] else "without `message_stop`"


def in_event(path, events, parts):
    """The value at a path that begins with an event's type, or at a path of a message."""
    head, _, rest = path.partition(".")
    found = walk(parts, "blocks" + path[7:]) if head.startswith("content[") else None
    for event in events:
        kind = event.get("type") if isinstance(event, dict) else None
        inner = event.get("message") if kind == "message_start" else None
        for value in ((event, rest), (inner, rest)) if kind == head else ((inner, path),):
            found = found if walk(*value) is None else walk(*value)
        if kind in ("message", None):
            found = walk(event, path)
    return found


def walk(value, path):
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def part_of_request(part, path, request):
    """The compared part of a request to the provider."""
    if request is None:
        return None
    body = {key: value for key, value in request["body"].items() if key != "model"} if isinstance(request["body"], dict) else request["body"]
    if part == "header":
        return request["headers"].get(path)
    if part == "beta":
        return path in json.dumps([request["headers"].get("anthropic-beta"), body])
    if part == "field" and isinstance(body, dict):
        return found_at(body, path)
    if part == "tool" and isinstance(body, dict):
        return [body.get(key) for key in ("tools", "toolConfig")]
    return body


def found_at(body, path):
    for inside in (body, body.get("additionalModelRequestFields"), body.get("inferenceConfig")):
        value = walk(inside, path)
        if value is not None:
            return value
    return None


def short(value):
    text = json.dumps(value)
    return text if len(text) <= 300 else text[:200] + " ... " + text[-80:]


def texts_in(value):
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts_in(inner)


def still_lost(witness, request):
    """Whether a request nowhere has the text of a block or tool that was sent."""
    wanted = max(texts_in(witness["before"]), key=len, default="")
    if len(wanted) < 8 or request is None:
        return False
    return not any(wanted in text for text in texts_in(request["body"]))


def letters(value):
    return re.sub("[^a-z0-9]", "", json.dumps(value).lower())


def still_wrong(witness, provider_message, seen):
    """Whether the reply still differs from the provider's message at the recorded place."""
    part, path = witness["part"], witness["path"]
    if part == "error" and "message of" in path:
        return letters(witness["before"]) not in letters(seen)
    if path.startswith("a cut stream"):
        return seen != BROKEN
    if provider_message is None or part not in ("block", "signature", "stop_reason", "usage"):
        return False
    right = part_of_reply(part, path, {"status": 200, "events": [provider_message]})
    if part in ("usage", "stop_reason"):
        return right is not None and seen != right
    place = re.match(r"content\[(\d+)\][^.]*\.?(.*)$", path)
    if not place or not isinstance(seen, list):
        return False
    if len(seen) != len(right):
        return True
    wanted = "[%s]" % place.group(1) + ("." + place.group(2) if place.group(2) else "")
    return any(found == wanted or found.startswith((wanted + ".", wanted + "[")) for found in differences(right, seen, ""))


def judge(witness, turn, now, arrived, stand_in):
    """Whether the recorded fault shows again; None if that is unknown."""
    direction, part, path = witness["direction"], witness["part"], witness["path"]
    if part == "request":
        recorded = len(turn["arrived"])
        print("  requests at the provider: %d when recorded, %d now" % (recorded, len(arrived)))
        return len(arrived) == recorded
    if part == "pace":
        if now["first_delta"] is None:
            return None
        return now["first_delta"] >= stand_in.sent_last
    if direction == "request":
        then = part_of_request(part, path, turn["arrived"][-1] if turn["arrived"] else None)
        seen = part_of_request(part, path, arrived[-1] if arrived else None)
        otherwise = part in ("block", "tool") and still_lost(witness, arrived[-1] if arrived else None)
    else:
        if turn["came_back"] is None:
            return None
        if part != "status" and turn["came_back"]["status"] < 400 <= now["status"]:
            print("  the gateway answers with HTTP %d: %s" % (now["status"], short(now["events"][:1])))
            return None
        if witness["fate"] == "repeated" and path == "id":
            return None
        then, seen = part_of_reply(part, path, turn["came_back"]), part_of_reply(part, path, now)
        otherwise = still_wrong(witness, turn["message"], seen)
    if isinstance(then, (dict, list)) and isinstance(seen, (dict, list)):
        places = list(differences(then, seen, ""))
        print("  %s" % ("the same as recorded" if not places else
                        "differs from the recording at %s" % ", ".join(places[:5])))
    else:
        print("  when recorded: %s\n  now:           %s" % (short(then), short(seen)))
    if otherwise and then != seen:
        print("  still wrong, but in another way")
    return then == seen or otherwise


def differences(one, other, path):
    """The paths at which two values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(set(one) | set(other)):
            yield from differences(one.get(key), other.get(key), "%s.%s" % (path, key) if path else key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, pair in enumerate(zip(one, other)):
            yield from differences(pair[0], pair[1], "%s[%d]" % (path, index))
    elif one != other:
        yield path or "its root"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gateway", default=os.environ.get("LITELLM_PROXY_BASE_URL", "http://127.0.0.1:4000"), help="address of the gateway [%(default)s]")
    parser.add_argument("--key", default=os.environ.get("LITELLM_PROXY_API_KEY", "none"), help="a key that the gateway accepts")
    parser.add_argument("--model", help="the gateway's name of the model [" + DATA["alias"] + "]")
    parser.add_argument("--port", type=int, default=8765, help="port of the stand-in for the provider [%(default)s]")
    parser.add_argument("--service-account", default="service-account.json", help="file for the stand-in's service account (Vertex AI) [%(default)s]")
    parser.add_argument("--print-config", action="store_true", help="print a configuration of LiteLLM with the stand-in as its provider, and exit")
    arguments = parser.parse_args()
    if arguments.print_config:
        if DATA["route"] == "vertex_ai":
            write_service_account(arguments.service_account, arguments.port)
        print(config(arguments.port, os.path.abspath(arguments.service_account)))
        return GONE
    stand_in = StandIn(arguments.port)
    answers, verdicts = {}, []
    for witness in DATA["witnesses"]:
        turn = DATA["turns"][witness["turn"]]
        print("\n%s" % witness["line"])
        if witness["turn"] not in answers:
            stand_in.turn, stand_in.arrived = turn, []
            stand_in.slow = any(other["part"] == "pace" for other in DATA["witnesses"])
            try:
                now = send(arguments.gateway, arguments.key, turn, arguments.model)
            except (OSError, http.client.HTTPException) as error:
                print("  the gateway at %s does not answer: %s" % (arguments.gateway, error))
                return UNKNOWN
            answers[witness["turn"]] = (now, stand_in.arrived)
        now, arrived = answers[witness["turn"]]
        if not arrived and turn["arrived"] and witness["part"] != "request":
            print("  nothing reached the stand-in (HTTP %d: %s): is it the gateway's provider? See --print-config"
                  % (now["status"], short(now["events"][:1])))
            verdicts.append(None)
            continue
        verdicts.append(judge(witness, turn, now, arrived, stand_in))
        print("  -> %s" % {True: "the fault shows", False: "the fault does not show", None: "unknown"}[verdicts[-1]])
    if True in verdicts:
        print("\nThe fault shows.")
        return SHOWS
    if None in verdicts:
        print("\nThe script cannot decide whether the fault shows.")
        return UNKNOWN
    print("\nThe fault does not show.")
    return GONE


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Exception:
        # Python would exit with 1, which means that the fault shows.
        traceback.print_exc()
        sys.exit(UNKNOWN)
