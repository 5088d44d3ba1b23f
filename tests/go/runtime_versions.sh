#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Compares what the agent reads from the memory of Go processes with what they say themselves, for many versions and builds. By hand:
# it downloads toolchains (200 to 400 MB each).
#
# usage: tests/go/runtime_versions.sh COMPARE [VERSION...]     default: 1.18.10 … 1.27.1; "local" is the Go that is installed
#   COMPARE  build/release/tests/go/go_runtime_compare
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
compare=$(readlink -f "$1")
shift
[ $# -gt 0 ] || set -- 1.18.10 1.19.13 1.20.14 1.21.13 1.22.12 1.23.12 1.24.13 1.25.12 local 1.27.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# build NAME CGO ARGUMENT...
build() {
  local name=$1 cgo=$2
  shift 2
  (cd "$here/runtime" && CGO_ENABLED=$cgo nice go build -o "$work/$name" "$@" . >"$work/log" 2>&1) ||
    { echo "  $name: not built: $(tail -1 "$work/log")"; return 0; }
  (cd "$work" && "$compare" "./$name") || failed=1
  rm -f "$work/$name"
}

for version; do
  export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
  [ "$version" = local ] || GOTOOLCHAIN=go$version
  (cd "$here/runtime" && go version | cut -d' ' -f3)
  build plain 0
  build stripped 0 -ldflags '-s -w'
  build pie 0 -buildmode=pie -ldflags '-s -w'
  build external 1 -ldflags '-linkmode=external -s -w'
  build external_pie 1 -buildmode=pie -ldflags '-linkmode=external -s -w'
  build optimised_not 0 -gcflags 'all=-N -l'
done
exit $failed
