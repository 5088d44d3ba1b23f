#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Requests of HTTP/2 and calls of gRPC, in plain text and within OpenSSL's TLS: client's ledger against the agent's metrics,
at both ends.

usage: http2_test.py SONDE [--requests N] [--python PYTHON] [SERVER/CLIENT[/VARIANT]...]

    SERVER   nginx, nginx_goaway, haproxy, node, apache, nghttpd; NAME_plain without TLS (by prior knowledge); grpc
    CLIENT   node, h2load, curl, nghttp; for grpc none (a PYTHON with grpcio)
    VARIANT  of node: idle (the agent starts when the connections are there), busy (when they are in the middle of
             requests); of curl: upload

Run by hand, as root.
"""
import argparse
import collections
import json
import signal
import subprocess
import sys

from http2_bed import SIZES, Bed, own_service, service_of, urls
from tls_bed import Agent, until
from tls_test import differences, http_expected

SERVERS = ("nginx", "haproxy", "node", "apache", "nghttpd")
CLIENTS = ("node", "h2load", "curl", "nghttp")
FILES = ("small", "page", "small", "head", "large", "small", "missing", "page")
# Of a server that does what it is asked to.
ALL = (*FILES, "post", "upload", "trailers", "empty", "stream", "hints", "push", "small", "early", "put", "huge", "cut", "held", "reset")
# Bytes that sendfile passes lie in no memory of the process; other families are not at issue.
HARMLESS = {"unreadable", "run_queue"}
LOSSES = ("sonde_events_lost_total", "sonde_decode_errors_total", "sonde_series_folded_total")


def node_words(bed, server, url, variant):
    mix = FILES if service_of(server) != "node" else ALL
    connections = 2 if server == "nginx_goaway" else 6
    words = ["node", bed.inside / "http2_peers.js", "load", url, bed.options.requests, connections, 10, bed.inside / "ledger",
             ",".join(mix)]
    return words + {"idle": ["--pause", bed.inside / "go"], "busy": ["--pause", bed.inside / "go", "--busy"]}.get(variant, [])


def joined(bed, agent, words, client, busy):
    """The agent starts beside connections that are there; what is compared begins when it has."""
    for name in ("go", "go.ready", "go.busy", "go.go"):
        (bed.dir / name).unlink(missing_ok=True)
    process = bed.start(*words, service=own_service(client))
    if not until(30, (bed.dir / ("go.busy" if busy else "go.ready")).exists):
        raise RuntimeError("the client does not get to its pause")
    agent.start()
    if busy:
        (bed.dir / "go").touch()
        if not until(30, (bed.dir / "go.ready").exists):
            raise RuntimeError("the client does not get to its second pause")
        until(1, lambda: False)  # until what was open is counted
    before = agent.scrape()
    (bed.dir / ("go.go" if busy else "go")).touch()
    if process.wait(300):
        raise RuntimeError("the client failed")
    bed.processes.remove(process)
    return before


def load(bed, agent, server, client, variant, port):
    """What was sent, and the metrics before."""
    url, requests = urls(server, port), bed.options.requests
    if client == "node":
        (bed.dir / "ledger").unlink(missing_ok=True)
        words = node_words(bed, server, url, variant)
        if variant in ("idle", "busy"):
            before = joined(bed, agent, words, client, variant == "busy")
        else:
            before = agent.scrape()
            bed.run(*words, service=own_service(client))
        return before, json.loads((bed.dir / "ledger").read_text())
    before = agent.scrape()
    if client == "h2load":
        path = f"/{variant or 'small'}"
        out = bed.run("h2load", "-n", requests, "-c", 8, "-m", 32, url + path, service=own_service(client))
        if f"{requests} succeeded" not in out:
            raise RuntimeError(out)
        rows = [["GET", path, 200, requests, 0, requests * SIZES[path[1:]]]]
    elif client == "curl":
        flags = ["-sSfk", "--http2-prior-knowledge" if url.startswith("http:") else "--http2", "-o", "/dev/null"]
        if variant == "upload":
            sent = [bed.inside / "files" / name for name in ("small", "page", "huge")]
            for file in sent:
                bed.run("curl", *flags, "-T", file, f"{url}/page", service=own_service(client))
            rows = [["PUT", "/page", 200, 1, SIZES[file.name], SIZES["page"]] for file in sent]
        else:
            bed.run("curl", *flags, f"{url}/small?[1-{requests}]", service=own_service(client))
            bed.run("curl", *flags, "-Z", f"{url}/huge?[1-8]", service=own_service(client))
            rows = [["GET", "/small", 200, requests, 0, requests * SIZES["small"]], ["GET", "/huge", 200, 8, 0, 8 * SIZES["huge"]]]
    else:
        bed.run("nghttp", "-n", "-y", "-m", 5, "--padding=100", url + "/page", url + "/small", service=own_service(client))
        bed.run("nghttp", "-n", "-y", "--continuation", "--header-table-size=0", url + "/large", service=own_service(client))
        rows = [["GET", f"/{name}", 200, n, 0, n * SIZES[name]] for name, n in (("page", 5), ("small", 5), ("large", 1))]
    return before, {"rows": rows, "aborted": []}


def expected_of(ledger, server, client):
    expected = http_expected(ledger["rows"], server, client, server == "haproxy")
    for family, service, keys in (("http_requests_aborted_total", server, ("method", "path")),
                                  ("http_client_requests_aborted_total", client, ("method",))):
        expected.pop((family, service, ("method",)))
        rows = expected[family, service, keys] = collections.Counter()
        for method, path, count in ledger["aborted"]:
            rows[(method, path)[:len(keys)]] += count
    timed = expected["http_request_duration_seconds_count", server, ("method", "path")] = collections.Counter()
    for method, path, _, count, *_ in ledger["rows"]:
        timed[method, path] += count
    expected["http_requests_in_flight", server, ()] = collections.Counter()
    return expected


def warm(bed, server, client, port):
    """A program's first process has run for a moment when its probes are there."""
    words = ["node", bed.inside / "http2_peers.js", "load", urls(server, port), 1, 1, 1, bed.inside / "ledger", "small"] if client == "node" \
        else ["curl", "-k", "--http2-prior-knowledge", "-o", "/dev/null", urls(server, port)]
    if client in ("node", "curl") and client not in bed.warm:
        bed.run(*words, service="warm")
        until(1.5, lambda: False)
        bed.warm.add(client)


