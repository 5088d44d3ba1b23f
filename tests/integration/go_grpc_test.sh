#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gRPC calls and messages of a Go program against what grpc-go itself told both of its sides: by method and code, in plain
# text and by TLS.
#
# usage: go_grpc_test.sh SONDE [GORPC]    GORPC: built from tests/targets/gorpc by other versions, default build/targets/gorpc
#   SONDE_CALLS  calls of each variant, default 1500
# shellcheck disable=SC2317  # functions are called through `check`
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
sonde=$(readlink -f "$1")
calls=${SONDE_CALLS:-1500}
[ $# -gt 1 ] || check 'the program is built' "$root/tests/targets/build.sh" gorpc
gorpc=$(readlink -f "${2:-$root/build/targets/gorpc}")
agent_port=$(free_port)
server_name=gorpc-server-$$ caller_name=gorpc-caller-$$

scrape() { curl -sSf --max-time 10 "http://127.0.0.1:$agent_port/metrics" >"$1"; }
probed() { scrape "$work/probed" && grep -q '^sonde_uprobes{probe="go_grpc"} [1-9]' "$work/probed"; }

# counted SIDE SERVICE: the ledger's lines, from the metrics.
counted() {
  local name=$server_name
  [ "$1" = server ] || name=$caller_name
  awk -v family="^grpc_$1_(handled|msg_received|msg_sent)_total[{]" -v service="service=\"$name\"" '
    function label(name) { return match($0, name "=\"[^\"]*") ? substr($0, RSTART + length(name) + 2, RLENGTH - length(name) - 2) : "" }
    $0 ~ family && index($0, service) {
      what = $0 ~ /_handled_/ ? "handled" : $0 ~ /_received_/ ? "received" : "sent"
      n[what " " label("grpc_method") (what == "handled" ? " " label("grpc_code") : "")] += $NF }
    END { for (key in n) print key, n[key] }' "$work/metrics" | sort
}
# settled TRUTH: lines from the metrics. A message that a client hands to its transport in the moment in which the stream ends
# is sent for the probe there, and dropped behind it: of a call that did not end with OK there may be one more.
settled() {
  awk 'NR == FNR { if ($1 == "handled" && $3 != "OK") failed[$2] += $4; if ($1 == "sent") sent[$2] = $3; next }
    $1 == "sent" && $3 > sent[$2] && $3 <= sent[$2] + failed[$2] { $3 = sent[$2] }
    { print }' "$1" -
}
# same SIDE SERVICE: what differs is in SERVICE.diff. grpc-go's statistics of a server know nothing of methods that it does
# not have: the client has seen them.
same() {
  { if [ "$1" = client ]; then cat "$work/$2.ledger"
    else grep -v 'handled Missing' "$work/$2.ledger"; grep 'handled Missing' "$work/caller.ledger"; fi; } | sort >"$work/$2.truth"
  diff "$work/$2.truth" <(counted "$1" "$2" | if [ "$1" = client ]; then settled "$work/$2.truth"; else cat; fi) >"$work/$2.diff"
}
seen() { scrape "$work/metrics" && same "$@"; }
exact() { until_true 8 seen "$@" || { cat "$work/$2.diff"; return 1; }; }
# Each call is timed.
timed() {
  grep "service=\"$caller_name\"" "$work/metrics" |
    awk '/^grpc_client_handled_total/ { calls += $NF } /^grpc_client_handling_seconds_count/ { timed += $NF }
       END { if (calls != timed) print timed " of " calls; exit calls != timed }'
}
# The server by its name; as the program calls it where there was no connection yet.
peers_are_named() {
  ! grep "^grpc_client_handled_total{service=\"$caller_name\"" "$work/metrics" | grep -v "peer=\"$server_name\"" | grep -vE 'peer="127.0.0.1:[0-9]+".*(grpc_method="Gone"|grpc_code="Canceled")'
}

# run WHAT VARIABLE=VALUE...
run() {
  local what=$1
  shift
  env "OTEL_SERVICE_NAME=$server_name" "$@" "$gorpc" serve "$work/server.ledger" >"$work/server.log" 2>&1 </dev/null &
  local server=$!
  pids+=("$server")
  rm -f "$work/go" "$work"/*.ledger && mkfifo "$work/go"
  until_true 10 grep -q grpc= "$work/server.log"
  # shellcheck source=/dev/null
  . "$work/server.log"
  background sonde "$sonde" run "--web.listen-address=127.0.0.1:$agent_port" --control.socket="$work/control"
  local agent=$started
  until_true 60 curl -sSf "http://127.0.0.1:$agent_port/-/ready"
  # shellcheck disable=SC2154  # the server's port
  env "OTEL_SERVICE_NAME=$caller_name" "$@" "$gorpc" load "127.0.0.1:$grpc" "$calls" "$work/caller.ledger" <"$work/go" >"$work/caller.log" 2>&1 &
  local client=$!
  pids+=("$client")
  exec 8>"$work/go"
  check "$what: its probes are attached" until_true 20 probed
  sleep 0.5
  exec 8>&-
  check "$what: every call has ended" until_true 240 test -e "$work/caller.ledger"
  kill -USR1 "$server"
  until_true 5 test -e "$work/server.ledger" || true
  check "$what: the client's calls and messages are exact" exact client caller
  check "$what: the server's calls and messages are exact" exact server server
  check "$what: every call of the client is timed" timed
  check "$what: peers are named" peers_are_named
  kill "$client" "$server" "$agent"
  wait "$client" "$server" "$agent" 2>/dev/null || true
}

run 'plain text'
run TLS GORPC_TLS=yes
finish
