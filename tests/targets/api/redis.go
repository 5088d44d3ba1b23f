// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// commandCounter counts the commands written to a connection: whatever the client library sends, by itself or for a
// caller. Commands are arrays of bulk strings; a write may end anywhere.
type commandCounter struct {
	net.Conn
	truth   *truth
	pending []byte
}

func (c *commandCounter) Write(data []byte) (int, error) {
	c.pending = append(c.pending, data...)
	for {
		name, length := firstCommand(c.pending)
		if length == 0 {
			break
		}
		c.truth.command(name)
		c.pending = c.pending[length:]
	}
	return c.Conn.Write(data)
}

// header reads `<type><number>\r\n`; length is 0 while it is incomplete.
func header(data []byte, kind byte) (value, length int) {
	end := bytes.Index(data, []byte("\r\n"))
	if end < 0 {
		return 0, 0
	}
	value, err := strconv.Atoi(string(data[1:end]))
	if data[0] != kind || err != nil {
		log.Fatalf("not a command: %q", data)
	}
	return value, end + 2
}

func firstCommand(data []byte) (name string, length int) {
	words, length := header(data, '*')
	if length == 0 {
		return "", 0
	}
	for word := 0; word < words; word++ {
		size, header := header(data[length:], '$')
		if header == 0 || len(data) < length+header+size+2 {
			return "", 0
		}
		if word == 0 {
			name = string(data[length+header : length+header+size])
		}
		length += header + size + 2
	}
	return name, length
}

func connectRedis(address string, counts *truth) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr:     address,
		PoolSize: 8,
		// A retry would be a command more, which the counter sees; none is wanted all the same.
		MaxRetries: -1,
		Dialer: func(ctx context.Context, network, address string) (net.Conn, error) {
			connection, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &commandCounter{Conn: connection, truth: counts}, nil
		},
	})
}

func (s *server) redisRoutes(mux *http.ServeMux) {
	for route, handler := range map[string]func(context.Context) error{
		"/cache/get": s.cacheGet, "/cache/pipeline": s.cachePipeline, "/cache/multi": s.cacheMulti,
		"/cache/eval": s.cacheEval, "/cache/error": s.cacheError,
	} {
		mux.HandleFunc("GET "+route, s.truth.counted(route, func(w http.ResponseWriter, r *http.Request) {
			if err := handler(context.WithoutCancel(r.Context())); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprintln(w, "done")
		}))
	}
}

func (s *server) cacheGet(ctx context.Context) error {
	if err := s.redis.Set(ctx, "title", "a title\r\n*1\r\n$4\r\nPING\r\n", 0).Err(); err != nil {
		return err
	}
	if err := s.redis.Get(ctx, "title").Err(); err != nil {
		return err
	}
	if err := s.redis.Get(ctx, "absent").Err(); err != redis.Nil {
		return fmt.Errorf("GET absent: %w", err)
	}
	return s.redis.Incr(ctx, "plays").Err()
}

func (s *server) cachePipeline(ctx context.Context) error {
	_, err := s.redis.Pipelined(ctx, func(pipeline redis.Pipeliner) error {
		for track := 0; track < 20; track++ {
			pipeline.HSet(ctx, "track:"+strconv.Itoa(track), "title", strings.Repeat("t", track*100))
			pipeline.Incr(ctx, "plays")
		}
		pipeline.HGetAll(ctx, "track:19")
		return nil
	})
	return err
}

func (s *server) cacheMulti(ctx context.Context) error {
	_, err := s.redis.TxPipelined(ctx, func(pipeline redis.Pipeliner) error {
		pipeline.Incr(ctx, "plays")
		pipeline.Expire(ctx, "title", 3600e9)
		pipeline.Get(ctx, "title")
		return nil
	})
	if err == redis.Nil { // `title` is not there before the first /cache/get
		return nil
	}
	return err
}

func (s *server) cacheEval(ctx context.Context) error {
	return s.redis.Eval(ctx, "return redis.call('strlen', KEYS[1])", []string{"title"}).Err()
}

// cacheError has a list's command sent to a string.
func (s *server) cacheError(ctx context.Context) error {
	if err := s.redis.Set(ctx, "text", "text", 0).Err(); err != nil {
		return err
	}
	if err := s.redis.LPush(ctx, "text", "x").Err(); err == nil || !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		return fmt.Errorf("LPUSH on a string: %w", err)
	}
	return nil
}
