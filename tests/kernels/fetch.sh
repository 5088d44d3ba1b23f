#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Downloads and unpacks the kernels of kernels.list from the machine's own Debian mirror.
#
# usage: fetch.sh [-u] [NAME...]      default: all of kernels.list
#   -u   look for something newer even where a kernel is there already
#
# Result, in ${SONDE_CACHE:-/var/cache/sonde}/kernels/NAME: `vmlinuz`, `config`, `release` (what uname -r will
# say) and `lib/modules/RELEASE`, ready for modprobe. Where the newest version is refused, older ones are tried.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
cache=${SONDE_CACHE:-/var/cache/sonde}/kernels
update=
case ${1:-} in
  -u) update=yes; shift ;;
  -*) sed -n '3,9s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

mkdir -p "$cache"
work=$(mktemp -d "$cache/.fetch.XXXXXX") # beside the result, which then appears whole, by a rename
trap 'rm -rf "$work"' EXIT

# Prints the releases of the first package prefix ($2) in the suites ($1) that match a pattern ($3), newest first.
releases() {
  local release
  "$here/private_apt.sh" "$1" amd64 apt-cache search --names-only "^${2%%,*}-[0-9]" | cut -d' ' -f1 |
    while read -r release; do
      release=${release#"${2%%,*}-"}
      # shellcheck disable=SC2053  # a pattern, not a string
      if [[ $release == $3 ]]; then echo "$release"; fi
    done | sort -Vr
}

# Downloads all packages of a release into $work/debs.
download() {
  local suites=$1 prefix names=()
  for prefix in ${2//,/ }; do names+=("$prefix-$3"); done
  rm -rf "$work/debs"
  mkdir "$work/debs"
  (cd "$work/debs" && "$here/private_apt.sh" "$suites" amd64 apt-get download "${names[@]}" >&2)
}

# Unpacks $work/debs into the cache under a name. /lib and /usr/lib are both in use, depending on the suite.
install_kernel() {
  local name=$1 release=$2 new=$work/new deb modules
  rm -rf "$new" "$work/root"
  mkdir -p "$new/lib/modules" "$work/root"
  for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
  mv "$(find "$work/root" -type f -name 'vmlinuz*' | head -1)" "$new/vmlinuz"
  find "$work/root" -type f \( -name config -o -name 'config-*' \) -exec cp {} "$new/config" \;
  modules=$(find "$work/root" -type d -path "*lib/modules/$release/kernel" | head -1)
  mv "${modules%/kernel}" "$new/lib/modules/"
  depmod -b "$new" "$release"
  echo "$release" >"$new/release"
  rm -rf "${cache:?}/$name"
  mv "$new" "$cache/$name"
}

fetch() {
  local name=$1 suites=$2 packages=$3 pattern=$4 release have
  have=$(cat "$cache/$name/release" 2>/dev/null || true)
  # shellcheck disable=SC2053
  if [ -z "$update" ] && [[ -n $have && $have == $pattern ]]; then return 0; fi

  "$here/private_apt.sh" "$suites" amd64 update
  for release in $(releases "$suites" "$packages" "$pattern" | head -4); do
    if [ "$release" = "$have" ]; then return 0; fi
    if download "$suites" "$packages" "$release"; then
      install_kernel "$name" "$release"
      echo "fetch: $name is $release" >&2
      return 0
    fi
    echo "fetch: $release is refused" >&2
  done
  echo "fetch: no kernel for $name ($pattern in $suites)" >&2
  return 1
}

failed=0 known=' '
while read -r name suites packages release; do
  case $name in '' | '#'*) continue ;; esac
  known+="$name "
  if [ $# -gt 0 ] && [[ " $* " != *" $name "* ]]; then continue; fi
  fetch "$name" "$suites" "$packages" "$release" || failed=1
done <"$here/kernels.list"

for name in "$@"; do
  if [[ $known != *" $name "* ]]; then
    echo "fetch: $name is not in kernels.list, which has:$known" >&2
    failed=2
  fi
done
exit "$failed"
