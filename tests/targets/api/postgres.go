// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	selectTrack  = "select id, title from tracks where id = $1"
	countTracks  = "SELECT count(*) FROM tracks"
	lower        = "-- comments come first\n/* of both kinds */ select id from tracks limit 1"
	constant     = "select 1"
	insertPlay   = "insert into plays (track, seconds) values ($1, $2)"
	updateTrack  = "update tracks set plays = plays + 1 where id = $1"
	deletePlays  = "delete from plays where track = $1"
	divide       = "select 1 / (id - id) from tracks"
	missing      = "select * from missing"
	insertTwice  = "insert into tracks (id, title) values (1, 'one')"
	withLiteral  = "select title from tracks where title = 'x; delete from plays where 1 = 1'"
	copyPlays    = `copy "plays" ( "track", "seconds" ) from stdin binary;`
	twoAtOnce    = "select 1; update tracks set plays = 0 where id = 2"
	threeOneBad  = "select 1; select * from missing; select 2"
	commonTables = "with hot as (select id from tracks where plays > 0) select count(*) from hot"
)

type shape struct{ verb, table string }

// What METRICS counts each statement as.
var shapes = map[string]shape{
	selectTrack: {"select", "tracks"}, countTracks: {"select", "tracks"}, lower: {"select", "tracks"},
	constant: {"select", ""}, insertPlay: {"insert", "plays"}, updateTrack: {"update", "tracks"},
	deletePlays: {"delete", "plays"}, divide: {"select", "tracks"}, missing: {"select", "missing"},
	insertTwice: {"insert", "tracks"}, withLiteral: {"select", "tracks"}, copyPlays: {"copy", "plays"},
	commonTables: {"with", "tracks"},
	"begin":      {"begin", ""}, "commit": {"commit", ""}, "rollback": {"rollback", ""},
}

type sqlTracer struct{ truth *truth }

type sqlTextKey struct{}

func (t *sqlTracer) count(sql string, err error) {
	known, found := shapes[sql]
	if !found {
		log.Fatalf("a statement without a shape: %s", sql)
	}
	var failure *pgconn.PgError
	switch {
	case err == nil:
		t.truth.statement(sqlKey{known.verb, known.table, ""})
	case errors.As(err, &failure):
		t.truth.statement(sqlKey{known.verb, known.table, failure.Code})
	default:
		log.Printf("%s: %v", sql, err)
	}
}

func (t *sqlTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	return context.WithValue(ctx, sqlTextKey{}, data.SQL)
}

func (t *sqlTracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	t.count(ctx.Value(sqlTextKey{}).(string), data.Err)
}

func (t *sqlTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}

func (t *sqlTracer) TraceBatchQuery(_ context.Context, _ *pgx.Conn, data pgx.TraceBatchQueryData) {
	t.count(data.SQL, data.Err)
}

func (t *sqlTracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (t *sqlTracer) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	return ctx
}

func (t *sqlTracer) TraceCopyFromEnd(_ context.Context, _ *pgx.Conn, data pgx.TraceCopyFromEndData) {
	t.count(copyPlays, data.Err)
}

func connectPostgres(ctx context.Context, address string, counts *truth) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("connection string: %w", err)
	}
	config.MaxConns = 8
	config.ConnConfig.Tracer = &sqlTracer{counts}
	return pgxpool.NewWithConfig(ctx, config)
}

func (s *server) postgresRoutes(mux *http.ServeMux) {
	handle := func(route string, handler func(context.Context) error) {
		mux.HandleFunc("GET "+route, s.truth.counted(route, func(w http.ResponseWriter, r *http.Request) {
			if err := handler(context.WithoutCancel(r.Context())); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			fmt.Fprintln(w, "done")
		}))
	}
	mux.HandleFunc("GET /api/v1/tracks/{id}", s.truth.counted("/api/v1/tracks/{id}", s.getTrack))
	handle("/db/simple", s.simpleQueries)
	handle("/db/prepared", s.preparedQueries)
	handle("/db/batch", s.batch)
	handle("/db/transaction", s.transaction)
	handle("/db/copy", s.copyPlays)
	handle("/db/error", s.failingQueries)
}

