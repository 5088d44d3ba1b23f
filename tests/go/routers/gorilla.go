// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strings"

	"github.com/gorilla/mux"
)

// A prefix is a template of its own.
func init() {
	routers["gorilla"] = func() (http.Handler, string) {
		router := mux.NewRouter()
		for pattern, handler := range handlers() {
			method, path, _ := strings.Cut(pattern, " ")
			methods := []string{method}
			if method == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
			if strings.HasSuffix(path, "/") {
				router.PathPrefix(path).HandlerFunc(handler).Methods(methods...)
				continue
			}
			router.HandleFunc(spell("gorilla", path), handler).Methods(methods...)
		}
		return router, "gorilla"
	}
}
