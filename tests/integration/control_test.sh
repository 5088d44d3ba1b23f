#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `sonde tail` and `sonde explain` against a running agent, real servers, and secrets in everything that they are sent:
# none of them may come out of Sonde anywhere.
#
# usage: control_test.sh SONDE
# shellcheck disable=SC2317  # functions are called through `check`
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
sonde=$(readlink -f "$1")
[ "$(id -u)" = 0 ] || { echo 'needs root'; exit 77; }
PATH=$PATH:/usr/lib/postgresql/15/bin
socket=$work/run/control.sock
secret=hunter2xyzzy # in every query, header, body, literal, key and value

start_agent() { # LOG FLAG...
  agent_port=$(free_port)
  background "$1" "$sonde" run --control.socket="$socket" --web.listen-address="127.0.0.1:$agent_port" "${@:2}"
  agent_pid=$started
  until_true 60 curl -sSf "http://127.0.0.1:$agent_port/-/ready"
}
stop_agent() {
  kill "$agent_pid"
  wait "$agent_pid"
}
tail_() { timeout 60 "$sonde" tail --control.socket="$socket" "$@"; }
explain() { timeout 60 "$sonde" explain --control.socket="$socket" "$@"; }

# says CODE TEXT COMMAND...: that exit code and one line with TEXT on standard error.
says() {
  local code=$1 text=$2 got
  shift 2
  "$@" >"$work/out" 2>"$work/err" </dev/null
  got=$?
  [ "$got" -eq "$code" ] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -qF -- "$text" "$work/err" && return
  echo "exit code $got, expected $code and \"$text\":"
  cat "$work/out" "$work/err"
  return 1
}

cat >"$work/web.py" <<'PYTHON'
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"no" if "broken" in self.path else b"yes"
        self.send_response(503 if "broken" in self.path else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *arguments): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PYTHON

requests() {
  curl -sS -o /dev/null -H "Authorization: Bearer $secret" -H "Cookie: session=$secret" \
    "http://127.0.0.1:$web_port/users/4711?token=$secret" &&
    curl -sS -o /dev/null -d "password=$secret" "http://127.0.0.1:$web_port/login?next=$secret" &&
    curl -sS -o /dev/null "http://127.0.0.1:$web_port/broken?why=$secret"
}
redis_requests() {
  redis-cli -p "$redis_port" set "user:$secret" "$secret" && redis-cli -p "$redis_port" get "user:$secret" &&
    redis-cli -p "$redis_port" lpush "user:$secret" "$secret" # WRONGTYPE
} >"$work/redis-cli.log" 2>&1
sql_requests() {
  psql -h 127.0.0.1 -p "$sql_port" -U sonde -d postgres -v ON_ERROR_STOP=0 \
    -c "create table customers(name text)" -c "insert into customers values ('$secret')" \
    -c "select * from customers where name = '$secret'" &&
    ! psql -h 127.0.0.1 -p "$sql_port" -U sonde -d postgres -c "select '$secret'::int"
} >"$work/psql.log" 2>&1
start_postgres() {
  mkdir "$work/pg" && chmod 711 "$work" && chown nobody "$work/pg" &&
    setpriv --reuid=nobody --regid=nogroup --clear-groups initdb -D "$work/pg/data" -U sonde -A trust >"$work/initdb.log" 2>&1 || return
  background postgres setpriv --reuid=nobody --regid=nogroup --clear-groups postgres -D "$work/pg/data" -h 127.0.0.1 -p "$sql_port" -k "$work/pg"
  until_true 20 psql -h 127.0.0.1 -p "$sql_port" -U sonde -d postgres -c 'select 1'
}

check 'tail without an agent' says 1 'no agent runs here' tail_
check 'explain without an agent' says 1 'no agent runs here' explain $$

web_port=$(free_port) redis_port=$(free_port) sql_port=$(free_port) tls_port=$(free_port)
background web env OTEL_SERVICE_NAME=shop python3 "$work/web.py" "$web_port"
web_pid=$started
until_true 10 curl -sS "http://127.0.0.1:$web_port/"
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" -subj /CN=localhost -days 1 2>"$work/openssl.log"
background tls env OTEL_SERVICE_NAME=vault openssl s_server -www -quiet -accept "127.0.0.1:$tls_port" -key "$work/key.pem" -cert "$work/cert.pem"
tls_pid=$started
with_redis=$(command -v redis-server) with_sql=$(command -v postgres)
if [ -n "$with_redis" ]; then
  background redis redis-server --port "$redis_port" --bind 127.0.0.1 --save ''
  until_true 10 redis-cli -p "$redis_port" ping
fi
[ -z "$with_sql" ] || start_postgres || with_sql=''

check 'the agent becomes ready' start_agent agent
check 'the socket is open to its user only' test "$(stat -c %a "$socket") $(stat -c %a "$work/run")" = '600 700'

background all "$sonde" tail --control.socket="$socket"
all_pid=$started
background all_json "$sonde" tail --json --control.socket="$socket"
background broken "$sonde" tail http --status=5xx --service=shop --limit=2 --json --control.socket="$socket"
broken_pid=$started
sleep 1
check 'HTTP requests are answered' requests
[ -z "$with_redis" ] || check 'Redis commands are answered' redis_requests
[ -z "$with_sql" ] || check 'SQL statements are answered' sql_requests

