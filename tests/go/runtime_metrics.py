#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares what the agent tells of Go programs' runtimes with what their own client_golang says: each program is asked between two
scrapes of the agent, when no collection falls between them.

usage: runtime_metrics.py AGENT PID=URL...      e.g. http://127.0.0.1:9100/metrics 812=http://127.0.0.1:9090/metrics
Prints one line a program and each value that does not lie between the agent's two."""
import math
import re
import sys
import time
import urllib.request

# The program's own scrape runs in goroutines of its own, and allocates; the agent's labels are not the program's.
LINE = re.compile(r'(go_\w+)(?:\{(.*)\})? (\S+)$')


def read(url, pid=None):
    values = {}
    for line in urllib.request.urlopen(url, timeout=30).read().decode().splitlines():
        if not (match := LINE.match(line)) or pid and f'pid="{pid}"' not in (match[2] or ''):
            continue
        labels = [label for label in re.findall(r'\w+="[^"]*"', match[2] or '')
                  if not label.startswith(('service=', 'pid=', 'namespace=', 'pod=', 'container='))]
        if match[1] != 'go_build_info':
            values[match[1], ','.join(labels)] = float(match[3])
    return values


def compare(agent, pid, url):
    for _ in range(20):
        before, own, after = read(agent, pid), read(url), read(agent, pid)
        count = ('go_gc_duration_seconds_count', '')
        if before.get(count) == after.get(count):
            break
        time.sleep(0.1)
    if not before or not after:
        return 0, 0, ['the agent says nothing of it'], 0
    compared, wrong, bad = 0, 0, []
    for series, value in sorted(own.items()):
        if series[0].endswith('_sum') and series[0] != 'go_gc_duration_seconds_sum' or series not in before or series not in after:
            continue
        compared += 1
        low, high = sorted((before[series], after[series]))
        if not low - abs(low) * 1e-12 <= value <= high + abs(high) * 1e-12 and not (math.isnan(value) and math.isnan(low)):
            wrong += 1
            bad.append(f'{series[0]}{{{series[1]}}} {value:.17g} is not in [{low:.17g}, {high:.17g}]')
    return compared, wrong, bad, len([series for series in own if series not in before])


def main():
    agent = sys.argv[1]
    for argument in sys.argv[2:]:
        pid, _, url = argument.partition('=')
        compared, wrong, bad, missing = compare(agent, pid, url)
        version = [labels for name, labels in read(url) if name == 'go_info']
        print(f'{pid} {version[0] if version else ""}: {compared - wrong} of {compared} values between two of the agent\'s, '
              f'{missing} of its own that the agent does not have')
        for line in bad:
            print('   ', line)


main()
