#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What deploy/ says, held against the tools that will read it and against itself. Needs neither root nor the agent.
# shellcheck disable=SC2317  # functions are called through `check`
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
cd "$root"

# with TOOL WHAT COMMAND...: skips the check where the tool is not in this distribution.
with() {
  local tool=$1
  shift
  if command -v "$tool" >/dev/null; then check "$@"; else echo "skip  $1: no $tool"; fi
}

lint_shell() {
  local scripts
  mapfile -t scripts < <(find deploy tests .ci -name corpus -prune -o -type f -name '*.sh' -print -o -path .ci/run -print)
  shellcheck -x "${scripts[@]}"
}

# The unit with programs that exist here: systemd looks for them.
unit_is_valid() {
  sed 's|^ExecStart=.*|ExecStart=/bin/true|' deploy/systemd/sonde.service >"$work/sonde.service"
  mkdir -p "$work/sonde.service.d"
  cp deploy/systemd/sonde.service.d/old-kernel.conf.example "$work/sonde.service.d/old-kernel.conf"
  # It also speaks of faults in the units of other packages.
  systemd-analyze verify "$work/sonde.service" >"$work/verify.all" 2>&1 || { cat "$work/verify.all"; return 1; }
  grep -v '^/lib/systemd/system/' "$work/verify.all" >"$work/verify.log" || true
  [ ! -s "$work/verify.log" ]
}

unit_capabilities() { sed -n "s/^$1=//p" deploy/systemd/sonde.service; }
same_capabilities() {
  [ "$(unit_capabilities CapabilityBoundingSet)" = "$(unit_capabilities AmbientCapabilities)" ] &&
    [ "$(unit_capabilities CapabilityBoundingSet)" = "$(python3 - <<'PYTHON'
import yaml
pod = yaml.safe_load(open("deploy/kubernetes/base/daemonset.yaml"))["spec"]["template"]["spec"]
print(*("CAP_" + name for name in pod["containers"][0]["securityContext"]["capabilities"]["add"]))
PYTHON
)" ]
}

# Debian 12's promtool is built without Kubernetes discovery: the rest of the file is checked with static targets.
kubernetes_scrape_is_valid() {
  python3 - >"$work/kubernetes.yml" <<'PYTHON'
import yaml
config = yaml.safe_load(open("deploy/prometheus/kubernetes.yml"))
for job in config["scrape_configs"]:
    assert job.pop("kubernetes_sd_configs") == [{"role": "pod", "namespaces": {"names": ["sonde"]}}]
    job["static_configs"] = [{"targets": ["localhost:7663"]}]
print(yaml.safe_dump(config))
PYTHON
  promtool check config "$work/kubernetes.yml" >/dev/null
}

# Every file the Dockerfile's build needs passes the .dockerignore, and the tests' data does not.
docker_context_is_whole() {
  local name
  for name in CMakeLists.txt CMakePresets.json agent bpf include vmlinux deploy/packages.sh deploy/docker/rootfs.sh \
    tests/CMakeLists.txt 'LICENSE*'; do
    grep -Fqx "!$name" .dockerignore || return 1
  done
  [ "$(grep -c '^FROM' deploy/docker/Dockerfile)" = 2 ] && grep -q '^FROM scratch$' deploy/docker/Dockerfile
}

with shellcheck 'the shell scripts are clean' lint_shell
with systemd-analyze 'the unit is valid' unit_is_valid
check 'the unit and the DaemonSet ask for the same capabilities' same_capabilities
check 'the manifests are whole' python3 tests/integration/manifests.py deploy/kubernetes
with kubectl 'the base builds' kubectl kustomize deploy/kubernetes/base -o "$work/base.yaml"
with kubectl 'the privileged overlay builds' kubectl kustomize deploy/kubernetes/overlays/privileged -o "$work/privileged.yaml"
with promtool 'the static scrape configuration is valid' promtool check config deploy/prometheus/static.yml
with promtool 'the Kubernetes scrape configuration is valid' kubernetes_scrape_is_valid
check 'the image is built from all that it needs' docker_context_is_whole
check 'the packages script refuses unknown words' test "$(bash deploy/packages.sh nonsense >/dev/null 2>&1; echo $?)" = 2
finish
