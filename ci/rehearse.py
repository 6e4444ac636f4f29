#!/usr/bin/env python3
"""Runs every `run` step of a CircleCI job on this machine, in order, in a clean environment.

It evaluates parameters and conditions. `BASH_ENV` carries variables from step to step. Background steps run until the job
ends, `when: always` steps also after a failure. The workspace is a folder. It skips checkout, caches and uploads.

`--ran FILE` appends each executed script to the file. `--missing FILE` runs nothing and lists the scripts that the file lacks.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

from ruamel.yaml import YAML

# The variables of a CircleCI machine, and this machine's settings of package clients. None is a credential.
KEPT = re.compile(
    r"^(PATH|LANG|LC_ALL|CARGO_HOME|RUSTUP_HOME|CARGO_TARGET_DIR|COMPAT_CACHE_DIR|SSL_CERT_(FILE|DIR)|NODE_EXTRA_CA_CERTS"
    r"|REQUESTS_CA_BUNDLE|(https?|no|HTTPS?|NO)_(proxy|PROXY)|PIP_.*|UV_.*|(npm_config|NPM_CONFIG)_.*|REHEARSAL_.*)$"
)


def fill_in(value, parameters):
    """Replaces `<< parameters.name >>`."""
    if isinstance(value, str):
        pattern = r"<<\s*parameters\.([a-z_]+)\s*>>"
        return re.sub(pattern, lambda found: str(parameters[found[1]]), value)
    if isinstance(value, dict):
        return {key: fill_in(inner, parameters) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill_in(inner, parameters) for inner in value]
    return value


def holds(condition):
    """Whether a condition of `when` holds."""
    [(operator, operand)] = condition.items()
    if operator == "equal":
        return operand[0] == operand[1]
    if operator == "not":
        return not holds(operand)
    if operator == "and":
        return all(holds(inner) for inner in operand)
    if operator == "or":
        return any(holds(inner) for inner in operand)
    sys.exit(f"rehearse: the condition `{operator}` is not known here")


def flattened(steps):
    """The steps that run, in order."""
    for step in steps:
        if isinstance(step, str):
            yield step, {}
            continue
        [(kind, body)] = step.items()
        if kind in ("when", "unless"):
            if holds(body["condition"]) == (kind == "when"):
                yield from flattened(body["steps"])
        else:
            yield kind, {"command": body} if isinstance(body, str) else body


def scripts(steps):
    """The scripts of all `run` steps, whatever their conditions, with their names."""
    for step in steps:
        if not isinstance(step, dict):
            continue
        [(kind, body)] = step.items()
        if kind in ("when", "unless"):
            yield from scripts(body["steps"])
        elif kind == "run":
            body = {"command": body} if isinstance(body, str) else body
            yield body.get("name", ""), body["command"]


def missing(config, ran):
    """Prints the scripts that did not run, and returns whether there are any."""
    ran = {json.loads(line) for line in ran.read_text().splitlines()}
    found = 0
    for job_name, job in config["jobs"].items():
        for name, command in scripts(job["steps"]):
            if command not in ran:
                print(f"rehearse: no rehearsal ran `{name}` of {job_name}")
                found += 1
    return found


def environment(job, home, node, nodes):
    kept = {name: value for name, value in os.environ.items() if KEPT.match(name)}
    own = {"CI": "true", "CIRCLECI": "true", "HOME": str(home), "BASH_ENV": str(home / ".bash_env")}
    own |= {"CIRCLE_NODE_INDEX": str(node), "CIRCLE_NODE_TOTAL": str(nodes)}
    own |= {name: str(value) for name, value in job.get("environment", {}).items()}
    return kept | own


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("config", type=pathlib.Path)
    arguments.add_argument("job", nargs="?")
    arguments.add_argument("--checkout", type=pathlib.Path, help="the working directory")
    arguments.add_argument("--home", type=pathlib.Path, help="the home directory; its content is removed")
    arguments.add_argument("--workspace", type=pathlib.Path, help="the folder that jobs share")
    arguments.add_argument("--ran", type=pathlib.Path, help="a file; each executed script is appended")
    arguments.add_argument("--missing", type=pathlib.Path, help="a file from --ran: list the scripts that it lacks")
    arguments.add_argument("--container", default="0/1", help="the container's index and their number: `0/2`")
    arguments.add_argument("parameters", nargs="*", help="`name=value`")
    given = arguments.parse_intermixed_args()

    config = YAML(typ="safe").load(given.config)
    if given.missing:
        return 1 if missing(config, given.missing) else 0
    job = config["jobs"][given.job]
    parameters = {name: about["default"] for name, about in job.get("parameters", {}).items()}
    for parameter in given.parameters:
        name, value = parameter.split("=", 1)
        if name not in parameters:
            sys.exit(f"rehearse: the job has no parameter `{name}`, it has {', '.join(parameters)}")
        parameters[name] = value
    job = fill_in(job, parameters)
    node, nodes = given.container.split("/")

    shutil.rmtree(given.home, ignore_errors=True)
    given.home.mkdir(parents=True)
    variables = environment(job, given.home, node, nodes)
    (given.home / ".bash_env").write_text("")
    background, failed = [], None
    try:
        for kind, step in flattened(job["steps"]):
            if kind == "attach_workspace" and failed is None:
                at = given.checkout / step["at"].replace("~", str(given.home))
                shutil.copytree(given.workspace, at, dirs_exist_ok=True)
            if kind == "persist_to_workspace" and failed is None:
                for path in step["paths"]:
                    to = given.workspace / path
                    shutil.copytree(given.checkout / step["root"] / path, to, dirs_exist_ok=True)
            if kind in ("store_test_results", "store_artifacts") and not (given.checkout / step["path"]).exists():
                print(f"rehearse: nothing at `{step['path']}` to keep", flush=True)
            if kind != "run" or (failed and step.get("when") != "always"):
                continue
            name = step.get("name", step["command"].splitlines()[0])
            if given.ran:
                with given.ran.open("a", encoding="utf-8") as ran:
                    ran.write(json.dumps(step["command"]) + "\n")
            print(f"== {given.job} {given.container}: {name}", flush=True)
            own = variables | {key: str(value) for key, value in step.get("environment", {}).items()}
            command = ["bash", "-eo", "pipefail", "-c", step["command"]]
            process = subprocess.Popen(command, cwd=given.checkout, env=own, start_new_session=True)
            if step.get("background"):
                background.append(process)
            elif process.wait() != 0:
                print(f"rehearse: `{name}` failed with status {process.returncode}", flush=True)
                failed = failed or name
    finally:
        for process in background:
            try:
                os.killpg(process.pid, signal.SIGTERM)
            except ProcessLookupError:
                pass
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
