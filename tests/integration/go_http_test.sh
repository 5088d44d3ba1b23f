#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a Go program serves in plain text, by TLS and by HTTP/2, against its client's ledger: every request once, by its
# router's pattern, whichever source counts it.
#
# usage: go_http_test.sh SONDE [GOWEB]    GOWEB: built from tests/targets/goweb by another Go, default build/targets/goweb
#   SONDE_REQUESTS  requests of each variant, default 1500
#   SONDE_CLIENT    the client, built likewise, default build/targets/goweb
#   SONDE_ROUTERS   of GOWEB, default "mux middleware mux/timeout"; with the first one all is tried
# shellcheck disable=SC2317  # functions are called through `check`
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
sonde=$(readlink -f "$1")
requests=${SONDE_REQUESTS:-1500}
targets=$root/tests/targets
server=${2:-$root/build/targets/goweb}
plain=0 tls=0 patterns=
name=goweb-$$ # others may run one, too
scrape() { curl -sSf --max-time 10 "http://127.0.0.1:$agent_port/metrics" >"$1"; }
start_agent() {
  rm -f "$work/probed"
  background sonde "$sonde" run "--web.listen-address=127.0.0.1:$agent_port" --control.socket="$work/control" "$@"
  agent_pid=$started
  until_true 60 curl -sSf "http://127.0.0.1:$agent_port/-/ready"
}
stop_agent() {
  kill "$agent_pid"
  wait "$agent_pid" || true
}
# Other programs on the machine may have theirs before. All of them: its parts come one after the other.
probed() {
  local now
  now=$("$sonde" explain "$server_pid" "--control.socket=$work/control" | grep -o 'go_http: [1-9][0-9]*') || return
  [ "$now" = "$(cat "$work/probed" 2>/dev/null)" ] || { echo "$now" >"$work/probed"; return 1; }
}

# serve ROUTER: on other ports each time.
serve() {
  rm -f "$work/goweb.log" # of the one before
  OTEL_SERVICE_NAME=$name background goweb "$server" serve --router "$1"
  server_pid=$started
  until_true 10 grep -q tls= "$work/goweb.log"
  # shellcheck source=/dev/null
  . "$work/goweb.log"
}
died() { curl -sSfk "https://127.0.0.1:$tls/truth" >"$work/died.$1"; }
address() { if [ "$1" = http ]; then echo "http://127.0.0.1:$plain"; else echo "https://127.0.0.1:$tls"; fi; }

seen() {
  scrape "$work/after" && "$targets/compare.py" metrics --before "$work/before" "$work/after" \
    "$1:$name=$work/ledger.json+$work/died.after@$work/died.before"
}
exact() { until_true 10 seen "$1" || seen "$1"; }
# The same requests as their client's own: by method and status, of a server that is called by its name.
called() {
  diff <(python3 -c 'import collections, json, sys
n = collections.Counter()
for row in json.load(open(sys.argv[1]))["requests"]: n[row["method"], row["status"]] += row["count"]
for key in sorted(n): print(*key, n[key])' "$work/ledger.json") \
    <(awk -v series="http_client_requests_total{service=\"$name-caller\",peer=\"$name\"" '
      function label(name) { match($0, name "=\"[^\"]*"); return substr($0, RSTART + length(name) + 2, RLENGTH - length(name) - 2) }
      index($0, series) == 1 {
        n[label("method") " " label("status")] += FILENAME ~ /before$/ ? -$NF : $NF }
      END { for (key in n) if (n[key]) print key, n[key] }' "$work/before" "$work/after" | sort)
}
seen_called() { scrape "$work/after" && called; }
exact_called() { until_true 5 seen_called || called; }
# What paths are labelled as, word for word.
labels_are_patterns() {
  ! grep "^http_requests_total{service=\"$name\"" "$work/after" | grep -vE \
    'path="(/health|/users/\{id\}(/orders/\{order\})?|/empty|/big|/stream|/deep|/files/\{path...\}|/static/|/early|/late|/missing/page|/slow|/hold|/truth|/panic|/abort)"'
}

# shows_in_flight NUMBER
shows_in_flight() {
  scrape "$work/flying" && grep -qx "http_requests_in_flight{service=\"$name\"} $1" "$work/flying"
}
# in_flight: three by TLS, two by HTTP/2, one in plain text.
in_flight() {
  local pids=() flags
  for flags in --http1.1 --http1.1 --http1.1 --http2 --http2; do
    curl -sSfk "$flags" "https://127.0.0.1:$tls/hold" &
    pids+=($!)
  done
  curl -sSf "http://127.0.0.1:$plain/hold" &
  check 'in flight: six while they are' until_true 3 shows_in_flight 6
  wait "${pids[@]}" $!
  check 'in flight: none when they are over' until_true 3 shows_in_flight 0
}

# load WHAT SCHEME KIND FLAG...
load() {
  died before
  scrape "$work/before"
  check "$1: every request is answered" env "OTEL_SERVICE_NAME=$name-caller" "$client" load --url "$(address "$2")" --patterns "$patterns" --requests "$requests" --ledger "$work/ledger.json" "${@:4}"
  died after
  check "$1: the metrics are exact" exact "$3"
  [[ $1 == without* ]] || check "$1: the client's are exact" exact_called
}

# joined WHAT SCHEME KIND FLAG...: the agent starts when the connections are there already.
joined() {
  rm -f "$work/go" "$work/go.warm"
  background load "$client" load --url "$(address "$2")" --patterns "$patterns" --requests "$requests" --ledger "$work/ledger.json" --resume "$work/go" "${@:4}"
  local load_pid=$started
  until_true 20 test -e "$work/go.warm"
  start_agent
  check "$1: its probes are attached" until_true 20 probed
  died before
  scrape "$work/before"
  touch "$work/go"
  check "$1: every request is answered" wait "$load_pid"
  died after
  check "$1: the metrics are exact" exact "$3"
  stop_agent
}

check 'the program is built' "$targets/build.sh" go
agent_port=$(free_port)
# Only a server of golang.org/x/net has a client for HTTP/2 without TLS.
client=${SONDE_CLIENT:-$root/build/targets/goweb}
[[ ${SONDE_ROUTERS:-} != xnet* ]] || client=$server
# A program that begins with its first request and has no probes yet is another matter: its file keeps them.
[ "$client" = "$server" ] || background client "$client" serve --router mux
read -ra routers <<<"${SONDE_ROUTERS:-mux middleware mux/timeout}"
for router in "${routers[@]}"; do
  serve "$router"
  start_agent
  check "$router: its probes are attached" until_true 20 probed
  load "$router, plain text" http http-server --panics
  load "$router, TLS" https http-handler --panics
  load "$router, HTTP/2" https http-handler --panics --http2
  [[ $router == */* ]] || load "$router, new connections" https http-handler --keep-alive=false
  [[ $router != xnet* ]] || load "$router, HTTP/2 without TLS" http http-handler --http2 --panics
  [ "$router" != mux ] || in_flight
  [ "$patterns" != mux ] || check "$router: labels are the patterns" labels_are_patterns
  stop_agent
  [ "$router" != "${routers[0]}" ] || {
    joined 'joined, plain text' http http-server
    joined 'joined, TLS' https http-handler
    joined 'joined, HTTP/2' https http-handler --http2
    start_agent --no-probe.socket
    check 'without the sockets: its probes are attached' until_true 20 probed
    load 'without the sockets, plain text' http http-handler --panics
    stop_agent
  }
  kill "$server_pid"
done
finish
