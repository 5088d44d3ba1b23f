// SPDX-License-Identifier: Apache-2.0

// Gorpc serves and makes gRPC calls, unary and streaming ones, with every code, deadlines and cancelled
// contexts; the caller prints how often each method ended with which code. A module of its own: only
// tests/integration/go_grpc.sh, which is run by hand, needs grpc-go.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func unary(_ any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(wrapperspb.Int64Value)
	if err := dec(in); err != nil {
		return nil, err
	}
	if in.Value < 0 {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if in.Value > 0 {
		return nil, status.Error(codes.Code(in.Value), "asked for")
	}
	return in, nil
}

func stream(_ any, s grpc.ServerStream) error {
	for {
		in := new(wrapperspb.Int64Value)
		if err := s.RecvMsg(in); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if in.Value > 0 {
			return status.Error(codes.Code(in.Value), "asked for")
		}
		if err := s.SendMsg(in); err != nil {
			return err
		}
	}
}

var desc = grpc.ServiceDesc{ServiceName: "sonde.Echo", HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: unary}},
	Streams: []grpc.StreamDesc{{StreamName: "Stream", Handler: stream, ServerStreams: true, ClientStreams: true}}}

func main() {
	if os.Args[1] == "serve" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		s := grpc.NewServer()
		s.RegisterService(&desc, struct{}{})
		fmt.Printf("grpc=%d\n", l.Addr().(*net.TCPAddr).Port)
		panic(s.Serve(l))
	}
	cc, err := grpc.NewClient(os.Args[2], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	n, _ := strconv.Atoi(os.Args[3])
	time.Sleep(2 * time.Second)
	counts := map[string]int{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	jobs := make(chan int)
	for i := 0; i < 32; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range jobs {
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
				var err error
				name := "Unary"
				switch j % 10 {
				case 0, 1, 2, 3, 4:
					err = cc.Invoke(ctx, "/sonde.Echo/Unary", wrapperspb.Int64(0), new(wrapperspb.Int64Value))
				case 5:
					err = cc.Invoke(ctx, "/sonde.Echo/Unary", wrapperspb.Int64(int64(1+j/10%16)), new(wrapperspb.Int64Value))
				case 6:
					short, c := context.WithTimeout(ctx, 20*time.Millisecond)
					err = cc.Invoke(short, "/sonde.Echo/Unary", wrapperspb.Int64(-1), new(wrapperspb.Int64Value))
					c()
				case 7:
					err = cc.Invoke(ctx, "/sonde.Echo/Missing", wrapperspb.Int64(0), new(wrapperspb.Int64Value))
					name = "Missing"
				default:
					name = "Stream"
					s, e := cc.NewStream(ctx, &desc.Streams[0], "/sonde.Echo/Stream")
					if e != nil {
						panic(e)
					}
					v := int64(0)
					if j%10 == 9 {
						v = 5
					}
					for k := 0; k < 3; k++ {
						_ = s.SendMsg(wrapperspb.Int64(v))
						if err = s.RecvMsg(new(wrapperspb.Int64Value)); err != nil {
							break
						}
					}
					_ = s.CloseSend()
					for err == nil {
						err = s.RecvMsg(new(wrapperspb.Int64Value))
					}
					if err == io.EOF {
						err = nil
					}
				}
				cancel()
				mu.Lock()
				counts[name+" "+status.Code(err).String()]++
				mu.Unlock()
			}
		}()
	}
	for j := 0; j < n; j++ {
		jobs <- j
	}
	close(jobs)
	wg.Wait()
	for k, v := range counts {
		fmt.Println(k, v)
	}
	time.Sleep(3 * time.Second)
}
