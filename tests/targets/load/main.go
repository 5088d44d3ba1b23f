// SPDX-License-Identifier: Apache-2.0

// Command load sends requests and writes a ledger of them: what was sent and what came back, for each method, route and
// status. `load http --help` lists its flags.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/url"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

type options struct {
	url         *url.URL
	requests    int
	concurrency int
	noKeepAlive bool
	pipeline    int
	mix         []weighted
	seed        int64
	ledger      string
	pauseAfter  int
	pauseFile   string
	rate        float64
}

func parse(arguments []string) (options, error) {
	var o options
	var target, mix string
	flags := flag.NewFlagSet("load http", flag.ExitOnError)
	flags.StringVar(&target, "url", "", "scheme, host and port to send to")
	flags.IntVar(&o.requests, "requests", 1000, "how many in all; 0: until it is ended, without a ledger")
	flags.IntVar(&o.concurrency, "concurrency", 8, "connections at once, one request (or pipeline) at a time on each")
	flags.BoolVar(&o.noKeepAlive, "no-keep-alive", false, "a new connection for each request")
	flags.IntVar(&o.pipeline, "pipeline", 0, "requests written at once, by raw sockets; 0: Go's HTTP client")
	flags.StringVar(&mix, "mix", "small", "routes: "+strings.Join(mixNames(), ", "))
	flags.Int64Var(&o.seed, "seed", 1, "which sequence of requests the mix gives")
	flags.StringVar(&o.ledger, "ledger", "", "file for the ledger; empty: standard output")
	flags.IntVar(&o.pauseAfter, "pause-after", 0, "requests after which to write LEDGER.paused, wait until --resume exists "+
		"and begin a new ledger, on the same connections")
	flags.StringVar(&o.pauseFile, "resume", "", "file to wait for")
	flags.Float64Var(&o.rate, "rate", 0, "requests a second in all; 0: as many as possible")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	var err error
	if o.url, err = url.Parse(target); err != nil || o.url.Host == "" {
		return o, fmt.Errorf("--url=%s: %v", target, err)
	}
	if o.mix = mixes[mix]; o.mix == nil {
		return o, fmt.Errorf("--mix=%s: one of %s", mix, strings.Join(mixNames(), ", "))
	}
	return o, nil
}

func mixNames() []string {
	names := []string{}
	for name := range mixes {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// phase runs every worker for its share of requests and waits for all.
func phase(workers []worker, requests int, book *ledger) {
	var running sync.WaitGroup
	for i, w := range workers {
		share := requests / len(workers)
		if i < requests%len(workers) {
			share++
		}
		running.Add(1)
		go func() {
			defer running.Done()
			w.run(share, book)
		}()
	}
	running.Wait()
}

func run(o options) error {
	workers := make([]worker, o.concurrency)
	for i := range workers {
		source := newSource(o.mix, o.seed*1000+int64(i))
		source.interval = time.Duration(0)
		if o.rate > 0 {
			source.interval = time.Duration(float64(o.concurrency) / o.rate * float64(time.Second))
		}
		if o.pipeline > 0 {
			workers[i] = &rawWorker{url: o.url, depth: o.pipeline, source: source}
		} else {
			workers[i] = newClientWorker(o.url, o.noKeepAlive, source)
		}
	}
	for o.requests == 0 {
		book := newLedger()
		if phase(workers, 100, book); book.failed > 0 {
			log.Printf("%d requests failed, first: %v", book.failed, book.failure)
		}
	}
	book := newLedger()
	if o.pauseAfter > 0 {
		phase(workers, o.pauseAfter, book)
		if err := book.write(o.ledger + ".paused"); err != nil {
			return err
		}
		for {
			if _, err := os.Stat(o.pauseFile); err == nil {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		book = newLedger()
	}
	phase(workers, o.requests-o.pauseAfter, book)
	for _, w := range workers {
		w.close()
	}
	if book.failed > 0 {
		return fmt.Errorf("%d requests failed, first: %v", book.failed, book.failure)
	}
	return book.write(o.ledger)
}

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 || os.Args[1] != "http" {
		log.Fatal("usage: load http --url=http://HOST:PORT [flag...]")
	}
	o, err := parse(os.Args[2:])
	if err == nil {
		err = run(o)
	}
	if err != nil {
		log.Fatalf("load: %v", err)
	}
}
