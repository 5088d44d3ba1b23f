# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# What the integration scripts share. Source it; it makes $work, a folder that is gone at the end with every process
# started by `background`.

# shellcheck disable=SC2034  # for the caller
root=$(readlink -f "$(dirname "${BASH_SOURCE[0]}")/../..")
work=$(mktemp -d)
pids=()
failures=0

# A script that has more to undo defines `undo`.
cleanup() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  if declare -F undo >/dev/null; then undo; fi
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 143' INT TERM

# background NAME COMMAND...: starts it with its output in $work/NAME.log and leaves its process id in $started.
background() {
  local name=$1
  shift
  "$@" >"$work/$name.log" 2>&1 </dev/null &
  # shellcheck disable=SC2034  # for the caller
  started=$!
  pids+=("$!")
}

# until_true SECONDS COMMAND...: tries it ten times a second.
until_true() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || return 1
    sleep 0.1
  done
}

# check WHAT COMMAND...: one assertion; the script goes on.
check() {
  local what=$1
  shift
  if "$@"; then
    echo "ok    $what"
  else
    echo "FAIL  $what"
    failures=$((failures + 1))
  fi
}

# finish: the script's exit code; with the logs when something failed.
finish() {
  [ "$failures" -gt 0 ] || exit 0
  local log
  for log in "$work"/*.log; do
    [ ! -s "$log" ] || { echo "--- $(basename "$log")"; tail -30 "$log"; }
  done
  echo "$failures failed"
  exit 1
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
