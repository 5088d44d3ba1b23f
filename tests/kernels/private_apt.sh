#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs apt against other Debian suites or another architecture, without touching the machine's own apt.
#
# usage: private_apt.sh SUITES ARCH COMMAND...
#   SUITES   comma-separated, e.g. bullseye,bullseye-security
#   ARCH     amd64, arm64, ...
#   COMMAND  apt-get or apt-cache with its arguments, run in the current directory;
#            or `update`, which fetches the package lists unless they are younger than a day
#
# The mirrors are those of the machine's own Debian sources. Lists are cached in ${SONDE_CACHE:-/var/cache/sonde}/apt.
set -euo pipefail

if [ $# -lt 3 ]; then
  sed -n '3,11s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
suites=$1 arch=$2
shift 2

# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:?}")
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
home=${SONDE_CACHE:-/var/cache/sonde}/apt/${suites//,/+}-$arch

# Prints the URI from which this machine's apt takes a suite's main component.
mirror_of() {
  # shellcheck disable=SC2016  # the $(...) are apt's
  apt-get indextargets --no-release-info --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v suite="$1" '$1 == suite && $2 == "main" && !found { print $3; found = 1 }'
}

make_home() {
  local suite uri
  mkdir -p "$home"/{lists,cache/archives}/partial "$home/empty"
  : >"$home/status"
  for suite in ${suites//,/ }; do
    case $suite in
      *-security) uri=$(mirror_of "$codename-security") ;;
      *) uri=$(mirror_of "$codename") ;;
    esac
    [ -n "$uri" ] || { echo "private_apt: the machine's apt has no mirror for $suite" >&2; return 1; }
    echo "deb [signed-by=$keyring] $uri $suite main"
  done >"$home/sources.list"
}

private() {
  local command=$1
  shift
  "$command" -q -o "Dir::Etc::sourcelist=$home/sources.list" -o "Dir::Etc::sourceparts=$home/empty" \
    -o "Dir::Etc::preferencesparts=$home/empty" -o "Dir::State::lists=$home/lists" -o "Dir::Cache=$home/cache" \
    -o "Dir::State::status=$home/status" -o "APT::Architecture=$arch" -o "APT::Architectures::=$arch" \
    -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false "$@"
}

if [ "$1" != update ]; then
  private "$@"
elif [ -z "$(find "$home/updated" -mtime -1 2>/dev/null)" ]; then
  make_home
  private apt-get update >&2
  touch "$home/updated"
fi
