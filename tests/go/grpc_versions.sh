#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tests/integration/go_grpc_test.sh for many versions of Go and grpc-go, built plain, stripped, and stripped and
# position-independent. By hand: it downloads toolchains (200 to 400 MB each).
#
# usage: tests/go/grpc_versions.sh SONDE [GO:GRPC[:BUILD,…]]...     default: the list below, all builds
#   GO is "local" for the one that is installed; BUILD plain, stripped, pie     SONDE_CALLS  calls of each run
set -euo pipefail
root=$(dirname "$(readlink -f "$0")")/../..
sonde=$(readlink -f "$1")
shift
[ $# -gt 0 ] || set -- 1.18.10:1.40.1 1.20.14:1.40.1 1.20.14:1.50.1 1.20.14:1.58.3 1.22.12:1.64.1 1.22.12:1.67.3 1.22.12:1.69.4 \
  1.24.13:1.70.0 1.24.13:1.72.2 1.24.13:1.76.0 local:1.81.1 local:1.85.0 1.27.1:1.70.0 1.27.1:1.85.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
export GOFLAGS=-buildvcs=false CGO_ENABLED=0

for wanted; do
  IFS=: read -r go grpc builds <<<"$wanted"
  export GOTOOLCHAIN=local
  [ "$go" = local ] || GOTOOLCHAIN=go$go
  rm -rf "$work/gorpc"
  mkdir "$work/gorpc"
  cp "$root"/tests/targets/gorpc/*.go "$work/gorpc"
  printf 'module example.test/gorpc\n\ngo 1.18\n\nrequire google.golang.org/grpc v%s\n' "$grpc" >"$work/gorpc/go.mod"
  (cd "$work/gorpc" && { go mod tidy -compat=1.18 || { sed -i '/^go 1.18$/d' go.mod && go mod tidy; }; } >"$work/log" 2>&1) ||
    { echo "FAIL  Go $go, grpc-go $grpc: $(tail -1 "$work/log")"; failed=1; continue; }
  for build in $(tr , ' ' <<<"${builds:-plain,stripped,pie}"); do
    case $build in
      plain) flags=() ;;
      stripped) flags=(-ldflags '-s -w') ;;
      pie) flags=(-ldflags '-s -w' -buildmode=pie) ;;
    esac
    (cd "$work/gorpc" && nice go build "${flags[@]}" -o ../program . >"$work/log" 2>&1) ||
      { echo "FAIL  Go $go, grpc-go $grpc, $build: $(tail -1 "$work/log")"; failed=1; continue; }
    if "$root/tests/integration/go_grpc_test.sh" "$sonde" "$work/program" >"$work/log" 2>&1; then
      echo "ok    Go $go, grpc-go $grpc, $build"
    else
      echo "FAIL  Go $go, grpc-go $grpc, $build"
      sed 's/^/        /' "$work/log"
      failed=1
    fi
  done
done
exit $failed
