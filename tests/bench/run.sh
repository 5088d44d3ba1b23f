#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The figures Sonde is judged by, on this machine: ns per event of every program beside libbpf-tools',
# the slowdown of a switch-heavy load in alternating pinned pairs, CPU per scrape beside
# prometheus-node-exporter's, rendering, memory, idle cost. Needs root, a release build and a machine
# that does nothing else; prints one line a figure.
#
# usage: tests/bench/run.sh [events|pipe|scrape|render|memory|idle]...   (default: all)
#   BUILD  the build folder, default build/release      PAIRS  pairs of the pipe benchmark, default 21
#   ROUNDS  rounds of events, default 5
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
build=${BUILD:-build/release}
sonde=$build/agent/sonde
pairs=${PAIRS:-21}
port=17663
exporter_port=17664
work=$(mktemp -d)
pids=()
loop_disks=()
stats_before=$(cat /proc/sys/kernel/bpf_stats_enabled)

cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  echo "$stats_before" >/proc/sys/kernel/bpf_stats_enabled
  for disk in "${loop_disks[@]}"; do losetup -d "$disk"; rm -f /dev/shm/sonde-bench; done
  rm -rf "$work" /sys/fs/bpf/sonde-bench
}
trap cleanup EXIT

[ "$(id -u)" = 0 ] || { echo 'must be root' >&2; exit 1; }
[ -x "$sonde" ] || { echo "no $sonde: cmake --preset release && ninja -C $build" >&2; exit 1; }

statistics() { echo "$1" >/proc/sys/kernel/bpf_stats_enabled; }

# start COMMAND...: in the background; its pid in $started.
start() {
  "$@" >"$work/log" 2>&1 &
  started=$!
  pids+=("$started")
}

stop() {
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

start_sonde() {
  start "$sonde" run --web.listen-address=127.0.0.1:$port
  for _ in $(seq 200); do
    if curl -sf -o /dev/null "http://127.0.0.1:$port/-/ready"; then return; fi
    sleep 0.02
  done
  echo 'sonde is not ready' >&2
  return 1
}

pipe_load() { taskset -c 1 perf bench sched pipe -l "$1" 2>&1 | awk '/usecs\/op/ { print $1 }'; }

# Programs that do nothing, on the same tracepoints: what the statistics read by themselves.
empty_programs() {
  mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf
  rm -rf /sys/fs/bpf/sonde-bench
  [ "$1" = off ] || bpftool prog loadall "$build/tests/empty.bpf.o" /sys/fs/bpf/sonde-bench autoattach
}

# round LABEL PREFIX LOAD...: one load with statistics on; into events.txt each program that ran more than 1,000 times and
# whose name begins so: label, name, runs, ns.
round() {
  echo "$1 round 0 0" >>"$work/events.txt"
  statistics 1
  "${@:3}" >/dev/null
  bpftool prog show -j | python3 -c '
import json, sys
for p in json.load(sys.stdin):
    if p.get("run_cnt", 0) > 1000 and p["name"].startswith(sys.argv[2]):
        print(sys.argv[1], p["name"], p["run_cnt"], p["run_time_ns"])
' "$1" "$2" >>"$work/events.txt"
  statistics 0
}

summary='
import collections, statistics, sys
event, rounds = sys.argv[2], collections.defaultdict(list)
for line in open(sys.argv[1]):
    label, name, runs, ns = line.split()
    if name == "round":
        rounds[label].append([])
    else:
        rounds[label][-1].append((name, int(runs), int(ns)))
empty = statistics.median(ns / runs for programs in rounds.pop("empty") for _, runs, ns in programs)
medians = []
for label, tools in rounds.items():
    for programs in tools:
        print("  %-10s %s" % (label, ", ".join("%s %.0f" % (name, ns / runs) for name, runs, ns in programs)))
    net = sorted(sum(ns - runs * empty for _, runs, ns in programs) /
                 max(runs for name, runs, _ in programs if name.startswith(event)) for programs in tools)
    medians.append(statistics.median(net))
    print("  %-10s all programs, ns for each %s, less %.0f for an empty one a run: median %.0f of %s"
          % (label, event, empty, medians[-1], " ".join("%.0f" % ns for ns in net)))
print("  ratio %.3f, one to %.1f" % (medians[0] / medians[1], medians[1] / medians[0]))
'

# compare EVENT PREFIX OTHER LOAD...: alternating rounds of Sonde, the other tool and empty programs.
compare() {
  rm -f "$work/events.txt"
  for _ in $(seq "${ROUNDS:-5}"); do
    start_sonde; round sonde "$2" "${@:4}"; stop "$started"
    start "$3" 60 1; sleep 1; round "$3" "$2" "${@:4}"; stop "$started"
    empty_programs on; round empty empty_ "${@:4}"; empty_programs off
  done
  python3 -c "$summary" "$work/events.txt" "$1"
}

events() {
  echo 'events: ns per run with statistics on'
  compare sched_switch sched_ runqlat pipe_load 100000
  # A disk in memory: what the programs cost, not what the disk does.
  truncate -s 64M /dev/shm/sonde-bench
  local disk
  disk=$(losetup --find --show /dev/shm/sonde-bench)
  loop_disks+=("$disk")
  compare block_rq_complete block_ biolatency fio --name=r --filename="$disk" --rw=randrw --bs=4k --direct=1 \
    --iodepth=16 --ioengine=libaio --runtime=3 --time_based
}

pipe() {
  echo "pipe: perf bench sched pipe pinned to CPU 1, $pairs alternating pairs, statistics off"
  statistics 0
  : >"$work/pairs"
  for _ in $(seq "$pairs"); do
    local off on
    off=$(pipe_load 100000)
    start_sonde
    on=$(pipe_load 100000)
    stop "$started"
    echo "$off $on" >>"$work/pairs"
  done
  python3 - "$work/pairs" <<'P'
import statistics, sys
rows = [tuple(map(float, line.split())) for line in open(sys.argv[1])]
ratios = sorted(on / off for off, on in rows)
quartiles = statistics.quantiles(ratios, n=4)
print("  off median %.3f us/op, on median %.3f us/op" % tuple(statistics.median(c) for c in zip(*rows)))
print("  ratio on/off: median %.4f, quartiles %.4f .. %.4f" % (statistics.median(ratios), quartiles[0], quartiles[2]))
P
}

cpu_ms() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) * 1000 / hz }' "/proc/$1/stat"; }

