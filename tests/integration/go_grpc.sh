#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gRPC calls of a Go program against what its client saw, by method and code. By hand: it downloads grpc-go.
#
# usage: go_grpc.sh SONDE [GRPC_VERSION...]     default: what tests/targets/gorpc/go.mod says
# shellcheck disable=SC2317  # functions are called through `check`
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
sonde=$(readlink -f "$1")
shift
[ $# -gt 0 ] || set -- ""
agent_port=$(free_port)
calls=${SONDE_CALLS:-20000}

sum() { awk -v family="$1" -v with="$2" 'index($0, family "{") == 1 && index($0, with) { n += $2 } END { print n + 0 }' "$work/metrics"; }
grpc=
seen() {
  curl -sSf "http://127.0.0.1:$agent_port/metrics" >"$work/metrics"
  local method code count
  while read -r method code count; do
    [ "$(sum grpc_client_handled_total "service=\"caller\",peer=\"127.0.0.1:$grpc\",grpc_service=\"sonde.Echo\",grpc_method=\"$method\",grpc_code=\"$code\"")" = "$count" ] ||
      { echo "client $method $code is not $count"; return 1; }
    # Of a deadline that has passed the two sides may think differently.
    [[ $code == DeadlineExceeded || $code == Canceled ]] && continue
    [ "$(sum grpc_server_handled_total "service=\"server\",grpc_service=\"sonde.Echo\",grpc_method=\"$method\",grpc_code=\"$code\"")" = "$count" ] ||
      { echo "server $method $code is not $count"; return 1; }
  done <"$work/ledger"
  [ "$(sum grpc_server_handled_total 'service="server"')" = "$calls" ]
}
for version in "$@"; do
  cp -r "$root/tests/targets/gorpc" "$work/gorpc"
  (cd "$work/gorpc" && { [ -z "$version" ] || go get "google.golang.org/grpc@$version"; } && go mod tidy && go build -ldflags '-s -w' -o "$work/rpc" .)
  OTEL_SERVICE_NAME=server background server "$work/rpc" serve
  until_true 10 grep -q grpc= "$work/server.log"
  # shellcheck source=/dev/null
  . "$work/server.log"
  background sonde "$sonde" run "--web.listen-address=127.0.0.1:$agent_port" --control.socket="$work/control"
  agent=$started
  until_true 60 curl -sSf "http://127.0.0.1:$agent_port/-/ready"
  sleep 2
  OTEL_SERVICE_NAME=caller "$work/rpc" load "127.0.0.1:$grpc" "$calls" >"$work/ledger"
  check "grpc ${version:-as it is}: both sides are exact" until_true 5 seen
  seen || true
  kill "$agent"
  wait "$agent" || true
  rm -rf "$work/gorpc"
done
finish