def run_one(bed, agent, server, client, variant, port):
    if server == "grpc":
        before, expected = calls(bed, agent)
    else:
        before, ledger = load(bed, agent, server, client, variant, port)
        expected = expected_of(ledger, service_of(server), own_service(client))
    found, after = None, None

    def settled():
        nonlocal found, after
        after = agent.scrape()
        found = differences(after, before, expected)
        return not found

    until(6, settled)
    after.subtract(before)
    return found + [f"{name} {dict(labels)}: {value:.0f}" for (name, labels), value in after.items()
                    if value > 0 and name in LOSSES and not HARMLESS & {label for _, label in labels}]


def calls(bed, agent):
    """What a client of C-core and its server say of the calls between them."""
    (bed.dir / "ledger").unlink(missing_ok=True)
    before = agent.scrape()
    bed.run(bed.options.python, bed.inside / "http2_calls.py", "load", bed.inside / "grpc", bed.options.requests,
            bed.inside / "ledger", service=own_service("grpc"))
    rows, expected = json.loads((bed.dir / "ledger").read_text()), {}
    for side, service, received, sent in (("server", "grpc", "sent", "received"), ("client", own_service("grpc"), "received", "sent")):
        keys = ("grpc_service", "grpc_method")
        handled = expected[f"grpc_{side}_handled_total", service, (*keys, "grpc_code")] = collections.Counter()
        timed = expected[f"grpc_{side}_handling_seconds_count", service, keys] = collections.Counter()
        for method, code, count in rows["handled"]:
            handled["sonde.Test", method, code] += count
            timed["sonde.Test", method] += count
        for family, direction in (("received", received), ("sent", sent)):
            expected[f"grpc_{side}_msg_{family}_total", service, keys] = collections.Counter(
                {("sonde.Test", method): count for method, count in rows[direction]})
    return before, expected


def standard():
    for server in SERVERS:
        for name in (server, f"{server}_plain"):
            for client in CLIENTS:
                yield name, client, ""
            yield name, "h2load", "page"
    yield "nginx_goaway", "node", ""
    yield "nginx_goaway", "curl", ""
    for name in ("node", "node_plain", "haproxy"):
        yield name, "curl", "upload"
    for variant in ("idle", "busy"):
        for server in ("nginx", "nginx_plain", "haproxy", "haproxy_plain", "node", "node_plain"):
            yield server, "node", variant
    yield "grpc", "", ""


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("sonde")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--python", default="/usr/bin/python3")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("pairs", nargs="*")
    options = parser.parse_intermixed_args()
    options.root = None
    wanted = [(*pair.split("/"), "", "")[:3] for pair in options.pairs] or list(standard())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bed, failed, ports = Bed(options), 0, {}
    agent = Agent(bed)
    try:
        for server, client, variant in wanted:
            running = agent.process and agent.process.poll() is None
            if running and variant in ("idle", "busy"):
                agent.stop()
            try:
                if server not in ports:
                    ports[server] = getattr(bed, server)()
                if variant not in ("idle", "busy") and not (agent.process and agent.process.poll() is None):
                    agent.start()
                    bed.warm = set()
                if variant not in ("idle", "busy"):
                    warm(bed, server, client, ports[server])
                found = run_one(bed, agent, server, client, variant, ports[server])
            except FileNotFoundError as error:
                print("none  ", server, client, variant, error)
                continue
            except (RuntimeError, subprocess.CalledProcessError) as error:
                found = [str(error), (getattr(error, "stderr", None) or "")[-400:]]
            failed += bool(found)
            print("FAIL " if found else "ok   ", server, client, variant, flush=True)
            for line in found:
                print("       ", line, flush=True)
    finally:
        bed.close()
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
