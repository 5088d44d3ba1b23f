// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func init() {
	routers["chi"] = func() (http.Handler, string) {
		router := chi.NewRouter()
		router.Use(middleware.GetHead)
		for pattern, handler := range handlers() {
			method, path, _ := strings.Cut(pattern, " ")
			router.MethodFunc(method, spell("chi", path), handler)
		}
		return router, "chi"
	}
}