scraper='
import http.client, sys, urllib.parse
url = urllib.parse.urlsplit(sys.argv[1])
connection = http.client.HTTPConnection(url.netloc)
for _ in range(int(sys.argv[2])):
    connection.request("GET", url.path + "?" + url.query)
    connection.getresponse().read()
'

scrape() {
  echo 'scrape: CPU ms per scrape of the same collectors'
  local names query='' flags=(--collector.disable-defaults) name
  names='cpu loadavg meminfo diskstats filesystem netdev stat uname time vmstat pressure schedstat netstat sockstat filefd'
  for name in $names; do query="$query&collect[]=$name"; flags+=("--collector.$name"); done
  start_sonde
  local agent=$started
  printf '%s' "$scraper" >"$work/scraper.py"
  start prometheus-node-exporter "${flags[@]}" --web.listen-address=127.0.0.1:$exporter_port
  local exporter=$started
  sleep 1
  measure() {
    local before after
    python3 "$work/scraper.py" "$2" 50
    before=$(cpu_ms "$1")
    python3 "$work/scraper.py" "$2" 400
    after=$(cpu_ms "$1")
    awk -v a="$before" -v b="$after" 'BEGIN { printf "%.3f", (b - a) / 400 }'
  }
  for _ in 1 2 3; do
    echo "  sonde $(measure "$agent" "http://127.0.0.1:$port/metrics?${query#&}") ms," \
      "node_exporter $(measure "$exporter" "http://127.0.0.1:$exporter_port/metrics?") ms," \
      "sonde with everything $(measure "$agent" "http://127.0.0.1:$port/metrics?") ms"
  done
  stop "$agent"
  stop "$exporter"
}

render() {
  echo 'render: Google Benchmark'
  "$build/tests/benchmarks" --benchmark_min_time=1 2>/dev/null | grep -v '^---' | sed 's/^/  /'
}

memory() {
  echo 'memory after 20 scrapes'
  start_sonde
  for _ in $(seq 20); do curl -s -o "$work/metrics" "http://127.0.0.1:$port/metrics"; done
  grep -E 'RssAnon|VmRSS' "/proc/$started/status" | sed 's/^/  /'
  grep '^sonde_bpf_map_bytes' "$work/metrics" | sed 's/^/  /'
  grep -o 'msg=ready.*' "$work/log" | sed 's/^/  /' || true
  stop "$started"
}

idle() {
  echo 'idle: share of one core over 20 s without scrapes'
  start_sonde
  sleep 3
  local before after
  before=$(cat /proc/"$started"/task/*/schedstat | awk '{ s += $1 } END { print s }')
  sleep 20
  after=$(cat /proc/"$started"/task/*/schedstat | awk '{ s += $1 } END { print s }')
  awk -v a="$before" -v b="$after" 'BEGIN { printf "  %.4f %%\n", (b - a) / 20e9 * 100 }'
  stop "$started"
}

[ $# -gt 0 ] || set -- events pipe scrape render memory idle
for figure in "$@"; do
  case $figure in
    events|pipe|scrape|render|memory|idle) "$figure" ;;
    *) sed -n '3,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done
