#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# How close durations are to the client's own: a handler that waits 1, 5 and 50 ms, mean and quantiles of the load
# generator's ledger beside those of what `sonde tail` shows of the same requests, client's and server's side. The
# server's lack what the client waits for its own turn.
# Needs root, a release build, the testbed's packages and a machine that does nothing else.
#
# usage: tests/bench/durations.sh
#   BUILD  the build folder, default build/release   REQUESTS  of each delay, default 4000
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
sonde=${BUILD:-build/release}/agent/sonde
requests=${REQUESTS:-4000}
port=17665
work=$(mktemp -d)
bed=$work/bed
pids=()

cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  tests/targets/stop.sh "$bed" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap cleanup EXIT

compare='
import json, sys
ledger = [row for row in json.load(open(sys.argv[1]))["requests"] if row["route"] == "/slow"][0]
rows = [json.loads(line) for line in open(sys.argv[2]) if line.startswith("{")]
for role, service in (("client", "load"), ("server", "api")):
    ms = sorted(row["seconds"] * 1e3 for row in rows if row["role"] == role and row["service"] == service
                and (role == "client" or row["target"] == "/slow"))
    seen = {"mean": sum(ms) / len(ms), "p50": ms[len(ms) // 2], "p99": ms[len(ms) * 99 // 100]}
    parts = []
    for name in ("mean", "p50", "p99"):
        own = ledger[name + "_ms"]
        good = role == "server" or abs(seen[name] - own) <= max(0.05 * own, 0.3)
        parts.append("%s %.3f of %.3f ms%s" % (name, seen[name], own, "" if good else " TOO FAR"))
    print("  %s, %d of %d: %s" % (role, len(ms), ledger["count"], ", ".join(parts)))
'

[ "$(id -u)" = 0 ] || { echo 'must be root' >&2; exit 1; }
chmod 711 "$work"
tests/targets/build.sh >/dev/null
tests/targets/start.sh "$bed" api >/dev/null
api=$(sed -n 's/^api=//p' "$bed/ports")
mkdir -p "$work/run"
"$sonde" run --web.listen-address=127.0.0.1:$port --control.socket="$work/run/control.sock" >"$work/sonde.log" 2>&1 &
pids+=($!)
for _ in $(seq 200); do
  if curl -sf -o "$work/ready" "http://127.0.0.1:$port/-/ready"; then break; fi
  sleep 0.05
done
for concurrency in 1 32; do
  for ms in 1 5 50; do
    echo "$ms ms, $concurrency at once"
    "$sonde" tail http --json --control.socket="$work/run/control.sock" >"$work/tail.json" 2>"$work/tail.log" &
    tail=$!
    pids+=("$tail")
    sleep 0.5
    count=$((concurrency == 1 ? requests / 10 : requests))
    OTEL_SERVICE_NAME=load build/targets/load http --url "http://127.0.0.1:$api" --requests "$count" \
      --concurrency "$concurrency" --mix "delay$ms" --ledger "$work/ledger.json"
    sleep 1
    kill "$tail"
    wait "$tail" || true
    python3 -c "$compare" "$work/ledger.json" "$work/tail.json"
  done
done
