#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Request metrics against the truth: real servers and clients say what they did, the agent must say exactly the same.
#
# usage: requests_test.sh SONDE [VARIANT...]
#   SONDE_REQUESTS  requests of each variant, default 5000
#   SONDE_KEEP      a folder that keeps ledgers, truths and scrapes
#
# Three parties are compared: the load generator's ledger, the servers' own truth, and the agent's counters.
# shellcheck disable=SC2317  # functions are called through `check`
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
sonde=$(readlink -f "$1")
shift
variants=("$@")
requests=${SONDE_REQUESTS:-5000}
targets=$root/tests/targets
build=$root/build/targets
bed=$work/bed
declare -A port
PATH=/usr/lib/postgresql/15/bin:$PATH

undo() {
  "$targets/stop.sh" "$bed"
  [ -z "${SONDE_KEEP:-}" ] || { mkdir -p "$SONDE_KEEP" && cp "$work"/*.{json,before,after,metrics,log} "$SONDE_KEEP/"; } 2>/dev/null || true
}

start_agent() {
  background sonde "$sonde" run --config.file="$work/sonde.yaml" "--web.listen-address=127.0.0.1:$agent_port"
  agent_pid=$started
  until_true 60 curl -sSf "http://127.0.0.1:$agent_port/-/ready"
}
scrape() { curl -sSf --max-time 10 "http://127.0.0.1:$agent_port/metrics" >"$1"; }
stop_agent() {
  kill "$agent_pid"
  wait "$agent_pid" || true
}

# truths SUFFIX: what each server says it did so far, into NAME.SUFFIX.
truths() {
  local name
  for name in "${servers[@]}"; do [ "$name" = haproxy ] || "$targets/truth.py" "$bed" "$name" >"$work/$name.$1"; done
}
# did NAME: what it did between `truths before` and `truths after`.
did() { echo "$work/$1.after@$work/$1.before"; }
agree() { "$targets/compare.py" truths "$@" >"$work/difference.log" || { cat "$work/difference.log"; return 1; }; }

seen() { scrape "$work/$variant.metrics" && "$targets/compare.py" metrics --before "$work/metrics.before" "$work/$variant.metrics" "$@"; }
# exact CHECK...: the agent's counters, as soon as they are complete.
exact() { until_true 10 seen "$@" || seen "$@"; }

load() { env OTEL_SERVICE_NAME=load "$build/load" http --url "http://127.0.0.1:${port[$1]}" --ledger "$work/load.json" "${@:2}"; }

selected() { [ ${#variants[@]} = 0 ] || [[ " ${variants[*]} " == *" $1 "* ]]; }
before() {
  variant=$1
  truths before
  scrape "$work/metrics.before"
}

# served VARIANT SERVICE FLAG...: load on a target with a truth of its own.
served() {
  selected "$1" || return 0
  before "$1"
  check "$1: every request is answered" load "$2" --requests "$requests" --concurrency 32 "${@:3}"
  until_true 5 truths_agree "$2"
  truths after
  check "$1: ledger and server agree" agree requests "$work/load.json" "$(did "$2")"
  [[ $1 != *aborts ]] || check "$1: ledger and server agree on aborts" agree aborted "$work/load.json" "$(did "$2")"
  check "$1: the server's requests are exact" exact "http-server:$2=$(did "$2")"
  check "$1: the client's requests are exact" exact "http-client:load:$2=$work/load.json"
}
# A server may count a request only after the client has all of its answer.
truths_agree() { truths after && agree requests "$work/load.json" "$(did "$1")"; }

# through VARIANT PROXY FLAG...: load on api through a proxy. The ledger is the proxy's truth.
through() {
  selected "$1" || return 0
  before "$1"
  check "$1: every request is answered" load "$2" --requests "$requests" --concurrency 32 "${@:3}"
  truths after
  check "$1: the proxy's requests are exact" exact "http-server:$2=$work/load.json"
  check "$1: the client's requests are exact" exact "http-client:load:$2=$work/load.json"
  check "$1: the proxy's requests to api are exact" exact "http-client:$2:api=$(did api)"
  check "$1: api's requests are exact" exact "http-server:api=$(did api)"
}

static_files() {
  before static
  check 'static: every request is answered' load nginx --requests "$requests" --concurrency 32 --mix static
  truths after
  check 'static: ledger and log agree' agree methods "$work/load.json" "$(did nginx)"
  check 'static: the server'\''s requests are exact' exact "http-server:nginx=$work/load.json"
}

# joined VARIANT FLAG...: the agent starts while the connections are open and idle; then they go on.
joined() {
  selected "$1" || return 0
  stop_agent
  rm -f "$work/load.json.paused" "$work/resume"
  background load_joined load api --requests $((2 * requests)) --concurrency 32 --pause-after "$requests" \
    --resume "$work/resume" "${@:2}"
  local load_pid=$started
  check "$1: the first half is answered" until_true 60 test -e "$work/load.json.paused"
  start_agent
  before "$1"
  : >"$work/resume"
  check "$1: every request is answered" wait "$load_pid"
  truths after
  check "$1: ledger and server agree" agree requests "$work/load.json" "$(did api)"
  check "$1: the server's requests are exact" exact "http-server:api=$(did api)"
  check "$1: the client's requests are exact" exact "http-client:load:api=$work/load.json"
  if [ "$1" = joined_cache ]; then
    check "$1: api's Redis commands are exact" exact "redis-client:api:redis=$(did api)"
    check "$1: Redis's commands are exact" exact "redis-server:redis=$(did api)"
  fi
}

cache() {
  selected cache || return 0
  before cache
  check 'cache: every request is answered' load api --requests $((requests / 5)) --concurrency 32 --mix cache
  check 'cache: Python too' curl -sSf -o "$work/curl.log" "http://127.0.0.1:${port[web_py]}/cache/get?[1-50]"
  truths after
  check 'cache: clients and Redis agree' agree redis "$(did api)+$(did web_py)" "$(did redis)"
  check "cache: api's commands are exact" exact "redis-client:api:redis=$(did api)"
  check "cache: Python's commands are exact" exact "redis-client:web_py:redis=$(did web_py)"
  check "cache: Redis's commands are exact" exact "redis-server:redis=$(did api)+$(did web_py)"
  check 'cache: errors are exact' exact "redis-errors:api=$(did redis)"
}

# What api and chat tell one another, and chat's stores: after `served nats` and `served chat`.
messages() {
  selected "$1" || return 0
  check "$1: clients and NATS agree" until_true 5 nats_agrees
}
nats_agrees() { truths after && agree nats "$(did api)+$(did chat)" "$(did nats)"; }

chat() {
  selected chat || return 0
  served chat chat --mix chat
  messages chat
  check 'chat: ledger and server agree on WebSocket messages' agree websocket "$work/load.json" "$(did chat)"
  check 'chat: clients and PostgreSQL agree' agree verbs "$(did chat)" "$(did postgres)"
  check "chat: its statements are exact" exact "sql-client:chat:postgres=$(did chat)"
  check "chat: PostgreSQL's statements are exact" exact "sql-server:postgres=$(did chat)"
  check 'chat: clients and Redis agree' agree redis "$(did chat)" "$(did redis)"
  check 'chat: its commands are exact' exact "redis-client:chat:redis=$(did chat)"
  check "chat: Redis's commands are exact" exact "redis-server:redis=$(did chat)"
  check 'chat: errors are exact' exact "redis-errors:chat=$(did redis)"
}

redis_benchmark() {
  selected "redis_benchmark_$1" || return 0
  before "redis_benchmark_$1"
  env OTEL_SERVICE_NAME=redis-benchmark redis-benchmark -h 127.0.0.1 -p "${port[redis]}" -q -n "$requests" -c 16 -P "$1" \
    -t set,get,incr,lpush,mset >"$work/redis-benchmark.log"
  truths after
  check "redis-benchmark -P $1: the client's commands are exact" exact "redis-client:redis-benchmark:redis=$(did redis)"
  check "redis-benchmark -P $1: the server's commands are exact" exact "redis-server:redis=$(did redis)"
}

database() {
  selected database || return 0
  before database
  check 'database: every request is answered' load api --requests $((requests / 5)) --concurrency 32 --mix db
  check 'database: Python too' curl -sSf -o "$work/curl.log" \
    "http://127.0.0.1:${port[web_py]}/db/{transaction,error}?[1-50]"
  truths after
  check 'database: clients and PostgreSQL agree' agree verbs "$(did api)+$(did web_py)" "$(did postgres)"
  check "database: api's statements are exact" exact "sql-client:api:postgres=$(did api)"
  check "database: Python's statements are exact" exact "sql-client:web_py:postgres=$(did web_py)"
  check "database: PostgreSQL's statements are exact" exact "sql-server:postgres=$(did api)+$(did web_py)"
}

# What pgbench's built-in script does in so many transactions, and what it asks first. PostgreSQL itself counts BEGIN and
# END of a prepared statement once only.
pgbench_script() {
  python3 - "$1" <<'PYTHON'
import json, sys
count = int(sys.argv[1])
script = [("begin", ""), ("update", "pgbench_accounts"), ("select", "pgbench_accounts"), ("update", "pgbench_tellers"),
          ("update", "pgbench_branches"), ("insert", "pgbench_history"), ("end", "")]
first = [("select", "pg_catalog.pg_class"), ("select", "pgbench_branches")]
rows = [(*key, count) for key in script] + [(*key, 1) for key in first]
print(json.dumps({"sql": [dict(verb=v, table=t, sqlstate="", count=n) for v, t, n in rows]}))
PYTHON
}

pgbench_mode() {
  selected "pgbench_$1" || return 0
  before "pgbench_$1"
  env OTEL_SERVICE_NAME=pgbench pgbench -h 127.0.0.1 -p "${port[postgres]}" -U sonde -n -M "$1" -c 16 -j 2 \
    -t $((requests / 16)) postgres >"$work/pgbench.log" 2>&1
  truths after
  pgbench_script $((requests / 16 * 16)) >"$work/pgbench.json"
  [ "$1" = prepared ] || check "pgbench -M $1: script and PostgreSQL agree" agree sql "$work/pgbench.json" "$(did postgres)"
  check "pgbench -M $1: the client's statements are exact" exact "sql-client:pgbench:postgres=$work/pgbench.json"
  check "pgbench -M $1: the server's statements are exact" exact "sql-server:postgres=$work/pgbench.json"
}

# What nginx and HAProxy send by sendfile and splice lies in nobody's memory.
nothing_lost() {
  ! grep -E '^sonde_(events_lost_total\{source="socket"|series_folded_total)[^}]*\} [^0]' "$work/last.metrics" |
    grep -v 'reason="unreadable"'
}

# The Rust servers take minutes to build.
languages=(go) servers=(postgres redis nats api web_py web_js nginx haproxy)
if [ ${#variants[@]} = 0 ] || [[ " ${variants[*]}" =~ \ (stream|chat|nats) ]]; then
  languages+=(rust) servers=(postgres redis nats api web_py web_js stream chat nginx haproxy)
fi
chmod 711 "$work" # PostgreSQL does not run as root
check 'the testbed is built' "$targets/build.sh" "${languages[@]}"
check 'the testbed starts' "$targets/start.sh" "$bed" "${servers[@]}"
while IFS='=' read -r name value; do port[$name]=$value; done <"$bed/ports"
pgbench -h "$bed/postgres" -p "${port[postgres]}" -U sonde -i -q postgres >"$work/pgbench.log" 2>&1
# On two cores a burst of the testbed keeps the agent from its ring for longer than the default ring lasts.
cat >"$work/sonde.yaml" <<'YAML'
socket: {ring-bytes: 64Mi}
services:
  rules:
    - {name: postgres, exe: '/postgres$'}
    - {name: redis, args: '^redis-server '}
    - {name: nginx, exe: '/nginx$'}
    - {name: haproxy, exe: '/haproxy$'}
YAML
agent_port=$(free_port)
check 'the agent becomes ready' start_agent

served keep_alive api --mix mixed
served new_connections api --mix mixed --no-keep-alive
served pipelined_16 api --mix small --pipeline 16
served pipelined_bodies api --mix mixed --pipeline 4
served python web_py --mix web
served node web_js --mix web
variant_requests=$requests requests=$((requests < 600 ? requests : 600))
served aborts api --mix aborts --pipeline 1
served stream_aborts stream --mix stream_aborts --pipeline 1
requests=$variant_requests
served stream stream --mix stream
served stream_new_connections stream --mix stream --no-keep-alive
served stream_long stream --mix stream_long
served stream_long_close stream --mix stream_long --no-keep-alive
chat
served nats api --mix nats
messages nats
through nginx nginx --mix mixed
through haproxy haproxy --mix mixed
! selected static || static_files
cache
redis_benchmark 1
redis_benchmark 16
database
for mode in simple extended prepared; do pgbench_mode $mode; done
joined joined_keep_alive --mix mixed
joined joined_cache --mix cache
scrape "$work/last.metrics"
check 'nothing was lost or folded' nothing_lost
finish
