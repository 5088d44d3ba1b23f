#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Go programs as distributions package them, stripped, against what their clients saw: status by status, the server's and the client's
# side, with the agent started before and while the connections are there. By hand: it wants the packages.
#
# usage: tests/go/third_party.sh SONDE [PROGRAM...]     default: caddy prometheus node_exporter etcd
#   SONDE_REQUESTS  requests of each load, default 2000
#   CADDY, PROMETHEUS, NODE_EXPORTER, ETCD  other versions than those installed
# shellcheck disable=SC2317  # functions are called by name
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=../integration/lib.sh
. "$(dirname "$(readlink -f "$0")")/../integration/lib.sh"
sonde=$(readlink -f "$1")
shift
[ $# -gt 0 ] || set -- caddy prometheus node_exporter etcd
requests=${SONDE_REQUESTS:-2000}
goweb=$root/build/targets/goweb
agent_port=$(free_port) plain='' tls=''

scrape() { curl -sSf --max-time 10 "http://127.0.0.1:$agent_port/metrics" >"$1"; }
probed() { scrape "$work/probed" && grep -q '^sonde_uprobes{probe="go_http"} [1-9]' "$work/probed"; }
start_agent() {
  background sonde "$sonde" run "--web.listen-address=127.0.0.1:$agent_port" --control.socket="$work/control"
  agent=$started
  until_true 60 curl -sSf "http://127.0.0.1:$agent_port/-/ready"
  until_true 20 probed
  sleep 2 # files are looked through one after the other
}
stop_agent() {
  kill "$agent"
  wait "$agent" || true
}

# expected: what the ledgers have, "STATUS COUNT" each.
expected() { python3 -c '
import collections, json, sys
counts = collections.Counter()
for file in sys.argv[1:]:
    for row in json.load(open(file))["requests"]:
        counts[row["method"], row["status"]] += row["count"]
for key in sorted(counts): print(*key, counts[key])' "$@"; }

# grown FAMILY SERVICE: by method and status, since the last `begin`.
grown() { python3 -c '
import collections, re, sys
counts = collections.Counter()
for sign, file in ((-1, sys.argv[3]), (1, sys.argv[4])):
    for line in open(file):
        if line.startswith(sys.argv[1] + "{"):
            labels = dict(re.findall(r"(\w+)=\"([^\"]*)\"", line))
            if labels["service"] == sys.argv[2]:
                counts[labels["method"], labels["status"]] += sign * int(float(line.rsplit(" ", 1)[1]))
for key in sorted(counts):
    if counts[key]: print(*key, counts[key])' "$1" "$2" "$work/before" "$work/after"; }
same() {
  scrape "$work/after"
  diff "$work/expected" <(grown "$1" "$2")
}
# exact WHAT FAMILY SERVICE LEDGER...
exact() {
  local what=$1 family=$2 service=$3
  shift 3
  expected "$@" >"$work/expected"
  until_true 10 same "$family" "$service" || true
  check "$what: $service's $family is the ledger's ($(awk '{ n += $3 } END { print n }' "$work/expected"))" same "$family" "$service"
}

explained() { "$sonde" explain "$1" --control.socket="$work/control" | grep -i 'go_http\|go_grpc\|uprobe' | sed 's/^/      /' || true; }

# loads NAME SERVICE CLIENT_OF URL[,FLAG...]...: CLIENT_OF: whether it passes all on, as a client.
loads() {
  local service=$1 passes=$2 load url flags
  shift 2
  start_agent
  for load; do
    IFS=, read -r url flags <<<"$load"
    scrape "$work/before"
    # shellcheck disable=SC2086  # flags are words
    check "$load: all are answered" "$goweb" load --url "$url" --requests "$requests" --ledger "$work/ledger" ${flags//,/ }
    exact "$load" http_requests_total "$service" "$work/ledger"
    [ "$passes" = no ] || exact "$load" http_client_requests_total "$service" "$work/ledger"
  done
  explained "$service"
  stop_agent
  joined "$service" "$passes" "$@"
}

# All loads at a time, whose connections are there before the agent is.
joined() {
  local service=$1 passes=$2 load url flags n=0 loaders=() ledgers=()
  shift 2
  rm -f "$work"/go*
  for load; do
    IFS=, read -r url flags <<<"$load"
    [[ $flags != *keep-alive=false* ]] || continue
    n=$((n + 1))
    # shellcheck disable=SC2086
    background "load$n" "$goweb" load --url "$url" --requests "$requests" --ledger "$work/ledger$n" --resume "$work/go$n" ${flags//,/ }
    loaders+=("$started") ledgers+=("$work/ledger$n")
    until_true 20 test -e "$work/go$n.warm"
  done
  start_agent
  scrape "$work/before"
  for ((i = 1; i <= n; i++)); do touch "$work/go$i"; done
  for loader in "${loaders[@]}"; do wait "$loader" || failures=$((failures + 1)); done
  exact joined http_requests_total "$service" "${ledgers[@]}"
  [ "$passes" = no ] || exact joined http_client_requests_total "$service" "${ledgers[@]}"
  stop_agent
}

upstream() {
  [ -z "$plain" ] || return 0
  OTEL_SERVICE_NAME=goweb background goweb "$goweb" serve
  until_true 10 grep -q tls= "$work/goweb.log"
  # shellcheck source=/dev/null
  . "$work/goweb.log"
}

certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
}

caddy() {
  local caddy=${CADDY:-/usr/bin/caddy} http https onward
  upstream
  certificate
  http=$(free_port) https=$(free_port) onward=$(free_port)
  cat >"$work/Caddyfile" <<END
{
	admin off
	auto_https off
}
http://127.0.0.1:$http {
	reverse_proxy 127.0.0.1:$plain
}
https://127.0.0.1:$https {
	tls $work/cert.pem $work/key.pem
	reverse_proxy 127.0.0.1:$plain
}
https://127.0.0.1:$onward {
	tls $work/cert.pem $work/key.pem
	reverse_proxy https://127.0.0.1:$tls {
		transport http {
			tls_insecure_skip_verify
			versions 1.1
		}
	}
}
END
  HOME=$work XDG_DATA_HOME=$work OTEL_SERVICE_NAME=caddy-$$ background caddy "$caddy" run --config "$work/Caddyfile" --adapter caddyfile
  local program=$started
  until_true 20 curl -sSfk "https://127.0.0.1:$onward/health"
  loads caddy-$$ yes "http://127.0.0.1:$http" "https://127.0.0.1:$https" "https://127.0.0.1:$https,--http2" \
    "https://127.0.0.1:$https,--keep-alive=false" "https://127.0.0.1:$onward"
  kill "$program"
}

