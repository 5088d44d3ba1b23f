#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ends the servers that start.sh started in DIR and waits until they are gone. Their files stay.
#
# usage: tests/targets/stop.sh DIR
set -euo pipefail
[ $# = 1 ] || { sed -n '3,5s/^# \{0,1\}//p' "$0"; exit 2; }
[ -e "$1/pids" ] || exit 0

# SIGINT is PostgreSQL's fast shutdown; the others end at once on SIGTERM. The clients before what they are connected to.
mapfile -t servers < <(tac "$1/pids")
for server in "${servers[@]}"; do
  signal=TERM
  [ "${server%=*}" != postgres ] || signal=INT
  kill -s $signal "${server#*=}" 2>/dev/null || true
done
for ((tries = 0; tries < 100; tries++)); do
  alive=
  for server in "${servers[@]}"; do ! kill -0 "${server#*=}" 2>/dev/null || alive=1; done
  [ -n "$alive" ] || break
  sleep 0.1
done
for server in "${servers[@]}"; do kill -KILL "${server#*=}" 2>/dev/null || true; done
rm -f "$1/pids"
