// SPDX-License-Identifier: Apache-2.0

// Command api is a Go HTTP server with routes of every kind, some of which query PostgreSQL and Redis or speak to NATS. It counts what it
// did and tells at /truth, which it does not count.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net/http"
	"os"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/redis/go-redis/v9"
)

type server struct {
	truth *truth
	pool  *pgxpool.Pool
	redis *redis.Client
	nats  *nats.Conn
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to serve on")
	postgres := flag.String("postgres", "", "PostgreSQL connection string; empty: no such routes")
	redisAddress := flag.String("redis", "", "address of Redis; empty: no such routes")
	natsAddress := flag.String("nats", "", "address of NATS; empty: no such routes")
	flag.Parse()

	s := &server{truth: newTruth()}
	mux := http.NewServeMux()
	s.routes(mux)
	if *postgres != "" {
		var err error
		if s.pool, err = connectPostgres(context.Background(), *postgres, s.truth); err != nil {
			log.Fatal(err)
		}
		s.postgresRoutes(mux)
	}
	if *redisAddress != "" {
		s.redis = connectRedis(*redisAddress, s.truth)
		s.redisRoutes(mux)
	}
	if *natsAddress != "" {
		var err error
		if s.nats, err = connectNATS(*natsAddress, s.truth); err != nil {
			log.Fatal(err)
		}
		s.natsRoutes(mux)
	}
	mux.HandleFunc("GET /truth", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.truth.document(os.Getenv("OTEL_SERVICE_NAME")))
	})
	log.Fatal(http.ListenAndServe(*listen, mux))
}
