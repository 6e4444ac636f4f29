"""Compiles the values that Node clients received against the types of `@anthropic-ai/sdk`. The compiler refuses unknown
members, missing members and unknown values of enums, at every depth."""

import json
import re
import subprocess
from pathlib import Path

from shapes import without_metrics

HEAD = """\
import type * as Messages from "@anthropic-ai/sdk/resources/messages/messages";
import type * as Models from "@anthropic-ai/sdk/resources/models";
// A member that may be null may also be missing, as in the types of the Python package. So may `caller`, which is optional there:
// Bedrock does not send it (`src/wire/reply_fields.rs`).
type Nullable<T> = { [Name in keyof T]-?: null extends T[Name] ? Name : Name extends "caller" ? Name : never }[keyof T];
type Members<T> = { [Name in Exclude<keyof T, Nullable<T>>]: Wire<T[Name]> } & { [Name in Nullable<T>]?: Wire<T[Name]> };
type Wire<T> = T extends string | number | boolean | null | undefined ? T
  : T extends (infer Item)[] ? Wire<Item>[]
  : T extends object ? { [Name in keyof Members<T>]: Members<T>[Name] }
  : T;
"""
OPTIONS = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022"]


def check(folder: Path, received: list[tuple[str, str, object]]) -> list[str]:
    """`received` has the case, the type's name and the value. Returns the deviations, each with its case."""
    declarations = {}
    for case, kind, value in received:
        declarations.setdefault(f"Wire<{'Models' if kind == 'ModelInfo' else 'Messages'}.{kind}> = {json.dumps(without_metrics(value))};", case)
    lines = [f"export const v{number}: {text}" for number, text in enumerate(declarations)]
    (folder / "received.ts").write_text(HEAD + "\n".join(lines) + "\n")
    command = ["node", "node_modules/typescript/bin/tsc", *OPTIONS, "received.ts"]
    output = subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout
    cases = [*declarations.values()]
    found = []
    for line, message in re.findall(r"^received\.ts\((\d+),\d+\): error (.*)$", output, re.MULTILINE):
        place = int(line) - HEAD.count("\n") - 1
        found.append(f"{cases[place] if place >= 0 else 'types'}: {message[:300]}")
    return found or ([output] if output else [])