prometheus() {
  local port program
  port=$(free_port)
  printf 'global:\n  scrape_interval: 1h\n' >"$work/prometheus.yml"
  certificate
  printf 'tls_server_config:\n  cert_file: %s\n  key_file: %s\n' "$work/cert.pem" "$work/key.pem" >"$work/web.yml"
  for scheme in http https; do
    local more=()
    [ "$scheme" = http ] || more=(--web.config.file="$work/web.yml")
    OTEL_SERVICE_NAME=prometheus-$$ background prometheus "${PROMETHEUS:-/usr/bin/prometheus}" --config.file="$work/prometheus.yml" \
      --storage.tsdb.path="$work/tsdb" --web.listen-address="127.0.0.1:$port" --log.level=warn "${more[@]}"
    program=$started
    until_true 30 curl -sSfk "$scheme://127.0.0.1:$port/-/ready"
    local all=("$scheme://127.0.0.1:$port,--only=/api/v1/query?query=up" "$scheme://127.0.0.1:$port,--only=/-/healthy,--keep-alive=false"
      "$scheme://127.0.0.1:$port")
    [ "$scheme" = http ] || all+=("$scheme://127.0.0.1:$port,--http2" "$scheme://127.0.0.1:$port,--http2,--only=/api/v1/query?query=up")
    loads prometheus-$$ no "${all[@]}"
    kill "$program"
    wait "$program" || true
  done
}

node_exporter() {
  local port program
  port=$(free_port)
  certificate
  printf 'tls_server_config:\n  cert_file: %s\n  key_file: %s\n' "$work/cert.pem" "$work/key.pem" >"$work/web.yml"
  for scheme in http https; do
    local more=()
    [ "$scheme" = http ] || more=(--web.config.file="$work/web.yml")
    OTEL_SERVICE_NAME=node_exporter-$$ background node_exporter "${NODE_EXPORTER:-/usr/bin/prometheus-node-exporter}" \
      --web.listen-address="127.0.0.1:$port" --collector.disable-defaults --collector.loadavg "${more[@]}"
    program=$started
    until_true 20 curl -sSfk "$scheme://127.0.0.1:$port/"
    loads node_exporter-$$ no "$scheme://127.0.0.1:$port,--only=/metrics" "$scheme://127.0.0.1:$port" "$scheme://127.0.0.1:$port,--http2"
    kill "$program"
    wait "$program" || true
  done
}

etcd() {
  local client peer program
  certificate
  for scheme in http https; do
    client=$(free_port) peer=$(free_port)
    local more=()
    [ "$scheme" = http ] || more=(--cert-file="$work/cert.pem" --key-file="$work/key.pem")
    rm -rf "$work/etcd"
    OTEL_SERVICE_NAME=etcd-$$ background etcd "${ETCD:-/usr/bin/etcd}" --data-dir="$work/etcd" --listen-client-urls="$scheme://127.0.0.1:$client" \
      --advertise-client-urls="$scheme://127.0.0.1:$client" --listen-peer-urls="http://127.0.0.1:$peer" \
      --initial-advertise-peer-urls="http://127.0.0.1:$peer" --initial-cluster="default=http://127.0.0.1:$peer" "${more[@]}"
    program=$started
    until_true 20 curl -sSfk "$scheme://127.0.0.1:$client/health"
    loads etcd-$$ no "$scheme://127.0.0.1:$client,--only=/version" "$scheme://127.0.0.1:$client" "$scheme://127.0.0.1:$client,--http2" \
      "$scheme://127.0.0.1:$client,--only=/version,--keep-alive=false"
    kill "$program"
    wait "$program" || true
  done
}

for program; do
  echo "$program:"
  "$program"
done
finish
