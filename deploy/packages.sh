#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what Sonde is built from, with `test` what its tests run, with `testbed` only what the testbed of
# tests/targets runs, from Debian 12's own packages.
#
# usage: packages.sh [test | testbed]
#
# Asks dpkg first: when nothing is missing it neither runs apt nor touches the network. libbpf and bpftool come from
# bookworm-backports (uprobe_multi links need libbpf >= 1.3), found on the mirror this machine's apt already uses.
# Daemons among the packages are neither started nor enabled.
set -euo pipefail

build=(g++ cmake ninja-build pkg-config ca-certificates
  clang-19 llvm-19 ccache mold
  libelf-dev zlib1g-dev libboost1.81-dev libboost-program-options1.81-dev libssl-dev
  prometheus-cpp-dev libyaml-cpp-dev libre2-dev libfmt-dev libzydis-dev libnghttp2-dev)
backports=(libbpf-dev bpftool)
testbed=(nginx-common nginx haproxy redis-server redis-tools postgresql-common postgresql-15 postgresql-client-15 nats-server
  python3 python3-psycopg2 python3-redis nodejs)
# A toolchain that is there already is used, wherever it came from; bookworm's own Go and Rust are too old.
command -v go >/dev/null || testbed+=(golang-1.23-go)
command -v cargo >/dev/null || testbed+=(cargo-web)
tests=(libgtest-dev libgmock-dev libbenchmark-dev libclang-rt-19-dev
  qemu-system-x86 qemu-system-common busybox-static cpio kmod xz-utils zstd
  fio stress-ng runc prometheus prometheus-node-exporter libbpf-tools linux-perf
  nftables iproute2 procps libcap2-bin util-linux python3-yaml curl nghttp2-client shellcheck
  "${testbed[@]}")
# package:unit
daemons=(prometheus:prometheus prometheus-node-exporter:prometheus-node-exporter nginx-common:nginx haproxy:haproxy
  redis-server:redis-server postgresql-common:postgresql nats-server:nats-server)

say() { echo "packages: $*"; }
die() {
  say "$*" >&2
  exit 1
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]; }

# bookworm's own libbpf (1.1) and bpftool (7.1) do not count.
recent() {
  local version
  installed "$1" || return 1
  version=$(dpkg-query -W -f '${Version}' "$1")
  case $1 in
    libbpf-dev) dpkg --compare-versions "$version" ge 1:1.4 ;;
    bpftool) dpkg --compare-versions "$version" ge 7.4 ;;
  esac
}

# Prints the URI from which this machine's apt takes a suite's main component, whatever file and format says so.
mirror_of() {
  # shellcheck disable=SC2016  # the $(...) are apt's
  apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v suite="$1" '$1 == suite && $2 == "main" && $3 !~ /^cdrom:/ && !found { print $3; found = 1 }'
}

# NotAutomatic keeps everything else of backports out; the pin lets these three in.
add_backports() {
  local uri
  if [ -z "$(mirror_of bookworm-backports)" ]; then
    uri=$(mirror_of bookworm)
    [ -n "$uri" ] || die "no apt source offers bookworm main: add Debian 12's to /etc/apt/sources.list first"
    say "adding bookworm-backports from $uri"
    printf '%s\n' 'Types: deb' "URIs: $uri" 'Suites: bookworm-backports' 'Components: main' \
      'Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg' >/etc/apt/sources.list.d/sonde-backports.sources
  fi
  printf '%s\n' 'Package: libbpf-dev libbpf1 bpftool' 'Pin: release n=bookworm-backports' 'Pin-Priority: 990' \
    >/etc/apt/preferences.d/sonde-backports
}

# Runs apt-get with a line for each package; its whole output only when it fails.
apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 \
    -o Acquire::Retries=3 "$@" </dev/null 2>&1 | tee "$log" |
    awk '/^Need to get/ { print "packages: " $0; fflush() }
         /^Setting up/ { printf "packages: [%d] %s\n", ++done, $3; fflush() }' ||
    {
      cat "$log" >&2
      die "apt-get $1 failed, see above"
    }
}

main() {
  local wanted=("${build[@]}") missing=() fresh=() package
  case ${1:-} in
    '') ;;
    test) wanted+=("${tests[@]}") ;;
    testbed) wanted+=("${testbed[@]}") ;;
    *) sed -n '3,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac

  for package in "${wanted[@]}"; do installed "$package" || missing+=("$package"); done
  for package in "${backports[@]}"; do recent "$package" || missing+=("$package"); done
  if [ ${#missing[@]} -eq 0 ]; then
    say "all $((${#wanted[@]} + ${#backports[@]})) are installed"
    return
  fi
  [ "$(id -u)" = 0 ] || die "missing: ${missing[*]}; run this as root to install them"
  # shellcheck source=/dev/null
  [ "$(. /etc/os-release && echo "$ID $VERSION_ID")" = 'debian 12' ] ||
    die "this is not Debian 12: install the counterparts of ${missing[*]} by hand"
  for package in "${daemons[@]}"; do [[ " ${missing[*]} " != *" ${package%:*} "* ]] || fresh+=("$package"); done

  log=$(mktemp)
  trap 'rm -f "$log" ${policy:+"$policy"}' EXIT
  # invoke-rc.d asks this file before it starts a daemon that was just unpacked; 101 says no.
  if [ ! -e /usr/sbin/policy-rc.d ]; then
    policy=/usr/sbin/policy-rc.d
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod 755 $policy
  fi

  add_backports
  say "reading the package lists"
  apt update
  say "installing ${#missing[@]}: ${missing[*]}"
  apt install --no-install-recommends "${missing[@]}"
  for package in "${backports[@]}"; do
    recent "$package" || die "$package from bookworm-backports was not installed: see apt-cache policy $package"
  done
  # What the packages' own scripts enabled; works without systemd too.
  for package in "${fresh[@]}"; do
    DPKG_MAINTSCRIPT_PACKAGE=${package%:*} deb-systemd-helper disable "${package#*:}.service" >/dev/null
  done
  say "done"
}

main "$@"
