#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests within OpenSSL's TLS, of the programs of a Debian: client's ledger against the agent's metrics, at both ends.

usage: tls_test.py SONDE [--root DIR] [--requests N] [--joined] [SERVER/CLIENT[/VARIANT]...]

    --root DIR   programs and libraries from there (debootstrap --include=nginx-light,haproxy,apache2,apache2-utils,
                 redis-server,postgresql,python3,nodejs,openssl), not the machine's own
    --joined     the agent starts when the connections are there, and idle
    SERVER       nginx, nginx_ktls, haproxy, apache, sync, asyncio, fork, hand, node, redis, postgres
    CLIENT       sync, asyncio, node, ab, curl; for redis and postgres none, they have their own
    VARIANT      empty, close, pipeline, 1.2, page; of postgres simple, extended, prepared

Run by hand, as root.
"""
import argparse
import collections
import json
import os
import re
import signal
import subprocess
import sys
import time

from tls_bed import SIZES, Agent, Bed, until

SERVERS = ("nginx", "nginx_ktls", "haproxy", "apache", "sync", "asyncio", "fork", "hand", "node")
CLIENTS = ("sync", "asyncio", "node", "ab", "curl")


def sums(samples, name, service, *keys):
    result = collections.Counter()
    for (metric, labels), value in samples.items():
        given = dict(labels)
        if metric == name and value and given.get("service") == service:
            result[tuple(given.get(key, "") for key in keys)] += value
    for own in ("INFO", "CONFIG"):
        result.pop((own,), None)
    return result


def differences(after, before, expected):
    found = after.copy()
    found.subtract(before)
    out = []
    for (name, service, keys), wanted in expected.items():
        seen = sums(found, name, service, *keys)
        for key in sorted(set(wanted) | set(seen)):
            if wanted[key] != seen[key]:
                out.append(f"{service} {name} {' '.join(key)}: expected {wanted[key]:.0f}, seen {seen[key]:.0f}")
    return out


def http_expected(rows, server, client, proxied):
    expected = {}

    def count(name, service, keys, value):
        expected[name, service, keys] = collections.Counter()
        for row in rows:
            key = tuple(str(dict(zip(("method", "path", "status"), row))[k]) for k in keys)
            expected[name, service, keys][key] += value(row)

    for service in (server, *(["nginx"] if proxied else [])):
        count("http_requests_total", service, ("method", "path", "status"), lambda row: row[3])
        count("http_response_size_bytes_sum", service, ("path",), lambda row: row[5])
        count("http_request_size_bytes_sum", service, ("path",), lambda row: row[4])
        count("http_requests_aborted_total", service, ("method",), lambda _: 0)
    for service in (client, *([server] if proxied else [])):
        count("http_client_requests_total", service, ("method", "status"), lambda row: row[3])
        count("http_client_requests_aborted_total", service, ("method",), lambda _: 0)
    return expected


def http_load(bed, agent, client, server, port, variant, joined):
    requests, connections = bed.options.requests, 16
    ledger = bed.dir / "ledger"
    ledger.unlink(missing_ok=True)
    mix = "bodies" if server in ("sync", "asyncio", "fork", "hand", "node") else "files"
    path = "/page" if variant == "page" else "/small"
    if client in ("sync", "asyncio"):
        words = [bed.options.python, bed.inside / "tls_peers.py", "load", client, port, requests, connections,
                 bed.inside / "ledger", "--mix", mix]
        words += {"close": ["--close"], "pipeline": ["--pipeline", "8"], "1.2": ["--tls", "1.2"]}.get(variant, [])
    elif client == "node":
        words = ["node", bed.inside / "tls_peers.js", "load", port, requests, connections, bed.inside / "ledger"]
        words += ["--bodies"] * (mix == "bodies") + ["--close"] * (variant == "close")
    elif client == "ab":
        words = ["ab", "-q", "-n", requests, "-c", connections, *(["-k"] if variant != "close" else []),
                 *(["-f", "TLS1.2"] if variant == "1.2" else []), f"https://127.0.0.1:{port}{path}"]
    else:
        words = ["curl", "-sSfk", "-o", "/dev/null", *(["--tls-max", "1.2"] if variant == "1.2" else []), "--http1.1",
                 f"https://127.0.0.1:{port}{path}?[1-{requests}]"]
    service = f"{client}-{os.getpid()}"  # other runs have clients, too
    if joined:
        words += ["--pause", bed.inside / "go"]
        for name in ("go", "go.ready"):
            (bed.dir / name).unlink(missing_ok=True)
        process = bed.start(*words, service=service)
        if not until(30, (bed.dir / "go.ready").exists):
            raise RuntimeError("the client does not get to its pause")
        agent.start()
        before = agent.scrape()
        (bed.dir / "go").touch()
        if process.wait(300):
            raise RuntimeError("the client failed")
        bed.processes.remove(process)
    else:
        before = agent.scrape()
        out = bed.run(*words, service=service)
        if client == "ab" and ("Failed requests:        0" not in out or "Non-2xx" in out):
            raise RuntimeError(out)
    if client in ("ab", "curl"):
        return before, service, [["GET", path, 200, requests, 0, requests * SIZES[path[1:]]]]
    return before, service, json.loads(ledger.read_text())


def redis_load(bed, agent, port, variant):
    before = agent.scrape()
    count = bed.options.requests
    bed.run("redis-benchmark", "--tls", "--cacert", bed.inside / "pem", "-p", port, "-q", "-n", count, "-c", 16, "-t",
            "set,get,incr,lpush,mset", "-P", 16 if variant == "pipeline" else 1, service="redis-benchmark")
    if variant == "pipeline":
        count = -(-count // 16) * 16
    rows = {("SET",): count, ("GET",): count, ("INCR",): count, ("LPUSH",): count, ("MSET",): count}
    stats = bed.run("redis-cli", "--tls", "--cacert", bed.inside / "pem", "-p", port, "INFO", "commandstats", service="cli")
    told = {(name.upper(),): int(calls) for name, calls in re.findall(r"^cmdstat_([a-z]+):calls=(\d+)", stats, re.MULTILINE)}
    for key in rows:
        if told[key] < rows[key]:
            raise RuntimeError(stats)
    return before, rows


def redis_expected(rows):
    rows = collections.Counter(rows)
    return {("redis_server_operations_total", "redis", ("operation",)): rows,
            ("redis_operations_total", "redis-benchmark", ("operation",)): rows}


def postgres_load(bed, agent, port, variant):
    binaries = "/usr/lib/postgresql/" + next((bed.root / "usr/lib/postgresql").iterdir()).name + "/bin"
    address = f"host=127.0.0.1 port={port} user=sonde dbname=postgres sslmode=require gssencmode=disable"
    if not (bed.dir / "initialised").exists():
        bed.run(f"{binaries}/pgbench", "-i", "-q", address, service="setup-pgbench")
        (bed.dir / "initialised").touch()
        time.sleep(1)
    before = agent.scrape()
    count = bed.options.requests // 16
    bed.run(f"{binaries}/pgbench", "-n", "-M", variant, "-c", 16, "-j", 2, "-t", count, address, service="pgbench")
    count *= 16
    rows = collections.Counter({("begin",): count, ("update",): 3 * count, ("select",): count, ("insert",): count, ("end",): count})
    return before, rows


def postgres_expected(rows, seen):
    for family, service in (("database_server_query_duration_seconds_count", "postgres"),
                            ("database_query_duration_seconds_count", "pgbench")):
        first = sums(seen, family, service, "query_type")[("select",)] - rows[("select",)]
        rows_of = rows + collections.Counter({("select",): first if 0 <= first <= 4 else 0})  # what pgbench asks first
        yield (family, service, ("query_type",)), rows_of


def run_one(bed, agent, server, client, variant, ports, joined):
    port = ports[server]
    if server == "redis":
        before, rows = redis_load(bed, agent, port, variant)
        expect = lambda _: redis_expected(rows)
    elif server == "postgres":
        before, rows = postgres_load(bed, agent, port, variant)
        expect = lambda seen: dict(postgres_expected(rows, seen))
    else:
        before, service, rows = http_load(bed, agent, client, server, port, variant, joined)
        expect = lambda _: http_expected(rows, "nginx" if server == "nginx_ktls" else server, service, server == "haproxy")
    found = None

    def settled():
        nonlocal found
        after = agent.scrape()
        delta = after.copy()
        delta.subtract(before)
        found = differences(after, before, expect(delta))
        return not found

    until(6, settled)
    if found:
        after = agent.scrape()
        after.subtract(before)
        for (name, labels), value in after.items():
            if value > 0 and name in ("sonde_events_lost_total", "sonde_decode_errors_total", "sonde_series_folded_total"):
                found.append(f"{name} {dict(labels)}: {value:.0f}")
    return found


def variants(server, client, joined):
    if server == "redis":
        return ("", "pipeline")
    if server == "postgres":
        return ("simple", "extended", "prepared")
    if joined:
        return ("", "1.2")
    return {"sync": ("", "1.2", "close", "pipeline"), "asyncio": ("", "1.2", "close", "pipeline"), "node": ("", "close"),
            "ab": ("", "page", "1.2", "close"), "curl": ("", "1.2")}[client]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("sonde")
    parser.add_argument("--root")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--joined", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("pairs", nargs="*")
    options = parser.parse_intermixed_args()
    pairs = [tuple(pair.split("/")) for pair in options.pairs]
    clients = ("sync", "asyncio") if options.joined else CLIENTS
    # ab speaks HTTP/1.0, of which the others keep no connection.
    pairs = pairs or [(server, client) for server in SERVERS for client in clients
                      if client != "ab" or server in ("nginx", "nginx_ktls", "haproxy", "apache")]
    if not options.pairs and not options.joined:
        pairs += [("redis", ""), ("postgres", "")]
    pairs = [(server, (rest or [""])[0], rest[1:]) for server, *rest in pairs]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bed, failed = Bed(options), 0
    try:
        agent, ports = Agent(bed), {}
        for server in dict.fromkeys(server for server, _, _ in pairs):
            try:
                ports[server] = getattr(bed, server)()
            except (RuntimeError, subprocess.CalledProcessError, FileNotFoundError) as error:
                print(f"none  {server}: {error}")
        if not options.joined:
            agent.start()
        for server, client, only in pairs:
            for variant in (only or variants(server, client, options.joined)) if server in ports else ():
                try:
                    found = run_one(bed, agent, server, client, variant, ports, options.joined)
                except (RuntimeError, subprocess.CalledProcessError, FileNotFoundError) as error:
                    found = [str(error), (getattr(error, "stderr", None) or "")[-400:]]
                finally:
                    if options.joined and agent.process and agent.process.poll() is None:
                        agent.stop()
                failed += bool(found)
                print("FAIL " if found else "ok   ", server, client, variant, flush=True)
                for line in found:
                    print("       ", line, flush=True)
    finally:
        bed.close()
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
