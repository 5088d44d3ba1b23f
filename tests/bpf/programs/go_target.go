// SPDX-License-Identifier: Apache-2.0

// go_target panics once for each byte it reads, on a goroutine whose stack is small, recovers, and
// answers with the byte.
package main

import "os"

func panicAndRecover(i int, done chan<- bool) {
	defer func() { done <- recover() != nil }()
	if i%2 == 0 {
		panic(i)
	}
	var none []int
	none[i] = 1
}

func main() {
	bytes := make([]byte, 4096)
	done := make(chan bool)
	for {
		got, err := os.Stdin.Read(bytes)
		if err != nil {
			return
		}
		for i := 0; i < got; i++ {
			go panicAndRecover(i, done)
			if !<-done {
				os.Exit(1)
			}
		}
		if _, err := os.Stdout.Write(bytes[:got]); err != nil {
			return
		}
	}
}
