#!/usr/bin/env python3
"""Adds our jobs, executors and workflow to an existing CircleCI configuration, and prints the result.

A key that both have is an error. Every existing value stays unchanged; the script checks this.
"""

import copy
import sys

from ruamel.yaml import YAML


def merge(theirs, ours):
    whole = copy.deepcopy(theirs)
    for section in ("executors", "jobs", "workflows"):
        existing = whole.setdefault(section, {})
        for key, value in ours.get(section, {}).items():
            if key in existing:
                sys.exit(f"merge: both configurations have `{section}.{key}`")
            existing[key] = value
    return whole


def main():
    yaml = YAML(typ="safe")
    theirs, ours = (yaml.load(open(name, encoding="utf-8")) for name in sys.argv[1:3])
    whole = merge(theirs, ours)
    for section, values in theirs.items():
        if isinstance(values, dict):
            for key, value in values.items():
                assert whole[section][key] == value, f"{section}.{key} has changed"
        else:
            assert whole[section] == values, f"{section} has changed"
    yaml.dump(whole, sys.stdout)


if __name__ == "__main__":
    main()
