// SPDX-License-Identifier: Apache-2.0

//go:build !go1.22

package main

import (
	"net/http"
	"strings"
)

// Before Go 1.22 net/http's patterns are prefixes. Before 1.19 103 is a final status.
const (
	muxStyle   = "none"
	earlyHints = false
)

type table map[string]http.HandlerFunc

func (t table) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for pattern, handler := range t {
		method, path, _ := strings.Cut(pattern, " ")
		if (method == r.Method || method == "GET" && r.Method == "HEAD") && fits(path, r.URL.Path) {
			handler(w, r)
			return
		}
	}
	http.NotFound(w, r)
}

func fits(pattern, path string) bool {
	wanted, given := strings.Split(pattern, "/"), strings.Split(path, "/")
	for i, segment := range wanted {
		if i+1 == len(wanted) && (segment == "" || strings.HasSuffix(segment, "...}")) {
			return len(given) >= len(wanted)
		}
		if i >= len(given) || segment != given[i] && !strings.HasPrefix(segment, "{") {
			return false
		}
	}
	return len(given) == len(wanted)
}

func newMux() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", table(handlers()))
	return mux
}
