#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares what go_dump says of a program: with DWARF, with the symbols, or with another build.

usage: versions.py dwarf DUMP DWARF | symbols DUMP NM | builds DUMP DUMP
Prints one line; exits with 1 when something differs."""
import collections
import sys


def structs(path):
    """name -> list of (size, {field: offset})"""
    found, fields = collections.defaultdict(list), {}
    for line in open(path, errors='replace'):
        words = line.rstrip('\n').split(' ')
        if words[0] == 'struct':
            found[words[1]].append([words[2], None])
        elif words[0] == 'field':
            name, _, field = words[1].rpartition('.')
            fields.setdefault(name, {})[field] = words[2]
    # Types declared within functions share their name: nobody can tell them apart.
    return {name: (all_of[0][0], fields.get(name, {})) for name, all_of in found.items() if len(all_of) == 1}


def functions(path):
    found = collections.defaultdict(list)
    for line in open(path, errors='replace'):
        if line.startswith('function '):
            name, begin, end = line[9:].rstrip('\n').rsplit(' ', 2)
            found[name].append((int(begin, 16), int(end, 16)))
    return found


def main():
    what, first, second = sys.argv[1:]
    differences = []
    if what == 'dwarf':
        ours, theirs = structs(first), structs(second)
        both = [name for name in ours if name in theirs and '[' not in name]
        for name in both:
            if ours[name][0] != theirs[name][0] or any(
                    ours[name][1].get(field) != offset for field, offset in theirs[name][1].items() if field != '_'):
                differences.append(f'{name}: {ours[name]} {theirs[name]}')
        count = f'{len(both)} structs, {sum(len(theirs[name][1]) for name in both)} fields'
    elif what == 'symbols':
        ours, symbols = functions(first), collections.defaultdict(set)
        for line in open(second, errors='replace'):
            words = line.rstrip('\n').split(None, 2)
            if len(words) == 3 and words[1] in 'tT':
                symbols[words[2]].add(int(words[0], 16))
                symbols[words[2].split('.abi')[0]].add(int(words[0], 16))
        both = [name for name in ours if name in symbols]
        for name in both:
            if not all(begin in symbols[name] for begin, _ in ours[name]):
                differences.append(f'{name}: {ours[name]} {symbols[name]}')
        count = f'{len(both)} of {len(ours)} functions'
    else:
        ours, theirs = structs(first), structs(second)
        names, others = functions(first), functions(second)
        for name in ours.keys() | theirs.keys():
            if ours.get(name) != theirs.get(name):
                differences.append(f'{name}: {ours.get(name)} {theirs.get(name)}')
        for name in names.keys() ^ others.keys():
            differences.append(f'function {name}: {name in names} {name in others}')
        count = f'{len(ours)} structs, {len(names)} functions'
    print(f'{what}: {count}, {len(differences)} differ')
    for difference in differences[:10]:
        print('   ', difference)
    sys.exit(bool(differences))


main()
