#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares ledgers and truths with Sonde's metrics, or with one another, exactly. Prints every difference.

usage: compare.py metrics [--before METRICS] METRICS CHECK...
       compare.py truths FIELD LEFT RIGHT        FIELD: requests, aborted, methods, sql, verbs, redis,
                                                nats, websocket

CHECK is KIND:SERVICE[:PEER]=TRUTH[+TRUTH...], KIND one of http-server, http-handler (whose first bytes nobody saw), http-client, sql-client, sql-server, redis-client,
redis-server, redis-errors, grpc-server, grpc-client. TRUTH is a file, or AFTER@BEFORE: what was added between the two. Without PEER all peers add up.
A path label belongs to the route whose pattern it fits; what fits none belongs to the route `/`, which is everything else.
"""
import argparse
import collections
import json
import re
import sys

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
FIELDS = ("requests", "aborted", "sql", "redis", "redis_errors", "passed", "nats", "websocket", "grpc")
QUANTITIES = ("count", "bytes", "request_bytes", "response_bytes", "received", "sent")
# What asking for the truth leaves behind, on either side.
OWN_VERB, OWN_ROUTE, OWN_COMMANDS = "table", "/truth", ("INFO",)


def rows_of(document, field):
    """Counter of (identity, quantity) for one field of a truth."""
    counts = collections.Counter()
    for row in document.get(field, []):
        quantities = {k: v for k, v in row.items() if k in QUANTITIES}
        identity = tuple(sorted((k, str(v)) for k, v in row.items() if k not in quantities and not k.endswith("_ms")))
        for name, value in quantities.items():
            counts[identity, name] += value
    return counts


def load(files):
    """The sum of truths: {field: [row]} where a row's quantities may have become 0."""
    total = {field: collections.Counter() for field in FIELDS}
    for file in files.split("+"):
        after, _, before = file.partition("@")
        for sign, name in ((1, after), (-1, before)):
            if not name:
                continue
            with open(name, encoding="utf-8") as text:
                document = json.load(text)
            for field in FIELDS:
                for key, value in rows_of(document, field).items():
                    total[field][key] += sign * value
    rows = {}
    for field, counts in total.items():
        merged = collections.defaultdict(dict)
        for (identity, name), value in counts.items():
            merged[identity][name] = value
        rows[field] = [dict(identity) | values for identity, values in merged.items() if any(values.values())]
    return rows


class Metrics:
    def __init__(self, file, before=None):
        self.samples = collections.defaultdict(list)
        old = {}
        for name, labels, value in self.read(before) if before else []:
            old[name, labels] = value
        for name, labels, value in self.read(file):
            self.samples[name].append((dict(labels), value - old.get((name, labels), 0)))

    @staticmethod
    def read(file):
        with open(file, encoding="utf-8") as text:
            for line in text:
                found = SAMPLE.match(line)
                if found and not found[1].startswith("#"):
                    yield found[1], tuple(LABEL.findall(found[2] or "")), float(found[3])

    def sum(self, name, by, **wanted):
        """Counter by the values of labels; `by` may map a label's value."""
        result = collections.Counter()
        for labels, value in self.samples[name]:
            if all(labels.get(k) == v for k, v in wanted.items()) and value:
                result[tuple(change(labels.get(k, "")) for k, change in by.items())] += value
        return result


    def print_losses(self):
        for name in ("sonde_events_lost_total", "sonde_decode_errors_total", "sonde_series_folded_total"):
            for labels, value in self.samples[name]:
                if value and labels.get("source") in (None, "socket", "go_http"):
                    print(f"{name} {' '.join(labels.values())}: {value:.0f}")


def same(text):
    return text


def route_mapping(rows):
    """A function from a path label, learned template or not, to the route of the truth."""
    patterns = []
    routes = {row["route"] for row in rows["requests"] + rows["aborted"]}
    for route in sorted(routes, key=lambda r: (r.count("{"), r)):
        patterns.append((re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route))), route))

    def mapping(path):
        for pattern, route in patterns:
            if pattern.fullmatch(path):
                return route
        return path if path == OWN_ROUTE or "/" not in routes else "/"

    return mapping


