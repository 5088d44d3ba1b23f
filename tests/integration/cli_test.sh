#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command line of the real program: every mistake is one clear line with the right exit code.
#
# usage: cli_test.sh SONDE
# shellcheck disable=SC2317  # functions are called through `check`
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
sonde=$1

# refused CODE TEXT ARGUMENT...: that exit code, one line on standard error with TEXT in it, and nothing else.
refused() {
  local code=$1 text=$2 got
  shift 2
  timeout 20 "$sonde" "$@" >"$work/out" 2>"$work/err" </dev/null
  got=$?
  [ "$got" -eq "$code" ] && [ ! -s "$work/out" ] && [ "$(wc -l <"$work/err")" -eq 1 ] && grep -qF -- "$text" "$work/err" &&
    return
  echo "exit code $got, expected $code and \"$text\":"
  cat "$work/out" "$work/err"
  return 1
}

# prints TEXT ARGUMENT...: success, with TEXT on standard output.
prints() {
  local text=$1
  shift
  timeout 60 "$sonde" "$@" >"$work/out" 2>"$work/err" </dev/null && grep -qF -- "$text" "$work/out"
}

json_names_every_check() {
  timeout 60 "$sonde" check --json --web.listen-address=127.0.0.1:0 </dev/null | python3 -c '
import json, sys
document = json.load(sys.stdin)
verdicts = [check["verdict"] for check in document["checks"]]
assert document["failed"] == 0 and len(verdicts) > 20 and set(verdicts) <= {"PASS", "WARN"}, document'
}

# Nobody's program may not be readable where it was built.
without_privilege() {
  cp "$sonde" "$work/sonde" && chmod 755 "$work" "$work/sonde"
  timeout 60 setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
    "$work/sonde" check --web.listen-address=127.0.0.1:0 >"$work/out" 2>"$work/err" </dev/null &&
    grep -q 'WARN capability BPF .*missing' "$work/out" && grep -q 'PASS collector loadavg' "$work/out"
}

printf 'colour: red\nlog.level: info\nlog:\n  level: warn\n' >"$work/wrong.yml"
printf 'log: {level: warn}\n' >"$work/right.yml"
both_errors() {
  "$sonde" config check "$work/wrong.yml" >"$work/out" 2>"$work/err"
  [ $? -eq 1 ] && grep -qF "wrong.yml:1:1: unknown key \"colour\"" "$work/err" &&
    grep -qF "wrong.yml:4:3: log.level is given twice, first at 2:1" "$work/err" && [ "$(wc -l <"$work/err")" -eq 2 ]
}

check 'an unknown command' refused 2 'unknown command "chek", did you mean check?' chek
check 'an unknown flag' refused 2 'unknown flag --web.listen-adress, did you mean --web.listen-address?' --web.listen-adress=:1
check 'a value of the wrong type' refused 2 '--series.max: "many" is not a whole number' run --series.max=many
check 'a value out of range' refused 2 'the port is not a number' --web.listen-address=:70000
check 'a flag of another command' refused 2 '--json belongs to' version --json
check 'run without its configuration' refused 1 'No such file or directory' run --config.file="$work/absent.yml"
printf 'a: [\n' >"$work/broken.yml"
check 'run with a broken configuration' refused 1 'broken.yml:2:1: ' run --config.file="$work/broken.yml"
check 'config check names every error' both_errors
check 'config check of a valid file' prints 'right.yml: valid' config check "$work/right.yml"
check 'version' prints 'libbpf:' version
check 'metrics' prints node_load1 metrics
check 'metrics --markdown' prints 'node_load1' metrics --markdown
check 'help' prints --web.listen-address --help
check 'check --json' json_names_every_check
check 'check without any privilege' without_privilege

port=$(free_port)
background holder python3 -c "
import socket, time
s = socket.socket(); s.bind(('127.0.0.1', $port)); s.listen(); print('listening', flush=True); time.sleep(300)"
until_true 5 grep -q listening "$work/holder.log"
in_use() {
  timeout 30 "$sonde" run --web.listen-address="127.0.0.1:$port" >"$work/out" 2>"$work/err" </dev/null
  [ $? -eq 1 ] && grep -q 'Address already in use' "$work/err"
}
check_in_use() {
  timeout 60 "$sonde" check --web.listen-address="127.0.0.1:$port" >"$work/out" 2>"$work/err" </dev/null
  [ $? -eq 1 ] && grep -q "FAIL listen on 127.0.0.1:$port" "$work/out"
}
check 'run on a port in use' in_use
check 'check of a port in use' check_in_use
finish
