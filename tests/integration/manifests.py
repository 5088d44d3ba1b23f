#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Holds the Kubernetes manifests against themselves: what is named exists, what must not change does not.

usage: manifests.py FOLDER
"""
import pathlib
import sys
import yaml


def require(condition, what):
    if not condition:
        sys.exit(f"manifests: {what}")


def load(path):
    return list(yaml.safe_load_all(path.read_text()))


def check_kustomizations(folder):
    for path in folder.rglob("kustomization.yaml"):
        content = load(path)[0]
        named = content.get("resources", []) + content.get("components", [])
        named += [patch["path"] for patch in content.get("patches", [])]
        named += [name for made in content.get("configMapGenerator", []) for name in made["files"]]
        for name in named:
            require((path.parent / name).exists(), f"{path}: {name} does not exist")


def check_daemonset(daemonset):
    labels = daemonset["spec"]["selector"]["matchLabels"]
    pod = daemonset["spec"]["template"]["spec"]
    container = pod["containers"][0]
    require(labels.items() <= daemonset["spec"]["template"]["metadata"]["labels"].items(), "the selector selects nothing")
    require(pod["hostPID"] is True and not pod.get("hostNetwork"), "hostPID and no hostNetwork")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    require(ports == {"metrics": 7663}, "the port")
    for probe, path in (("startupProbe", "/-/ready"), ("readinessProbe", "/-/ready"), ("livenessProbe", "/-/healthy")):
        require(container[probe]["httpGet"] == {"path": path, "port": "metrics"}, probe)
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    writable = {path: volumes[mount["name"]] for path, mount in mounts.items() if not mount.get("readOnly")}
    require(list(writable) == ["/run/sonde"] and "emptyDir" in writable["/run/sonde"], "only the control socket's folder is writable")
    require({mount["name"] for mount in mounts.values()} == set(volumes), "every volume is mounted, every mount has one")
    for argument, path, host in (("--path.sysfs", "/host/sys", "/sys"), ("--path.rootfs", "/host/root", "/")):
        require(f"{argument}={path}" in container["args"], argument)
        require(volumes[mounts[path]["name"]]["hostPath"]["path"] == host, path)


def main():
    folder = pathlib.Path(sys.argv[1])
    check_kustomizations(folder)
    base = folder / "base"
    check_daemonset(load(base / "daemonset.yaml")[0])
    policy = load(base / "networkpolicy.yaml")[0]["spec"]
    monitor = load(folder / "components/podmonitor/podmonitor.yaml")[0]["spec"]
    labels = load(base / "daemonset.yaml")[0]["spec"]["selector"]["matchLabels"]
    require(policy["podSelector"]["matchLabels"] == labels, "the NetworkPolicy selects the pods")
    require(monitor["selector"]["matchLabels"] == labels, "the PodMonitor selects the pods")
    require(monitor["podMetricsEndpoints"][0]["honorLabels"] is True, "honorLabels")


main()