class Comparison:
    def __init__(self):
        self.differences = 0
        self.compared = 0

    def equal(self, what, expected, seen):
        for key in sorted(set(expected) | set(seen)):
            self.compared += 1
            if expected[key] != seen[key]:
                self.differences += 1
                print(f"{what} {' '.join(key)}: expected {expected[key]:.0f}, seen {seen[key]:.0f}")


def added(rows, keys, quantity="count"):
    result = collections.Counter()
    for row in rows:
        result[tuple(row.get(key, "") for key in keys)] += row.get(quantity, 0)
    return +result


def http_handler(comparison, metrics, rows, service, peer):
    http_server(comparison, metrics, rows, service, peer, families=("http_request_duration_seconds",))


def http_server(comparison, metrics, rows, service, _,
                families=("http_request_duration_seconds", "http_response_first_byte_seconds")):
    route = route_mapping(rows)

    def seen(name, by):
        counts = metrics.sum(name, by, service=service)
        return collections.Counter({key: n for key, n in counts.items() if OWN_ROUTE not in key})

    both, with_status = {"method": same, "path": route}, {"method": same, "path": route, "status": same}
    keys = ("method", "route")
    name = f"{service}: http_requests_total"
    comparison.equal(name, added(rows["requests"], (*keys, "status")), seen("http_requests_total", with_status))
    for family in families:
        comparison.equal(f"{service}: {family}_count", added(rows["requests"], keys), seen(f"{family}_count", both))
    for direction in ("request", "response"):
        family = f"http_{direction}_size_bytes_sum"
        expected = added(rows["requests"], keys, f"{direction}_bytes")
        comparison.equal(f"{service}: {family}", expected, seen(family, both))
    comparison.equal(f"{service}: http_requests_aborted_total", added(rows["aborted"], keys),
                     seen("http_requests_aborted_total", both))


def peers(rows, peer, keys, quantity="count"):
    """The truth with the peer in front, and the labels to add up by."""
    expected = added(rows, keys, quantity)
    return collections.Counter({(peer, *key): n for key, n in expected.items()}) if peer else expected


def by_peer(peer, *labels):
    return dict.fromkeys((("peer",) if peer else ()) + labels, same)


def http_client(comparison, metrics, rows, service, peer):
    requests = rows["passed"] or rows["requests"]
    for family, keys, counted in (
        ("http_client_requests_total", ("method", "status"), requests),
        ("http_client_request_duration_seconds_count", ("method",), requests),
        ("http_client_requests_aborted_total", ("method",), rows["aborted"]),
    ):
        seen = metrics.sum(family, by_peer(peer, *keys), service=service)
        comparison.equal(f"{service}: {family}", peers(counted, peer, keys), seen)


def sql_client(comparison, metrics, rows, service, peer):
    family = "database_query_duration_seconds_count"
    seen = metrics.sum(family, by_peer(peer, "query_type", "table"), service=service, system="postgresql")
    comparison.equal(f"{service}: {family}", peers(rows["sql"], peer, ("verb", "table")), seen)
    errors = [row for row in rows["sql"] if row["sqlstate"]]
    seen = metrics.sum("database_errors_total", by_peer(peer, "sqlstate"), service=service, system="postgresql")
    comparison.equal(f"{service}: database_errors_total", peers(errors, peer, ("sqlstate",)), seen)


def sql_server(comparison, metrics, rows, service, _):
    family = "database_server_query_duration_seconds_count"
    seen = metrics.sum(family, {"query_type": same}, service=service, system="postgresql")
    seen.pop((OWN_VERB,), None)
    comparison.equal(f"{service}: {family}", added(rows["sql"], ("verb",)), seen)
    errors = [row for row in rows["sql"] if row["sqlstate"]]
    seen = metrics.sum("database_server_errors_total", {"sqlstate": same}, service=service, system="postgresql")
    comparison.equal(f"{service}: database_server_errors_total", added(errors, ("sqlstate",)), seen)


def without_own(counts):
    return collections.Counter({key: n for key, n in counts.items() if key[-1] not in OWN_COMMANDS})


def redis_client(comparison, metrics, rows, service, peer):
    for family in ("redis_operations_total", "redis_operation_duration_seconds_count"):
        seen = without_own(metrics.sum(family, by_peer(peer, "operation"), service=service))
        expected = without_own(peers(rows["redis"], peer, ("operation",)))
        comparison.equal(f"{service}: {family}", expected, seen)


