#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The agent with the capabilities of deploy/ and nothing more: in a container as deploy/kubernetes describes it, and as a
# process as deploy/systemd does. Every hook that root can attach on this kernel must be attached there too.
#
# usage: capabilities_test.sh SONDE
# shellcheck disable=SC2317  # functions are called through `check`
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
sonde=$1
manifest=$root/deploy/kubernetes/base/daemonset.yaml
unit=$root/deploy/systemd/sonde.service
container=sonde-test-$$
bundle=$work/bundle

undo() { runc --root "$work/runc" delete --force "$container" 2>/dev/null || true; }

# findings JSON PREFIX: `name verdict what` of what `sonde check` found under such names; fails when that is nothing.
findings() {
  python3 - "$@" <<'PYTHON'
import json, sys
found = [f for f in json.load(open(sys.argv[1]))["checks"] if f["name"].startswith(sys.argv[2])]
for finding in found:
    print(finding["name"], finding["verdict"], finding["what"])
sys.exit(not found)
PYTHON
}
same_hooks() { findings "$1" 'hook ' >"$1.hooks" && diff "$work/root.hooks" "$1.hooks"; }
capabilities_pass() { findings "$1" 'capability ' >"$1.held" && ! grep -v ' PASS ' "$1.held"; }
# The collectors that have nothing to read on this kernel fail for root too.
same_failures() {
  diff <(sed -nE 's/^collector ([^ ]*) (WARN .*|PASS +this kernel has nothing to tell)$/\1/p' "$work/root.collectors" | sort) \
    <(sed -n 's/^node_scrape_collector_success{collector="\(.*\)"} 0$/\1/p' "$work/metrics" | sort)
}
root_size_matches() {
  python3 - "$work/metrics" <<'PYTHON'
import os, re, sys
root = os.statvfs("/")
found = re.search(r'^node_filesystem_size_bytes\{.*mountpoint="/"[,}].* (\S+)$', open(sys.argv[1]).read(), re.MULTILINE)
sys.exit(not found or float(found[1]) != root.f_blocks * root.f_frsize)
PYTHON
}

# check_in_container JSON: what `sonde check` says there.
check_in_container() {
  python3 "$root/tests/integration/oci_bundle.py" "${allow[@]}" "$manifest" "$bundle" \
    check --json --path.sysfs=/host/sys --path.rootfs=/host/root
  runc --root "$work/runc" run --bundle "$bundle" "$container" >"$1" 2>"${1%.json}.log" </dev/null
}
# scrape PATH: from within the container's network namespace.
scrape() { nsenter -t "$pid" -n curl -sSf --max-time 5 "http://127.0.0.1:7663$1"; }

mkdir -p "$bundle"
chmod 711 "$work"
"$root/deploy/docker/rootfs.sh" "$sonde" "$bundle/rootfs"
port=$(free_port)
"$sonde" check --json "--web.listen-address=127.0.0.1:$port" >"$work/root.json" 2>"$work/root.log" || true
findings "$work/root.json" 'hook ' >"$work/root.hooks"
findings "$work/root.json" 'collector ' >"$work/root.collectors"
check 'root attaches hooks here' grep -Eq ' (PASS|WARN) attached' "$work/root.hooks"

# As a DaemonSet's pod, first under the runtimes' default seccomp filter, then under the unit's.
allow=()
check 'check succeeds in the container' check_in_container "$work/pod.json"
check 'the container has the same hooks as root' same_hooks "$work/pod.json"
check 'the container holds each capability' capabilities_pass "$work/pod.json"
if command -v systemd-analyze >/dev/null; then
  python3 "$root/tests/integration/unit_syscalls.py" "$unit" >"$work/allowed"
  allow=(--allow "$work/allowed")
  check "check succeeds under the unit's system call filter" check_in_container "$work/filter.json"
  check "the unit's system call filter lets all hooks through" same_hooks "$work/filter.json"
else
  echo 'skip  no systemd-analyze: system call filter of the unit'
fi

allow=()
python3 "$root/tests/integration/oci_bundle.py" "$manifest" "$bundle"
runc --root "$work/runc" run --detach --pid-file "$work/pid" --bundle "$bundle" "$container" >"$work/run.log" 2>&1 </dev/null
pid=$(cat "$work/pid")
check 'the container becomes ready' until_true 30 scrape /-/ready
check 'it holds exactly the six capabilities' grep -q '^CapEff:[[:space:]]*000001c400080004$' "/proc/$pid/status"
check 'it gains no privileges' grep -q '^NoNewPrivs:[[:space:]]*1$' "/proc/$pid/status"
check 'its system calls are filtered' grep -q '^Seccomp:[[:space:]]*2$' "/proc/$pid/status"
check 'its network namespace is its own' [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ]
scrape /metrics >"$work/metrics" || true
check 'as many hooks are up as root attaches' [ \
  "$(grep -c '^sonde_probe_up{.*} 1$' "$work/metrics")" = "$(grep -Ec ' (PASS|WARN) attached' "$work/root.hooks")" ]
check 'no collector fails that works for root' same_failures
check "the network devices are the node's" diff \
  <(sed -n 's/^ *\([^:]*\):.*/\1/p' /proc/1/net/dev | sort) \
  <(sed -n 's/^node_network_receive_bytes_total{device="\([^"]*\)"}.*/\1/p' "$work/metrics" | sort)
check "the root file system's size is the node's" root_size_matches
runc --root "$work/runc" kill "$container" TERM
check 'SIGTERM ends it within a second' until_true 2 test ! -e "/proc/$pid/root"
undo

# As processes: root with a bounding set; nobody with ambient capabilities, and memory that is never writable and
# executable, as the unit has it.
held=$(sed -n 's/^CapabilityBoundingSet=//p' "$unit" | tr 'A-Z ' 'a-z,')
plus=${held//cap_/+}
program=$bundle/rootfs/usr/bin/sonde
setpriv --bounding-set "-all,$plus" --inh-caps -all --no-new-privs \
  "$program" check --json "--web.listen-address=127.0.0.1:$port" >"$work/bounded.json" 2>"$work/bounded.log" || true
check 'root with a bounding set has the same hooks' same_hooks "$work/bounded.json"
check 'root with a bounding set holds each capability' capabilities_pass "$work/bounded.json"
python3 "$root/tests/integration/no_exec_gain.py" setpriv --reuid 65534 --regid 65534 --clear-groups \
  --bounding-set "-all,$plus" --inh-caps "-all,$plus" --ambient-caps "-all,$plus" --no-new-privs \
  "$program" check --json "--web.listen-address=127.0.0.1:$port" >"$work/ambient.json" 2>"$work/ambient.log" || true
check 'nobody with ambient capabilities has the same hooks' same_hooks "$work/ambient.json"
check 'nobody with ambient capabilities holds each' capabilities_pass "$work/ambient.json"

# Without any: the collectors still work.
background bare setpriv --reuid 65534 --regid 65534 --clear-groups --bounding-set -all --inh-caps -all --no-new-privs \
  "$program" run "--web.listen-address=127.0.0.1:$port"
check 'nobody without capabilities becomes ready' until_true 30 curl -sSf "http://127.0.0.1:$port/-/ready"
check 'and has node metrics' grep -q '^node_load1 ' <(curl -sS "http://127.0.0.1:$port/metrics")
finish