shows() { until_true 5 grep -qE -- "$1" "$work/$2.log" || { cat "$work/$2.log"; return 1; }; }
check 'tail shows a template' shows 'http1 +server shop .* GET +/users/\{id\} 200 [0-9.]+[mu]s 0/3' all
check 'tail shows the client without a path' shows 'http1 +client .* shop +GET +- 200' all
check 'tail shows the class that is asked for' shows '"target":"/broken","status":"503"' broken
check 'tail shows no other class' test "$(grep -c '"status":"503"' "$work/broken.log")" = "$(wc -l <"$work/broken.log")"
requests
ends() { wait "$broken_pid" && [ "$(wc -l <"$work/broken.log")" = 2 ]; }
check 'tail ends at its limit' ends
check 'tail --json is JSON' python3 -c 'import json, sys
assert len([json.loads(line) for line in open(sys.argv[1])]) > 5' "$work/all_json.log"
if [ -n "$with_redis" ]; then
  check 'tail shows a command of Redis alone' shows 'redis +server .* SET +- - ' all
  check 'tail shows an error of Redis' shows 'redis +client .* LPUSH +- WRONGTYPE' all
fi
if [ -n "$with_sql" ]; then
  check 'tail shows verb and table' shows 'postgresql +client .* insert +customers ' all
  check 'tail shows a SQLSTATE' shows 'postgresql .* 22P02' all
fi
kill -INT "$all_pid"
check 'an interrupt ends tail cleanly' wait "$all_pid"
check 'an unknown protocol' says 1 '"gopher" is none of http, http1' tail_ gopher

# A connection that stays open, and what is known of it.
background client python3 -c "
import socket, ssl, sys, time
plain = socket.create_connection(('127.0.0.1', $web_port))
plain.sendall(b'GET /users/1?token=$secret HTTP/1.1\r\nHost: a\r\n\r\n')
plain.recv(4096)
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
secret = context.wrap_socket(socket.create_connection(('127.0.0.1', $tls_port)))
secret.sendall(b'$secret')
print('connected', flush=True); time.sleep(300)"
client_pid=$started
check 'the client is connected' shows connected client
explains() { # WHAT REGEX
  explain "$1" >"$work/explain.$1.log" 2>&1 && grep -qE -- "$2" "$work/explain.$1.log" && return
  cat "$work/explain.$1.log"
  return 1
}
check 'explain names the service and why' explains shop "service +shop, named by OTEL_SERVICE_NAME"
check 'explain shows a decoded connection' explains "$web_pid" "127.0.0.1:$web_port .* server +http1 +- +1 head"
check 'explain says that a process is decoded' explains "$web_pid" 'decoded +yes'
check 'explain says that TLS is encrypted' explains "$tls_pid" 'decoded +no: encrypted: TLS'
check 'explain gives the encrypted connection its addresses' explains "$tls_pid" "127.0.0.1:$tls_port +127.0.0.1:[0-9]+ +server +ignored +encrypted"
check 'explain shows both of the client' explains "$client_pid" "127.0.0.1:$tls_port +client +ignored +encrypted"
check 'explain of a kernel thread' explains 2 'no: kernel_thread'
check 'explain of the agent' explains "$agent_pid" 'no: own_process'
background sleeper sleep 300
check 'explain of who has no sockets' explains "$started" 'no: no_stream_sockets'
check 'explain of nobody' says 1 'there is no process' explain 4194303
check 'explain of an unknown service' says 1 'no service is called "shoop"' explain shoop
json_explains() {
  explain --json vault | python3 -c '
import json, sys
process = json.load(sys.stdin)["processes"][0]
assert process["reason"] == "encrypted" and process["connections"][0]["reason"] == "encrypted", process'
}
check 'explain --json' json_explains
counted() {
  curl -sS "http://127.0.0.1:$agent_port/metrics" >"$work/metrics.log"
  grep -qE '^sonde_uninstrumented_processes\{reason="encrypted"\} [1-9]' "$work/metrics.log"
}
check 'uninstrumented processes are counted by reason' until_true 15 counted
nobody_may() {
  chmod 755 "$work" "$work/run"
  cp "$sonde" "$work/sonde"
  setpriv --reuid=65534 --regid=65534 --clear-groups "$work/sonde" tail --control.socket="$socket"
}
check 'another user may not ask' says 1 'not allowed to ask the agent' nobody_may
second() {
  timeout 20 "$sonde" run --control.socket="$socket" --web.listen-address=127.0.0.1:0 >"$work/second.log" 2>&1 &
  local pid=$!
  until_true 15 grep -q 'already running' "$work/second.log"
  local found=$?
  kill "$pid"
  wait "$pid"
  [ "$found" = 0 ] && [ -S "$socket" ]
}
check 'a second agent goes on without the socket' second

# Everything that Sonde says.
curl -sS "http://127.0.0.1:$agent_port/" >"$work/page.log"
curl -sS "http://127.0.0.1:$agent_port/outliers" >"$work/outliers.log"
no_secret() { ! grep -lF "$secret" "$work"/{agent,second,all,all_json,broken,metrics,page,outliers}.log "$work"/explain.*.log; }
check 'no secret is in anything that Sonde gives out' no_secret

background left "$sonde" tail --control.socket="$socket"
left_pid=$started
sleep 0.5
stop_agent
check 'the socket is gone with the agent' test ! -e "$socket"
told() { wait "$left_pid"; [ $? = 1 ] && grep -q 'sonde: the agent has ended' "$work/left.log"; }
check 'tail says that the agent has ended' told

# Without the tap, and where nothing can be made.
check 'an agent without the tap becomes ready' start_agent blind --no-probe.socket
check 'tail says why there is nothing' says 1 'switched off by configuration' tail_
check 'explain says why there is nothing' explains "$web_pid" 'no: tap_not_attached'
stop_agent
socket=/proc/sonde/control.sock
check 'an agent that cannot make the socket becomes ready' start_agent readonly
check 'and warns once' test "$(grep -c 'will find no agent' "$work/readonly.log")" = 1
stop_agent
finish
