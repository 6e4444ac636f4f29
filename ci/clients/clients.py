"""The clients, unmodified: the `anthropic` package and its Node twins for five platforms, and boto3 for two of Bedrock's APIs.

Each takes a request in the Messages API's form and returns what its caller would have: a message, a token count or an error.
"""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import anthropic
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from google.oauth2 import service_account

import converse

SECONDS = 30
SPELLINGS = {
    "claude-haiku-4-5": {"bedrock": "us.anthropic.claude-haiku-4-5-20251001-v1:0", "vertex_ai": "claude-haiku-4-5@20251001"},
}


def spelled(model: str, route: str) -> str:
    """A model's name on a route."""
    if route == "bedrock_mantle":
        return f"anthropic.{model}"
    platform = route.split("_")[0] if route.startswith("bedrock") else route
    default = f"us.anthropic.{model}" if platform == "bedrock" else model
    return SPELLINGS.get(model, {}).get(platform, default)


@dataclass
class Outcome:
    message: dict | None = None
    tokens: int | None = None
    # `name` of the exception's class, `status`, `kind` (error type), `request_id`.
    error: dict | None = None
    # Raw values that only the client's own compiler can judge: pairs of a type's name and a value.
    values: list = field(default_factory=list)


class Sdk:
    """A client of the `anthropic` package."""

    # `counts`: the packages refuse to count tokens on Bedrock.
    def __init__(self, name, route, make, counts=True):
        self.name, self.route, self.make, self.counts = f"python {name}", route, make, counts
        self.failures = route
        self.made = {}

    def client(self, base_url: str, environment: dict):
        key = base_url, *environment.items()
        if key not in self.made:
            self.made[key] = self.make(base_url, environment, {"max_retries": 0, "timeout": SECONDS})
        return self.made[key]

    def send(self, base_url: str, environment: dict, request: dict, operation: str) -> Outcome:
        client = self.client(base_url, environment)
        request = {**request, "model": spelled(request["model"], self.route)}
        version = bedrock_version(self.route, request["model"])
        if version:
            request["extra_body"] = {"anthropic_version": version}
        try:
            if operation == "count":
                request.pop("max_tokens")
                return Outcome(tokens=client.messages.count_tokens(**request).input_tokens)
            if operation == "models":
                return Outcome(tokens=len(client.models.list().data))
            if operation == "stream":
                with client.messages.stream(**request) as stream:
                    message = stream.get_final_message()
            else:
                message = client.messages.create(**request)
        except anthropic.APIStatusError as error:
            return Outcome(error=dict(name=type(error).__name__, status=error.status_code, kind=error.type, request_id=error.request_id))
        return Outcome(message=message.to_dict(mode="json"))


def bedrock_version(route: str, model: str) -> str | None:
    """InvokeModel may refuse the packages' own API version for models before Claude 4.7:
    https://platform.claude.com/docs/en/build-with-claude/claude-on-amazon-bedrock-legacy
    """
    return "bedrock-2023-05-31" if route == "bedrock_invoke" and "opus-4-7" not in model else None


class Node:
    """A client of the Node packages, in the one process of `node.mjs`."""

    process = None

    def __init__(self, name, route, counts=True):
        self.package, self.name, self.route, self.counts = name, f"node {name}", route, counts
        self.failures = route

    @classmethod
    def start(cls, folder: Path, environment: dict):
        command = ["node", "node.mjs"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        cls.process = subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes)

    def send(self, base_url: str, environment: dict, request: dict, operation: str) -> Outcome:
        request = {**request, "model": spelled(request["model"], self.route)}
        version = bedrock_version(self.route, request["model"])
        if version:
            request["anthropic_version"] = version
        job = dict(
            name=self.package,
            baseUrl=base_url,
            environment=environment,
            timeout=SECONDS * 1000,
            request=request,
            operation=operation,
        )
        print(json.dumps(job), file=self.process.stdin, flush=True)
        outcome = json.loads(self.process.stdout.readline())
        if "crash" in outcome:
            raise RuntimeError(outcome["crash"])
        return Outcome(**outcome)