def redis_server(comparison, metrics, rows, service, _):
    for family in ("redis_server_operations_total", "redis_server_operation_duration_seconds_count"):
        seen = without_own(metrics.sum(family, {"operation": same}, service=service))
        comparison.equal(f"{service}: {family}", without_own(added(rows["redis"], ("operation",))), seen)


def redis_errors(comparison, metrics, rows, service, _):
    """What Redis answered, by its own count, against what this service was answered."""
    seen = metrics.sum("redis_errors_total", {"error": same}, service=service)
    comparison.equal(f"{service}: redis_errors_total", added(rows["redis_errors"], ("error",)), seen)


def grpc(comparison, metrics, rows, service, peer, role):
    rows, keys = rows["grpc"], ("service", "method")
    calls = by_peer(peer, "grpc_service", "grpc_method")
    # A ledger's messages are the server's.
    received, sent = ("received", "sent") if role == "server" else ("sent", "received")
    for family, expected, by in (
        ("handled_total", peers(rows, peer, (*keys, "code")), calls | {"grpc_code": same}),
        ("handling_seconds_count", peers(rows, peer, keys), calls),
        ("msg_received_total", added(rows, keys, received), by_peer(None, "grpc_service", "grpc_method")),
        ("msg_sent_total", added(rows, keys, sent), by_peer(None, "grpc_service", "grpc_method")),
    ):
        family = f"grpc_{role}_{family}"
        comparison.equal(f"{service}: {family}", expected, metrics.sum(family, by, service=service))


def grpc_server(comparison, metrics, rows, service, _):
    grpc(comparison, metrics, rows, service, None, "server")


def grpc_client(comparison, metrics, rows, service, peer):
    grpc(comparison, metrics, rows, service, peer, "client")


KINDS = {
    "http-server": http_server,
    "http-handler": http_handler, "http-client": http_client, "sql-client": sql_client, "sql-server": sql_server,
    "redis-client": redis_client, "redis-server": redis_server, "redis-errors": redis_errors, "grpc-server": grpc_server, "grpc-client": grpc_client,
}


def truths(comparison, field, left, right):
    known = {
        "requests": ("requests", ("method", "route", "status"), ("count", "request_bytes", "response_bytes")),
        "aborted": ("aborted", ("method", "route"), ("count",)),
        "methods": ("requests", ("method", "status"), ("count",)),
        "sql": ("sql", ("verb", "table", "sqlstate"), ("count",)),
        "verbs": ("sql", ("verb",), ("count",)),
        "redis": ("redis", ("operation",), ("count",)),
        "nats": ("nats", ("direction",), ("count", "bytes")),  # NATS itself counts no subjects
        "websocket": ("websocket", ("route", "direction", "opcode"), ("count", "bytes")),
    }
    source, keys, quantities = known[field]
    for quantity in quantities:
        sides = []
        for side in (left, right):
            rows = load(side)[source]
            if field == "verbs":  # PostgreSQL's own count has only what succeeded
                rows = [row for row in rows if not row["sqlstate"]]
            # A subcommand that Redis does not know (CLIENT SETINFO before 7.2) is in no count of its own.
            rows = [row for row in rows if row.get("operation") != "CLIENT"]
            sides.append(without_own(added(rows, keys, quantity)))
        comparison.equal(f"{field} {quantity}", *sides)


def main():
    options = argparse.ArgumentParser(usage=__doc__)
    commands = options.add_subparsers(dest="command", required=True)
    metrics = commands.add_parser("metrics")
    metrics.add_argument("--before")
    metrics.add_argument("metrics")
    metrics.add_argument("checks", nargs="+")
    pair = commands.add_parser("truths")
    for name in ("field", "left", "right"):
        pair.add_argument(name)
    given = options.parse_args()
    comparison = Comparison()
    if given.command == "truths":
        truths(comparison, given.field, given.left, given.right)
    else:
        read = Metrics(given.metrics, given.before)
        for check in given.checks:
            subject, _, files = check.partition("=")
            kind, service, *peer = subject.split(":")
            rows = load(files)
            KINDS[kind](comparison, read, rows, service, peer[0] if peer else None)
        if comparison.differences:
            read.print_losses()
    print(f"{comparison.compared} compared, {comparison.differences} differ")
    sys.exit(comparison.differences > 0 or comparison.compared == 0)


if __name__ == "__main__":
    main()
