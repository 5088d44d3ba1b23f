#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Regenerates vmlinux.h of each architecture from the type information of the newest packaged Debian kernel.
#
# usage: make.sh [ARCH...]      ARCH is x86_64 or arm64, default both
#   SUITE    Debian suite to take the kernel from, default trixie-backports
#   RELEASE  kernel release without its flavour, e.g. 7.3.4+deb13; default the newest in SUITE
#
# Needs apt, dpkg-deb, bpftool (>= 7.5), python3, zstd. Root is not needed when SONDE_CACHE names a writable folder.
set -euo pipefail

usage() {
  sed -n '3,9s/^# \{0,1\}//p' "$0"
}

here=$(dirname "$(readlink -f "$0")")
private_apt=$here/../tests/kernels/private_apt.sh
suite=${SUITE:-trixie-backports}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Prints the newest release of which the suite has a kernel image for a Debian architecture.
newest_release() {
  "$private_apt" "$suite" "$1" apt-cache search --names-only "^linux-binary-[0-9].*-$1\$" |
    sed -nE "s/^linux-binary-([0-9.]+(\+deb[0-9.]+)?)-$1 .*/\1/p" | sort -V | tail -1
}

make_header() {
  local arch=$1 debian=$2 release image
  "$private_apt" "$suite" "$debian" update
  release=${RELEASE:-$(newest_release "$debian")}
  [ -n "$release" ] || { echo "make: no kernel for $debian in $suite" >&2; return 1; }

  mkdir "$work/$arch"
  (cd "$work/$arch" && "$private_apt" "$suite" "$debian" apt-get download "linux-binary-$release-$debian" >&2)
  dpkg-deb -x "$work/$arch"/*.deb "$work/$arch/unpacked"
  image=$(find "$work/$arch/unpacked" -type f -name 'vmlinu[xz]*' | head -1)
  "$here/extract_btf.py" "$image" "$work/$arch/btf"

  mkdir -p "$here/$arch"
  {
    echo "/* Made by vmlinux/make.sh from Debian's linux-binary-$release-$debian. Do not edit. */"
    bpftool btf dump file "$work/$arch/btf" format c | "$here/expand_members.py"
  } >"$work/$arch/vmlinux.h"
  mv "$work/$arch/vmlinux.h" "$here/$arch/vmlinux.h"
  echo "vmlinux/$arch/vmlinux.h: Linux $release"
}

case ${1:-} in -h | --help) usage; exit 0 ;; esac
[ $# -gt 0 ] || set -- x86_64 arm64
for arch in "$@"; do
  case $arch in
    x86_64) make_header x86_64 amd64 ;;
    arm64) make_header arm64 arm64 ;;
    *) usage >&2; exit 2 ;;
  esac
done
