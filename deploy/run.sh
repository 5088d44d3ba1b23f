#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 to a running agent: installs the packages, builds, runs `sonde run` in the foreground.
#
# usage: sudo deploy/run.sh [--demo] [flag of sonde run...]     e.g. --web.listen-address=127.0.0.1:7700
#   --demo  with the testbed of tests/targets beside it, under a gentle load on all its servers
#
# Prints the agent's address when it is ready. Ctrl-C ends it.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

die() {
  echo "run.sh: $*" >&2
  exit 1
}

listen=:7663
previous=
demo=
flags=()
for argument; do
  case $argument in
    -h | --help) sed -n '3,8s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --demo) demo=1; continue ;;
    --web.listen-address=*) listen=${argument#*=} ;;
  esac
  flags+=("$argument")
  [ "$previous" != --web.listen-address ] || listen=$argument
  previous=$argument
done
host=${listen%:*} port=${listen##*:}
[[ $port =~ ^[0-9]+$ ]] || die "--web.listen-address=$listen has no port: write HOST:PORT or :PORT"
case $host in '' | 0.0.0.0 | '[::]') host=localhost ;; esac

# True when something listens on the port: state 0A in the kernel's own tables, no tool needed.
busy() {
  local hex
  hex=$(printf '%04X' "$port")
  grep -Eqs "^ *[0-9]+: [0-9A-F]+:$hex [0-9A-F]+:0000 0A " /proc/net/tcp /proc/net/tcp6
}

# True when the agent answers that it is ready.
ready() {
  local status
  { exec 3<>"/dev/tcp/${host//[\[\]]/}/$port"; } 2>/dev/null || return 1
  printf 'GET /-/ready HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$host" >&3
  read -r -t 2 status <&3 || status=
  exec 3>&-
  [[ $status == *' 200 '* ]]
}

# Runs beside the agent, whose process id it is given, and ends with it.
announce() {
  local tries
  for ((tries = 0; tries < 150; tries++)); do
    kill -0 "$1" 2>/dev/null || return 0
    if ready; then
      echo "run.sh: ready: http://$host:$port/" >&2
      return 0
    fi
    sleep 0.2
  done
  echo "run.sh: running but not ready after 30 s: http://$host:$port/ says why" >&2
}

# The agent and the testbed, both ended by their process ids when one of them ends or this script is told to.
run_demo() {
  bed=$(mktemp -d /tmp/sonde-demo.XXXXXX) bed_pid='' agent_pid=''
  trap end_demo EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  chmod 711 "$bed" # PostgreSQL does not run as root
  tests/targets/demo.sh "$bed" &
  bed_pid=$!
  build/release/agent/sonde run "$@" &
  agent_pid=$!
  announce "$agent_pid" &
  echo "run.sh: demo: 10 servers in $bed, 50 requests a second; Ctrl-C ends all" >&2
  wait -n "$bed_pid" "$agent_pid"
}

# shellcheck disable=SC2317  # called by the trap
end_demo() {
  local status=$?
  trap '' INT TERM
  kill ${bed_pid:+"$bed_pid"} ${agent_pid:+"$agent_pid"} 2>/dev/null || true
  wait
  [ $status = 130 ] || [ $status = 143 ] || tail -n 5 "$bed"/*.log >&2
  rm -rf "$bed"
}

[ "$(id -u)" = 0 ] || die "must be root: sudo deploy/run.sh"
if busy; then die "port $port is in use; end what listens there, or choose another: --web.listen-address=:PORT"; fi

deploy/packages.sh ${demo:+testbed}
echo "run.sh: configuring build/release"
output=$(cmake --preset release 2>&1) || die "cmake failed:"$'\n'"$output"
NINJA_STATUS='run.sh: building [%f/%t, %e s] ' ninja -C build/release sonde
if [ -n "$demo" ]; then
  echo "run.sh: building the testbed (minutes, the first time)"
  tests/targets/build.sh
fi
chown -R --reference=. build # built by root in somebody's checkout: theirs to rebuild

if [ -n "$demo" ]; then run_demo "${flags[@]}"; exit 1; fi
announce $$ &
exec build/release/agent/sonde run "${flags[@]}"
