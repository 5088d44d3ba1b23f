// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"log"
	"net"
	"net/http"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/h2c"
)

// HTTP/2 by golang.org/x/net instead of net/http's own, and without TLS.
func init() {
	routers["xnet"] = routers["mux"]
	configure = func(plain, covered *http.Server) {
		plain.Handler = h2c.NewHandler(plain.Handler, &http2.Server{})
		if err := http2.ConfigureServer(covered, &http2.Server{}); err != nil {
			log.Fatal(err)
		}
	}
	clearText = &http2.Transport{AllowHTTP: true,
		DialTLS: func(network, address string, _ *tls.Config) (net.Conn, error) { return net.Dial(network, address) }}
}
