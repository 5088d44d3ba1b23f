// SPDX-License-Identifier: Apache-2.0

//go:build go1.22

package main

import "net/http"

const (
	muxStyle   = "mux"
	earlyHints = true
)

func newMux() http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range handlers() {
		mux.HandleFunc(pattern, handler)
	}
	return mux
}