class Boto:
    """boto3, for InvokeModel or Converse."""

    failures = "boto3"
    counts = True

    def __init__(self, name, route):
        self.name, self.route = f"boto3 {name}", route

    def send(self, base_url: str, environment: dict, request: dict, operation: str) -> Outcome:
        client = boto3.client(
            "bedrock-runtime",
            endpoint_url=base_url,
            region_name=environment["AWS_REGION_NAME"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=environment.get("AWS_SESSION_TOKEN"),
            config=Config(retries={"total_max_attempts": 1}, read_timeout=SECONDS),
        )
        model = spelled(request.pop("model"), self.route)
        ask = self.converse if self.route == "bedrock_converse" else self.invoke
        try:
            return ask(client, model, request, operation)
        except ClientError as error:
            name, metadata = type(error).__name__, error.response["ResponseMetadata"]
            # botocore has no class for an exception outside the service model.
            name = error.response["Error"]["Code"] if name == "ClientError" else name
            status, request_id = metadata["HTTPStatusCode"], metadata.get("RequestId")
            return Outcome(error=dict(name=name, status=status, kind=None, request_id=request_id))

    def invoke(self, client, model, request, operation) -> Outcome:
        body = json.dumps({"anthropic_version": "bedrock-2023-05-31", **request})
        if operation == "count":
            counted = client.count_tokens(modelId=counted_model(model), input={"invokeModel": {"body": body}})
            return Outcome(tokens=counted["inputTokens"])
        if operation == "stream":
            stream = client.invoke_model_with_response_stream(modelId=model, body=body)["body"]
            return Outcome(message=accumulate(json.loads(event["chunk"]["bytes"]) for event in stream))
        return Outcome(message=json.loads(client.invoke_model(modelId=model, body=body)["body"].read()))

    def converse(self, client, model, request, operation) -> Outcome:
        request = converse.request(request)
        if operation == "count":
            request.pop("inferenceConfig")
            counted = client.count_tokens(modelId=counted_model(model), input={"converse": request})
            return Outcome(tokens=counted["inputTokens"])
        if operation == "stream":
            stream = client.converse_stream(modelId=model, **request)["stream"]
            return Outcome(message=converse.accumulate(list(stream)))
        return Outcome(message=converse.message(client.converse(modelId=model, **request)))


def counted_model(model: str) -> str:
    """CountTokens takes no inference profile: https://docs.aws.amazon.com/bedrock/latest/userguide/count-tokens.html"""
    return model.removeprefix("us.")


def accumulate(events) -> dict:
    """The message of a Messages stream, for a client that has no helper for it."""
    message, arguments = {}, {}
    for event in events:
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                message["content"].append(event["content_block"])
            case "content_block_delta":
                block, delta = message["content"][event["index"]], event["delta"]
                if delta["type"] == "input_json_delta":
                    arguments[event["index"]] = arguments.get(event["index"], "") + delta["partial_json"]
                elif delta["type"] == "signature_delta":
                    block["signature"] = delta["signature"]
                else:
                    member = delta["type"].removesuffix("_delta")
                    block[member] += delta[member]
            case "message_delta":
                message |= event["delta"]
                message["usage"] |= event["usage"]
    for index, text in arguments.items():
        message["content"][index]["input"] = json.loads(text)
    return message


def google_credentials(environment: dict) -> dict:
    """google-auth exchanges the service account's assertion for an access token, at the simulator."""
    if "GOOGLE_ACCESS_TOKEN" in environment:
        return {"access_token": environment["GOOGLE_ACCESS_TOKEN"]}
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    file = environment["VERTEXAI_CREDENTIALS"]
    return {"credentials": service_account.Credentials.from_service_account_file(file, scopes=scopes)}


CLIENTS = [
    Sdk("Anthropic", "anthropic", lambda url, env, more: anthropic.Anthropic(base_url=url, api_key=env["ANTHROPIC_API_KEY"], **more)),
    Sdk(
        "AnthropicFoundry",
        "azure",
        lambda url, env, more: anthropic.AnthropicFoundry(base_url=f"{url}/anthropic/", api_key=env["AZURE_AI_API_KEY"], **more),
    ),
    Sdk(
        "AnthropicBedrock",
        "bedrock_invoke",
        lambda url, env, more: anthropic.AnthropicBedrock(
            base_url=url,
            aws_region=env["AWS_REGION_NAME"],
            aws_access_key=env["AWS_ACCESS_KEY_ID"],
            aws_secret_key=env["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=env.get("AWS_SESSION_TOKEN"),
            **more,
        ),
        counts=False,
    ),
    Sdk(
        "AnthropicBedrockMantle",
        "bedrock_mantle",
        lambda url, env, more: anthropic.AnthropicBedrockMantle(
            base_url=f"{url}/anthropic",
            aws_region=env["AWS_REGION_NAME"],
            aws_access_key=env["AWS_ACCESS_KEY_ID"],
            aws_secret_key=env["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=env.get("AWS_SESSION_TOKEN"),
            **more,
        ),
    ),
    Sdk(
        "AnthropicVertex",
        "vertex_ai",
        lambda url, env, more: anthropic.AnthropicVertex(
            base_url=f"{url}/v1",
            project_id=env["VERTEXAI_PROJECT"],
            region=env["VERTEXAI_LOCATION"],
            **google_credentials(env),
            **more,
        ),
    ),
    Boto("InvokeModel", "bedrock_invoke"),
    Boto("Converse", "bedrock_converse"),
    Node("Anthropic", "anthropic"),
    Node("AnthropicFoundry", "azure"),
    Node("AnthropicBedrock", "bedrock_invoke", counts=False),
    Node("AnthropicBedrockMantle", "bedrock_mantle"),
    Node("AnthropicVertex", "vertex_ai"),
]
