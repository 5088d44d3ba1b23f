// SPDX-License-Identifier: Apache-2.0

// Goweb serves the same routes in plain text, by TLS and by HTTP/2, and says what it did: what uprobes
// within net/http are compared with. Needs nothing but the standard library, for any Go from 1.18 on.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

type row struct {
	Method        string `json:"method"`
	Route         string `json:"route"`
	Status        string `json:"status,omitempty"`
	Count         uint64 `json:"count"`
	RequestBytes  uint64 `json:"request_bytes"`
	ResponseBytes uint64 `json:"response_bytes"`
}

// ledger counts by method, route and status.
type ledger struct {
	sync.Mutex
	rows    map[[3]string]*row
	aborted map[[2]string]*row
}

func newLedger() *ledger {
	return &ledger{rows: map[[3]string]*row{}, aborted: map[[2]string]*row{}}
}

func (l *ledger) add(method, route string, status int, sent, received uint64) {
	l.Lock()
	defer l.Unlock()
	key := [3]string{method, route, strconv.Itoa(status)}
	if l.rows[key] == nil {
		l.rows[key] = &row{Method: method, Route: route, Status: key[2]}
	}
	l.rows[key].Count++
	l.rows[key].RequestBytes += sent
	l.rows[key].ResponseBytes += received
}

func (l *ledger) abort(method, route string) {
	l.Lock()
	defer l.Unlock()
	key := [2]string{method, route}
	if l.aborted[key] == nil {
		l.aborted[key] = &row{Method: method, Route: route}
	}
	l.aborted[key].Count++
}

func (l *ledger) write(w io.Writer, service string) {
	l.Lock()
	defer l.Unlock()
	out := struct {
		Service  string `json:"service"`
		Requests []row  `json:"requests"`
		Aborted  []row  `json:"aborted"`
	}{Service: service, Requests: []row{}, Aborted: []row{}}
	for _, r := range l.rows {
		out.Requests = append(out.Requests, *r)
	}
	for _, r := range l.aborted {
		out.Aborted = append(out.Aborted, *r)
	}
	sort.Slice(out.Requests, func(i, j int) bool {
		a, b := out.Requests[i], out.Requests[j]
		return a.Method+a.Route+a.Status < b.Method+b.Route+b.Status
	})
	_ = json.NewEncoder(w).Encode(out)
}

// died are requests whose handlers panicked: a client may ask again by itself when its connection breaks.
var died = newLedger()

// handlers are what each router is given: patterns of net/http, and what answers.
func handlers() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /health": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") },
		"GET /users/{id}": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "user %s", last(r.URL.Path))
		},
		"POST /users/{id}": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusCreated)
		},
		"DELETE /users/{id}": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"GET /users/{id}/orders/{order}": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "no such order", http.StatusNotFound)
		},
		"GET /empty": func(http.ResponseWriter, *http.Request) {},
		"GET /big": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write(make([]byte, 100000))
		},
		"GET /stream": func(w http.ResponseWriter, _ *http.Request) {
			for i := 0; i < 5; i++ {
				fmt.Fprintf(w, "part %d\n", i)
				flush(w)
			}
		},
		"GET /deep": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, "%d", deep(20000)) },
		"GET /files/{path...}": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, last(r.URL.Path))
		},
		"GET /static/": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "static") },
		"GET /early": func(w http.ResponseWriter, _ *http.Request) {
			if earlyHints {
				w.Header().Set("Link", "</style.css>; rel=preload")
				w.WriteHeader(http.StatusEarlyHints)
			}
			_, _ = io.WriteString(w, "after hints")
		},
		"GET /hold": func(http.ResponseWriter, *http.Request) { time.Sleep(3 * time.Second) },
		"GET /late": func(w http.ResponseWriter, _ *http.Request) { time.Sleep(30 * time.Millisecond) },
		"GET /slow": func(w http.ResponseWriter, _ *http.Request) { time.Sleep(20 * time.Millisecond) },
		"GET /panic": func(http.ResponseWriter, *http.Request) {
			died.abort("GET", "/panic")
			panic("on purpose")
		},
		"GET /abort": func(http.ResponseWriter, *http.Request) {
			died.abort("GET", "/abort")
			panic(http.ErrAbortHandler)
		},
		"GET /truth": func(w http.ResponseWriter, _ *http.Request) { died.write(w, "goweb") },
		"GET /hijack": func(w http.ResponseWriter, _ *http.Request) {
			conn, both, err := w.(http.Hijacker).Hijack()
			if err != nil {
				http.Error(w, "not here", http.StatusNotImplemented)
				return
			}
			defer conn.Close()
			_, _ = both.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: sonde\r\n\r\n")
			_ = both.Flush()
			line, _ := bufio.NewReader(both).ReadString('\n')
			_, _ = both.WriteString(line)
			_ = both.Flush()
		},
	}
}

// flush does nothing within http.TimeoutHandler; some routers' writers only find out by a panic.
func flush(w http.ResponseWriter) {
	defer func() { _ = recover() }()
	w.(http.Flusher).Flush()
}

func last(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// deep makes the goroutine's stack grow.
func deep(n int) int {
	var room [64]byte
	if n == 0 {
		return int(room[0])
	}
	return deep(n-1) + 1
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func listen() (net.Listener, int) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	return listener, listener.Addr().(*net.TCPAddr).Port
}

func serve(arguments []string) {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	router := flags.String("router", "mux", "mux, middleware (copies each request), or what else was built in; /timeout or /elsewhere: on other goroutines")
	_ = flags.Parse(arguments)
	name, place, _ := strings.Cut(*router, "/")
	made, placed := routers[name], places[place]
	if made == nil || placed == nil {
		log.Fatalf("no router %s", *router)
	}
	handler, style := made()
	handler = placed(handler)
	quiet := log.New(io.Discard, "", 0)
	plain, plainPort := listen()
	covered, tlsPort := listen()
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}, NextProtos: []string{"h2", "http/1.1"}}
	servers := [2]*http.Server{{Handler: handler, ErrorLog: quiet}, {Handler: handler, ErrorLog: quiet, TLSConfig: config}}
	configure(servers[0], servers[1])
	go func() { log.Fatal(servers[1].ServeTLS(covered, "", "")) }()
	go func() { log.Fatal(servers[0].Serve(plain)) }()
	fmt.Printf("patterns=%s\nplain=%d\ntls=%d\n", style, plainPort, tlsPort)
	_ = os.Stdout.Close()
	select {}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "load" {
		load(os.Args[2:])
		return
	}
	if len(os.Args) > 1 {
		serve(os.Args[2:])
		return
	}
	log.Fatal("usage: goweb serve|load FLAG...")
}
