// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// mix is what is asked for: method, path by number, the route it belongs to.
var mix = []struct {
	method string
	path   func(n int) string
	route  string
	body   int
}{
	{"GET", fixed("/health"), "/health", 0},
	{"GET", numbered("/users/%d"), "/users/{id}", 0},
	{"GET", numbered("/users/name-%d"), "/users/{id}", 0},
	{"HEAD", numbered("/users/%d"), "/users/{id}", 0},
	{"POST", numbered("/users/%d"), "/users/{id}", 137},
	{"DELETE", numbered("/users/%d"), "/users/{id}", 0},
	{"GET", numbered("/users/7/orders/%d"), "/users/{id}/orders/{order}", 0},
	{"GET", fixed("/empty"), "/empty", 0},
	{"GET", fixed("/big"), "/big", 0},
	{"GET", fixed("/stream"), "/stream", 0},
	{"GET", fixed("/deep"), "/deep", 0},
	{"GET", numbered("/files/a/b/%d.txt"), "/files/{path...}", 0},
	{"GET", numbered("/static/%d.css"), "/static/", 0},
	{"GET", fixed("/early"), "/early", 0},
	{"GET", fixed("/late"), "/late", 0},
	{"GET", fixed("/missing/page"), "/missing/page", 0},
	{"GET", fixed("/panic"), "/panic", 0},
	{"GET", fixed("/abort"), "/abort", 0},
}

func fixed(path string) func(int) string { return func(int) string { return path } }
func numbered(format string) func(int) string {
	return func(n int) string { return fmt.Sprintf(format, n) }
}

func load(arguments []string) {
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	url := flags.String("url", "", "http://127.0.0.1:PORT or https://…")
	requests := flags.Int("requests", 1000, "in all")
	concurrency := flags.Int("concurrency", 32, "connections")
	http2 := flags.Bool("http2", false, "by HTTP/2 where the server has it")
	keepAlive := flags.Bool("keep-alive", true, "more than one request a connection")
	panics := flags.Bool("panics", false, "some of the handlers panic")
	only := flags.String("only", "", "this path alone")
	resume := flags.String("resume", "", "connects, makes FILE.warm and begins when FILE exists")
	patterns := flags.String("patterns", "mux", "how the server's router spells them; none: it has none")
	out := flags.String("ledger", "", "a file, default stdout")
	_ = flags.Parse(arguments)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: *http2,
		MaxIdleConnsPerHost: *concurrency, DisableKeepAlives: !*keepAlive, DisableCompression: true}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	if *http2 && strings.HasPrefix(*url, "http:") && clearText != nil {
		client.Transport = clearText
	}
	counted := newLedger()
	if *resume != "" {
		warm(client, *url, *concurrency)
		wait(*resume)
	}
	numbers := make(chan int)
	var workers sync.WaitGroup
	for i := 0; i < *concurrency; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for n := range numbers {
				one(client, counted, *url, n, *panics, *only, *patterns)
			}
		}()
	}
	for n := 0; n < *requests; n++ {
		numbers <- n
	}
	close(numbers)
	workers.Wait()
	file := os.Stdout
	if *out != "" {
		var err error
		if file, err = os.Create(*out); err != nil {
			log.Fatal(err)
		}
	}
	counted.write(file, "goweb")
}

// warm leaves as many idle connections.
func warm(client *http.Client, url string, connections int) {
	var workers sync.WaitGroup
	for i := 0; i < connections; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			response, err := client.Get(url + "/slow")
			if err != nil {
				log.Fatal(err)
			}
			response.Body.Close()
		}()
	}
	workers.Wait()
}

func wait(file string) {
	if err := os.WriteFile(file+".warm", nil, 0o600); err != nil {
		log.Fatal(err)
	}
	for {
		if _, err := os.Stat(file); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func one(client *http.Client, counted *ledger, url string, n int, panics bool, only, patterns string) {
	what := mix[n%len(mix)]
	if only != "" {
		what = mix[0]
		what.path, what.route = fixed(only), only
	}
	dies := what.route == "/panic" || what.route == "/abort"
	if dies && !panics {
		what = mix[0]
		dies = false
	}
	request, err := http.NewRequest(what.method, url+what.path(n), bytes.NewReader(make([]byte, what.body)))
	if err != nil {
		log.Fatal(err)
	}
	response, err := client.Do(request)
	if dies {
		if err == nil {
			log.Fatalf("%s answered %s", what.route, response.Status)
		}
		return
	}
	if err != nil {
		log.Fatalf("%s %s: %v", what.method, what.path(n), err)
	}
	received, err := io.Copy(io.Discard, response.Body)
	response.Body.Close()
	if err != nil {
		log.Fatal(strings.TrimSpace(err.Error()))
	}
	counted.add(what.method, spell(patterns, what.route), response.StatusCode, uint64(what.body), uint64(received))
}
