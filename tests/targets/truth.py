#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what a server of the testbed says it did, in the form of a ledger.

usage: truth.py DIR NAME     NAME: a target with /truth, or postgres (pg_stat_statements), redis (INFO), nginx (its log),
                               nats (/varz)

What postgres and redis say about errors is by SQLSTATE and error word only where they know it: PostgreSQL does not.
"""
import collections
import json
import pathlib
import re
import subprocess
import sys
import urllib.request

COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
TABLE = re.compile(r'\b(?:from|into|update|copy|table)\s+"?([\w.]+)', re.IGNORECASE)


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def postgres(folder, port):
    socket = folder / "postgres"
    rows = output("psql", "-qXAt", f"--host={socket}", f"--port={port}", "-Usonde", "-dpostgres", "-c", "table truth")
    counts = collections.Counter()
    for text, calls in json.loads(rows):
        words = COMMENT.sub(" ", text)
        table = TABLE.search(words)
        verb = re.search(r"\w+", words).group().lower()
        if verb == "table":  # the question itself, which nobody else asks
            continue
        counts[verb, table[1] if table else ""] += calls
    return {"sql": [dict(verb=v, table=t, sqlstate="", count=n) for (v, t), n in counts.items()]}


def redis(folder, _):
    commands, errors = collections.Counter(), collections.Counter()
    text = output("redis-cli", "-s", str(folder / "redis/socket"), "INFO", "everything")
    for name, calls in re.findall(r"^cmdstat_([^:|]+)[^:]*:calls=(\d+)", text, re.MULTILINE):
        commands[name.upper()] += int(calls)
    for name, rejected in re.findall(r"^cmdstat_([^:|]+)[^:]*:.*rejected_calls=(\d+)", text, re.MULTILINE):
        commands[name.upper()] += int(rejected)
    for word, count in re.findall(r"^errorstat_([^:]+):count=(\d+)", text, re.MULTILINE):
        errors[word] += int(count)
    commands.pop("STRLEN", 0)  # called by api's EVAL and by nobody else: no command that was written
    return {
        "redis": [dict(operation=o, count=n) for o, n in commands.items()],
        "redis_errors": [dict(error=e, count=n) for e, n in errors.items()],
    }


def answer(port, path):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return json.load(response)


def nats(folder, _):
    counted = answer((folder / "nats/monitor").read_text().strip(), "/varz")
    rows = (("published", "in"), ("received", "out"))
    return {"nats": [dict(direction=d, count=counted[f"{w}_msgs"], bytes=counted[f"{w}_bytes"]) for d, w in rows]}


def nginx(folder, _):
    served, passed = collections.Counter(), collections.Counter()
    for line in (folder / "nginx/access.log").read_text().splitlines():
        method, status, upstream, path = line.split(" ", 3)
        served[method, path, status] += 1
        if upstream != "-":
            passed[method, "", upstream] += 1
    rows = lambda counts: [dict(method=m, route=r, status=int(s), count=n) for (m, r, s), n in counts.items()]
    return {"requests": rows(served), "passed": rows(passed)}


def main():
    folder, name = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    ports = dict(line.split("=") for line in (folder / "ports").read_text().split())
    known = {"postgres": postgres, "redis": redis, "nginx": nginx, "nats": nats}
    if name in known:
        document = known[name](folder, ports[name]) | {"service": name}
    else:
        document = answer(ports[name], "/truth")
    json.dump(document, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
