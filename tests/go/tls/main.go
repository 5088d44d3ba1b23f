// SPDX-License-Identifier: Apache-2.0

// HTTP/1.1 within crypto/tls, both ends: `serve` prints its address, `ask ADDRESS CLIENTS REQUESTS` waits for a line
// of input before it asks.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		log.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// A connection of a type of its own, as libraries wrap them.
type counted struct {
	net.Conn
	written int
}

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &counted{Conn: connection}, nil
}

func serve() {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(inner.Addr())
	answers := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		io.WriteString(w, strings.Repeat("b", size))
	})
	config := &tls.Config{Certificates: []tls.Certificate{certificate()}}
	log.Fatal(http.Serve(tls.NewListener(listener{inner}, config), answers))
}

func ask(address string, clients, requests int) {
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		MaxIdleConnsPerHost: clients,
	}}
	once := func(size int) {
		response, err := client.Get(fmt.Sprintf("https://%s/%d", address, size))
		if err != nil {
			log.Fatal(err)
		}
		got, _ := io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if got != int64(size) {
			log.Fatal("got ", got)
		}
	}
	all := func(requests int) {
		var group sync.WaitGroup
		for i := 0; i < clients; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				for j := 0; j < requests; j++ {
					once(j % 4 * 10_000)
				}
			}()
		}
		group.Wait()
	}
	all(1)
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadString('\n')
	all(requests)
	fmt.Println("done")
	bufio.NewReader(os.Stdin).ReadString('\n')
}

func main() {
	if len(os.Args) == 5 && os.Args[1] == "ask" {
		clients, _ := strconv.Atoi(os.Args[3])
		requests, _ := strconv.Atoi(os.Args[4])
		ask(os.Args[2], clients, requests)
		return
	}
	serve()
}
