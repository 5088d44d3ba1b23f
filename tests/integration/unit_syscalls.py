#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the system calls that SystemCallFilter= of a systemd unit lets through. usage: unit_syscalls.py UNIT"""
import re
import subprocess
import sys


def members(group):
    text = subprocess.run(["systemd-analyze", "syscall-filter", group], check=True, capture_output=True, text=True).stdout
    names = set()
    for line in text.splitlines()[1:]:
        name = line.strip()
        if name and not name.startswith("#"):
            names |= members(name) if name.startswith("@") else {name}
    return names


allowed = members("@default")
with open(sys.argv[1], encoding="utf-8") as unit:
    for words in re.findall(r"^SystemCallFilter=(.*)$", unit.read(), re.MULTILINE):
        if words.startswith("~"):
            sys.exit("a SystemCallFilter= that refuses is not understood")
        for word in words.split():
            allowed |= members(word) if word.startswith("@") else {word}
print(*sorted(allowed), sep="\n")
