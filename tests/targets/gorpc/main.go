// SPDX-License-Identifier: Apache-2.0

// Gorpc serves and makes gRPC calls: unary and streaming ones, every code, deadlines that pass, contexts that
// are cancelled, handlers that panic, servers that are not there. Each side writes what grpc-go itself told it of
// calls and messages. A module of its own, for the rest of the testbed needs no grpc-go.
package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"sort"
	"sync"
	"syscall"

	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// truth counts by method and code, and messages, as grpc-go's statistics tell of them.
type truth struct {
	mu     sync.Mutex
	counts map[string]int
}

type callName struct{}

func newTruth() *truth { return &truth{counts: map[string]int{}} }

func (t *truth) add(key string) {
	t.mu.Lock()
	t.counts[key]++
	t.mu.Unlock()
}

func (t *truth) TagRPC(ctx context.Context, info *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, callName{}, info.FullMethodName)
}

func (t *truth) HandleRPC(ctx context.Context, event stats.RPCStats) {
	name := method(ctx.Value(callName{}).(string))
	switch event := event.(type) {
	case *stats.InPayload:
		t.add("received " + name)
	case *stats.OutPayload:
		t.add("sent " + name)
	case *stats.End:
		// A server's is grpc-go's own word for what it answers with; a client counts what it is told.
		if !event.Client {
			t.add("handled " + name + " " + status.Code(event.Error).String())
		}
	}
}

func (t *truth) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (t *truth) HandleConn(context.Context, stats.ConnStats)                       {}

func (t *truth) write(path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	file, err := os.Create(path + ".part")
	if err != nil {
		log.Fatal(err)
	}
	lines := []string{}
	for key, n := range t.counts {
		lines = append(lines, fmt.Sprintf("%s %d\n", key, n))
	}
	sort.Strings(lines)
	for _, line := range lines {
		fmt.Fprint(file, line)
	}
	file.Close()
	if err := os.Rename(path+".part", path); err != nil {
		log.Fatal(err)
	}
}

// method is what follows the service.
func method(full string) string { return full[len("/sonde.Echo/"):] }

// A request asks for a code, or for one of these.
const (
	untilDone = -1 // waits for the context's end and returns it
	panics    = -2
	untilOk   = -3 // waits for the context's end and answers as if nothing were
)

func answer(ctx context.Context, asked int64) error {
	switch {
	case asked == panics:
		panic("on purpose")
	case asked == untilDone:
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	case asked == untilOk:
		<-ctx.Done()
	case asked > 0:
		return status.Error(codes.Code(asked), "asked for")
	}
	return nil
}

func unary(_ interface{}, ctx context.Context, dec func(interface{}) error,
	interceptor grpc.UnaryServerInterceptor) (interface{}, error) {
	in := new(wrapperspb.Int64Value)
	if err := dec(in); err != nil {
		return nil, err
	}
	handler := func(ctx context.Context, request interface{}) (interface{}, error) {
		return in, answer(ctx, in.Value)
	}
	return interceptor(ctx, in, &grpc.UnaryServerInfo{FullMethod: "/sonde.Echo/Unary"}, handler)
}

func stream(_ interface{}, s grpc.ServerStream) error {
	for {
		in := new(wrapperspb.Int64Value)
		if err := s.RecvMsg(in); err != nil {
			if err.Error() == "EOF" {
				return nil
			}
			return err
		}
		if err := answer(s.Context(), in.Value); err != nil {
			return err
		}
		if err := s.SendMsg(in); err != nil {
			return err
		}
	}
}

// recovered is what programs put around handlers that may panic.
func recovered(ctx context.Context, request interface{}, _ *grpc.UnaryServerInfo,
	handler grpc.UnaryHandler) (reply interface{}, err error) {
	defer func() {
		if recover() != nil {
			err = status.Error(codes.Internal, "it panicked")
		}
	}()
	return handler(ctx, request)
}

var desc = grpc.ServiceDesc{ServiceName: "sonde.Echo", HandlerType: (*interface{})(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
	Streams: []grpc.StreamDesc{{StreamName: "Stream", Handler: stream, ServerStreams: true, ClientStreams: true}}}

// serve writes what it has counted to a file at each SIGUSR1.
func serve(ledger string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	counted := newTruth()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			counted.write(ledger)
		}
	}()
	server := grpc.NewServer(append(credentialsOf(), grpc.StatsHandler(counted), grpc.UnaryInterceptor(recovered))...)
	server.RegisterService(&desc, struct{}{})
	fmt.Printf("grpc=%d\n", listener.Addr().(*net.TCPAddr).Port)
	log.Fatal(server.Serve(listener))
}

func main() {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		serve(os.Args[2])
	case len(os.Args) == 5 && os.Args[1] == "load":
		load(os.Args[2], os.Args[3], os.Args[4])
	default:
		log.Fatal("usage: gorpc serve LEDGER | load HOST:PORT CALLS LEDGER")
	}
}
