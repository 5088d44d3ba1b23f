#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Spells out the members without a name in a vmlinux.h, stdin to stdout.

Since Linux 6.19 the kernel is built with -fms-extensions, where `struct slock_owned;` inside a struct embeds that
struct's members. Standard C gives the line no meaning: the compiler warns and the members are gone. Each such line
becomes an anonymous struct with the same members, which is the same layout, and the same to CO-RE.
"""

import re
import sys

EMBEDDED = re.compile(r"^(\t+)((?:struct|union) \w+);$")
DEFINITION = re.compile(r"^((?:struct|union) \w+) \{$")


def bodies(lines):
    """Maps "struct name" to the lines between its braces."""
    found, name, start = {}, None, 0
    for number, line in enumerate(lines):
        if match := DEFINITION.match(line):
            name, start = match[1], number + 1
        elif name and line.startswith("}"):
            found[name] = lines[start:number]
            name = None
    return found


def expand(line, known):
    match = EMBEDDED.match(line)
    if not match:
        return [line]
    indent, name = match.groups()
    members = [out for member in known[name] for out in expand(indent + member, known)]
    return [f"{indent}{name.split()[0]} {{", *members, f"{indent}}};"]


def main():
    lines = sys.stdin.read().splitlines()
    known = bodies(lines)
    for line in lines:
        print(*expand(line, known), sep="\n")


if __name__ == "__main__":
    main()
