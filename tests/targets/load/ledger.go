// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"os"
	"sort"
	"sync"
	"time"
)

// The ledger adds up what the workers sent and received. It is safe for all goroutines.
type ledger struct {
	mutex   sync.Mutex
	entries map[entryKey]*entry
	aborted map[entryKey]int64
	frames  map[frameKey]*frameCount
	failed  int
	failure error
}

type entryKey struct {
	method, route string
	status        int
}

type entry struct {
	requestBytes, responseBytes int64
	durations                   []time.Duration
}

// As the server sees it: `received` is what this side sent.
type frameKey struct{ route, direction, opcode string }

type frameCount struct{ count, bytes int64 }

func newLedger() *ledger {
	return &ledger{entries: map[entryKey]*entry{}, aborted: map[entryKey]int64{}, frames: map[frameKey]*frameCount{}}
}

func (l *ledger) done(r request, status int, responseBytes int64, took time.Duration) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	key := entryKey{r.method, r.route, status}
	e := l.entries[key]
	if e == nil {
		e = &entry{}
		l.entries[key] = e
	}
	e.requestBytes += int64(r.body)
	e.responseBytes += responseBytes
	e.durations = append(e.durations, took)
}

// frame is a whole WebSocket message or control frame.
func (l *ledger) frame(key frameKey, bytes int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	counted := l.frames[key]
	if counted == nil {
		counted = &frameCount{}
		l.frames[key] = counted
	}
	counted.count++
	counted.bytes += int64(bytes)
}

// ended is a request without a whole response, where the mix asks for that.
func (l *ledger) ended(r request, err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if r.ends != completes {
		l.aborted[entryKey{method: r.method, route: r.route}]++
		return
	}
	if l.failed == 0 {
		l.failure = err
	}
	l.failed++
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (l *ledger) write(file string) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	requests, aborted, frames := []map[string]any{}, []map[string]any{}, []map[string]any{}
	for key, e := range l.entries {
		sort.Slice(e.durations, func(a, b int) bool { return e.durations[a] < e.durations[b] })
		count := len(e.durations)
		var sum time.Duration
		for _, duration := range e.durations {
			sum += duration
		}
		requests = append(requests, map[string]any{"method": key.method, "route": key.route, "status": key.status,
			"count": count, "request_bytes": e.requestBytes, "response_bytes": e.responseBytes,
			"mean_ms": milliseconds(sum) / float64(count), "p50_ms": milliseconds(e.durations[count/2]),
			"p99_ms": milliseconds(e.durations[count*99/100])})
	}
	for key, count := range l.aborted {
		aborted = append(aborted, map[string]any{"method": key.method, "route": key.route, "count": count})
	}
	for key, counted := range l.frames {
		frames = append(frames, map[string]any{"route": key.route, "direction": key.direction, "opcode": key.opcode,
			"count": counted.count, "bytes": counted.bytes})
	}
	text, err := json.MarshalIndent(map[string]any{"service": os.Getenv("OTEL_SERVICE_NAME"), "requests": requests,
		"aborted": aborted, "websocket": frames}, "", " ")
	if err != nil {
		return err
	}
	if file == "" {
		_, err = os.Stdout.Write(text)
		return err
	}
	if err = os.WriteFile(file+".part", text, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".part", file) // whoever waits for the file sees all of it
}
