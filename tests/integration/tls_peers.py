#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""HTTP servers and clients over Python's ssl, with the socket below OpenSSL and with memory below it.

usage: tls_peers.py serve sync|asyncio|fork|hand PORT CERTIFICATE
       tls_peers.py load sync|asyncio PORT REQUESTS CONNECTIONS LEDGER [--mix files|bodies] [--tls 1.2|1.3] [--close]
                    [--pipeline N] [--pause FILE]

`fork` makes a process of each connection after its handshake; `hand` lets one thread read and another one write. The
ledger is a list of [method, path, status, count, request bytes, response bytes]. With --pause a request passes on each
connection, FILE.ready appears, and the rest begins when FILE does; only the rest is in the ledger.
"""
import argparse
import asyncio
import collections
import concurrent.futures
import http.server
import json
import os
import socket
import socketserver
import ssl
import threading
import time

SIZES = {"/small": 30, "/page": 30000, "/large": 700000}


def server_context(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def client_context(version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version:
        context.minimum_version = context.maximum_version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    return context


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        body = b"b" * SIZES.get(path, 0)
        self.send_response(200 if path in SIZES else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def finish_request(self, request, client_address):
        try:
            tls = self.context.wrap_socket(request, server_side=True)
            self.RequestHandlerClass(tls, client_address, self)
            tls.close()
        except OSError:
            request.close()


class ForkServer(socketserver.ForkingMixIn, http.server.HTTPServer):
    request_queue_size = 128
    max_children = 200

    def get_request(self):
        while True:
            link, address = super().get_request()
            try:
                return self.context.wrap_socket(link, server_side=True), address
            except OSError:
                link.close()


class HandHandler(Handler):
    def do(self):
        self.hands.submit(super().do).result()

    do_GET = do_POST = do


async def answer(reader, writer):
    try:
        while line := await reader.readline():
            path, length = line.split()[1].decode().partition("?")[0], 0
            while (header := await reader.readline()) not in (b"\r\n", b""):
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            if length:
                await reader.readexactly(length)
            body = b"b" * SIZES.get(path, 0)
            writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (b"200 OK" if path in SIZES else b"404 No", len(body)) + body)
            await writer.drain()
    except (OSError, EOFError):
        pass
    writer.close()


async def serve_asyncio(port, certificate):
    server = await asyncio.start_server(answer, "127.0.0.1", port, ssl=server_context(certificate), backlog=128)
    await server.serve_forever()


def serve(options):
    if options.way == "asyncio":
        asyncio.run(serve_asyncio(options.port, options.certificate))
    HandHandler.hands = concurrent.futures.ThreadPoolExecutor(4)
    kind = ForkServer if options.way == "fork" else Server
    server = kind(("127.0.0.1", options.port), HandHandler if options.way == "hand" else Handler)
    server.context = server_context(options.certificate)
    server.serve_forever()


def request(index, mix):
    """Method, path, size of the body."""
    if mix == "bodies" and index % 5 == 4:
        return "POST", "/small", 100 if index % 10 == 4 else 100000
    path = "/large" if index % 50 == 49 else "/page" if index % 4 == 3 else "/small"
    return "GET", path, 0


def written(method, path, size, last):
    head = f"{method} {path} HTTP/1.1\r\nHost: a\r\n" + ("Connection: close\r\n" if last else "")
    return (head + (f"Content-Length: {size}\r\n" if size else "") + "\r\n").encode() + b"u" * size


class Ledger:
    def __init__(self):
        self.rows = collections.defaultdict(lambda: [0, 0, 0])
        self.lock = threading.Lock()

    def add(self, method, path, status, sent, received):
        with self.lock:
            for index, amount in enumerate((1, sent, received)):
                self.rows[method, path, status][index] += amount

    def write(self, file):
        with open(file, "w", encoding="utf-8") as out:
            json.dump([[*key, *values] for key, values in self.rows.items()], out)


def read_answer(file):
    status, length = int(file.readline().split()[1]), 0
    while (line := file.readline()) not in (b"\r\n", b""):
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    body = file.read(length)
    if len(body) != length:
        raise EOFError("answer is cut off")
    return status, length


class SyncClient(threading.Thread):
    def __init__(self, options, context, indices, ledger):
        super().__init__()
        self.options, self.context, self.indices, self.ledger = options, context, indices, ledger
        self.connection = self.error = None
        self.begin = threading.Event()

    def connect(self):
        tls = self.context.wrap_socket(socket.create_connection(("127.0.0.1", self.options.port)))
        self.connection, self.file = tls, tls.makefile("rb")

    def ask(self, indices, ledger):
        asked = [request(index, self.options.mix) for index in indices]
        if not self.connection:
            self.connect()
        self.connection.sendall(b"".join(written(*one, self.options.close) for one in asked))
        for method, path, size in asked:
            status, length = read_answer(self.file)
            ledger.add(method, path, status, size, length)
        if self.options.close:
            self.file.close()
            self.connection.close()
            self.connection = None

    def run(self):
        try:
            self.begin.wait()
            depth = self.options.pipeline
            for first in range(0, len(self.indices), depth):
                self.ask(self.indices[first:first + depth], self.ledger)
            if self.connection:
                self.file.close()
                self.connection.close()
        except Exception as error:  # told by the main thread
            self.error = error


def pause(options):
    with open(options.pause + ".ready", "w", encoding="utf-8"):
        pass
    while not os.path.exists(options.pause):
        time.sleep(0.02)


def load_sync(options, ledger):
    context = client_context(options.tls)
    clients = [SyncClient(options, context, range(first, options.requests, options.connections), ledger)
               for first in range(options.connections)]
    for client in clients:
        client.start()
    if options.pause:
        for client in clients:
            client.ask([0], Ledger())
        pause(options)
    for client in clients:
        client.begin.set()
    for client in clients:
        client.join()
    if failed := [client.error for client in clients if client.error]:
        raise failed[0]


async def load_asyncio(options, ledger):
    context = client_context(options.tls)

    async def client(indices, book, link=None):
        for first in range(0, len(indices), options.pipeline):
            reader, writer = link = link or await asyncio.open_connection("127.0.0.1", options.port, ssl=context)
            asked = [request(index, options.mix) for index in indices[first:first + options.pipeline]]
            writer.write(b"".join(written(*one, options.close) for one in asked))
            await writer.drain()
            for method, path, size in asked:
                head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
                length = next((int(line.split(b":")[1]) for line in head if line.lower().startswith(b"content-length:")), 0)
                await reader.readexactly(length)
                book.add(method, path, int(head[0].split()[1]), size, length)
            if options.close:
                writer.close()
                link = None
        return link

    links = [None] * options.connections
    if options.pause:
        links = await asyncio.gather(*(client([0], Ledger()) for _ in links))
        pause(options)
    ends = await asyncio.gather(*(client(range(first, options.requests, options.connections), ledger, link)
                                  for first, link in enumerate(links)))
    for end in filter(None, ends):
        end[1].close()
    await asyncio.sleep(0.1)


def load(options):
    ledger = Ledger()
    if options.way == "asyncio":
        asyncio.run(load_asyncio(options, ledger))
    else:
        load_sync(options, ledger)
    ledger.write(options.ledger)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    commands = parser.add_subparsers(required=True)
    server = commands.add_parser("serve")
    server.set_defaults(run=serve)
    client = commands.add_parser("load")
    client.set_defaults(run=load)
    server.add_argument("way", choices=("sync", "asyncio", "fork", "hand"))
    client.add_argument("way", choices=("sync", "asyncio"))
    for command in (server, client):
        command.add_argument("port", type=int)
    server.add_argument("certificate")
    client.add_argument("requests", type=int)
    client.add_argument("connections", type=int)
    client.add_argument("ledger")
    client.add_argument("--mix", choices=("files", "bodies"), default="files")
    client.add_argument("--tls", choices=("1.2", "1.3"))
    client.add_argument("--close", action="store_true")
    client.add_argument("--pipeline", type=int, default=1)
    client.add_argument("--pause")
    options = parser.parse_args()
    options.run(options)


if __name__ == "__main__":
    main()
