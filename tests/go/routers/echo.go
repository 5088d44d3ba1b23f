// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

func init() {
	routers["echo"] = func() (http.Handler, string) {
		router := echo.New()
		for pattern, handler := range handlers() {
			method, path, _ := strings.Cut(pattern, " ")
			path = spell("echo", path)
			router.Add(method, path, echo.WrapHandler(handler))
			if path == "/users/:id" && method == http.MethodGet {
				router.Add(http.MethodHead, path, echo.WrapHandler(handler))
			}
		}
		return router, "echo"
	}
}
