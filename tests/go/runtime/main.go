// SPDX-License-Identifier: Apache-2.0

// Says of its own runtime what client_golang's collector would, by runtime/metrics, and does things that change it.
// Commands are lines on standard input; each is answered by lines on standard output, the last of which is "end".
package main

import (
	"bufio"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"time"
)

// Values that are one of runtime/metrics', or the sum of several.
var sums = []struct{ name, parts string }{
	{"go_memstats_alloc_bytes", "/memory/classes/heap/objects:bytes"},
	{"go_memstats_heap_alloc_bytes", "/memory/classes/heap/objects:bytes"},
	{"go_memstats_alloc_bytes_total", "/gc/heap/allocs:bytes"},
	{"go_memstats_sys_bytes", "/memory/classes/total:bytes"},
	{"go_memstats_mallocs_total", "/gc/heap/allocs:objects /gc/heap/tiny/allocs:objects"},
	{"go_memstats_frees_total", "/gc/heap/frees:objects /gc/heap/tiny/allocs:objects"},
	{"go_memstats_heap_inuse_bytes", "/memory/classes/heap/objects:bytes /memory/classes/heap/unused:bytes"},
	{"go_memstats_heap_idle_bytes", "/memory/classes/heap/released:bytes /memory/classes/heap/free:bytes"},
	{"go_memstats_heap_sys_bytes", "/memory/classes/heap/objects:bytes /memory/classes/heap/unused:bytes " +
		"/memory/classes/heap/released:bytes /memory/classes/heap/free:bytes"},
	{"go_memstats_heap_released_bytes", "/memory/classes/heap/released:bytes"},
	{"go_memstats_heap_objects", "/gc/heap/objects:objects"},
	{"go_memstats_stack_inuse_bytes", "/memory/classes/heap/stacks:bytes"},
	{"go_memstats_stack_sys_bytes", "/memory/classes/heap/stacks:bytes /memory/classes/os-stacks:bytes"},
	{"go_memstats_mspan_inuse_bytes", "/memory/classes/metadata/mspan/inuse:bytes"},
	{"go_memstats_mspan_sys_bytes", "/memory/classes/metadata/mspan/inuse:bytes /memory/classes/metadata/mspan/free:bytes"},
	{"go_memstats_mcache_inuse_bytes", "/memory/classes/metadata/mcache/inuse:bytes"},
	{"go_memstats_mcache_sys_bytes", "/memory/classes/metadata/mcache/inuse:bytes /memory/classes/metadata/mcache/free:bytes"},
	{"go_memstats_buck_hash_sys_bytes", "/memory/classes/profiling/buckets:bytes"},
	{"go_memstats_gc_sys_bytes", "/memory/classes/metadata/other:bytes"},
	{"go_memstats_other_sys_bytes", "/memory/classes/other:bytes"},
	{"go_memstats_next_gc_bytes", "/gc/heap/goal:bytes"},
	{"go_gc_gogc_percent", "/gc/gogc:percent"},
	{"go_gc_gomemlimit_bytes", "/gc/gomemlimit:bytes"},
	{"go_sched_gomaxprocs_threads", "/sched/gomaxprocs:threads"},
}

var histograms = []struct{ name, metric string }{
	{"go_gc_pauses_seconds", "/gc/pauses:seconds"},
	{"go_sched_latencies_seconds", "/sched/latencies:seconds"},
	{"go_sched_pauses_total_gc_seconds", "/sched/pauses/total/gc:seconds"},
	{"go_sched_pauses_stopping_gc_seconds", "/sched/pauses/stopping/gc:seconds"},
	{"go_sched_pauses_total_other_seconds", "/sched/pauses/total/other:seconds"},
	{"go_sched_pauses_stopping_other_seconds", "/sched/pauses/stopping/other:seconds"},
}

var (
	known   = map[string]*metrics.Sample{}
	samples []metrics.Sample
	threads = make([]runtime.StackRecord, 1024)
	stats   = debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	kept    [][]byte
	release = make(chan struct{})
	stop    chan struct{}
)

