#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Starts the whole testbed in DIR and keeps it under a gentle load on all its routes, until SIGTERM or SIGINT ends all of it.
#
# usage: tests/targets/demo.sh DIR [PERCENT]     PERCENT of the load below, which is 50 requests a second in all
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
[ $# -ge 1 ] || { sed -n '3,5s/^# \{0,1\}//p' "$0"; exit 2; }
dir=$1
percent=${2:-100}
build=${SONDE_TARGETS:-$here/../../build/targets}
pids=()

# shellcheck disable=SC2317  # called by the trap
finish() {
  trap '' INT TERM
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  "$here/stop.sh" "$dir"
}
trap finish EXIT
trap 'exit 0' INT TERM

"$here/start.sh" "$dir"
while IFS='=' read -r target mix rate; do
  port=$(sed -n "s/^$target=//p" "$dir/ports")
  OTEL_SERVICE_NAME=load "$build/load" http --url "http://127.0.0.1:$port" --mix "$mix" --requests 0 --concurrency 2 \
    --rate "$((rate * percent))e-2" </dev/null >"$dir/load-$target-$mix.log" 2>&1 &
  pids+=("$!")
done <<'LOAD'
nginx=mixed=8
nginx=static=4
haproxy=web=6
api=db=5
api=cache=4
api=nats=4
web_py=web=3
web_py=stores=2
web_js=web=4
stream=stream=5
chat=chat=5
LOAD
wait -n
echo "demo.sh: a load generator ended, see $dir" >&2
exit 1
