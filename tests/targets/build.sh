#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the testbed's Go programs into build/targets/.
#
# usage: tests/targets/build.sh
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
out=$PWD/../../build/targets

# Debian 12's own Go is too old; deploy/packages.sh installs backports' where there is none.
command -v go >/dev/null || PATH=$PATH:/usr/lib/go-1.23/bin
mkdir -p "$out"
# No toolchain is downloaded: whatever Go is there must do.
GOTOOLCHAIN=local GOFLAGS=-buildvcs=false go build -o "$out/" ./api ./load
