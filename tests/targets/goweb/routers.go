// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"regexp"
	"strings"
)

var (
	rest  = regexp.MustCompile(`\{(\w+)\.\.\.\}`)
	value = regexp.MustCompile(`\{(\w+)\}`)
)

// spell writes net/http's pattern as a router has it; "none": as what has no router that is known.
func spell(router, pattern string) string {
	if strings.HasSuffix(pattern, "/") && router != "mux" && router != "gorilla" {
		pattern += "{rest...}"
	}
	switch router {
	case "none":
		return "/"
	case "chi":
		return rest.ReplaceAllString(pattern, "*")
	case "gorilla":
		return rest.ReplaceAllString(pattern, "{$1:.*}")
	case "gin":
		return value.ReplaceAllString(rest.ReplaceAllString(pattern, "*$1"), ":$1")
	case "echo":
		return value.ReplaceAllString(rest.ReplaceAllString(pattern, "*"), ":$1")
	}
	return pattern
}

type seen struct{}

// routers make what serves, and say how it spells its patterns. Others are added by files of tests/go/routers.
var routers = map[string]func() (http.Handler, string){
	"mux": func() (http.Handler, string) { return newMux(), muxStyle },
	"middleware": func() (http.Handler, string) {
		mux := newMux()
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), seen{}, true)))
		}), muxStyle
	},
}

// What a file of tests/go/routers may replace: what happens to the servers in plain text and by TLS, HTTP/2 without TLS.
var (
	configure = func(*http.Server, *http.Server) {}
	clearText http.RoundTripper
)
