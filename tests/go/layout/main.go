// SPDX-License-Identifier: Apache-2.0

// Layout prints what agent/runtime/go_layout.cpp has of a version of Go, from the debug information of a program that was built with it.
//
//	GOTOOLCHAIN=go1.27.1 go build -C tests/go/runtime -o /tmp/program . && go run -C tests/go/layout . /tmp/program
package main

import (
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"os"
	"strings"
)

// In the order of the C++ structs. Of several names one field has had, the first that is there counts.
var tables = []struct {
	name, structure string
	fields          []string
}{
	{"ControllerLayout", "gcControllerState", strings.Fields("gcPercent memoryLimit gcPercentHeapGoal|heapGoal sweepDistMinTrigger " +
		"triggered heapMarked heapInUse heapReleased heapFree totalAlloc totalFree mappedReady")},
	{"HeapStatsLayout", "heapStatsDelta", strings.Fields("inWorkBufs inPtrScalarBits tinyAllocCount largeAllocCount " +
		"smallAllocCount largeFreeCount smallFreeCount")},
	{"MemstatsLayout", "mstats", strings.Fields("heapStats stacks_sys mspan_sys mcache_sys buckhash_sys gcMiscSys " +
		"other_sys last_gc_unix pause_total_ns pause_ns numgc enablegc gcPauseDist")},
	{"SchedulerLayout", "schedt", strings.Fields("mnext nmfreed ngsys gFree.n|gFree.stack.size gFree.noStack.size timeToRun " +
		"stwStoppingTimeGC stwStoppingTimeOther stwTotalTimeGC stwTotalTimeOther")},
	{"HeapLayout", "mheap", strings.Fields("spanalloc.inuse cachealloc.inuse")},
	{"ProcessorLayout", "p", strings.Fields("gFree.n|gFree.size")},
}

func structs(data *dwarf.Data) map[string]*dwarf.StructType {
	found := map[string]*dwarf.StructType{}
	for reader := data.Reader(); ; {
		entry, err := reader.Next()
		if err != nil || entry == nil {
			return found
		}
		name, _ := entry.Val(dwarf.AttrName).(string)
		if entry.Tag != dwarf.TagStructType || !strings.HasPrefix(name, "runtime.") {
			continue
		}
		if typ, err := data.Type(entry.Offset); err == nil {
			found[strings.TrimPrefix(name, "runtime.")], _ = typ.(*dwarf.StructType)
		}
	}
}

func offset(structure *dwarf.StructType, path string) string {
	var at int64
parts:
	for _, part := range strings.Split(path, ".") {
		if structure == nil {
			return ""
		}
		for _, field := range structure.Field {
			if field.Name == part {
				at += field.ByteOffset
				typ := field.Type
				for alias, ok := typ.(*dwarf.TypedefType); ok; alias, ok = typ.(*dwarf.TypedefType) {
					typ = alias.Type
				}
				structure, _ = typ.(*dwarf.StructType)
				continue parts
			}
		}
		return ""
	}
	return fmt.Sprint(at)
}

func main() {
	file, err := elf.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	data, err := file.DWARF()
	if err != nil {
		panic(err)
	}
	known := structs(data)
	for _, table := range tables {
		var offsets []string
		for _, names := range table.fields {
			found := "kNoField"
			for _, name := range strings.Split(names, "|") {
				if at := offset(known[table.structure], name); at != "" {
					found = at
					break
				}
			}
			offsets = append(offsets, found)
		}
		fmt.Printf("%s {%s}\n", table.name, strings.Join(offsets, ", "))
	}
	histogram := known["timeHistogram"]
	fmt.Printf("timeHistogram of %d words\n", histogram.ByteSize/8)
}
