#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Requests that programs of many versions of Go serve, built in many ways and with many routers, against their client's ledger:
# tests/integration/go_http_test.sh with each. One line a program, and what differs. By hand: it downloads toolchains (200 to 400 MB
# each) and modules.
#
# usage: tests/go/http_versions.sh SONDE [PROGRAM...]
#   PROGRAM  VERSION:BUILD, build plain, stripped, pie, external_pie, debug or race; "local" is the Go that is installed; default: all of the matrix.
#            ROUTER@MODULE_VERSION: one of tests/go/routers, built by the installed Go, stripped; a module may be given with its path
#   SONDE_REQUESTS  requests of each variant, default 2000
# shellcheck disable=SC2317  # functions are called by name
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$here/../..
sonde=$(readlink -f "$1")
shift
if [ $# -eq 0 ]; then
  for version in 1.18.10 1.19.13 1.20.14 1.21.13 1.22.12 1.23.12 1.24.13 1.25.12 local 1.27.1; do
    set -- "$@" "$version:plain" "$version:stripped" "$version:pie"
  done
  set -- "$@" chi@github.com/go-chi/chi@v1.5.5 chi@v5.0.0 chi@v5.2.3 gin@v1.7.7 gin@v1.9.1 gin@v1.12.0 gorilla@v1.7.4 gorilla@v1.8.1 \
    echo@github.com/labstack/echo@v3.3.10 echo@v4.2.0 echo@v4.13.4 \
    xnet@v0.7.0 xnet@v0.17.0 xnet@v0.32.0 xnet@v0.43.0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
export SONDE_REQUESTS=${SONDE_REQUESTS:-2000} GOTOOLCHAIN=local GOFLAGS=-buildvcs=false
declare -A modules=([chi]=github.com/go-chi/chi/v5 [gin]=github.com/gin-gonic/gin [gorilla]=github.com/gorilla/mux
  [echo]=github.com/labstack/echo/v4 [xnet]=golang.org/x/net)

# sources GO: goweb as a module of its own, for that version of the language.
sources() {
  rm -rf "$work/goweb"
  cp -r "$root/tests/targets/goweb" "$work/goweb"
  printf 'module example.test/goweb\n\ngo %s\n' "$1" >"$work/goweb/go.mod"
}

# of_go VERSION BUILD
of_go() {
  local flags=() cgo=0
  case $2 in
    stripped) flags=(-ldflags '-s -w') ;;
    pie) flags=(-buildmode=pie -ldflags '-s -w') ;;
    debug) flags=(-gcflags 'all=-N -l') ;;
    race) flags=(-race) cgo=1 ;;
    external_pie) flags=(-buildmode=pie -ldflags '-linkmode=external -s -w') cgo=1 ;;
  esac
  # From 1.22 on the go.mod's version says what patterns mean.
  if [[ $1 == 1.18.* || $1 == 1.19.* || $1 == 1.20.* || $1 == 1.21.* ]]; then sources 1.18; else sources 1.22; fi
  (
    [ "$1" = local ] || export GOTOOLCHAIN=go$1
    cd "$work/goweb" && CGO_ENABLED=$cgo nice go build "${flags[@]}" -o "$work/program" .
  )
}

# with_router NAME MODULE@VERSION
with_router() {
  local module=${modules[$1]} wanted=$2
  [[ $2 == */* ]] || wanted=$module@$2
  sources 1.22
  sed "s#\"$module#\"${wanted%@*}#" "$here/routers/$1.go" >"$work/goweb/$1.go"
  (cd "$work/goweb" && go get "$wanted" && go mod tidy && nice go build -ldflags '-s -w' -o "$work/program" .)
}

for program; do
  case $program in
    *@*) made=(with_router "${program%%@*}" "${program#*@}") routers="${program%%@*} ${program%%@*}/timeout ${program%%@*}/elsewhere" ;;
    *) made=(of_go "${program%:*}" "${program#*:}") routers="mux middleware mux/timeout mux/elsewhere" ;;
  esac
  if ! "${made[@]}" >"$work/log" 2>&1; then
    echo "$program: not built: $(tail -1 "$work/log")"
    continue
  fi
  status=0
  SONDE_ROUTERS=$routers "$root/tests/integration/go_http_test.sh" "$sonde" "$work/program" >"$work/log" 2>&1 || status=1
  echo "$program ($(go version "$work/program" | cut -d' ' -f2)): $(grep -c '^ok' "$work/log") ok, $(grep -c '^FAIL' "$work/log") differ"
  [ $status -eq 0 ] || { grep -E '^FAIL|^goweb-|^[<>]' "$work/log" || tail -5 "$work/log"; } | head -20 | sed 's/^/  /'
  failed=$((failed | status))
done
exit $failed
