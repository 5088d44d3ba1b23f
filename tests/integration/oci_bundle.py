#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes config.json, for runc, of the container that a kubelet would make of a DaemonSet's manifest.

usage: oci_bundle.py [--allow FILE] MANIFEST BUNDLE [ARGUMENT...]

BUNDLE/rootfs is the image. ARGUMENTs come in place of the manifest's. The seccomp filter refuses what the runtimes'
default profiles refuse to a container with these capabilities; --allow: instead, a file of system calls that pass.
"""
import argparse
import json
import pathlib
import yaml

# Of the default profiles of containerd and Docker, less what the six capabilities open (bpf, perf_event_open, kcmp,
# process_vm_readv, ptrace, open_by_handle_at, syslog).
REFUSED = """acct add_key clock_settime create_module delete_module finit_module fsconfig fsmount fsopen fspick
get_kernel_syms init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kexec_file_load kexec_load keyctl
lookup_dcookie mbind migrate_pages mount mount_setattr move_mount move_pages nfsservctl open_tree pivot_root
process_vm_writev query_module quotactl quotactl_fd reboot request_key set_mempolicy setdomainname sethostname setns
settimeofday stime swapoff swapon sysfs umount umount2 unshare userfaultfd ustat vhangup vm86 vm86old""".split()

MASKED = """/proc/asound /proc/acpi /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats
/proc/sched_debug /proc/scsi /sys/firmware""".split()
READ_ONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()


def seccomp(allowed):
    if allowed is not None:
        # What runc itself still needs between the filter and the program.
        names = sorted(set(allowed) | {"execve", "exit_group", "futex"})
        return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": names, "action": "SCMP_ACT_ALLOW"}]}
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": REFUSED, "action": "SCMP_ACT_ERRNO"}]}


def mount(destination, kind, source, *options):
    return {"destination": destination, "type": kind, "source": source, "options": list(options)}


def mounts(manifest, pod, container):
    result = [mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
              mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
              mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro")]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    propagation = {"None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}
    for entry in container["volumeMounts"]:
        volume = volumes[entry["name"]]
        if "emptyDir" in volume:
            result.append(mount(entry["mountPath"], "tmpfs", "tmpfs", "nosuid", "nodev", "mode=777", "size=1m"))
            continue
        source = volume["hostPath"]["path"] if "hostPath" in volume else str(manifest.parent.resolve())
        options = ["rbind", propagation[entry.get("mountPropagation", "None")]]
        if entry.get("readOnly"):
            options.append("ro")
        result.append(mount(entry["mountPath"], "bind", source, *options))
    return result


def config(manifest, arguments, allowed):
    pod = yaml.safe_load(manifest.read_text())["spec"]["template"]["spec"]
    container = pod["containers"][0]
    rights = container["securityContext"]
    assert rights["capabilities"]["drop"] == ["ALL"] and not rights["privileged"] and not pod.get("hostNetwork")
    held = ["CAP_" + name for name in rights["capabilities"]["add"]]
    namespaces = ["mount", "uts", "ipc", "network"] + ([] if pod.get("hostPID") else ["pid"])
    return {
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": rights["runAsUser"], "gid": 0},
            "args": ["/usr/bin/sonde"] + (arguments or container["args"]),
            "env": ["PATH=/usr/bin"],
            "cwd": "/",
            "noNewPrivileges": not rights["allowPrivilegeEscalation"],
            "capabilities": {"bounding": held, "effective": held, "permitted": held},
        },
        "root": {"path": "rootfs", "readonly": rights["readOnlyRootFilesystem"]},
        "hostname": "sonde",
        "mounts": mounts(manifest, pod, container),
        "linux": {
            "namespaces": [{"type": name} for name in namespaces],
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
            "seccomp": seccomp(allowed),
        },
    }


def main():
    options = argparse.ArgumentParser()
    options.add_argument("manifest", type=pathlib.Path)
    options.add_argument("bundle", type=pathlib.Path)
    options.add_argument("--allow", type=pathlib.Path)
    options.add_argument("arguments", nargs=argparse.REMAINDER)
    given = options.parse_args()
    allowed = given.allow.read_text().split() if given.allow else None
    text = json.dumps(config(given.manifest, given.arguments, allowed), indent=1)
    (given.bundle / "config.json").write_text(text)


if __name__ == "__main__":
    main()
