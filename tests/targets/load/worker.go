// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// A worker has one connection at a time and sends what its source gives.
type worker interface {
	run(requests int, book *ledger)
	close()
}

var filler = bytes.Repeat([]byte("sonde 56789abcde"), 1<<16)

// clientWorker sends by Go's HTTP client.
type clientWorker struct {
	url    *url.URL
	client *http.Client
	source *source
}

func newClientWorker(target *url.URL, noKeepAlive bool, requests *source) *clientWorker {
	transport := &http.Transport{
		DisableKeepAlives: noKeepAlive, DisableCompression: true, MaxConnsPerHost: 1,
		ExpectContinueTimeout: time.Minute,
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return &clientWorker{target, client, requests}
}

// wire makes what Go's HTTP package sends for a request.
func wire(target *url.URL, r request) (*http.Request, error) {
	var body io.Reader
	switch {
	case r.chunked: // a reader of unknown length
		body = io.MultiReader(bytes.NewReader(filler[:r.body/2]), bytes.NewReader(filler[r.body/2:r.body]))
	case r.body > 0:
		body = bytes.NewReader(filler[:r.body])
	}
	out, err := http.NewRequest(r.method, target.String()+r.path, body)
	if err != nil {
		return nil, err
	}
	if r.expect {
		out.Header.Set("Expect", "100-continue")
	}
	for name, value := range r.headers {
		out.Header.Set(name, value)
	}
	return out, nil
}

func (w *clientWorker) send(r request) (status int, received int64, err error) {
	out, err := wire(w.url, r)
	if err != nil {
		return 0, 0, err
	}
	response, err := w.client.Do(out)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	received, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, received, err
}

func (w *clientWorker) run(requests int, book *ledger) {
	for i := 0; i < requests; i++ {
		r := w.source.next()
		begun := time.Now()
		if r.conversation != nil {
			converseBy(w.url, r, book)
		} else if status, received, err := w.send(r); err != nil {
			book.ended(r, err)
		} else {
			book.done(r, status, received, time.Since(begun))
		}
	}
}

func (w *clientWorker) close() { w.client.CloseIdleConnections() }

// rawWorker writes several requests in one call and then reads their responses.
type rawWorker struct {
	url        *url.URL
	depth      int
	source     *source
	connection net.Conn
	reader     *bufio.Reader
}

func (w *rawWorker) close() {
	if w.connection != nil {
		w.connection.Close()
		w.connection = nil
	}
}

func (w *rawWorker) run(requests int, book *ledger) {
	for requests > 0 {
		batch := make([]request, 0, w.depth)
		for len(batch) < w.depth && len(batch) < requests {
			r := w.source.next()
			r.expect = false
			batch = append(batch, r)
		}
		requests -= len(batch)
		done, err := w.send(batch, book)
		if err != nil {
			w.close()
			for _, r := range batch[done:] {
				book.ended(r, err)
			}
		}
	}
}

// send returns how many responses came.
func (w *rawWorker) send(batch []request, book *ledger) (int, error) {
	if w.connection == nil {
		connection, err := net.Dial("tcp", w.url.Host)
		if err != nil {
			return 0, err
		}
		w.connection, w.reader = connection, bufio.NewReader(connection)
	}
	var text bytes.Buffer
	sent := make([]*http.Request, len(batch))
	for i, r := range batch {
		out, err := wire(w.url, r)
		if err == nil {
			err = out.Write(&text)
		}
		if err != nil {
			return 0, err
		}
		sent[i] = out
	}
	begun := time.Now()
	// In a goroutine: the server may stop reading before it has all, until somebody reads its responses.
	written := make(chan error, 1)
	go func(connection net.Conn) {
		_, err := connection.Write(text.Bytes())
		written <- err
	}(w.connection)
	for i, r := range batch {
		if r.ends == clientAborts {
			time.Sleep(20 * time.Millisecond)
			return i, errors.New("closed by this side")
		}
		response, err := http.ReadResponse(w.reader, sent[i])
		if err != nil {
			return i, err
		}
		received, err := io.Copy(io.Discard, response.Body)
		if err != nil {
			return i, err
		}
		book.done(r, response.StatusCode, received, time.Since(begun))
		if response.Close {
			return i + 1, fmt.Errorf("closed by %d %s", response.StatusCode, r.path)
		}
	}
	return len(batch), <-written
}
