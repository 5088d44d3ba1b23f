#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attaches and detaches all probes of real servers under load, then kills agents amid it: every answer must be right.

usage: attach_cycles.py SONDE BPF_TESTS [--cycles N] [--kills N]

Servers: nginx, Python and Node by TLS, Go (build/targets/goweb) by TLS, Rust (build/targets/stream) in plain text. Each has a
client of its own until the end, which checks status and length of each answer. Run by hand, as root.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

from tls_bed import HERE, Agent, Bed, free_port, get, until

TARGETS = HERE.parent.parent / "build/targets"


def descendants(pid):
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += descendants(int(child))
    return found


class Server:
    """A server and the client that loads it, one run after the other."""

    def __init__(self, bed, name, process, words):
        self.bed, self.name, self.process, self.words = bed, name, process, list(map(str, words))
        self.answers, self.failures, self.client = 0, [], None

    def ask(self):
        if self.client and self.client.poll() is None:
            return
        if self.client:
            self.reap()
        with open(self.bed.dir / f"{self.name}.client", "w", encoding="utf-8") as log:
            self.client = subprocess.Popen(self.words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def reap(self):
        if self.client.wait():
            self.failures.append((self.bed.dir / f"{self.name}.client").read_text()[-300:])
            return
        ledger = json.loads((self.bed.dir / f"{self.name}.ledger").read_text())
        rows = ledger if isinstance(ledger, list) else [[r["method"], r["route"], r["status"], r["count"]] for r in ledger["requests"]]
        self.answers += sum(row[3] for row in rows)
        self.failures += [str(row) for row in rows if isinstance(ledger, list) and row[2] != 200]

    def lives(self):
        return self.process.poll() is None


def start_servers(bed):
    peers = [sys.executable, HERE / "tls_peers.py", "load", "sync"]
    servers = []

    def add(name, words):
        servers.append(Server(bed, name, bed.processes[-1], words))

    def ledger(name):
        return bed.dir / f"{name}.ledger"

    for name in ("nginx", "sync", "node"):
        port = getattr(bed, name)()
        add(name, [*peers, port, 400, 8, ledger(name), *(["--close"] if name == "nginx" else [])])
    bed.start(TARGETS / "goweb", "serve", service="goweb")
    log = bed.dir / "goweb.log"
    until(10, lambda: "tls=" in log.read_text())
    ports = dict(line.split("=") for line in log.read_text().split() if "=" in line)
    add("goweb", [TARGETS / "goweb", "load", "--url", f"https://127.0.0.1:{ports['tls']}", "--requests", 2000,
                  "--ledger", ledger("goweb")])
    port = free_port()
    bed.start(TARGETS / "stream", f"127.0.0.1:{port}", service="stream")
    bed.listening(port)
    add("stream", [TARGETS / "load", "http", "--url", f"http://127.0.0.1:{port}", "--requests", 2000, "--mix", "stream",
                   "--ledger", ledger("stream")])
    return servers


def check(what, right, more=""):
    print("ok   " if right else "FAIL ", what, more, flush=True)
    return not right


def loaded(servers, seconds, work):
    """Keeps all clients busy until the work is done."""
    end = time.monotonic() + seconds
    while work() and time.monotonic() < end:
        for server in servers:
            server.ask()
        time.sleep(0.05)


def cycles(options, servers):
    pids = [pid for server in servers for pid in descendants(server.process.pid)]
    environment = {**os.environ, "SONDE_CYCLE_PIDS": " ".join(map(str, pids)), "SONDE_CYCLES": str(options.cycles)}
    work = subprocess.Popen([options.bpf_tests, "--gtest_filter=AttachCycles.*"], env=environment)
    loaded(servers, 3600, lambda: work.poll() is None)
    return check(f"{options.cycles} times on and off", work.wait() == 0)


def kills(options, bed, servers):
    attached = 0
    for _ in range(options.kills):
        agent = Agent(bed)
        agent.launch()
        loaded(servers, 30, lambda: 'sonde_uprobes{probe="tls"}' not in get(agent.port, "/metrics"))
        loaded(servers, 2, lambda: True)
        attached += all(f'sonde_uprobes{{probe="{name}"}} 0' not in get(agent.port, "/metrics") for name in ("tls", "go_http", "rust"))
        agent.process.kill()
        agent.process.wait()
        bed.processes.remove(agent.process)
        loaded(servers, 0.5, lambda: True)
    return check(f"{options.kills} agents killed, {attached} of them with probes of all families", attached == options.kills)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("sonde")
    parser.add_argument("bpf_tests")
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=20)
    parser.set_defaults(root=None, keep=False, python="/usr/bin/python3")
    options = parser.parse_args()
    bed, failed = Bed(options), 0
    try:
        servers = start_servers(bed)
        failed += cycles(options, servers)
        failed += kills(options, bed, servers)
        for server in servers:
            server.reap()
            failed += check(f"{server.name}: lives, and all of its answers were right",
                            server.lives() and not server.failures and server.answers, f"{server.answers} answers {server.failures}")
    finally:
        bed.close()
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
