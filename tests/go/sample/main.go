// SPDX-License-Identifier: Apache-2.0

// Sample is a Go program whose types and functions the agent's tests know.
package main

import (
	"fmt"
	"os"
	"time"

	dots "example.test/sample/dots.v3"
)

type inner struct {
	A uint8
	B uint32
}

// Outer holds what a struct can hold; the tests have its offsets.
type Outer struct {
	First bool
	Text  string
	Inner inner
	Node  dots.Node
	Next  *Outer
	Any   interface{}
	Slice []int
	Table map[string]int
	Wait  time.Duration
	Fn    func()
	Array [3]uint16
	inner
	*dots.Node2
}

// Handle is held by an interface as it is, without a pointer to it.
type Handle struct{ Outer *Outer }

// Pair is generic.
type Pair[K any] struct {
	Key   K
	Count int64
}

type state uint32

func (s *state) String() string { return fmt.Sprint(uint32(*s)) }

//go:noinline
func nine(a, b, c, d, e, f, g, h, i int) int {
	fmt.Fprint(os.Stdout)
	return a + b + c + d + e + f + g + h + i
}

//go:noinline
func leaf(a, b int) int { return a ^ b }

func first() interface{} {
	type twin struct{ A, B int64 }
	return &twin{}
}

func second() interface{} {
	type twin struct{ C, D, E int32 }
	return &twin{}
}

func main() {
	s := state(3)
	o := &Outer{Node2: &dots.Node2{}}
	fmt.Println(o, &Handle{o}, &o.Node, &s, Pair[dots.Node]{}, first(), second(), leaf(1, len(os.Args)))
	fmt.Println(nine(1, 2, 3, 4, 5, 6, 7, 8, 9))
}
