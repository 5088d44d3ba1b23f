#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Boots one kernel in QEMU and runs a command there, as root, over this machine's own root file system.
#
# usage: qemu.sh [-m MB] [-c CPUS] [-t SECONDS] [-s SCRATCH_MB] [-a APPEND] [-o DIR] KERNEL COMMAND [ARG...]
#   KERNEL   a name of kernels.list, or a folder as fetch.sh makes them
#   COMMAND  run in the current directory; for shell syntax give: bash -c '...'
#   -a       more kernel parameters, e.g. lockdown=confidentiality
#   -o       unpack here what the command leaves in the guest's $OUT
#   Defaults: -m 2048 -c 2 -t 300 -s 512. QEMU, QEMU_ACCEL and QEMU_CPU name other binaries, accelerators, CPUs.
#
# The guest sees every file of the host at its own path and may write anywhere; nothing written reaches the host.
# It has loopback, cgroup2, tracefs, debugfs, bpffs, modprobe and an empty disk /dev/vda; no network.
# The exit code is the command's; 124: the time limit; 125: the guest never reported, its console is printed.
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
memory=2048 cpus=2 limit=300 scratch=512 append='' out=''
usage() {
  sed -n '3,15s/^# \{0,1\}//p' "$here/qemu.sh"
  exit 2
}
while getopts m:c:t:s:a:o: option; do
  case $option in
    m) memory=$OPTARG ;; c) cpus=$OPTARG ;; t) limit=$OPTARG ;; s) scratch=$OPTARG ;; a) append=$OPTARG ;; o) out=$OPTARG ;;
    *) usage ;;
  esac
done
shift $((OPTIND - 1))
[ $# -ge 2 ] || usage

kernel=$1
shift
if [ ! -d "$kernel" ]; then
  "$here/fetch.sh" "$kernel"
  kernel=${SONDE_CACHE:-/var/cache/sonde}/kernels/$kernel
fi
kernel=$(readlink -f "$kernel")
release=$(cat "$kernel/release")

work=$(mktemp -d)
qemu_pid='' virtiofsd_pid=''
# shellcheck disable=SC2317  # called by the trap
cleanup() {
  local pid
  for pid in $qemu_pid $virtiofsd_pid; do kill "$pid" 2>/dev/null || true; done
  wait
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 143' INT TERM

# The initramfs: busybox, the two guest scripts, and the modules that mounting the root takes, in loading order.
make_initramfs() {
  local root=$work/initramfs module kind path name
  mkdir -p "$root"/{bin,dev,proc,sys,modules,guest}
  cp "$(command -v busybox)" "$root/bin/busybox"
  cp "$here/guest/init" "$root/init"
  cp "$here/guest/main" "$root/guest/main"
  printf '%q ' "$@" >"$root/guest/command"
  pwd >"$root/guest/directory"
  echo "$kernel" >"$root/kernel"
  for module in virtio_pci virtio_console virtio_blk virtio_rng virtiofs overlay; do
    modprobe -C /dev/null -d "$kernel" -S "$release" --show-depends "$module"
  done | while read -r kind path _; do
    [ "$kind" = insmod ] || continue # or built in
    name=$(basename "$path")
    case $name in
      *.xz) xz -dc "$path" >"$root/modules/${name%.xz}" ;;
      *.zst) zstd -qdc "$path" >"$root/modules/${name%.zst}" ;;
      *) cp "$path" "$root/modules/" ;;
    esac
    name=/modules/${name%.ko*}.ko
    grep -qxs "$name" "$root/modules/order" || echo "$name" >>"$root/modules/order"
  done
  (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initramfs.gz"
}

# Shares the root, bound read-only in a mount namespace of its own.
start_virtiofsd() {
  local server=${VIRTIOFSD:-/usr/lib/qemu/virtiofsd} attempt
  mkdir "$work/host"
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare -m sh -c 'mount --make-rprivate / && mount --rbind / "$1" && mount -o remount,ro,bind "$1" &&
    exec "$2" --socket-path="$3" -o "source=$1" -o sandbox=chroot -o cache=always --rlimit-nofile=4096' \
    virtiofsd "$work/host" "$server" "$work/virtiofs.sock" >"$work/virtiofsd.log" 2>&1 &
  virtiofsd_pid=$!
  for attempt in {1..200}; do
    [ ! -S "$work/virtiofs.sock" ] || return 0
    kill -0 "$virtiofsd_pid" 2>/dev/null || break
    sleep 0.05
  done
  echo "qemu: virtiofsd did not start (attempt $attempt):" >&2
  cat "$work/virtiofsd.log" >&2
  exit 125
}

# cx16 off: with it, QEMU 7.2's translator breaks the slab allocator of kernels >= 6.12 at random. Without erms, fsrm and
# la57 kernel and libc copy and clear by words, which the translator does a byte at a time for `rep movsb`, and its walks
# of page tables are a level shorter.
start_qemu() {
  # shellcheck disable=SC2054  # the commas are QEMU's
  local arguments=(
    -accel "${QEMU_ACCEL:-tcg,thread=multi}" -cpu "${QEMU_CPU:-max,-cx16,-erms,-fsrm,-la57}" -smp "$cpus"
    -m "$memory" -object "memory-backend-memfd,id=ram,size=${memory}M,share=on" -numa node,memdev=ram
    -nodefaults -display none -no-reboot -serial "file:$work/console"
    -kernel "$kernel/vmlinuz" -initrd "$work/initramfs.gz"
    -append "console=ttyS0 quiet panic=-1 oops=panic mitigations=off tsc=reliable $append"
    -chardev "socket,id=fs,path=$work/virtiofs.sock" -device vhost-user-fs-pci,chardev=fs,tag=hostroot,queue-size=1024
    -drive "file=$work/scratch,format=raw,if=none,id=scratch,cache=unsafe" -device virtio-blk-pci,drive=scratch
    -device virtio-rng-pci -device virtio-serial-pci
    -chardev stdio,id=output,signal=off -device virtserialport,chardev=output,name=output
    -chardev "file,id=status,path=$work/status" -device virtserialport,chardev=status,name=status
    -chardev "file,id=files,path=$work/files" -device virtserialport,chardev=files,name=files
  )
  truncate -s "${scratch}M" "$work/scratch"
  mkfifo "$work/stdin" # an input that never ends: at its end the port `output` would count as unplugged
  timeout "$limit" "${QEMU:-qemu-system-x86_64}" "${arguments[@]}" <>"$work/stdin" &
  qemu_pid=$!
}

make_initramfs "$@"
start_virtiofsd
start=$SECONDS
start_qemu
code=0
wait "$qemu_pid" || code=$?
qemu_pid=''

booted=$(sed -n 's/^booted //p' "$work/status")
reported=$(sed -n 's/^exit \([0-9]*\) .*/\1/p' "$work/status")
if [ -n "$out" ] && [ -s "$work/files" ]; then
  mkdir -p "$out"
  tar -C "$out" -xf "$work/files"
fi
if [ -z "$reported" ]; then
  if [ "$code" = 124 ]; then reported=124; else reported=125; fi
  echo "qemu: last lines of the console (QEMU exited with $code):" >&2
  tail -n 40 "$work/console" >&2 || true
  cat "$work/virtiofsd.log" >&2
fi
echo "qemu: $release booted in ${booted:-?} s, ended after $((SECONDS - start)) s, exit $reported" >&2
exit "$reported"
