module example.test/dwarf

go 1.18
