// SPDX-License-Identifier: Apache-2.0

// Dwarf prints the structs and fields that a program's debug information has, in the form of dump.
package main

import (
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"os"
)

func main() {
	file, err := elf.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	data, err := file.DWARF()
	if err != nil {
		panic(err)
	}
	reader := data.Reader()
	for {
		entry, err := reader.Next()
		if err != nil {
			panic(err)
		}
		if entry == nil {
			return
		}
		if entry.Tag != dwarf.TagStructType {
			continue
		}
		typ, err := data.Type(entry.Offset)
		if err != nil {
			continue
		}
		structure := typ.(*dwarf.StructType)
		fmt.Printf("struct %s %d\n", structure.StructName, structure.ByteSize)
		for _, field := range structure.Field {
			fmt.Printf("field %s.%s %d\n", structure.StructName, field.Name, field.ByteOffset)
		}
	}
}
