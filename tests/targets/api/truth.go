// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"net/http"
	"sort"
	"strings"
	"sync"
)

// The truth is what this server did, counted where it did it. It is safe for all goroutines.
type truth struct {
	mutex    sync.Mutex
	requests map[requestKey]*requestCount
	aborted  map[requestKey]int64
	sql      map[sqlKey]int64
	redis    map[string]int64
	nats     map[messageKey]*messageCount
}

type requestKey struct {
	method, route string
	status        int
}

type requestCount struct{ count, requestBytes, responseBytes int64 }

type sqlKey struct{ verb, table, sqlstate string }

type messageKey struct{ direction, subject string }

type messageCount struct{ count, bytes int64 }

func newTruth() *truth {
	return &truth{
		requests: map[requestKey]*requestCount{},
		aborted:  map[requestKey]int64{},
		sql:      map[sqlKey]int64{},
		redis:    map[string]int64{},
		nats:     map[messageKey]*messageCount{},
	}
}

func (t *truth) request(key requestKey, received, sent int64) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	counted := t.requests[key]
	if counted == nil {
		counted = &requestCount{}
		t.requests[key] = counted
	}
	counted.count++
	counted.requestBytes += received
	counted.responseBytes += sent
}

func (t *truth) abort(method, route string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.aborted[requestKey{method: method, route: route}]++
}

func (t *truth) statement(key sqlKey) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.sql[key]++
}

func (t *truth) command(name string) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.redis[strings.ToUpper(name)]++
}

// message is one of NATS, bytes its headers and payload. Inboxes are one subject.
func (t *truth) message(direction, subject string, bytes int) {
	if strings.HasPrefix(subject, "_INBOX.") {
		subject = "_INBOX.>"
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	key := messageKey{direction, subject}
	counted := t.nats[key]
	if counted == nil {
		counted = &messageCount{}
		t.nats[key] = counted
	}
	counted.count++
	counted.bytes += int64(bytes)
}

// document is the form every ledger and truth of the testbed has; see tests/targets/README.md.
func (t *truth) document(service string) map[string]any {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	requests, aborted, sql := []map[string]any{}, []map[string]any{}, []map[string]any{}
	redis, nats := []map[string]any{}, []map[string]any{}
	for key, counted := range t.requests {
		requests = append(requests, map[string]any{"method": key.method, "route": key.route, "status": key.status,
			"count": counted.count, "request_bytes": counted.requestBytes, "response_bytes": counted.responseBytes})
	}
	for key, count := range t.aborted {
		aborted = append(aborted, map[string]any{"method": key.method, "route": key.route, "count": count})
	}
	for key, count := range t.sql {
		sql = append(sql, map[string]any{"verb": key.verb, "table": key.table, "sqlstate": key.sqlstate, "count": count})
	}
	for name, count := range t.redis {
		redis = append(redis, map[string]any{"operation": name, "count": count})
	}
	for key, counted := range t.nats {
		nats = append(nats, map[string]any{"direction": key.direction, "subject": key.subject, "count": counted.count,
			"bytes": counted.bytes})
	}
	sort.Slice(requests, func(a, b int) bool { return requests[a]["route"].(string) < requests[b]["route"].(string) })
	return map[string]any{"service": service, "requests": requests, "aborted": aborted, "sql": sql, "redis": redis,
		"nats": nats}
}

// countedWriter counts body bytes; Unwrap lets http.ResponseController reach Flush.
type countedWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *countedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *countedWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countedWriter) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	written, err := w.ResponseWriter.Write(data)
	w.bytes += int64(written)
	return written, err
}

type countedBody struct {
	io.ReadCloser
	bytes int64
}

func (b *countedBody) Read(data []byte) (int, error) {
	read, err := b.ReadCloser.Read(data)
	b.bytes += int64(read)
	return read, err
}

// counted wraps a handler. It reads what the handler left of the body, so that all of it was received.
func (t *truth) counted(route string, handler http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body := &countedBody{ReadCloser: r.Body}
		r.Body = body
		writer := &countedWriter{ResponseWriter: w}
		finished := false
		defer func() {
			if !finished {
				t.abort(r.Method, route)
			}
		}()
		handler(writer, r)
		_, _ = io.Copy(io.Discard, body)
		finished = true
		status, sent := writer.status, writer.bytes
		if status == 0 {
			status = http.StatusOK
		}
		if r.Method == http.MethodHead {
			sent = 0
		}
		t.request(requestKey{r.Method, route, status}, body.bytes, sent)
	}
}