func (s *server) getTrack(w http.ResponseWriter, r *http.Request) {
	var id int
	var title string
	err := s.pool.QueryRow(context.WithoutCancel(r.Context()), selectTrack, trackID(r)).Scan(&id, &title)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		http.NotFound(w, r)
	case err != nil:
		http.Error(w, err.Error(), http.StatusInternalServerError)
	default:
		fmt.Fprintf(w, "{\"id\":%d,\"title\":%q}\n", id, title)
	}
}

// execute expects a statement to end with an SQLSTATE, "" for success.
func execute(ctx context.Context, on interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}, sqlstate, sql string, arguments ...any) error {
	_, err := on.Exec(ctx, sql, arguments...)
	var failure *pgconn.PgError
	if errors.As(err, &failure) && failure.Code == sqlstate {
		return nil
	}
	if err == nil && sqlstate != "" {
		return fmt.Errorf("%s: succeeded, expected %s", sql, sqlstate)
	}
	return err
}

func (s *server) simpleQueries(ctx context.Context) error {
	for _, sql := range []string{countTracks, lower, constant, withLiteral} {
		if err := execute(ctx, s.pool, "", sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
	}
	return s.several(ctx)
}

// several statements in one Query message; pgx traces none of these.
func (s *server) several(ctx context.Context) error {
	return s.pool.AcquireFunc(ctx, func(connection *pgxpool.Conn) error {
		if _, err := connection.Conn().PgConn().Exec(ctx, twoAtOnce).ReadAll(); err != nil {
			return err
		}
		s.truth.statement(sqlKey{"select", "", ""})
		s.truth.statement(sqlKey{"update", "tracks", ""})
		_, err := connection.Conn().PgConn().Exec(ctx, threeOneBad).ReadAll()
		var failure *pgconn.PgError
		if !errors.As(err, &failure) {
			return fmt.Errorf("%s: succeeded", threeOneBad)
		}
		s.truth.statement(sqlKey{"select", "", ""})
		s.truth.statement(sqlKey{"select", "missing", failure.Code})
		return nil
	})
}

func (s *server) preparedQueries(ctx context.Context) error {
	for _, sql := range []string{countTracks, lower, constant, withLiteral, commonTables} {
		if err := execute(ctx, s.pool, "", sql); err != nil {
			return err
		}
	}
	return execute(ctx, s.pool, "", updateTrack, 3)
}

// batch is one pipeline: n statements, one Sync.
func (s *server) batch(ctx context.Context) error {
	batch := &pgx.Batch{}
	for track := 1; track <= 5; track++ {
		batch.Queue(insertPlay, track, 180)
	}
	batch.Queue(selectTrack, 1)
	batch.Queue(deletePlays, 5)
	return s.pool.SendBatch(ctx, batch).Close()
}

func (s *server) transaction(ctx context.Context) error {
	transaction, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	if err = execute(ctx, transaction, "", insertPlay, 1, 200); err == nil {
		err = execute(ctx, transaction, "", selectTrack, 1)
	}
	if err != nil {
		return errors.Join(err, transaction.Rollback(ctx))
	}
	return transaction.Commit(ctx)
}

func (s *server) copyPlays(ctx context.Context) error {
	rows := [][]any{{1, 10}, {2, 20}, {3, 30}}
	_, err := s.pool.CopyFrom(ctx, pgx.Identifier{"plays"}, []string{"track", "seconds"}, pgx.CopyFromRows(rows))
	return err
}

func (s *server) failingQueries(ctx context.Context) error {
	for sql, sqlstate := range map[string]string{divide: "22012", missing: "42P01", insertTwice: "23505"} {
		if err := execute(ctx, s.pool, sqlstate, sql); err != nil {
			return err
		}
	}
	transaction, err := s.pool.Begin(ctx)
	if err != nil {
		return err
	}
	if err = execute(ctx, transaction, "22012", divide); err == nil {
		err = execute(ctx, transaction, "25P02", constant, pgx.QueryExecModeSimpleProtocol)
	}
	return errors.Join(err, transaction.Rollback(ctx))
}

// trackID is 0, which no track has, where the path has no number.
func trackID(r *http.Request) int {
	id, _ := strconv.Atoi(r.PathValue("id"))
	return id
}
