#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs the BPF tests on each kernel of kernels.list, or the named ones, and prints one line per kernel.
#
# usage: run.sh [-t SECONDS] [-f FILTER] [NAME...] [-- COMMAND [ARG...]]
#   -t        wall-clock limit of one kernel, default 900
#   -f        which of the BPF tests, as --gtest_filter takes it, default all
#   NAME      kernels of kernels.list, default all
#   COMMAND   run in the guest instead of $BUILD/tests/bpf_tests and, when built, `$BUILD/agent/sonde check`
#   BUILD     the build folder, default build/release of this source tree
#
# Each kernel's output is in $BUILD/kernels/NAME.log; the end of it is printed for one that fails. A guest that never
# reports (QEMU's own crash, exit code 125) is tried once more, and the line says so. Exit code 1 if any kernel failed.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
BUILD=$(readlink -m "${BUILD:-$here/../../build/release}")
limit=900
filter='*'
usage() {
  sed -n '3,13s/^# \{0,1\}//p' "$here/run.sh"
  exit 2
}
names=()
while [ $# -gt 0 ]; do
  case $1 in
    -t) limit=${2:?}; shift 2 ;;
    -f) filter=${2:?}; shift 2 ;;
    --) break ;;
    -*) usage ;;
    *) names+=("$1"); shift ;;
  esac
done
if [ "${#names[@]}" = 0 ]; then
  mapfile -t names < <(awk '!/^#/ && NF { print $1 }' "$here/kernels.list")
fi

if [ $# -gt 1 ]; then
  shift
  command=("$@")
else
  [ -x "$BUILD/tests/bpf_tests" ] || { echo "run: build bpf_tests first: none in $BUILD/tests" >&2; exit 2; }
  # A guest stands still whenever its host does: tests that fail, a few at most, are tried once more by themselves.
  # shellcheck disable=SC2016  # expanded in the guest
  command=(bash -c 'code=0; output=$(mktemp)
    "$1/tests/bpf_tests" --gtest_filter="$2" | tee "$output"; code=${PIPESTATUS[0]}
    failed=$(sed -nE "s/^\[  FAILED  \] ([^ ,]+\.[^ ,]+).*/\1/p" "$output" | sort -u)
    if [ "$code" != 0 ] && [ -n "$failed" ] && [ "$(wc -l <<<"$failed")" -le 5 ]; then
      echo "once more: $failed"
      "$1/tests/bpf_tests" --gtest_filter="$(paste -sd: <<<"$failed")"; code=$?
    fi
    if [ -x "$1/agent/sonde" ]; then "$1/agent/sonde" check || code=$?; fi; exit "$code"' bpf_tests "$BUILD" "$filter")
fi

# Prints "41 passed, 2 skipped, 1 failed" from the log of a gtest binary, nothing from any other.
test_counts() {
  sed -nE 's/^\[  PASSED  \] ([0-9]+) tests?\..*/\1 passed/p; s/^\[  SKIPPED \] ([0-9]+) tests?, .*/\1 skipped/p
    s/^\[  FAILED  \] ([0-9]+) tests?, .*/\1 failed/p' "$1" | paste -sd, | sed 's/,/, /g'
}

run_kernel() {
  local name=$1 log=$BUILD/kernels/$1.log code=0 retried='' release booted seconds counts
  "$here/fetch.sh" "$name" || code=$?
  if [ "$code" != 0 ]; then
    echo "kernel $name: FAILED, cannot be fetched"
    return 1
  fi
  "$here/qemu.sh" -t "$limit" "$name" "${command[@]}" >"$log" 2>&1 || code=$?
  if [ "$code" = 125 ]; then
    retried=', after one retry'
    mv "$log" "$log.first"
    echo "kernel $name: the guest never reported, trying once more ($log.first)"
    code=0
    "$here/qemu.sh" -t "$limit" "$name" "${command[@]}" >"$log" 2>&1 || code=$?
  fi

  read -r release booted seconds < <(sed -nE 's/^qemu: (\S+) booted in (\S+) s, ended after (\S+) s.*/\1 \2 \3/p' "$log" | tail -1) || true
  counts=$(test_counts "$log")
  counts=${counts:+, $counts}
  if [ "$code" = 0 ]; then
    echo "kernel $name: ok$counts (${release:-?}, boot ${booted:-?} s, total ${seconds:-?} s$retried)"
    return 0
  fi
  tail -n 60 "$log"
  case $code in
    124) code="not done within $limit s" ;;
    125) code='the guest never reported' ;;
    *) code="exit code $code" ;;
  esac
  echo "kernel $name: FAILED, $code$counts (${release:-?}, boot ${booted:-?} s, total ${seconds:-?} s$retried)"
  return 1
}

mkdir -p "$BUILD/kernels"
failed=0
for name in "${names[@]}"; do
  run_kernel "$name" || failed=$((failed + 1))
done
echo "$((${#names[@]} - failed)) passed, $failed failed"
[ "$failed" = 0 ]
