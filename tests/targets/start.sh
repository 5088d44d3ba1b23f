#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts the testbed's servers on free ports of loopback, with all their files in DIR. Nothing of the system's is touched.
#
# usage: tests/targets/start.sh DIR [NAME...]     default: all of the list below; one that needs others comes after them
#
# DIR/ports has NAME=PORT lines, DIR/pids NAME=PID; tests/targets/stop.sh DIR ends them. The servers that keep their
# environment in /proc have OTEL_SERVICE_NAME=NAME; the others are known by their program's name.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
[ $# -ge 1 ] || { sed -n '3,8s/^# \{0,1\}//p' "$0"; exit 2; }
dir=$(mkdir -p "$1" && readlink -f "$1")
shift
names=("$@")
all=(postgres redis nats api web_py web_js stream chat nginx haproxy)
[ $# -gt 0 ] || names=("${all[@]}")
build=${SONDE_TARGETS:-$here/../../build/targets}
PATH=/usr/lib/postgresql/15/bin:$PATH:/usr/sbin
declare -A port

die() {
  echo "start.sh: $*" >&2
  exit 1
}

wanted() { [[ " ${names[*]} " == *" $1 "* ]]; }

free_ports() {
  python3 - "$1" <<'PYTHON'
import socket, sys
held = [socket.socket() for _ in range(int(sys.argv[1]))]
for one in held:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in held))
PYTHON
}

# server NAME COMMAND...
server() {
  local name=$1
  shift
  "$@" >"$dir/$name.log" 2>&1 </dev/null &
  echo "$name=$!" >>"$dir/pids"
}

# listening NAME: waits for its port.
listening() {
  local tries
  for ((tries = 0; tries < 300; tries++)); do
    ! { exec 3<>"/dev/tcp/127.0.0.1/${port[$1]}"; } 2>/dev/null || { exec 3>&-; return 0; }
    kill -0 "$(sed -n "s/^$1=//p" "$dir/pids")" 2>/dev/null || break
    sleep 0.1
  done
  tail -20 "$dir/$1.log" >&2
  die "$1 does not listen on port ${port[$1]}"
}

start_postgres() {
  local as=()
  if [ "$(id -u)" = 0 ]; then
    as=(setpriv --reuid postgres --regid postgres --clear-groups)
    install -d -o postgres -g postgres "$dir/postgres"
  else
    mkdir -p "$dir/postgres"
  fi
  "${as[@]}" initdb --pgdata="$dir/postgres/data" --username=sonde --auth=trust --no-sync --locale=C --encoding=UTF8 \
    >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; die 'initdb failed'; }
  server postgres "${as[@]}" postgres -D "$dir/postgres/data" -p "${port[postgres]}" -c listen_addresses=127.0.0.1 \
    -c unix_socket_directories="$dir/postgres" -c fsync=off -c max_connections=200 -c autovacuum=off \
    -c shared_preload_libraries=pg_stat_statements -c pg_stat_statements.track_utility=on -c pg_stat_statements.max=1000
  listening postgres
  psql -q --host="$dir/postgres" --port="${port[postgres]}" --username=sonde --dbname=postgres <<'SQL'
create extension pg_stat_statements;
create view truth as select coalesce(json_agg(json_build_array(query, calls)), '[]') from pg_stat_statements;
create table tracks (id int primary key, title text not null, plays int not null default 0);
create table plays (track int not null, seconds int not null);
insert into tracks (id, title) select id, 'track ' || id from generate_series(1, 1000) id;
create table rooms (id int primary key, name text not null, topic text not null default '');
create table messages (id bigserial primary key, room int not null references rooms, author text not null, body text not null);
create index on messages (room, id);
insert into rooms (id, name) select id, 'room ' || id from generate_series(1, 50) id;
SQL
}

start_redis() {
  mkdir -p "$dir/redis"
  server redis redis-server --bind 127.0.0.1 --port "${port[redis]}" --unixsocket "$dir/redis/socket" --dir "$dir/redis" \
    --save '' --appendonly no --daemonize no
  listening redis
}

start_nats() {
  local monitor
  monitor=$(free_ports 1)
  mkdir -p "$dir/nats"
  echo "$monitor" >"$dir/nats/monitor"
  server nats env OTEL_SERVICE_NAME=nats nats-server --addr 127.0.0.1 --port "${port[nats]}" --http_port "$monitor"
  listening nats
}

start_nginx() {
  mkdir -p "$dir/nginx" "$dir/static"
  : >"$dir/static/empty.txt"
  echo 'a small text' >"$dir/static/small.txt"
  head -c 30000 /dev/zero | tr '\0' x >"$dir/static/page.html"
  head -c 700000 /dev/zero | tr '\0' y >"$dir/static/large.bin"
  configured nginx.conf "$dir/nginx/nginx.conf"
  local user=()
  [ "$(id -u)" != 0 ] || user=(-g 'user root root;')
  server nginx nginx -c "$dir/nginx/nginx.conf" -e "$dir/nginx/error.log" "${user[@]}"
  listening nginx
}

configured() { sed -e "s#@dir@#$dir#g" -e "s/@api@/${port[api]}/g" -e "s/@$(basename "${1%.*}")@/${port[$(basename "${1%.*}")]}/g" "$here/$1" >"$2"; }

start_haproxy() {
  mkdir -p "$dir/haproxy"
  configured haproxy.cfg "$dir/haproxy/haproxy.cfg"
  server haproxy haproxy -W -db -f "$dir/haproxy/haproxy.cfg"
  listening haproxy
}

start_api() {
  local stores=()
  ! wanted postgres || stores+=(--postgres "postgres://sonde@127.0.0.1:${port[postgres]}/postgres?sslmode=disable")
  ! wanted redis || stores+=(--redis "127.0.0.1:${port[redis]}")
  ! wanted nats || stores+=(--nats "127.0.0.1:${port[nats]}")
  server api env OTEL_SERVICE_NAME=api "$build/api" --listen "127.0.0.1:${port[api]}" "${stores[@]}"
  listening api
}

start_web_py() {
  server web_py env OTEL_SERVICE_NAME=web_py /usr/bin/python3 "$here/web.py" "${port[web_py]}" \
    "host=127.0.0.1 port=${port[postgres]} user=sonde dbname=postgres sslmode=disable gssencmode=disable" "${port[redis]}"
  listening web_py
}

start_web_js() {
  server web_js env OTEL_SERVICE_NAME=web_js node "$here/web.js" "${port[web_js]}"
  listening web_js
}

start_stream() {
  server stream env OTEL_SERVICE_NAME=stream "$build/stream" "127.0.0.1:${port[stream]}"
  listening stream
}

start_chat() {
  local database="host=127.0.0.1 port=${port[postgres]} user=sonde dbname=postgres"
  server chat env OTEL_SERVICE_NAME=chat "$build/chat" "127.0.0.1:${port[chat]}" "$database" "127.0.0.1:${port[redis]}" \
    "127.0.0.1:${port[nats]}"
  listening chat
}

chmod 711 "$dir"
: >"$dir/pids"
read -r -a free <<<"$(free_ports ${#all[@]})"
for index in "${!all[@]}"; do port[${all[index]}]=${free[index]}; done
for name in "${all[@]}"; do
  wanted "$name" || continue
  "start_$name"
done
for name in "${names[@]}"; do echo "$name=${port[$name]}"; done >"$dir/ports"
