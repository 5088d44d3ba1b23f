// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"time"
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

// places are where a router's handlers run, if not where the server calls them: "mux/timeout".
var places = map[string]func(http.Handler) http.Handler{
	"":          func(inner http.Handler) http.Handler { return inner },
	"timeout":   timeLimited,
	"elsewhere": elsewhere,
}

// timeLimited handles on other goroutines, and not to the end what takes too long.
func timeLimited(inner http.Handler) http.Handler {
	patient, strict := http.TimeoutHandler(inner, time.Minute, ""), http.TimeoutHandler(inner, 10*time.Millisecond, "too late")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			strict.ServeHTTP(w, r)
		} else {
			patient.ServeHTTP(w, r)
		}
	})
}

// elsewhere handles on other goroutines, which write the response themselves, what lies behind a prefix that is cut off.
func elsewhere(inner http.Handler) http.Handler {
	inner = http.StripPrefix("/", slash(inner))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		panicked := make(chan any)
		go func() {
			defer func() { panicked <- recover() }()
			inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), seen{}, true)))
		}()
		if why := <-panicked; why != nil {
			panic(why)
		}
	})
}

// slash puts back what StripPrefix has cut off.
func slash(inner http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/" + r.URL.Path
		inner.ServeHTTP(w, r)
	})
}

// What a file of tests/go/routers may replace: what happens to the servers in plain text and by TLS, HTTP/2 without TLS.
var (
	configure = func(*http.Server, *http.Server) {}
	clearText http.RoundTripper
)
