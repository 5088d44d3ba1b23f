# SPDX-License-Identifier: Apache-2.0
"""A server and a client of gRPC by its C core.

usage: http2_calls.py serve PORT PORTFILE
       http2_calls.py load PORTFILE CALLS LEDGER

The client says {"handled": [[method, code, count]], "sent": [[method, count]], "received": [[method, count]]}.
"""
import collections
import concurrent.futures
import json
import pathlib
import sys
import threading
import time

import grpc

CODES = {"OK": "OK", "CANCELLED": "Canceled"}


def spelled(code):
    return CODES.get(code.name) or "".join(word.title() for word in code.name.split("_"))


class Handler(grpc.GenericRpcHandler):
    def service(self, details):
        method = details.method.rpartition("/")[2]
        kinds = {"Unary": grpc.unary_unary_rpc_method_handler(lambda message, _: message),
                 "Fail": grpc.unary_unary_rpc_method_handler(self.fail),
                 "Hold": grpc.unary_unary_rpc_method_handler(self.hold),
                 "Many": grpc.unary_stream_rpc_method_handler(lambda message, _: (message for _ in range(7))),
                 "Collect": grpc.stream_unary_rpc_method_handler(lambda messages, _: b"%d" % sum(map(len, messages))),
                 "Chat": grpc.stream_stream_rpc_method_handler(lambda messages, _: messages)}
        return kinds.get(method)

    @staticmethod
    def fail(message, context):
        context.abort(next(code for code in grpc.StatusCode if code.value[0] == message[0]), "as it was asked to: 100 %")

    @staticmethod
    def hold(message, context):
        ended = threading.Event()
        context.add_callback(ended.set)
        ended.wait(20)
        return message


def serve(port, file):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), handlers=[Handler()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    pathlib.Path(file).write_text(port)
    server.wait_for_termination()


class Load:
    def __init__(self, channels):
        self.channels = channels
        self.lock = threading.Lock()
        self.handled, self.sent, self.received = (collections.Counter() for _ in range(3))

    def ended(self, method, code, sent, received):
        with self.lock:
            self.handled[method, spelled(code)] += 1
            self.sent[method] += sent
            self.received[method] += received

    def one(self, index):
        channel = self.channels[index % len(self.channels)]
        path, kind = "/sonde.Test/", index % 12
        size = 200000 if index % 10 == 9 else 20
        message = b"m" * size
        if kind < 4:
            channel.unary_unary(f"{path}Unary")(message)
            return self.ended("Unary", grpc.StatusCode.OK, 1, 1)
        if kind < 6:
            return self.ended("Many", grpc.StatusCode.OK, 1, len(list(channel.unary_stream(f"{path}Many")(message))))
        if kind == 6:
            channel.stream_unary(f"{path}Collect")(message for _ in range(5))
            return self.ended("Collect", grpc.StatusCode.OK, 5, 1)
        if kind == 7:
            return self.ended("Chat", grpc.StatusCode.OK, 6, len(list(channel.stream_stream(f"{path}Chat")(iter([message] * 6)))))
        if kind == 8:
            call = channel.unary_unary(f"{path}Hold").future(message)
            time.sleep(0.05)
            call.cancel()
            return self.ended("Hold", grpc.StatusCode.CANCELLED, 1, 0)
        method, timeout = {9: ("Hold", 0.05), 10: ("Missing", None), 11: ("Fail", None)}[kind]
        try:
            channel.unary_unary(f"{path}{method}")(bytes([1 + index % 16]) if kind == 11 else message, timeout=timeout)
        except grpc.RpcError as error:
            # The call is over before its server has read the message of a method that it lacks.
            self.ended(method, error.code(), 1, 0)


def load(file, calls, ledger):
    target = f"127.0.0.1:{pathlib.Path(file).read_text()}"
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.insecure_channel(target, options=options) for _ in range(4)]
    one = Load(channels)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(one.one, range(int(calls))))
    pathlib.Path(ledger).write_text(json.dumps({
        "handled": [[*key, count] for key, count in one.handled.items()],
        "sent": list(one.sent.items()), "received": list(one.received.items())}))
    for channel in channels:
        channel.close()


{"serve": serve, "load": load}[sys.argv[1]](*sys.argv[2:])
