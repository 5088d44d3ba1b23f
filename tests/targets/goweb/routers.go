// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log"
	"net/http"
)

type seen struct{}

func routed(router string) http.Handler {
	mux := http.NewServeMux()
	for pattern, handler := range handlers() {
		mux.HandleFunc(pattern, handler)
	}
	switch router {
	case "mux":
		return mux
	case "middleware":
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), seen{}, true)))
		})
	}
	log.Fatalf("no router %s", router)
	return nil
}
