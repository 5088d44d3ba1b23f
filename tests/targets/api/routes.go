// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// routes are those that need no other server.
func (s *server) routes(mux *http.ServeMux) {
	handle := func(methods []string, route string, handler http.HandlerFunc) {
		for _, method := range methods {
			mux.HandleFunc(method+" "+route, s.truth.counted(route, handler))
		}
	}
	get := []string{"GET"} // HEAD as well, says ServeMux
	handle(get, "/health", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	handle([]string{"POST"}, "/api/v1/tracks", createTrack)
	handle([]string{"PUT", "PATCH"}, "/api/v1/tracks/{id}", changeTrack)
	handle([]string{"DELETE"}, "/api/v1/tracks/{id}", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})
	handle(get, "/api/v1/search", search)
	handle(get, "/api/v1/blob", blob)
	handle(get, "/api/v1/stream", stream)
	handle(get, "/api/v1/trailers", trailers)
	handle(get, "/slow", slow)
	handle([]string{"GET", "POST"}, "/status/{code}", status)
	handle(get, "/abort", abort)
	mux.HandleFunc("/", s.truth.counted("/", http.NotFound))
}

// number is a parameter of the query string, 0 where it is missing.
func number(r *http.Request, name string) int {
	value, _ := strconv.Atoi(r.URL.Query().Get(name))
	return value
}

func filler(size int) []byte { return bytes.Repeat([]byte("sonde 56789abcde"), size/16+1)[:size] }

func createTrack(w http.ResponseWriter, r *http.Request) {
	received, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, "{\"bytes\":%d}\n", received)
}

func changeTrack(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

func search(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query().Get("q")
	if query == "" {
		http.Error(w, "q is missing", http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "{\"query\":%q,\"tracks\":[]}\n", query)
}

func blob(w http.ResponseWriter, r *http.Request) {
	size := number(r, "size")
	w.Header().Set("Content-Length", strconv.Itoa(size))
	_, _ = w.Write(filler(size))
}

// stream answers in as many chunks as asked for, each flushed by itself.
func stream(w http.ResponseWriter, r *http.Request) {
	chunk := filler(number(r, "size"))
	controller := http.NewResponseController(w)
	for i := 0; i < number(r, "chunks"); i++ {
		if _, err := w.Write(chunk); err != nil || controller.Flush() != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

func trailers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Trailer", "X-Checksum")
	_, _ = w.Write(filler(number(r, "size")))
	w.Header().Set("X-Checksum", "0123456789abcdef")
}

func slow(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(time.Duration(number(r, "ms")) * time.Millisecond):
		fmt.Fprintln(w, "slow")
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

func status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.PathValue("code"))
	if err != nil || code < 200 || code > 599 {
		http.Error(w, "no such status", http.StatusBadRequest)
		return
	}
	w.WriteHeader(code)
	if code != http.StatusNoContent && code != http.StatusNotModified {
		fmt.Fprintln(w, http.StatusText(code))
	}
}

// abort promises more than it sends.
func abort(w http.ResponseWriter, r *http.Request) {
	after := number(r, "after")
	if after >= 0 {
		w.Header().Set("Content-Length", strconv.Itoa(after+1))
		_, _ = w.Write(filler(after))
		_ = http.NewResponseController(w).Flush()
	}
	panic(http.ErrAbortHandler)
}
