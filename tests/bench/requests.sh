#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the observation of requests costs: throughput per server core with the agent and without in alternating
# runs, the agent's CPU a thousand requests beside it, ns of each program of the tap. Servers run on core 0,
# load and agent on core 1. Needs root, a release build, wrk, redis-benchmark and the testbed's packages.
#
# usage: tests/bench/requests.sh [nginx|api|database|stream|redis|go_tls]...   (default: all)
#   database is a handler of api that asks PostgreSQL, go_tls one of goweb that does next to nothing
#   BUILD    the build folder, default build/release     PAIRS  pairs of runs, default 7
#   SECONDS_EACH  of a run, default 3                AGENT_FLAGS  flags of the agent
#   IDLE  processes of goweb beside the one that serves, default 0
#   WARM_UP  seconds of load between the agent's start and what is measured, default 2: Go programs' patterns are learned
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
sonde=${BUILD:-build/release}/agent/sonde
pairs=${PAIRS:-7}
seconds=${SECONDS_EACH:-3}
warm_up=${WARM_UP:-2}
port=17663
work=$(mktemp -d)
bed=$work/bed
agent=
goweb=()
declare -A address

cleanup() {
  [ -z "$agent" ] || kill "$agent" 2>/dev/null || true
  [ ${#goweb[@]} = 0 ] || kill "${goweb[@]}" 2>/dev/null || true
  tests/targets/stop.sh "$bed" >/dev/null 2>&1 || true
  echo 0 >/proc/sys/kernel/bpf_stats_enabled
  rm -rf "$work"
}
trap cleanup EXIT

start_agent() {
  # shellcheck disable=SC2086
  taskset -c 1 "$sonde" run ${AGENT_FLAGS:-} --web.listen-address=127.0.0.1:$port >"$work/sonde.log" 2>&1 &
  agent=$!
  for _ in $(seq 200); do
    if curl -sf -o "$work/ready" "http://127.0.0.1:$port/-/ready"; then return; fi
    sleep 0.05
  done
  cat "$work/sonde.log" >&2
  return 1
}
stop_agent() {
  kill "$agent"
  wait "$agent" || true
  agent=
}

# Hundredths of a second that the processes have run.
cpu_of() {
  local sum=0 pid
  for pid in "$@"; do sum=$((sum + $(sed 's/.*) //' "/proc/$pid/stat" | awk '{ print $12 + $13 }'))); done
  echo $sum
}

# load TARGET SECONDS: requests answered.
load() {
  case $1 in
    nginx) wrk_load "http://127.0.0.1:${address[nginx]}/static/small.txt" "$2" ;;
    api | stream) wrk_load "http://127.0.0.1:${address[$1]}/health" "$2" ;;
    database) wrk_load "http://127.0.0.1:${address[database]}/api/v1/tracks/7" "$2" ;;
    go_tls) wrk_load "https://127.0.0.1:${address[go_tls]}/health" "$2" ;;
    redis) taskset -c 1 redis-benchmark -p "${address[redis]}" -c 16 -P 16 -n $(($2 * 300000)) -t get -q >"$work/load"
      echo $(($2 * 300000)) ;;
  esac
}
wrk_load() {
  taskset -c 1 wrk -t1 -c32 -d"$2s" "$1" >"$work/load"
  awk '/requests in/ { print $1 }' "$work/load"
}

# Processes of a target, all their threads moved to core 0.
processes_of() {
  local pids pid
  pids=$(ss -Hltnp "sport = :${address[$1]}" | grep -o 'pid=[0-9]*' | cut -d= -f2 | sort -u)
  for pid in $pids; do taskset -acp 0 "$pid" >"$work/pin"; done
  echo "$pids"
}

# one TARGET: requests for each second of the server's CPU, and of the agent's for 1,000 requests.
one() {
  local before after agent_before requests pids
  mapfile -t pids < <(processes_of "$1")
  before=$(cpu_of "${pids[@]}")
  agent_before=${agent:+$(cpu_of "$agent")}
  requests=$(load "$1" "$seconds")
  after=$(cpu_of "${pids[@]}")
  [ -z "$agent" ] || awk -v n="$requests" -v t="$(($(cpu_of "$agent") - agent_before))" \
    'BEGIN { printf "%.2f\n", t * 10 / (n / 1000) }' >>"$work/$1.agent"
  awk -v n="$requests" -v t="$((after - before))" 'BEGIN { printf "%.0f\n", n / (t / 100) }'
}

start_goweb() {
  for _ in $(seq "${IDLE:-0}"); do
    build/targets/goweb serve >/dev/null 2>&1 &
    goweb+=($!)
  done
  build/targets/goweb serve >"$work/goweb.log" 2>&1 &
  goweb+=($!)
  for _ in $(seq 100); do
    address[go_tls]=$(sed -n 's/^tls=//p' "$work/goweb.log")
    if [ -n "${address[go_tls]}" ]; then return; fi
    sleep 0.05
  done
  return 1
}

median() { sort -g "$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

measure() {
  local off on
  for _ in $(seq "$pairs"); do
    off=$(one "$1")
    start_agent
    processes_of "$1" >"$work/pids"
    load "$1" "$warm_up" >"$work/requests"
    on=$(one "$1")
    stop_agent
    echo "$off" >>"$work/$1.off"
    echo "$on" >>"$work/$1.on"
    awk -v a="$off" -v b="$on" 'BEGIN { print b / a }' >>"$work/$1.ratio"
  done
  printf '%-8s %s requests a CPU second, with the agent %s: ratio %.3f; agent %s ms a 1,000 requests' "$1" \
    "$(median "$work/$1.off")" "$(median "$work/$1.on")" "$(median "$work/$1.ratio")" "$(median "$work/$1.agent")"
  start_agent
  load "$1" "$warm_up" >"$work/requests"
  echo 1 >/proc/sys/kernel/bpf_stats_enabled
  load "$1" "$seconds" >"$work/requests"
  bpftool -j prog show | python3 -c '
import json, sys
for program in json.load(sys.stdin):
    if program.get("name", "").startswith(("socket_", "go_", "tls_")) and program.get("run_cnt", 0) > 1000:
        print("; %s %.0f ns" % (program["name"], program["run_time_ns"] / program["run_cnt"]), end="")'
  echo 0 >/proc/sys/kernel/bpf_stats_enabled
  curl -s "http://127.0.0.1:$port/metrics" | awk '/^sonde_events_lost_total.*socket.*(full|bytes|shortened)/ { n += $2 } END { printf "; lost %d\n", n }'
  stop_agent
}

[ "$(id -u)" = 0 ] || { echo 'must be root' >&2; exit 1; }
chmod 711 "$work"
tests/targets/build.sh >/dev/null
tests/targets/start.sh "$bed" >/dev/null
while IFS='=' read -r name value; do address[$name]=$value; done <"$bed/ports"
address[database]=${address[api]}
start_goweb
[ $# -gt 0 ] || set -- nginx api database stream redis go_tls
for target in "$@"; do measure "$target"; done
