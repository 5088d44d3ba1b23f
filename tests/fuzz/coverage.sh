#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which share of each decoder's lines its committed inputs reach: a build of its own with clang's coverage.
#
# usage: tests/fuzz/coverage.sh [DECODER...]    default: http1 postgresql redis
#   Ends with 1 when one of them is below 90 %.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
build=build/coverage
[ $# -gt 0 ] || set -- http1 postgresql redis
cmake -G Ninja -B $build -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_C_COMPILER=clang-19 \
  -DCMAKE_CXX_FLAGS_DEBUG='-O1 -g1 -fprofile-instr-generate -fcoverage-mapping' -DSONDE_SANITIZE=ON . >/dev/null
ninja -C $build "${@/%/_fuzz}"
low=0
for decoder in "$@"; do
  program=$build/tests/fuzz/${decoder}_fuzz
  LLVM_PROFILE_FILE=$build/$decoder.raw "$program" -runs=0 "tests/fuzz/corpus/${decoder}_fuzz" 2>/dev/null
  llvm-profdata-19 merge -o "$build/$decoder.profile" "$build/$decoder.raw"
  llvm-cov-19 export -summary-only "$program" -instr-profile="$build/$decoder.profile" agent/protocols/"${decoder}"_*.cpp |
    python3 -c '
import json, sys
lines = json.load(sys.stdin)["data"][0]["totals"]["lines"]
print("%s: %d of %d lines, %.1f %%" % (sys.argv[1], lines["covered"], lines["count"], lines["percent"]))
sys.exit(lines["percent"] < 90)' "$decoder" || low=1
done
exit $low
