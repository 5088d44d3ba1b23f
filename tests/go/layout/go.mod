module example.test/layout

go 1.18
