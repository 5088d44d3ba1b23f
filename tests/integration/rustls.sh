#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Requests of HTTP/1 and HTTP/2 (axum, hyper) and calls of gRPC (tonic) within rustls of four ages against what their client saw.
# By hand: it downloads and builds for half an hour.
#
# usage: rustls.sh SONDE [BUILD...]
#   BUILD            AGE-MODE: r20, r21, r22, r23ring or r23aws; release, stripped, lto or lto_stripped; default all
#   SONDE_REQUESTS   requests of each run, default 3200
# shellcheck disable=SC2317  # functions are called through `check`
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
sonde=$(readlink -f "$1")
shift
[ $# -gt 0 ] || set -- {r20,r21,r22,r23ring,r23aws}-{release,stripped,lto,lto_stripped}
requests=${SONDE_REQUESTS:-3200}
built=$root/build/targets/rustls
# Another run has other names.
server_name=rustls-server-$$ caller_name=rustls-caller-$$

# built_program AGE MODE: its path.
built_program() {
  local age=$1 mode=$2 profile=release flags=()
  [[ $mode != lto* ]] || profile=lto
  [ "$age" != r23aws ] || flags=(--no-default-features --features 'hyper1 aws')
  (cd "$root/tests/targets/rustls/${age:0:3}" &&
    CARGO_TARGET_DIR=$built/$age cargo build --quiet --locked --profile "$profile" "${flags[@]}") >&2
  cp "$built/$age/$profile/rustls-web" "$work/rustls-web"
  [[ $mode != *stripped ]] || strip "$work/rustls-web"
}

# An authority and what it signed, for localhost.
certificates() {
  cd "$work"
  printf 'basicConstraints=CA:false\nsubjectAltName=DNS:localhost\n' >leaf.conf
  openssl req -x509 -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 2 -subj /CN=authority \
    -addext 'keyUsage=critical, keyCertSign' -keyout authority.pem -outform der -out ca.der
  openssl req -nodes -newkey ec -pkeyopt ec_paramgen_curve:P-256 -keyout leaf.pem -subj /CN=localhost -out leaf.csr
  openssl x509 -req -in leaf.csr -CAform der -CA ca.der -CAkey authority.pem -set_serial 1 -days 2 -extfile leaf.conf \
    -outform der -out leaf.der
  openssl pkcs8 -topk8 -nocrypt -in leaf.pem -outform der -out key.der
}

start_agent() {
  background sonde "$sonde" run "--web.listen-address=127.0.0.1:$agent_port" --control.socket="$work/control"
  agent=$started
  until_true 60 curl -sSf "http://127.0.0.1:$agent_port/-/ready"
  until_true 10 probed
}
probed() { "$sonde" explain --control.socket="$work/control" "$server" | grep -q 'tls: [1-9]'; }
stop_agent() {
  kill "$agent"
  wait "$agent" || true
}
scrape() { curl -sSf --max-time 10 "http://127.0.0.1:$agent_port/metrics" >"$1"; }

seen() {
  scrape "$work/metrics" && "$root/tests/targets/compare.py" metrics --before "$work/before" "$work/metrics" \
    {http,grpc}-server:"$server_name"="$work/ledger" {http,grpc}-client:"$caller_name"="$work/ledger"
}
exact() { until_true 5 seen || seen; }
load() { env OTEL_SERVICE_NAME=$caller_name "$work/rustls-web" load "$work" "$port" --requests "$requests" "$@" >"$work/ledger"; }

# run WHAT FLAG...
run() {
  scrape "$work/before"
  check "$build: $1: every request is answered" load "${@:2}"
  check "$build: $1: both sides are exact" exact
}

# joined WHAT FLAG...: the agent starts while the connections are open and idle.
joined() {
  stop_agent
  rm -f "$work/paused" "$work/resume"
  load --pause "$work" "${@:2}" &
  local load_pid=$!
  until_true 30 test -e "$work/paused"
  start_agent
  scrape "$work/before"
  : >"$work/resume"
  check "$build: $1: every request is answered" wait "$load_pid"
  # An answer that is nothing but references to what the header table has had before is known to nobody else.
  sed -i 's/"NotFound"/"other"/' "$work/ledger"
  check "$build: $1: both sides are exact" exact
}

(certificates) 2>"$work/openssl.log"
agent_port=$(free_port)
for build in "$@"; do
  built_program "${build%-*}" "${build#*-}"
  OTEL_SERVICE_NAME=$server_name background server "$work/rustls-web" serve "$work"
  server=$started
  until_true 10 grep -q . "$work/server.log"
  port=$(cat "$work/server.log")
  start_agent
  run keep_alive
  run new_connections --each 5
  # Those whose first answer fills the socket keep it for long.
  run connections_of_one_request --each 1
  run tls12 --tls12 --each 20
  run http2 --http2
  run http2_new_connections --http2 --each 5
  run grpc --grpc
  run grpc_new_connections --grpc --each 5
  run grpc_tls12 --grpc --tls12 --each 20
  joined joined
  joined http2_joined --http2
  joined grpc_joined --grpc
  stop_agent
  kill "$server"
  wait "$server" || true
done
finish
