#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, and runs every test. Needs root: the programs are loaded into this kernel.
#
# usage: sudo tests/run.sh [--quick | --kernels]
#   --quick    only the unit tests and the BPF tests of this kernel
#   --kernels  the BPF tests on every kernel of tests/kernels/kernels.list, not only those ctest runs
#   FUZZ_SECONDS  how long each fuzz target runs, default 10
#
# Ends with ctest's summary; the exit code is 1 when anything failed.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

mode=all
case ${1:-} in
  '') ;;
  --quick) mode=quick ;;
  --kernels) mode=kernels ;;
  *) sed -n '3,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo 'tests/run.sh: must be root: sudo tests/run.sh' >&2; exit 1; }

# Whatever is undefined fails, in tests and fuzz targets.
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

failed=()
say() { printf -- '--- %(%T)T %s\n' -1 "$*"; }

# part NAME COMMAND...: one part of the run; the others go on when it fails.
part() {
  local name=$1
  shift
  say "$name"
  "$@" || { failed+=("$name"); say "$name FAILED"; }
}

# build PRESET [TARGET...]
build() {
  local preset=$1 output
  shift
  output=$(cmake --preset "$preset" 2>&1) || { echo "$output"; return 1; }
  NINJA_STATUS="$preset [%f/%t %es] " ninja -C "build/$preset" "$@"
}

run_ctest() {
  local folder=$1
  shift
  ctest --test-dir "build/$folder" --output-on-failure --no-tests=error "$@"
}

sanitized() {
  run_ctest asan -L '^(unit|replay)$' -j"$(nproc)"
}

# fuzz TARGET: a bounded run over its committed inputs and new ones; a finding stays in build/fuzz/findings.
fuzz() {
  local name corpus
  name=$(basename "$1")
  corpus=build/fuzz/corpus/$name
  mkdir -p "$corpus" build/fuzz/findings
  local seeds=()
  [ ! -d "tests/fuzz/corpus/$name" ] || seeds=("tests/fuzz/corpus/$name")
  if "$1" -max_total_time="${FUZZ_SECONDS:-10}" -timeout=5 \
    -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 -artifact_prefix="build/fuzz/findings/$name-" "$corpus" "${seeds[@]}" >"build/fuzz/$name.log" 2>&1; then
    echo "fuzz $name: $(awk '/number_of_executed_units/ { print $2 }' "build/fuzz/$name.log") inputs, no finding"
  else
    echo "fuzz $name: FAILED"
    tail -40 "build/fuzz/$name.log"
    return 1
  fi
}

fuzzed() {
  export -f fuzz
  export FUZZ_SECONDS
  find build/asan/tests/fuzz -name '*_fuzz' -type f -print0 |
    xargs -0 -r -n1 -P"$(nproc)" bash -c "fuzz \"\$1\"" _
}

kernels_ready() {
  wait "$fetching" || { cat build/kernels.log; return 1; }
}

deploy/packages.sh test
mkdir -p build
if [ $mode != quick ]; then
  kernels=(6.1 6.12)
  [ $mode != kernels ] || kernels=()
  tests/kernels/fetch.sh "${kernels[@]}" >build/kernels.log 2>&1 &
  fetching=$!
  trap 'kill $fetching 2>/dev/null || true' EXIT
fi

say 'release build'
build release || { say 'the release build FAILED'; exit 1; }
kernel_tests='^(bpf|traffic)$'
if [ $mode = quick ]; then
  selection=(-L '^unit$')
  kernel_tests='^bpf$'
else
  selection=(-LE '^(bpf|traffic|kernels)$')
  say 'build with sanitizers'
  if build asan unit_tests replay_tests fuzz_targets; then
    part 'unit and replay tests under ASAN and UBSAN' sanitized
    part 'fuzz targets' fuzzed
  else
    failed+=('build with sanitizers')
  fi
  part 'kernels downloaded' kernels_ready
  [ $mode != kernels ] || part 'BPF tests on every kernel' tests/kernels/run.sh
fi
if [ ${#failed[@]} -gt 0 ]; then say "failed so far: $(printf '%s; ' "${failed[@]}")"; fi
part 'tests of the release build' run_ctest release "${selection[@]}" -j"$(nproc)"
# They compare with what the kernel itself counted in real time. A virtual machine that stands still for
# a tenth of a second, or runs its console without any BPF program, may cost an event: a failure counts
# when it happens twice.
part 'BPF tests and real traffic' run_ctest release -L "$kernel_tests" --repeat until-pass:2
# Two at a time: each keeps a core busy for the most part.
[ $mode != all ] || part 'BPF tests on other kernels' run_ctest release -L '^kernels$' -j2 --repeat until-pass:2
[ ${#failed[@]} -eq 0 ]
