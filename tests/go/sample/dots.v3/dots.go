// SPDX-License-Identifier: Apache-2.0

// Package dots has a dot in its path and another name than that.
package dots

import "fmt"

// Node has a pointer and is printed by it.
type Node struct {
	Kind  uint8
	Value string
	Next  *Node
}

func (n *Node) String() string { return fmt.Sprint(n.Kind, n.Value, n.Next == nil) }

// Node2 is embedded by pointer.
type Node2 struct{ Level int }
