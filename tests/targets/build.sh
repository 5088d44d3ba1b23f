#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the testbed's Go and Rust programs into build/targets/.
#
# usage: tests/targets/build.sh [go | gorpc | rust]...     default: go and rust
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
out=$PWD/../../build/targets
[ $# -gt 0 ] || set -- go rust

build_go() {
  # Debian 12's own Go is too old; deploy/packages.sh installs backports' where there is none.
  command -v go >/dev/null || PATH=$PATH:/usr/lib/go-1.23/bin
  # No toolchain is downloaded: whatever Go is there must do.
  GOTOOLCHAIN=local GOFLAGS=-buildvcs=false go build -o "$out/" ./api ./goweb ./load
}

# A module of its own: the rest needs no grpc-go.
build_gorpc() {
  command -v go >/dev/null || PATH=$PATH:/usr/lib/go-1.23/bin
  GOTOOLCHAIN=local GOFLAGS=-buildvcs=false go build -C gorpc -o "$out/gorpc" .
}

# Debian 12's own cargo is too old as well; deploy/packages.sh installs the newer one of its browser's build.
build_rust() {
  CARGO_TARGET_DIR=$out/cargo cargo build --quiet --release --locked
  ln -f "$out/cargo/release/chat" "$out/cargo/release/stream" "$out/"
}

mkdir -p "$out"
for language in "$@"; do "build_$language"; done
