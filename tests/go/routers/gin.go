// SPDX-License-Identifier: Apache-2.0

package main

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

func init() {
	routers["gin"] = func() (http.Handler, string) {
		gin.SetMode(gin.ReleaseMode)
		router := gin.New()
		for pattern, handler := range handlers() {
			method, path, _ := strings.Cut(pattern, " ")
			path = spell("gin", path)
			router.Handle(method, path, gin.WrapF(handler))
			if path == "/users/:id" && method == http.MethodGet {
				router.Handle(http.MethodHead, path, gin.WrapF(handler))
			}
		}
		return router, "gin"
	}
}
