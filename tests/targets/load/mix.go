// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand"
	"time"
)

// How a request is to end.
type ending int

const (
	completes ending = iota
	serverAborts
	clientAborts
)

// A request as the mix wants it sent.
type request struct {
	method, route, path string
	body                int  // bytes; with chunked their number is not told in advance
	chunked             bool // the request's own body
	expect              bool // Expect: 100-continue
	ends                ending
	headers             map[string]string
	conversation        []said // a WebSocket's, which begins with an upgrade
}

type weighted struct {
	weight int
	make   func(*rand.Rand) request
}

func fixed(method, path string) func(*rand.Rand) request {
	return func(*rand.Rand) request { return request{method: method, route: path, path: path} }
}

var bodySizes = []int{0, 1, 100, 1000, 1460, 4096, 16384, 65536, 100000, 262144}

// size is at most 1 MB, one in 200.
func size(random *rand.Rand) int {
	if random.Intn(200) == 0 {
		return 1 << 20
	}
	return bodySizes[random.Intn(len(bodySizes))]
}

func track(random *rand.Rand) string { return fmt.Sprintf("/api/v1/tracks/%d", random.Intn(1200)) }

func upload(method string) func(*rand.Rand) request {
	return func(random *rand.Rand) request {
		r := request{method: method, route: "/api/v1/tracks", path: "/api/v1/tracks", body: size(random)}
		if method != "POST" {
			r.route, r.path = "/api/v1/tracks/{id}", track(random)
		}
		r.chunked = r.body > 0 && random.Intn(4) == 0
		r.expect = r.body > 0 && !r.chunked && random.Intn(10) == 0
		return r
	}
}

func blob(method string) func(*rand.Rand) request {
	return func(random *rand.Rand) request {
		return request{method: method, route: "/api/v1/blob", path: fmt.Sprintf("/api/v1/blob?size=%d", size(random))}
	}
}

func stream(random *rand.Rand) request {
	path := fmt.Sprintf("/api/v1/stream?chunks=%d&size=%d", random.Intn(20), 1+random.Intn(5000))
	return request{method: "GET", route: "/api/v1/stream", path: path}
}

func trailers(random *rand.Rand) request {
	path := fmt.Sprintf("/api/v1/trailers?size=%d", random.Intn(3000))
	return request{method: "GET", route: "/api/v1/trailers", path: path}
}

func search(random *rand.Rand) request {
	path := "/api/v1/search"
	if random.Intn(10) > 0 {
		path += fmt.Sprintf("?q=%x", random.Int63())
	}
	return request{method: "GET", route: "/api/v1/search", path: path}
}

func status(random *rand.Rand) request {
	codes := []int{200, 201, 202, 204, 206, 301, 302, 304, 400, 401, 403, 404, 409, 410, 418, 422, 429, 500, 502, 503, 504}
	path := fmt.Sprintf("/status/%d", codes[random.Intn(len(codes))])
	return request{method: "GET", route: "/status/{code}", path: path}
}

func slow(random *rand.Rand) request {
	return request{method: "GET", route: "/slow", path: fmt.Sprintf("/slow?ms=%d", random.Intn(5))}
}

// delayed is answered after so many milliseconds.
func delayed(ms int) func(*rand.Rand) request {
	return func(*rand.Rand) request {
		return request{method: "GET", route: "/slow", path: fmt.Sprintf("/slow?ms=%d", ms)}
	}
}

func unknown(random *rand.Rand) request {
	return request{method: "GET", route: "/", path: fmt.Sprintf("/nowhere/%d", random.Intn(3))}
}

func getTrack(random *rand.Rand) request {
	return request{method: "GET", route: "/api/v1/tracks/{id}", path: track(random)}
}

func removeTrack(random *rand.Rand) request {
	return request{method: "DELETE", route: "/api/v1/tracks/{id}", path: track(random)}
}

func static(method string) func(*rand.Rand) request {
	return func(random *rand.Rand) request {
		files := []string{"/static/empty.txt", "/static/small.txt", "/static/page.html", "/static/large.bin", "/static/absent"}
		file := files[random.Intn(len(files))]
		return request{method: method, route: file, path: file}
	}
}

func serverAbort(random *rand.Rand) request {
	path := fmt.Sprintf("/abort?after=%d", []int{-1, 0, 10, 5000}[random.Intn(4)])
	return request{method: "GET", route: "/abort", path: path, ends: serverAborts}
}

func clientAbort(*rand.Rand) request {
	return request{method: "GET", route: "/slow", path: "/slow?ms=20000", ends: clientAborts}
}

// A source gives one worker its requests: the same ones for the same seed.
type source struct {
	mix      []weighted
	total    int
	random   *rand.Rand
	interval time.Duration
}

func newSource(mix []weighted, seed int64) *source {
	s := &source{mix: mix, random: rand.New(rand.NewSource(seed))}
	for _, one := range mix {
		s.total += one.weight
	}
	return s
}

func (s *source) next() request {
	if s.interval > 0 {
		time.Sleep(s.interval)
	}
	at := s.random.Intn(s.total)
	for _, one := range s.mix {
		if at -= one.weight; at < 0 {
			return one.make(s.random)
		}
	}
	panic("unreachable")
}