func prepare() {
	for _, d := range metrics.All() {
		samples = append(samples, metrics.Sample{Name: d.Name})
	}
	for i := range samples {
		known[samples[i].Name] = &samples[i]
	}
	metrics.Read(samples)
}

func printSums(out *bufio.Writer) {
	for _, sum := range sums {
		var value uint64
		all := true
		for _, part := range strings.Fields(sum.parts) {
			sample := known[part]
			if all = all && sample != nil && sample.Value.Kind() == metrics.KindUint64; all {
				value += sample.Value.Uint64()
			}
		}
		if all {
			fmt.Fprintln(out, sum.name, value)
		}
	}
}

// Cumulative counts at every bound of the runtime's own.
func printHistograms(out *bufio.Writer) {
	for _, h := range histograms {
		sample := known[h.metric]
		if sample == nil || sample.Value.Kind() != metrics.KindFloat64Histogram {
			continue
		}
		value := sample.Value.Float64Histogram()
		var count uint64
		for i, n := range value.Counts {
			count += n
			if bound := value.Buckets[i+1]; math.IsInf(bound, 1) {
				fmt.Fprintln(out, h.name+"_count", count)
			} else {
				fmt.Fprintf(out, "%s_bucket{le=\"%v\"} %d\n", h.name, math.Nextafter(bound, value.Buckets[i]), count)
			}
		}
	}
}

func dump(out *bufio.Writer) {
	metrics.Read(samples)
	fmt.Fprintln(out, "go_goroutines", runtime.NumGoroutine())
	n, _ := runtime.ThreadCreateProfile(threads)
	fmt.Fprintln(out, "go_threads", n)
	debug.ReadGCStats(&stats)
	fmt.Fprintln(out, "go_gc_duration_seconds_count", stats.NumGC)
	fmt.Fprintln(out, "go_gc_duration_seconds_sum", stats.PauseTotal.Seconds())
	for i, quantile := range []string{"0", "0.25", "0.5", "0.75", "1"} {
		fmt.Fprintf(out, "go_gc_duration_seconds{quantile=%q} %v\n", quantile, stats.PauseQuantiles[i].Seconds())
	}
	if stats.NumGC > 0 {
		fmt.Fprintln(out, "go_memstats_last_gc_time_seconds", float64(stats.LastGC.UnixNano())/1e9)
	}
	printSums(out)
	printHistograms(out)
}

// Objects of all sizes, most of them garbage at once, and collections.
func work() {
	for i := 0; i < 20000; i++ {
		piece := make([]byte, 1+i*37%70000)
		if i%1000 == 0 {
			kept = append(kept, piece)
		}
	}
	if len(kept) > 200 {
		kept = nil
	}
	runtime.GC()
}

func park(n int) {
	started := make(chan struct{})
	for i := 0; i < n; i++ {
		go func() {
			started <- struct{}{}
			<-release
		}()
	}
	for i := 0; i < n; i++ {
		<-started
	}
}

// Readers of the runtime's statistics, which move them about, beside one that allocates.
func churn() {
	stop = make(chan struct{})
	for i := 0; i < 2; i++ {
		go func(read bool) {
			own := append([]metrics.Sample(nil), samples...)
			for {
				select {
				case <-stop:
					return
				default:
				}
				if read {
					metrics.Read(own)
				} else {
					kept = append(kept[:0], make([]byte, 3000))
				}
			}
		}(i == 0)
	}
}

func main() {
	prepare()
	in, out := bufio.NewScanner(os.Stdin), bufio.NewWriterSize(os.Stdout, 1<<20)
	for in.Scan() {
		var n int
		switch words := strings.Fields(in.Text()); words[0] {
		case "dump":
			dump(out)
		case "work":
			work()
		case "park":
			fmt.Sscan(words[1], &n)
			park(n)
		case "release":
			close(release)
			release = make(chan struct{})
		case "churn":
			churn()
		case "stop":
			close(stop)
		case "procs":
			fmt.Sscan(words[1], &n)
			runtime.GOMAXPROCS(n)
		case "limit":
			fmt.Sscan(words[1], &n)
			setMemoryLimit(int64(n))
		}
		fmt.Fprintln(out, "end")
		out.Flush()
	}
}
