module example.test/tls

go 1.18
