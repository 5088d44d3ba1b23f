#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes the whole root file system of Sonde's image: the program, the shared libraries it needs, mount points.
#
# usage: rootfs.sh BINARY DIR
#
# No shell, no package manager, no user that can log in.
set -euo pipefail

[ $# = 2 ] || { sed -n '3,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
binary=$1 root=$2
install -D -s "$binary" "$root/usr/bin/sonde"
mkdir -p "$root"/{proc,sys,dev,tmp,run/sonde,etc/sonde,host/sys,host/root}
chmod 1777 "$root/tmp"
printf 'root:x:0:0:root:/:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"

libraries=$(ldd "$binary")
if grep 'not found' <<<"$libraries" >&2; then exit 1; fi
# `NAME => PATH (ADDRESS)`, and the loader as `PATH (ADDRESS)`.
sed -nE 's/^[^/]*(\/[^ ]+) \(0x[0-9a-f]+\)$/\1/p' <<<"$libraries" | while read -r library; do
  install -D -m 755 "$library" "$root$library"
done
