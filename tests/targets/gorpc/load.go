// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func dial(address string, options ...grpc.DialOption) *grpc.ClientConn {
	// For versions of grpc-go before NewClient.
	conn, err := grpc.Dial(address, append(options, trust())...) //nolint:staticcheck
	if err != nil {
		log.Fatal(err)
	}
	return conn
}

// nobody is an address where connections are refused.
func nobody() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

type caller struct {
	conn, gone *grpc.ClientConn
	address    string
	counted    *truth
}

func (c *caller) invoke(ctx context.Context, conn *grpc.ClientConn, name string, asked int64) error {
	return conn.Invoke(ctx, "/sonde.Echo/"+name, wrapperspb.Int64(asked), new(wrapperspb.Int64Value))
}

// converse sends three messages and reads their echoes, on another goroutine if asked to.
func (c *caller) converse(ctx context.Context, asked int64, apart bool) error {
	stream, err := c.conn.NewStream(ctx, &desc.Streams[0], "/sonde.Echo/Stream")
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	read := func() {
		for {
			if err := stream.RecvMsg(new(wrapperspb.Int64Value)); err != nil {
				ended <- err
				return
			}
		}
	}
	if apart {
		go read()
	}
	for i := 0; i < 3; i++ {
		_ = stream.SendMsg(wrapperspb.Int64(asked))
	}
	_ = stream.CloseSend()
	if !apart {
		read()
	}
	if err := <-ended; err != io.EOF {
		return err
	}
	return nil
}

// breakOff leaves the server with an answer and nobody to give it to.
func (c *caller) breakOff(ctx context.Context) error {
	conn := dial(c.address, grpc.WithStatsHandler(c.counted))
	time.AfterFunc(20*time.Millisecond, func() { _ = conn.Close() })
	return c.invoke(ctx, conn, "Unary", untilOk)
}

func (c *caller) one(n int) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	name := "Unary"
	var err error
	switch n % 20 {
	case 10:
		err = c.invoke(ctx, c.conn, name, int64(1+n/20%16))
	case 11:
		short, done := context.WithTimeout(ctx, 20*time.Millisecond)
		err = c.invoke(short, c.conn, name, untilDone)
		done()
	case 12:
		cancelled, done := context.WithCancel(ctx)
		time.AfterFunc(5*time.Millisecond, done)
		err = c.invoke(cancelled, c.conn, name, untilDone)
	case 13:
		name = "Missing"
		err = c.invoke(ctx, c.conn, name, 0)
	case 14:
		err = c.invoke(ctx, c.conn, name, panics)
	case 15:
		name = "Stream"
		err = c.converse(ctx, 5, false)
	case 16, 17:
		name = "Stream"
		err = c.converse(ctx, 0, n%20 == 17)
	case 18:
		name = "Gone"
		err = c.invoke(ctx, c.gone, name, 0)
	case 19:
		if n%100 == 19 {
			err = c.breakOff(ctx)
		} else {
			err = c.invoke(ctx, c.conn, name, 0)
		}
	default:
		err = c.invoke(ctx, c.conn, name, 0)
	}
	c.counted.add("handled " + name + " " + status.Code(err).String())
}

// load begins when its standard input ends, so that there is time to attach; it writes its ledger and
// stays until it is killed, for its messages are counted after it.
func load(address, calls, ledger string) {
	n, err := strconv.Atoi(calls)
	if err != nil {
		log.Fatal(err)
	}
	counted := newTruth()
	c := caller{conn: dial(address, grpc.WithStatsHandler(counted)), gone: dial(nobody()), address: address,
		counted: counted}
	_, _ = io.Copy(io.Discard, os.Stdin)
	jobs := make(chan int)
	var workers sync.WaitGroup
	for i := 0; i < 32; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for job := range jobs {
				c.one(job)
			}
		}()
	}
	for job := 0; job < n; job++ {
		jobs <- job
	}
	close(jobs)
	workers.Wait()
	time.Sleep(200 * time.Millisecond)
	counted.write(ledger)
	select {}
}
