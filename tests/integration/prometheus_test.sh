#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real Prometheus scrapes the agent with deploy/prometheus/static.yml; the names the dashboards rest on return data.
#
# usage: prometheus_test.sh SONDE
# shellcheck disable=SC2317  # functions are called through `check`
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$(readlink -f "$0")")/lib.sh"
sonde=$1

# The node_* names of the platform's metrics document.
names=(node_cpu_seconds_total node_load1 node_load5 node_load15
  node_memory_MemTotal_bytes node_memory_MemAvailable_bytes node_memory_Buffers_bytes node_memory_Cached_bytes
  node_disk_io_time_seconds_total node_disk_read_bytes_total node_disk_written_bytes_total
  node_filesystem_avail_bytes node_filesystem_size_bytes
  node_network_receive_bytes_total node_network_transmit_bytes_total
  node_network_receive_packets_total node_network_transmit_packets_total)
# What promtool has against names that node_exporter gave long ago.
historical='^node_(memory_|vmstat_|netstat_|sockstat_|filefd_|disk_(io_now|reads_merged|writes_merged|discards_merged)|boot_time|forks_total|intr_total|context_switches_total|nf_conntrack|entropy|arp_|schedstat_|softnet_)[A-Za-z0-9_]* '

agent_port=$(free_port)
prometheus_port=$(free_port)
agent=http://127.0.0.1:$agent_port
api=http://127.0.0.1:$prometheus_port

query() { curl -sSf --max-time 5 --get --data-urlencode "query=$1" "$api/api/v1/query"; }
returns_data() { query "$1" | python3 -c 'import json, sys; sys.exit(not json.load(sys.stdin)["data"]["result"])'; }

# Everything promtool says about the exposition but what is said of historical names.
lint() {
  promtool check metrics <"$work/metrics" >"$work/lint" 2>&1 || true
  ! grep -Ev "$historical" "$work/lint"
}

background sonde "$sonde" run "--web.listen-address=127.0.0.1:$agent_port"
sonde_pid=$started
sed -e "s/localhost:7663/127.0.0.1:$agent_port/" -e 's/scrape_\(interval\|timeout\): .*/scrape_\1: 1s/' \
  "$root/deploy/prometheus/static.yml" >"$work/prometheus.yml"
until_true 30 curl -sSf "$agent/-/ready" || { echo 'FAIL  the agent is not ready'; failures=1; finish; }
background prometheus prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
  --web.listen-address="127.0.0.1:$prometheus_port" --log.level=warn
check 'Prometheus is ready' until_true 30 curl -sSf "$api/-/ready"

check 'up is 1' until_true 20 returns_data 'up{job="sonde"} == 1'
check 'a second scrape succeeds' until_true 10 returns_data 'count_over_time(up{job="sonde"}[1m]) >= 2'
for name in "${names[@]}"; do check "$name returns data" returns_data "$name"; done
check 'rates can be taken' until_true 10 returns_data 'sum(rate(node_cpu_seconds_total[1m])) > 0'
for name in node_run_queue_latency_seconds_count service_cpu_seconds_total sonde_service_instances sonde_build_info; do
  check "$name returns data" until_true 10 returns_data "$name"
done
# A kernel without CONFIG_SCHEDSTATS has nothing for that one.
optional=$([ -e /proc/schedstat ] || echo '{collector!="schedstat"}')
check 'no collector fails' returns_data "absent(node_scrape_collector_success$optional == 0)"

curl -sSf "$agent/metrics" >"$work/metrics"
check 'promtool finds no fault in the exposition' lint
check 'no sample is folded' returns_data 'sum(scrape_samples_scraped{job="sonde"}) < 40000'

kill -TERM "$sonde_pid"
status=0
wait "$sonde_pid" || status=$?
check 'SIGTERM ends the agent with exit code 0' [ "$status" = 0 ]
finish
