// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// headersSize is what headers take on the wire: the version line, `name: value` lines, an empty one.
func headersSize(headers nats.Header) int {
	if len(headers) == 0 {
		return 0
	}
	size := len("NATS/1.0\r\n") + len("\r\n")
	for name, values := range headers {
		for _, value := range values {
			size += len(name) + len(": ") + len(value) + len("\r\n")
		}
	}
	return size
}

// connectNATS hears its own events and those of others; chat hears them too.
func connectNATS(address string, counts *truth) (*nats.Conn, error) {
	connection, err := nats.Connect(address, nats.Name("api"), nats.MaxReconnects(-1))
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	_, err = connection.Subscribe("events.>", func(message *nats.Msg) {
		counts.message("received", message.Subject, headersSize(message.Header)+len(message.Data))
	})
	if err != nil {
		return nil, fmt.Errorf("nats: %w", err)
	}
	return connection, connection.Flush()
}

func (s *server) natsRoutes(mux *http.ServeMux) {
	for route, handler := range map[string]func(*http.Request) error{
		"/nats/publish": s.publish, "/nats/headers": s.publishHeaders, "/nats/request": s.request,
	} {
		mux.HandleFunc("GET "+route, s.truth.counted(route, func(w http.ResponseWriter, r *http.Request) {
			if err := handler(r); err != nil {
				http.Error(w, err.Error(), http.StatusBadGateway)
				return
			}
			fmt.Fprintln(w, "done")
		}))
	}
}

func (s *server) publish(r *http.Request) error {
	payload := filler(number(r, "size"))
	s.truth.message("published", "events.play", len(payload))
	return s.nats.Publish("events.play", payload)
}

func (s *server) publishHeaders(r *http.Request) error {
	payload := filler(number(r, "size"))
	headers := nats.Header{"Track": {strconv.Itoa(number(r, "track"))}, "Seen-By": {"api", "nobody"}}
	s.truth.message("published", "events.tagged", headersSize(headers)+len(payload))
	return s.nats.PublishMsg(&nats.Msg{Subject: "events.tagged", Header: headers, Data: payload})
}

// request asks chat; where nobody answers the server says so, in a message of headers alone.
func (s *server) request(r *http.Request) error {
	payload := filler(number(r, "size"))
	s.truth.message("published", "chat.presence", len(payload))
	reply, err := s.nats.Request("chat.presence", payload, 5*time.Second)
	switch {
	case errors.Is(err, nats.ErrNoResponders):
		s.truth.message("received", "_INBOX.>", len("NATS/1.0 503\r\n\r\n"))
		return err
	case err != nil:
		return err
	}
	s.truth.message("received", reply.Subject, headersSize(reply.Header)+len(reply.Data))
	return nil
}
