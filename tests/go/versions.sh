#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Compares what the agent reads of Go programs with their debug information and between builds, for many versions of Go. By hand:
# it downloads toolchains (200 to 400 MB each).
#
# usage: tests/go/versions.sh DUMP [VERSION...]     default: 1.18.10 … 1.27.1; "local" is the Go that is installed
#   DUMP  build/release/tests/go/go_dump
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
dump=$(readlink -f "$1")
shift
[ $# -gt 0 ] || set -- 1.18.10 1.19.13 1.20.14 1.21.13 1.22.12 1.23.12 1.24.13 1.25.12 local 1.27.1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

cat >"$work/go.mod" <<'END'
module example.test/server

go 1.18
END
cat >"$work/main.go" <<'END'
package main

import (
	"fmt"
	"net/http"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, r.URL.Path) })
	panic(http.ListenAndServe("127.0.0.1:0", nil))
}
END
GOFLAGS=-buildvcs=false go build -C "$here/dwarf" -o "$work/dwarf" .

# build NAME CGO ARGUMENT...
build() {
  local name=$1 cgo=$2
  shift 2
  (cd "$work" && CGO_ENABLED=$cgo nice go build -o "$name" "$@" . >"$work/log" 2>&1) ||
    { echo "  $name: not built: $(tail -1 "$work/log")"; return 1; }
  "$dump" "$work/$name" >"$work/$name.txt" || { echo "  $name: $(tail -1 "$work/$name.txt")"; failed=1; return 1; }
}

compare() { python3 "$here/versions.py" "$@" | sed 's/^/  /' || failed=1; }

# Of what the agent probes, the functions that have no site passed once.
sites() {
  awk '$1 == "function" { all++; if ($2 in wanted) missing[$2] = "no site" }
       $1 == "site" { n[$NF]++; if ($2 in wanted) { if ($NF == "once") delete missing[$2]; else missing[$2] = $NF } }
       BEGIN { split("net/http.serverHandler.ServeHTTP net/http.(*response).finishRequest net/http.(*conn).serve.func1" \
                     " net/http.(*http2responseWriter).handlerDone net/http/internal/http2.(*responseWriter).handlerDone" \
                     " net/http.(*ServeMux).ServeHTTP net/http.(*persistConn).roundTrip net/http.readTransfer" \
                     " crypto/tls.(*Conn).Read crypto/tls.(*Conn).Write runtime.gopanic", names, " ")
               for (i in names) wanted[names[i]] }
       END { printf "  sites: %d of %d functions, %d of them again on growth", n["once"] + n["again"], all, n["again"]
             for (name in missing) printf "; %s: %s", name, missing[name]
             print "" }' "$1"
}

for version; do
  export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
  [ "$version" = local ] || GOTOOLCHAIN=go$version
  (cd "$work" && go version | cut -d' ' -f3)
  build plain 0 || continue
  "$work/dwarf" "$work/plain" >"$work/debug.txt"
  compare dwarf "$work/plain.txt" "$work/debug.txt"
  go tool nm "$work/plain" >"$work/nm.txt"
  compare symbols "$work/plain.txt" "$work/nm.txt"
  sites "$work/plain.txt"
  build stripped 0 -ldflags '-s -w' && echo -n "  stripped" && compare builds "$work/plain.txt" "$work/stripped.txt"
  build pie 0 -buildmode=pie -ldflags '-s -w' && echo -n "  PIE" && compare builds "$work/plain.txt" "$work/pie.txt"
  build cgo 1 -ldflags '-linkmode=external' || continue
  build external 1 -ldflags '-linkmode=external -s -w' && echo -n "  external" &&
    compare builds "$work/cgo.txt" "$work/external.txt"
  build external_pie 1 -buildmode=pie -ldflags '-linkmode=external -s -w' && echo -n "  external PIE" &&
    compare builds "$work/cgo.txt" "$work/external_pie.txt"
done
exit $failed
