#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A Python HTTP server with some of api's routes. It counts what it did and tells at /truth, which it does not count.

usage: web.py PORT [POSTGRES [REDIS_PORT]]   POSTGRES: a connection string
"""
import collections
import http.server
import json
import os
import sys
import threading
import time
import urllib.parse


class Truth:
    """Counters of any kind; for all threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.requests = collections.defaultdict(lambda: [0, 0, 0])
        self.sql = collections.Counter()
        self.redis = collections.Counter()

    def request(self, method, route, status, received, sent):
        with self.lock:
            entry = self.requests[method, route, status]
            for index, amount in enumerate((1, received, sent)):
                entry[index] += amount

    def add(self, counter, key):
        with self.lock:
            counter[key] += 1

    def document(self):
        with self.lock:
            return {
                "service": os.environ.get("OTEL_SERVICE_NAME", ""),
                "requests": [
                    dict(method=m, route=r, status=s, count=n, request_bytes=i, response_bytes=o)
                    for (m, r, s), (n, i, o) in sorted(self.requests.items())
                ],
                "sql": [dict(verb=v, table=t, sqlstate=s, count=n) for (v, t, s), n in sorted(self.sql.items())],
                "redis": [dict(operation=o, count=n) for o, n in sorted(self.redis.items())],
            }


truth = Truth()
STATEMENTS = {"count": ("select count(*) from tracks", "select", "tracks"), "constant": ("SELECT 1", "select", "")}


class Stores:
    """A thread's own connections; psycopg2's and redis-py's libraries write to the sockets."""

    def __init__(self):
        import psycopg2
        import redis

        self.failure = psycopg2.Error
        self.database = psycopg2.connect(sys.argv[2])
        self.redis = redis.Redis(port=int(sys.argv[3]))

    def statement(self, verb, table, sqlstate=""):
        truth.add(truth.sql, (verb, table, sqlstate))

    def transaction(self):
        """psycopg2 sends BEGIN by itself, before the first statement."""
        cursor = self.database.cursor()
        self.statement("begin", "")
        for text, verb, table in STATEMENTS.values():
            cursor.execute(text)
            self.statement(verb, table)
        cursor.execute("insert into plays (track, seconds) values (%s, %s)", (1, 2))
        self.statement("insert", "plays")
        self.database.commit()
        self.statement("commit", "")

    def error(self):
        self.statement("begin", "")
        try:
            self.database.cursor().execute("select * from missing where id = %s", (1,))
        except self.failure as failure:
            self.statement("select", "missing", failure.pgcode)
        self.database.rollback()
        self.statement("rollback", "")

    def cache(self):
        self.redis.set("page", "text")
        self.redis.get("page")
        self.redis.incr("visits")
        with self.redis.pipeline(transaction=True) as pipeline:
            pipeline.get("page").incr("visits").execute()
        for name in ("SET", "GET", "INCRBY", "MULTI", "GET", "INCRBY", "EXEC"):
            truth.add(truth.redis, name)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stores = threading.local()

    def log_message(self, *_):
        pass

    def body(self):
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        received = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            received += len(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        return received

    def answer(self, route, status, text=b"", chunks=None):
        empty = self.command == "HEAD" or status in (204, 304)
        sent = 0 if empty else sum(map(len, chunks)) if chunks is not None else len(text)
        truth.request(self.command, route, status, self.received, sent)
        self.send_response(status)
        if chunks is not None:
            self.send_header("Transfer-Encoding", "chunked")
        elif status not in (204, 304):
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if empty:
            return
        self.wfile.write(text)
        if chunks is not None:
            for chunk in chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
            self.wfile.write(b"0\r\n\r\n")

    def answer_stores(self, route, action):
        if not hasattr(self.stores, "held"):
            self.stores.held = Stores()
        action(self.stores.held)
        self.answer(route, 200, b"done\n")

    def do(self):
        self.received = self.body()
        url = urllib.parse.urlsplit(self.path)
        given = dict(urllib.parse.parse_qsl(url.query))
        size = int(given.get("size", 0))
        if url.path == "/truth":
            text = json.dumps(truth.document()).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        elif url.path == "/health":
            self.answer(url.path, 200, b"ok\n")
        elif url.path == "/api/v1/search":
            self.answer(url.path, 200 if "q" in given else 400, json.dumps(given).encode())
        elif url.path == "/api/v1/blob":
            self.answer(url.path, 200, b"x" * size)
        elif url.path == "/api/v1/stream":
            self.answer(url.path, 200, chunks=[b"x" * size] * int(given["chunks"]) if size else [])
        elif url.path == "/api/v1/tracks":
            self.answer(url.path, 201, b'{"bytes":%d}\n' % self.received)
        elif url.path == "/slow":
            time.sleep(int(given["ms"]) / 1000)
            self.answer(url.path, 200, b"slow\n")
        elif url.path.startswith("/status/"):
            self.answer("/status/{code}", int(url.path[8:]), b"status\n")
        elif url.path == "/db/transaction":
            self.answer_stores(url.path, Stores.transaction)
        elif url.path == "/db/error":
            self.answer_stores(url.path, Stores.error)
        elif url.path == "/cache/get":
            self.answer_stores(url.path, Stores.cache)
        else:
            self.answer("/", 404, b"not found\n")

    do_GET = do_HEAD = do_POST = do


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
