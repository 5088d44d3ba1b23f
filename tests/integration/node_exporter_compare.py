#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares Sonde's node collectors with node_exporter's, series by series.

  node_exporter_compare.py compare NODE_EXPORTER SONDE     two expositions, files or URLs
  node_exporter_compare.py run --sonde PROGRAM [--fixture DIR]
                                                           starts both on loopback ports and compares

Names, types, HELP, labels and values must be equal. On a fixture all values are exact; on a live node Sonde
is scraped between two scrapes of node_exporter and a value has to lie between theirs, widened by what
TOLERANCE allows. Differences that ALLOWED names are those between node_exporter 1.5.0 and later ones. Exit
code 1 when anything else differs.
"""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

SKIPPED = 77  # what ctest takes for "could not be tried"
COLLECTORS = ("cpu diskstats filefd filesystem loadavg meminfo netdev netstat pressure schedstat sockstat stat "
              "time uname vmstat").split()
FAMILIES = re.compile(
    r"node_(cpu_|disk_|filefd_|filesystem_|load\d|memory_|netstat_|network_(receive|transmit|address)_|"
    r"pressure_|schedstat_|sockstat_|intr_|context_|forks_|boot_|procs_|softirqs_|time_|uname_|vmstat_|"
    r"scrape_collector_)")

# (what, family, reason): only-sonde, only-node_exporter, help, value (of a series), labels (the reason is the label
# that is Sonde's alone).
ALLOWED = [
    ("only-sonde", r"node_filesystem_mount_info", "new in 1.9"),
    ("only-sonde", r"node_filesystem_readonly\{.*", "1.5.0 leaves it out where statfs fails"),
    ("only-sonde", r"node_filesystem_purgeable_bytes", "new in 1.9, 0 on Linux"),
    ("only-sonde", r"node_cpu_(online|isolated|frequency_hertz)", "new in 1.6 and later"),
    ("only-sonde", r"node_pressure_irq_stalled_seconds_total", "new in 1.9"),
    ("only-sonde", r"node_netstat_TcpExt_(TCPOFOQueue|TCPRcvQDrop|TCPSynRetrans|TCPTimeouts)",
     "added to the default of --collector.netstat.fields after 1.5.0"),
    ("only-sonde", r"node_netstat_Tcp_OutRsts", "added to the default of --collector.netstat.fields in 1.4"),
    ("labels", r"node_filesystem_.*", "device_error"),
    ("labels", r"node_disk_info", "rotational"),
    ("value", r'node_filesystem_readonly\{.*="/srv/failed"\}', "emergency_ro counts as read-only since 1.9"),
]

# family -> (ratio, absolute) on a live node, beyond the two scrapes around.
TOLERANCE = [
    (r"node_load\d+", 0, 0.5),
    (r"node_procs_(running|blocked)", 0, 64),
    (r"node_memory_.*_bytes", 0.1, 256 << 20),
    (r"node_filesystem_(avail|free)_bytes", 0.02, 64 << 20),
    (r"node_filesystem_files_free", 0.02, 4096),
    (r"node_sockstat_.*", 0.3, 256),
    (r"node_filefd_allocated", 0.2, 1024),
    (r"node_disk_io_now", 0, 64),
    (r"node_cpu_(guest_)?seconds_total", 0, 0.02),
    (r"node_vmstat_.*", 0.001, 4096),
    (r"node_netstat_Tcp_CurrEstab", 0.3, 256),
    (r"node_time_seconds", 0, 1),
    (r"node_cpu_frequency_hertz", 1, 0),
]
# What the machine itself says even on a fixture: statfs and the clock.
MOVING = re.compile(r"node_filesystem_(avail|free)_bytes|node_filesystem_files_free|node_time_seconds")
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')


class Exposition:
    def __init__(self, text):
        self.help, self.type, self.series = {}, {}, {}
        for line in text.splitlines():
            if line.startswith("# HELP "):
                name, _, help_text = line[7:].partition(" ")
                self.help[name] = help_text
            elif line.startswith("# TYPE "):
                name, _, kind = line[7:].partition(" ")
                self.type[name] = kind
            elif line and not line.startswith("#"):
                name, labels, value = SAMPLE.match(line).groups()
                if not FAMILIES.match(name):
                    continue
                # Prometheus takes an empty label for an absent one.
                pairs = tuple(sorted(pair for pair in LABEL.findall(labels or "") if pair[1]))
                if pairs in self.series.setdefault(name, {}):
                    raise SystemExit(f"twice: {line}")
                self.series[name][pairs] = float(value)


def allowed(what, family):
    return next((reason for kind, pattern, reason in ALLOWED if kind == what and re.fullmatch(pattern, family)), None)


def tolerance(family):
    return next((rest for pattern, *rest in TOLERANCE if re.fullmatch(pattern, family)), (0, 0))


def equal(family, got, first, last, live):
    if got == first or family == "node_scrape_collector_duration_seconds":  # each program's own
        return True
    if not live and not MOVING.fullmatch(family):
        return False
    ratio, absolute = tolerance(family)
    slack = ratio * max(abs(first), abs(last)) + absolute
    return min(first, last) - slack <= got <= max(first, last) + slack


def without_label(series, label):
    return {tuple(pair for pair in pairs if pair[0] != label): value for pairs, value in series.items()}


class Comparison:
    def __init__(self, first, last, sonde, live):
        self.first, self.last, self.sonde, self.live = first, last, sonde, live
        self.differences, self.known = [], []
        self.families = self.equal_series = self.all_series = 0
        for family in sorted(first.series.keys() | sonde.series.keys()):
            self.compare(family)

    def differ(self, what, family, text):
        reason = allowed(what, family)
        (self.known if reason else self.differences).append(f"{what} {text}" + (f"  ({reason})" if reason else ""))

    def compare(self, family):
        if family not in self.first.series:
            return self.differ("only-sonde", family, family)
        if family not in self.sonde.series:
            return self.differ("only-node_exporter", family, family)
        before = len(self.differences)
        if self.first.type[family] != self.sonde.type[family]:
            self.differ("type", family, f"{family}: {self.first.type[family]} != {self.sonde.type[family]}")
        if self.first.help[family] != self.sonde.help[family]:
            self.differ("help", family, f"{family}: {self.first.help[family]!r} != {self.sonde.help[family]!r}")
        expected, last, got = (of.series.get(family, {}) for of in (self.first, self.last, self.sonde))
        if (label := allowed("labels", family)) and without_label(got, label).keys() != got.keys():
            self.known.append(f"labels {family}: {label} is new since 1.5.0")
            got = without_label(got, label)
        for pairs in sorted(expected.keys() | got.keys()):
            self.all_series += 1
            name = family + "{" + ",".join(f'{k}="{v}"' for k, v in pairs) + "}"
            if pairs not in got:
                self.differ("only-node_exporter", name, name)
            elif pairs not in expected:
                self.differ("only-sonde", name, name)
            elif equal(family, got[pairs], expected[pairs], last.get(pairs, expected[pairs]), self.live):
                self.equal_series += 1
            else:
                self.differ("value", name,
                            f"{name}: {expected[pairs]!r} .. {last.get(pairs)!r} != {got[pairs]!r}")
        self.families += len(self.differences) == before

    def report(self, title):
        print(f"{title}: {self.families} families equal, {self.equal_series} of {self.all_series} series equal, "
              f"{len(self.known)} known differences, {len(self.differences)} others")
        for line in sorted(self.known):
            print("  known", line)
        for line in self.differences:
            print("  DIFFERS", line)
        return not self.differences


def read(source):
    if "://" in source:
        with urllib.request.urlopen(source, timeout=30) as answer:
            return Exposition(answer.read().decode())
    with open(source, encoding="utf-8") as file:
        return Exposition(file.read())


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Program:
    """A process that serves /metrics, ended with the block."""

    def __init__(self, command, port, log):
        self.url = f"http://127.0.0.1:{port}/metrics"
        self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.log = log

    def __enter__(self):
        for _ in range(300):
            try:
                read(self.url)
                return self
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.1)
        self.log.seek(0)
        raise SystemExit(f"{self.process.args[0]} does not answer:\n{self.log.read()}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def probe_switches(sonde):
    """Flags that leave the kernel alone: only the collectors are compared."""
    text = subprocess.run([sonde, "run", "--help"], capture_output=True, text=True, check=False).stdout
    return sorted({f"--no-probe.{name}" for name in re.findall(r"--(?:\[no-\])?probe\.([a-z_]+)\b(?!\.)", text)})


def commands(options, node_exporter_port, sonde_port):
    common = []
    if options.fixture:
        # node_exporter reads the live devices over netlink whatever --path.procfs says.
        common = [f"--path.procfs={options.fixture}/proc", f"--path.sysfs={options.fixture}/sys",
                  f"--path.rootfs={options.fixture}/rootfs", f"--path.udev.data={options.fixture}/udev",
                  "--no-collector.netdev.netlink", "--collector.cpu.info", "--collector.stat.softirq",
                  "--collector.cpu.info.flags-include=^(aes|avx.?)$", "--collector.cpu.info.bugs-include=^spectre"]
    # Debian's build has defaults of its own.
    upstream = ["--collector.netdev.device-exclude=", "--collector.diskstats.device-exclude="
                r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$",
                "--collector.filesystem.mount-points-exclude="
                "^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)",
                "--collector.filesystem.fs-types-exclude=^(autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|"
                "devtmpfs|fusectl|hugetlbfs|iso9660|mqueue|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|"
                "selinuxfs|squashfs|erofs|sysfs|tracefs)$"]
    node_exporter = [options.node_exporter, f"--web.listen-address=127.0.0.1:{node_exporter_port}",
                     "--collector.disable-defaults", "--web.disable-exporter-metrics", *upstream, *common,
                     *(f"--collector.{name}" for name in COLLECTORS)]
    sonde = [options.sonde, "run", f"--web.listen-address=127.0.0.1:{sonde_port}", *probe_switches(options.sonde),
             *common]
    return node_exporter, sonde


def run(options):
    ports = free_port(), free_port()
    node_exporter, sonde = commands(options, *ports)
    with tempfile.TemporaryFile("w+") as one, tempfile.TemporaryFile("w+") as other, \
            Program(node_exporter, ports[0], one) as expected, Program(sonde, ports[1], other) as got:
        best = None
        for _ in range(1 if options.fixture else 5):  # a device or a CPU mode may move by a tick too many
            first, middle, last = read(expected.url), read(got.url), read(expected.url)
            comparison = Comparison(first, last, middle, not options.fixture)
            if best is None or len(comparison.differences) < len(best.differences):
                best = comparison
        return best.report(options.fixture or "this node")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    two = modes.add_parser("compare")
    two.add_argument("node_exporter")
    two.add_argument("sonde")
    two.add_argument("--live", action="store_true", help="values may differ within the tolerance")
    both = modes.add_parser("run")
    both.add_argument("--sonde", required=True)
    both.add_argument("--node-exporter", default="prometheus-node-exporter")
    both.add_argument("--fixture", type=os.path.abspath)
    options = parser.parse_args()
    if options.mode == "run":
        if not shutil.which(options.node_exporter):
            print(f"{options.node_exporter} is not installed")
            sys.exit(SKIPPED)
        return run(options)
    first = read(options.node_exporter)
    return Comparison(first, first, read(options.sonde), options.live).report("compared")


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
