module example.test/runtime

go 1.18
